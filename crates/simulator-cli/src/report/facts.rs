//! What is known when a run has ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use simulator_api::replay::BankHashCounts;

/// Everything about a run that is not about one transaction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Facts {
    pub(crate) metadata: Metadata,
    pub(crate) summary: Summary,
    /// `None` for a run that was interrupted: its sessions were further than what was written.
    pub(crate) bank_hashes: Option<BankHashes>,
    /// `None` for a run that was interrupted.
    pub(crate) unreproduced: Option<Vec<Unreproduced>>,
}

impl Facts {
    /// What `--max-divergence` counts: transactions that diverged, and slots whose bank hash is not the recorded one.
    pub(crate) fn divergences(&self) -> u64 {
        self.summary.diverged + self.bank_hashes.as_ref().map_or(0, |hashes| hashes.differed)
    }
}

/// What was run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Metadata {
    pub(crate) start_slot: u64,
    /// The last slot that was written, if the run was interrupted; `None` if none was.
    pub(crate) end_slot: Option<u64>,
    /// Programs that the report is limited to; empty for all.
    pub(crate) program_id: Vec<String>,
    /// Sessions in slot order.
    pub(crate) session_ids: Vec<String>,
    /// When the run began, RFC 3339.
    pub(crate) timestamp: String,
    /// Digests of the archives in slot order, separated by commas; `None` if no session could tell it.
    pub(crate) archive: Option<String>,
    pub(crate) engine: Option<String>,
    /// `None` for a run that was interrupted.
    pub(crate) result_digest: Option<String>,
    /// Whether the whole range was replayed.
    pub(crate) complete: bool,
}

/// Totals. `matched + diverged + unverifiable = total`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) slots: u64,
    pub(crate) total: u64,
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) matched: u64,
    pub(crate) diverged: u64,
    /// Diverged transactions by class.
    pub(crate) diverged_by_class: BTreeMap<String, u64>,
    pub(crate) unverifiable: u64,
    /// Unverifiable transactions by reason.
    pub(crate) unverifiable_by_reason: BTreeMap<String, u64>,
    pub(crate) compute_units: u64,
    pub(crate) wall_seconds: f64,
}

/// How computed bank hashes compare with those that votes of later blocks name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BankHashes {
    pub(crate) agreed: u64,
    pub(crate) differed: u64,
    pub(crate) not_recorded: u64,
    /// The first slot whose bank hash is not the recorded one.
    pub(crate) first_difference: Option<u64>,
    /// Why bank hashes were not computed, for some or all slots.
    pub(crate) unavailable: Option<String>,
}

impl BankHashes {
    /// Adds those of a session that comes after the others.
    pub(crate) fn add(&mut self, counts: &BankHashCounts) {
        self.agreed += counts.agreed;
        self.differed += counts.differed;
        self.not_recorded += counts.unrecorded;
        let first = counts.first_difference.as_ref().map(|difference| difference.slot);
        self.first_difference = self.first_difference.or(first);
        if self.unavailable.is_none() {
            self.unavailable.clone_from(&counts.unavailable);
        }
    }
}

/// Something that the runtime did outside transactions and that what the archive holds does not let us repeat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unreproduced {
    pub(crate) kind: String,
    pub(crate) count: u64,
    pub(crate) first_slot: u64,
    pub(crate) reason: String,
}
