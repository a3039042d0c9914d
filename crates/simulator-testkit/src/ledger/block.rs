//! Blocks as lines of `blocks.jsonl`: what `getBlock` returns, with the slot in front.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::chain::{self, Place};
use super::start::Leader;
use super::wallets::{FEE, Transfer};
use super::{LedgerOptions, Outcomes};

/// What a transfer consumes, in compute units.
const TRANSFER_UNITS: u64 = 150;

/// One line of `blocks.jsonl`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockLine {
    slot: u64,
    parent_slot: u64,
    blockhash: String,
    previous_blockhash: String,
    block_height: u64,
    block_time: i64,
    rewards: Vec<Value>,
    transactions: Vec<Value>,
}

impl BlockLine {
    /// The block of these transfers. Its leader gets half of the fees.
    pub(super) fn new(options: &LedgerOptions, place: Place, transfers: &[Transfer], leader: &mut Leader) -> Self {
        Self {
            slot: place.slot,
            parent_slot: place.parent_slot,
            blockhash: chain::blockhash(options.seed, place.slot).to_string(),
            previous_blockhash: chain::blockhash(options.seed, place.parent_slot).to_string(),
            block_height: place.height,
            block_time: chain::time(place.slot),
            rewards: rewards(transfers.len() as u64, leader),
            transactions: transfers
                .iter()
                .map(|transfer| transaction(transfer, options.outcomes))
                .collect(),
        }
    }
}

fn rewards(transactions: u64, leader: &mut Leader) -> Vec<Value> {
    let fees = transactions * FEE;
    let paid = fees - fees / 2;
    if paid == 0 {
        return Vec::new();
    }
    leader.lamports += paid;
    vec![json!({
        "pubkey": leader.address.to_string(),
        "lamports": paid,
        "postBalance": leader.lamports,
        "rewardType": "Fee",
        "commission": null,
    })]
}

fn transaction(transfer: &Transfer, outcomes: Outcomes) -> Value {
    let meta = match outcomes {
        Outcomes::Unknown => Value::Null,
        Outcomes::Recorded => meta(transfer),
    };
    json!({ "transaction": [BASE64_STANDARD.encode(&transfer.wire), "base64"], "meta": meta, "version": "legacy" })
}

/// What happens to a transfer. The third account is the system program, which holds one lamport.
fn meta(transfer: &Transfer) -> Value {
    let balances = |[payer, payee]: [u64; 2]| [payer, payee, 1];
    let system = solana_sdk_ids::system_program::ID;
    json!({
        "err": null,
        "status": { "Ok": null },
        "fee": FEE,
        "preBalances": balances(transfer.before),
        "postBalances": balances(transfer.after),
        "innerInstructions": [],
        "logMessages": [format!("Program {system} invoke [1]"), format!("Program {system} success")],
        "preTokenBalances": [],
        "postTokenBalances": [],
        "rewards": [],
        "loadedAddresses": { "writable": [], "readonly": [] },
        "computeUnitsConsumed": TRANSFER_UNITS,
    })
}
