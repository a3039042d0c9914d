//! What notifications say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator_api::{Capability, Cursor};
use solana_signature::Signature;

use super::subscribe::Kind;
use super::{Change, DataReplay, Generation, Tx};

impl Kind {
    /// The name of its notifications.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Transactions => "transactionNotification",
            Self::Logs => "logsNotification",
            Self::AccountDiffs | Self::ProgramAccountDiffs => "accountDiffNotification",
        }
    }

    /// What a transaction leads to for a subscriber of `address`.
    pub(super) fn results(self, generation: &Generation, address: &str, slot: u64, tx: &Tx) -> Vec<Value> {
        let mentioned = tx.mentions.iter().any(|program| program.to_string() == address);
        match self {
            Self::Transactions if mentioned => vec![transaction(generation, slot, tx)],
            Self::Logs if mentioned => vec![logs(slot, tx)],
            Self::Transactions | Self::Logs => Vec::new(),
            Self::AccountDiffs => diffs(slot, tx, |change| change.account.to_string() == address),
            Self::ProgramAccountDiffs => diffs(slot, tx, |change| change.owner.to_string() == address),
        }
    }
}

/// A notification, or the end of its stream.
pub(super) fn envelope(
    generation: &Generation,
    method: &str,
    subscription: u64,
    cursor: Option<Cursor>,
    result: Value,
) -> String {
    let mut params = json!({"subscription": subscription});
    if let Some(cursor) = cursor.filter(|_| generation.speaks(&Capability::Cursor)) {
        params["cursor"] = json!(cursor);
    }
    if !result.is_null() {
        params["result"] = result;
    }
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}

/// The encoding is left open by the documents, so each generation uses another one.
fn transaction(generation: &Generation, slot: u64, tx: &Tx) -> Value {
    let newer = generation.data_replay == DataReplay::History;
    let binary = newer && generation.capabilities.is_empty();
    let mut result = json!({
        "slot": slot, "blockTime": 1_771_668_000 + slot, "version": 0,
        "transaction": if binary { binary_transaction(tx) } else { json_transaction(tx) },
        "meta": {
            "err": null, "status": {"Ok": null}, "fee": 5000, "preBalances": [10, 1], "postBalances": [5, 1],
            "innerInstructions": [], "logMessages": log_lines(tx), "preTokenBalances": [], "postTokenBalances": [],
            "rewards": [], "loadedAddresses": {"writable": [], "readonly": []}, "computeUnitsConsumed": 1200,
        },
    });
    if newer {
        result["transactionIndex"] = tx.index.into();
    }
    result
}

/// One signature, and a message that nobody reads.
fn binary_transaction(tx: &Tx) -> Value {
    let mut wire = vec![1];
    wire.extend(tx.signature);
    wire.extend([1, 0, 0, 0, 0]);
    json!([STANDARD.encode(wire), "base64"])
}

fn json_transaction(tx: &Tx) -> Value {
    let keys: Vec<_> = tx.mentions.iter().map(ToString::to_string).collect();
    json!({"signatures": [base58(&tx.signature)], "message": {"accountKeys": keys, "instructions": []}})
}

fn logs(slot: u64, tx: &Tx) -> Value {
    let value = json!({"signature": base58(&tx.signature), "err": null, "logs": log_lines(tx)});
    json!({"context": {"slot": slot}, "value": value})
}

fn log_lines(tx: &Tx) -> Vec<String> {
    let lines = tx.mentions.iter().map(|program| format!("Program {program} success"));
    lines.collect()
}

fn diffs(slot: u64, tx: &Tx, is_wanted: impl Fn(&Change) -> bool) -> Vec<Value> {
    let wanted = tx.changes.iter().filter(|change| is_wanted(change));
    wanted.map(|change| diff(slot, tx, change)).collect()
}

fn diff(slot: u64, tx: &Tx, change: &Change) -> Value {
    json!({
        "context": {"slot": slot},
        "account": change.account.to_string(), "signature": base58(&tx.signature), "tx_index": tx.index,
        "block_time": 1_771_668_000 + slot,
        "pre": null,
        "post": {
            "lamports": change.lamports, "data": ["3q2+7w==", "base64"], "owner": change.owner.to_string(),
            "executable": false, "rentEpoch": 0, "space": 4,
        },
    })
}

fn base58(signature: &[u8; 64]) -> String {
    Signature::from(*signature).to_string()
}
