//! Outcomes by slot, and how they are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Divergence, TransactionOutcome};

/// The JSON-RPC method that reads outcomes: one [`GetReplayOutcomesParams`] in, [`ReplayOutcomes`] out.
pub const GET_REPLAY_OUTCOMES: &str = "getReplayOutcomes";

/// Which outcomes to read. Reading after a slot acknowledges everything up to it; what is not acknowledged can be
/// read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetReplayOutcomesParams {
    /// The last slot that was read; `None` begins with the first.
    pub after: Option<u64>,
    /// Most slots to return.
    pub max_slots: u32,
    /// How long to wait for a slot if there is none yet, in milliseconds.
    pub wait_millis: u64,
}

/// Outcomes of some slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayOutcomes {
    /// In slot order, without gaps.
    pub slots: Vec<SlotOutcome>,
    /// Whether nothing follows after these.
    pub complete: bool,
}

/// What one slot did when it was executed again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotOutcome {
    /// The slot.
    pub slot: u64,
    /// The slot of the block before it.
    pub parent_slot: u64,
    /// Its time, in seconds since 1970, where the archive knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_time: Option<i64>,
    /// Its blockhash, base58.
    pub blockhash: String,
    /// Numbers of its historical transactions.
    pub counts: OutcomeCounts,
    /// Compute units that they used.
    pub compute_units: u64,
    /// Its bank hash, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank_hash: Option<BankHashPair>,
    /// BLAKE3 over everything that the session has done up to the end of this slot, hexadecimal: all outcomes, and all
    /// accounts that each slot changed. From the first slot on that differs between two sessions, all of these differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Numbers of its unverifiable transactions by the reason, in camel case. Later versions may know more reasons.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unverifiable_by_reason: BTreeMap<String, u64>,
    /// Every difference from the record.
    #[serde(default)]
    pub divergences: Vec<Divergence>,
    /// Every historical transaction, where the session keeps them.
    #[serde(default)]
    pub transactions: Vec<TransactionOutcome>,
}

/// Numbers of historical transactions. `total` is the sum of `successes` and `failures`, and the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// All that were executed.
    pub total: u64,
    /// Those that succeeded.
    pub successes: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that did what the chain recorded.
    pub matched: u64,
    /// Those that did not.
    pub diverged: u64,
    /// Those of which the archive has no record.
    pub unverifiable: u64,
}

/// The bank hash of a slot, base58, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankHashPair {
    /// As the replay computed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed: Option<String>,
    /// As the chain recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<String>,
}

impl GetReplayOutcomesParams {
    /// Slots of a page when the request does not say.
    pub const DEFAULT_MAX_SLOTS: u32 = 64;
}

impl Default for GetReplayOutcomesParams {
    fn default() -> Self {
        Self {
            after: None,
            max_slots: Self::DEFAULT_MAX_SLOTS,
            wait_millis: 0,
        }
    }
}

impl std::ops::AddAssign for OutcomeCounts {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.successes += other.successes;
        self.failures += other.failures;
        self.matched += other.matched;
        self.diverged += other.diverged;
        self.unverifiable += other.unverifiable;
    }
}
