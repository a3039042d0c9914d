//! What is reported of one slot. The names of the fields are those of the files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that is reported of one slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SlotRecord {
    pub(crate) totals: SlotRow,
    pub(crate) divergences: Vec<DivergenceRow>,
    pub(crate) transactions: Vec<TransactionRow>,
    /// Its unverifiable transactions by reason.
    pub(crate) unverifiable_by_reason: BTreeMap<String, u64>,
}

/// Totals of one slot, over all its transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotRow {
    pub(crate) slot: u64,
    pub(crate) total: u64,
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) matched: u64,
    pub(crate) diverged: u64,
    pub(crate) unverifiable: u64,
    pub(crate) compute_units: u64,
    /// The bank hash that was computed, in base58; `None` where it could not be.
    pub(crate) bank_hash: Option<String>,
}

/// One field of one transaction that is not as recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DivergenceRow {
    pub(crate) slot: u64,
    pub(crate) index: u32,
    pub(crate) signature: String,
    pub(crate) field: String,
    pub(crate) recorded: Value,
    pub(crate) computed: Value,
    pub(crate) class: String,
    /// The account or the feature that is to blame, where it can be named.
    pub(crate) culprit: Option<String>,
    /// Whether this is where it began, and no consequence of an earlier divergence.
    pub(crate) root: bool,
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TransactionRow {
    pub(crate) slot: u64,
    pub(crate) index: u32,
    pub(crate) signature: String,
    pub(crate) success: bool,
    /// Solana's error in its JSON form; null for success.
    pub(crate) error: Value,
    pub(crate) fee: u64,
    pub(crate) compute_units: u64,
    pub(crate) logs: Vec<String>,
    /// Lamports gained or lost, by address.
    pub(crate) sol_changes: BTreeMap<String, i64>,
    /// Tokens gained or lost in their smallest unit, by owner of the token account and then by mint.
    pub(crate) token_changes: BTreeMap<String, BTreeMap<String, i128>>,
    /// How it compares with the record: `matched`, `diverged` or `unverifiable`.
    pub(crate) verdict: String,
    /// Why it cannot be compared; null if it can.
    pub(crate) unverifiable_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account_diffs: Option<BTreeMap<String, AccountChange>>,
}

/// One account before and after a transaction; `None` where it does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountChange {
    pub(crate) before: Option<AccountState>,
    pub(crate) after: Option<AccountState>,
}

/// One account, in the shape of Solana's RPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountState {
    pub(crate) lamports: u64,
    /// The data in base64, and the word `base64`.
    pub(crate) data: (String, String),
    pub(crate) owner: String,
    pub(crate) executable: bool,
    pub(crate) space: u64,
}
