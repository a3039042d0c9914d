//! What notifications say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use simulator_api::{Capability, Cursor};
use solana_address::Address;
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

    /// What a transaction leads to for a subscriber of `address`, as JSON.
    pub(super) fn results(self, generation: &Generation, address: &Address, slot: u64, tx: &Tx) -> Vec<String> {
        let mentioned = tx.mentions.contains(address);
        match self {
            Self::Transactions if mentioned => vec![transaction(generation, slot, tx)],
            Self::Logs if mentioned => vec![logs(slot, tx)],
            Self::Transactions | Self::Logs => Vec::new(),
            Self::AccountDiffs => diffs(slot, tx, |change| change.account == *address),
            Self::ProgramAccountDiffs => diffs(slot, tx, |change| change.owner == *address),
        }
    }
}

/// A notification.
pub(super) fn notification(
    generation: &Generation,
    method: &str,
    subscription: u64,
    cursor: Cursor,
    result: &str,
) -> String {
    let cursor = match generation.speaks(&Capability::Cursor) {
        true => format!(r#""cursor":{{"slot":{},"index":{}}},"#, cursor.slot, cursor.index),
        false => String::new(),
    };
    format!(
        r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"subscription":{subscription},{cursor}"result":{result}}}}}"#
    )
}

/// The end of a subscription.
pub(super) fn complete(subscription: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"subscriptionComplete","params":{{"subscription":{subscription}}}}}"#)
}

/// The encoding is left open by the documents, so each generation uses another one.
fn transaction(generation: &Generation, slot: u64, tx: &Tx) -> String {
    let newer = generation.data_replay == DataReplay::History;
    let binary = newer && generation.capabilities.is_empty();
    let content = match binary {
        true => binary_transaction(tx),
        false => json_transaction(tx),
    };
    let index = match newer {
        true => format!(r#","transactionIndex":{}"#, tx.index),
        false => String::new(),
    };
    format!(
        r#"{{"slot":{slot},"blockTime":{time},"version":0,"transaction":{content},"meta":{{"err":null,"status":{{"Ok":null}},"fee":5000,"preBalances":[10,1],"postBalances":[5,1],"logMessages":{logs}}}{index}}}"#,
        time = block_time(slot),
        logs = log_lines(tx),
    )
}

/// One signature, and a message that nobody reads.
fn binary_transaction(tx: &Tx) -> String {
    let mut wire = vec![1];
    wire.extend(tx.signature);
    wire.extend([1, 0, 0, 0, 0]);
    format!(r#"["{}","base64"]"#, STANDARD.encode(wire))
}

fn json_transaction(tx: &Tx) -> String {
    let signature = Signature::from(tx.signature);
    format!(r#"{{"signatures":["{signature}"],"message":{{"accountKeys":[],"instructions":[]}}}}"#)
}

fn logs(slot: u64, tx: &Tx) -> String {
    let (signature, logs) = (Signature::from(tx.signature), log_lines(tx));
    format!(r#"{{"context":{{"slot":{slot}}},"value":{{"signature":"{signature}","err":null,"logs":{logs}}}}}"#)
}

fn log_lines(tx: &Tx) -> String {
    format!(
        r#"["Program log: transaction {}","Program log: it \"works\""]"#,
        tx.index
    )
}

fn diffs(slot: u64, tx: &Tx, is_wanted: impl Fn(&Change) -> bool) -> Vec<String> {
    let wanted = tx.changes.iter().filter(|change| is_wanted(change));
    wanted.map(|change| diff(slot, tx, change)).collect()
}

fn diff(slot: u64, tx: &Tx, change: &Change) -> String {
    let Change {
        account,
        owner,
        lamports,
    } = change;
    format!(
        r#"{{"context":{{"slot":{slot}}},"account":"{account}","signature":"{signature}","tx_index":{index},"block_time":{time},"pre":null,"post":{{"lamports":{lamports},"data":["3q2+7w==","base64"],"owner":"{owner}","executable":false,"rentEpoch":0,"space":4}}}}"#,
        signature = Signature::from(tx.signature),
        index = tx.index,
        time = block_time(slot),
    )
}

fn block_time(slot: u64) -> u64 {
    1_771_668_000 + slot
}
