//! Totals and digest of a replay, kept up as it goes.

use std::collections::BTreeMap;

use simulator_archive::model::{Outcome, Slot};
use solana_account::AccountSharedData;
use solana_pubkey::Pubkey;
use solana_signature::Signature;

use crate::accounts::AccountStore;
use crate::digest::{ResultDigest, ResultHasher};
use crate::report::{Execution, Occurrences, Summary, TransactionReport, Unreproduced, Verdict};

/// Takes note of what a replay does.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    summary: Summary,
    hasher: ResultHasher,
}

impl Recorder {
    /// Forgets totals and digest, but not what could not be reproduced: the session starts from its consequences.
    pub(crate) fn begin_session(&mut self) {
        let unreproduced = std::mem::take(&mut self.summary.unreproduced);
        *self = Self {
            summary: Summary {
                unreproduced,
                ..Summary::default()
            },
            hasher: ResultHasher::default(),
        };
    }

    pub(crate) fn begin_slot(&mut self, slot: Slot) {
        self.summary.first_slot.get_or_insert(slot);
        self.summary.last_slot = Some(slot);
        self.summary.slots += 1;
        self.hasher.begin_slot(slot);
    }

    pub(crate) fn historical(&mut self, report: &TransactionReport) {
        self.hasher.transaction(&report.signature, &report.execution);
        let summary = &mut self.summary;
        summary.total += 1;
        match &report.execution {
            Execution::Processed(Outcome { status: Ok(()), .. }) => summary.successes += 1,
            _ => summary.failures += 1,
        }
        match &report.verdict {
            Verdict::Matched => summary.matched += 1,
            Verdict::Diverged(_) => summary.diverged += 1,
            Verdict::Unverifiable(_) => summary.unverifiable += 1,
        }
        let compute_units = report.execution.outcome().and_then(|outcome| outcome.compute_units);
        summary.compute_units += compute_units.unwrap_or(0);
    }

    pub(crate) fn injected(&mut self, signature: &Signature, execution: &Execution) {
        self.hasher.transaction(signature, execution);
        self.summary.injected += 1;
    }

    pub(crate) fn unreproduced(&mut self, what: Unreproduced, slot: Slot) {
        let occurrences = self.summary.unreproduced.entry(what).or_insert(Occurrences {
            count: 0,
            first_slot: slot,
        });
        occurrences.count = occurrences.count.saturating_add(1);
    }

    /// Notes what could not be reproduced before the session.
    pub(crate) fn remember_unreproduced(&mut self, what: Unreproduced, occurrences: Occurrences) {
        self.summary.unreproduced.insert(what, occurrences);
    }

    /// Whether any of these could not be reproduced.
    pub(crate) fn has_unreproduced(&self, any_of: impl IntoIterator<Item = Unreproduced>) -> bool {
        let mut any_of = any_of.into_iter();
        any_of.any(|what| self.summary.unreproduced.contains_key(&what))
    }

    pub(crate) fn summary(&self) -> Summary {
        self.summary.clone()
    }

    /// Takes in what a slot changed, and gives the digest up to its end.
    pub(crate) fn end_slot(&mut self, changes: BTreeMap<Pubkey, Option<&AccountSharedData>>) -> ResultDigest {
        self.hasher.end_slot(changes.into_iter())
    }

    pub(crate) fn digest(&self, accounts: &AccountStore) -> ResultDigest {
        self.hasher.clone().finish(accounts.changes().into_iter())
    }
}
