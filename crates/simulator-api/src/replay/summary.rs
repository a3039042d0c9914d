//! Totals of a replay.

use serde::{Deserialize, Serialize};

use super::OutcomeCounts;

/// The JSON-RPC method that reads the totals: no parameters in, [`ReplaySummary`] out.
pub const GET_REPLAY_SUMMARY: &str = "getReplaySummary";

/// Totals of a replay, up to the last slot that was closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplaySummary {
    /// Blocks that were executed.
    pub slots: u64,
    /// Numbers of historical transactions.
    pub counts: OutcomeCounts,
    /// Compute units that they used.
    pub compute_units: u64,
    /// How bank hashes compare.
    pub bank_hashes: BankHashCounts,
    /// What the runtime did outside transactions and could not be repeated, by kind.
    #[serde(default)]
    pub unreproduced: Vec<UnreproducedEffect>,
    /// BLAKE3 over the ordered outcomes and the final state changes, hexadecimal: the same archive, options and engine
    /// give the same digest on every machine.
    pub result_digest: String,
    /// The archive's digest, hexadecimal.
    pub archive_digest: String,
    /// The engine and its version.
    pub engine: String,
    /// First slot of the session's range.
    pub first_slot: u64,
    /// Last slot of the session's range.
    pub last_slot: u64,
    /// Transactions that the user sent.
    pub injected: u64,
    /// Whether the whole range has been executed.
    pub complete: bool,
    /// Whether the session takes on recorded account states: then no transaction was executed, so that none is counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub state_only: bool,
}

/// The JSON-RPC method that reads the digest of the state: no parameters in, [`ReplayStateDigest`] out.
pub const GET_REPLAY_STATE_DIGEST: &str = "getReplayStateDigest";

/// The state of a session at one moment, in one number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayStateDigest {
    /// The open slot, or the last one after the end.
    pub slot: u64,
    /// How many accounts exist and are known.
    pub accounts: u64,
    /// BLAKE3 over all of them, sorted by address, hexadecimal.
    pub digest: String,
}

/// How bank hashes compare with the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BankHashCounts {
    /// Slots whose bank hash is as recorded.
    pub agreed: u64,
    /// Slots whose bank hash differs.
    pub differed: u64,
    /// Slots whose bank hash is computed but not recorded.
    pub unrecorded: u64,
    /// The first slot that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_difference: Option<BankHashDifference>,
    /// Why none is computed, where none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

/// A slot whose bank hash differs from the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankHashDifference {
    /// The slot.
    pub slot: u64,
    /// As the chain recorded it, base58.
    pub recorded: String,
    /// As the replay computed it, base58.
    pub computed: String,
}

/// Something that the runtime did outside transactions and that the archive does not let the replay repeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreproducedEffect {
    /// Its kind, in camel case. Later versions may know more kinds.
    pub kind: String,
    /// How often it happened.
    pub count: u64,
    /// The first slot in which it happened.
    pub first_slot: u64,
    /// What is missing, for people.
    pub reason: String,
}
