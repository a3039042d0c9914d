//! Totals of a session.

use std::ops::RangeInclusive;

use simulator_api::SessionSummary;
use simulator_api::replay::{
    BankHashCounts, BankHashDifference, OutcomeCounts, ReplayStateDigest, ReplaySummary, UnreproducedEffect,
};
use simulator_archive::ArchiveDigest;
use simulator_archive::model::Slot;
use simulator_engine::{
    BankHashes, ENGINE_VERSION, Execution, Occurrences, OutcomeField, ProofUnavailable, Replay, StateDigest,
    TransactionReport, Unreproduced, Unverifiable, Verdict,
};

/// Counts for the summary of `completed`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(SessionSummary);

/// What a summary says besides the replay's own totals.
#[derive(Clone, Debug)]
pub(crate) struct SummaryContext {
    pub(crate) archive: ArchiveDigest,
    /// The genesis hash of the cluster, where the archive says it.
    pub(crate) genesis_hash: Option<String>,
    pub(crate) range: RangeInclusive<Slot>,
}

impl Tally {
    /// Counts a historical transaction. One without a record cannot be wrong, and one that the user left out was not
    /// executed: neither is counted.
    pub(crate) fn add(&mut self, report: &TransactionReport) {
        match (&report.verdict, &report.execution) {
            (Verdict::Matched, _) => self.0.correct_simulation += 1,
            (Verdict::Diverged(divergence), execution) => self.add_diverged(&divergence.fields, execution),
            (Verdict::Unverifiable(Unverifiable::NoRecord), Execution::Refused(_)) => self.0.execution_errors += 1,
            (Verdict::Unverifiable(_), _) => {}
        }
    }

    /// The counts so far.
    pub(crate) fn summary(&self) -> SessionSummary {
        self.0.clone()
    }

    fn add_diverged(&mut self, fields: &[OutcomeField], execution: &Execution) {
        let differs = |those: &[OutcomeField]| u64::from(those.iter().any(|field| fields.contains(field)));
        match execution {
            Execution::Processed(_) => self.0.incorrect_simulation += 1,
            Execution::Refused(_) | Execution::Skipped(_) => self.0.execution_errors += 1,
        }
        self.0.log_diff += differs(&[OutcomeField::Logs]);
        self.0.balance_diff += differs(&[
            OutcomeField::PreBalances,
            OutcomeField::PostBalances,
            OutcomeField::PreTokenBalances,
            OutcomeField::PostTokenBalances,
        ]);
    }
}

/// What `getReplaySummary` shows.
pub(crate) fn replay_summary(replay: &Replay, context: &SummaryContext, complete: bool) -> ReplaySummary {
    let summary = replay.summary();
    ReplaySummary {
        slots: summary.slots,
        counts: OutcomeCounts {
            total: summary.total,
            successes: summary.successes,
            failures: summary.failures,
            matched: summary.matched,
            diverged: summary.diverged,
            unverifiable: summary.unverifiable,
        },
        compute_units: summary.compute_units,
        bank_hashes: bank_hashes(&summary.bank_hashes),
        unreproduced: summary
            .unreproduced
            .iter()
            .map(|(what, times)| unreproduced(*what, times))
            .collect(),
        result_digest: replay.result_digest().to_string(),
        archive_digest: context.archive.to_string(),
        engine: ENGINE_VERSION.to_owned(),
        first_slot: *context.range.start(),
        last_slot: *context.range.end(),
        injected: summary.injected,
        complete,
        state_only: !replay.executes(),
    }
}

/// What `getReplayStateDigest` shows.
pub(crate) fn state_digest(replay: &Replay) -> ReplayStateDigest {
    let StateDigest { accounts, digest } = replay.state_digest();
    ReplayStateDigest {
        slot: replay.slot(),
        accounts,
        digest: digest.to_string(),
    }
}

fn bank_hashes(hashes: &BankHashes) -> BankHashCounts {
    BankHashCounts {
        agreed: hashes.agreed,
        differed: hashes.differed,
        unrecorded: hashes.unrecorded,
        first_difference: hashes.first_difference.map(|difference| BankHashDifference {
            slot: difference.slot,
            recorded: difference.recorded.to_string(),
            computed: difference.computed.to_string(),
        }),
        unavailable: hashes.unavailable.map(|reason| unavailable(reason).to_owned()),
    }
}

fn unavailable(reason: ProofUnavailable) -> &'static str {
    match reason {
        ProofUnavailable::AccountsIncomplete => "the archive lists only some accounts",
        ProofUnavailable::SessionChanged => "accounts were changed or transactions added",
        ProofUnavailable::ParentUnknown => "the bank hash of the first block's parent is not known",
    }
}

fn unreproduced(what: Unreproduced, times: &Occurrences) -> UnreproducedEffect {
    let (kind, reason) = match what {
        Unreproduced::UnlistedAccounts => (
            "unlistedAccounts",
            "accounts that are not in the archive were taken not to exist",
        ),
        Unreproduced::LeaderFee => ("leaderFee", "the leader who was due the fees is not recorded"),
        Unreproduced::BlockTime => ("blockTime", "the block's time is not recorded"),
        Unreproduced::EpochBoundary => (
            "epochBoundary",
            "an epoch began under rules that the engine does not know",
        ),
        Unreproduced::StakeHistory => ("stakeHistory", "not all stake accounts are in the archive"),
        Unreproduced::EpochRewards => (
            "epochRewards",
            "what the last epoch paid does not follow from the archive",
        ),
        Unreproduced::VotingRewards => ("votingRewards", "the commissions of vote accounts are not recorded"),
        Unreproduced::StakeRewards => (
            "stakeRewards",
            "the rewards of some stake accounts are not in the archive",
        ),
        Unreproduced::ProgramReplacement => (
            "programReplacement",
            "a feature replaced a program that is not in the archive",
        ),
        Unreproduced::MissingBlocks => ("missingBlocks", "blocks are missing from the archive"),
        Unreproduced::ParentBankHash => ("parentBankHash", "the parent's bank hash is not known"),
    };
    UnreproducedEffect {
        kind: kind.to_owned(),
        count: times.count,
        first_slot: times.first_slot,
        reason: reason.to_owned(),
    }
}
