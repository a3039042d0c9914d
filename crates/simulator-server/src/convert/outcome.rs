//! The outcome record of one slot.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use simulator_api::replay::{
    AccountDiff, BankHashPair, OutcomeDetail, SignedAmount, SlotOutcome, TransactionOutcome, Verdict,
};
use simulator_archive::model::{Block, Outcome, TokenBalance};
use simulator_engine::{self as engine, Skip, SlotReport, TransactionReport, Unverifiable};
use solana_pubkey::Pubkey;

use super::account::account_data;
use super::divergence::divergences;
use super::transaction::execution_error;

/// The record of a slot while it is being executed.
#[derive(Debug)]
pub(crate) struct SlotRecord {
    outcome: SlotOutcome,
    detail: OutcomeDetail,
}

impl SlotRecord {
    /// The record of a slot of which nothing has been executed.
    pub(crate) fn begin(block: &Block, detail: OutcomeDetail) -> Self {
        let outcome = SlotOutcome {
            slot: block.slot,
            parent_slot: block.parent_slot,
            block_time: block.block_time,
            blockhash: block.blockhash.to_string(),
            bank_hash: block.bank_hash.map(|recorded| BankHashPair {
                recorded: Some(recorded.to_string()),
                computed: None,
            }),
            ..SlotOutcome::default()
        };
        Self { outcome, detail }
    }

    /// Adds a historical transaction.
    pub(crate) fn add(&mut self, report: &TransactionReport, recorded: Option<&Outcome>) {
        let slot = self.outcome.slot;
        self.count(report);
        self.outcome.divergences.extend(divergences(slot, report, recorded));
        if self.detail >= OutcomeDetail::Transactions {
            let mut transaction = transaction_outcome(slot, report);
            if self.detail == OutcomeDetail::AccountDiffs {
                transaction.account_diffs = Some(account_diffs(report));
            }
            self.outcome.transactions.push(transaction);
        }
    }

    /// The finished record as JSON.
    pub(crate) fn finish(mut self, report: &SlotReport) -> Box<RawValue> {
        self.outcome.digest = Some(report.digest.to_string());
        if let Some(computed) = report.bank_hash {
            self.outcome.bank_hash.get_or_insert_default().computed = Some(computed.to_string());
        }
        serde_json::value::to_raw_value(&self.outcome).expect("plain structs with text keys always serialise")
    }

    fn count(&mut self, report: &TransactionReport) {
        let counts = &mut self.outcome.counts;
        counts.total += 1;
        let outcome = report.execution.outcome();
        match outcome {
            Some(outcome) if outcome.status.is_ok() => counts.successes += 1,
            _ => counts.failures += 1,
        }
        match &report.verdict {
            engine::Verdict::Matched => counts.matched += 1,
            engine::Verdict::Diverged(_) => counts.diverged += 1,
            engine::Verdict::Unverifiable(reason) => {
                counts.unverifiable += 1;
                let reasons = &mut self.outcome.unverifiable_by_reason;
                *reasons.entry(unverifiable_kind(reason).to_owned()).or_default() += 1;
            }
        }
        self.outcome.compute_units += outcome.and_then(|outcome| outcome.compute_units).unwrap_or_default();
    }
}

fn transaction_outcome(slot: u64, report: &TransactionReport) -> TransactionOutcome {
    let outcome = report.execution.outcome();
    let (verdict, unverifiable_reason) = verdict(&report.verdict);
    TransactionOutcome {
        slot,
        index: report.index,
        signature: report.signature.to_string(),
        success: outcome.is_some_and(|outcome| outcome.status.is_ok()),
        error: execution_error(&report.execution)
            .and_then(|error| serde_json::to_value(error).ok())
            .or_else(|| skipped(report)),
        fee: outcome.map_or(0, |outcome| outcome.fee),
        compute_units: outcome.and_then(|outcome| outcome.compute_units).unwrap_or_default(),
        logs: outcome.and_then(|outcome| outcome.logs.clone()).unwrap_or_default(),
        programs: report.programs.clone(),
        verdict,
        unverifiable_reason,
        sol_changes: outcome
            .map(|outcome| sol_changes(outcome, &report.account_keys))
            .unwrap_or_default(),
        token_changes: outcome
            .map(|outcome| token_changes(outcome, &report.account_keys))
            .unwrap_or_default(),
        account_diffs: None,
    }
}

/// A skipped transaction did not succeed, although the runtime has no error for it.
fn skipped(report: &TransactionReport) -> Option<Value> {
    report.execution.outcome().is_none().then(|| Value::from("Skipped"))
}

fn verdict(verdict: &engine::Verdict) -> (Verdict, Option<String>) {
    match verdict {
        engine::Verdict::Matched => (Verdict::Matched, None),
        engine::Verdict::Diverged(_) => (Verdict::Diverged, None),
        engine::Verdict::Unverifiable(reason) => (Verdict::Unverifiable, Some(unverifiable_reason(reason))),
    }
}

fn unverifiable_kind(reason: &Unverifiable) -> &'static str {
    match reason {
        Unverifiable::NoRecord => "noRecord",
        Unverifiable::Skipped(Skip::IgnoredSigner(_)) => "ignoredSigner",
        Unverifiable::Skipped(Skip::UnknownAccount(_)) => "unknownAccount",
        Unverifiable::Skipped(Skip::StateOnly) => "stateOnly",
    }
}

fn unverifiable_reason(reason: &Unverifiable) -> String {
    match reason {
        Unverifiable::NoRecord => "the archive has no recorded outcome".to_owned(),
        Unverifiable::Skipped(Skip::IgnoredSigner(signer)) => format!("left out: {signer} signed it"),
        Unverifiable::Skipped(Skip::UnknownAccount(account)) => format!("account {account} is not in the archive"),
        Unverifiable::Skipped(Skip::StateOnly) => "nothing is executed".to_owned(),
    }
}

fn sol_changes(outcome: &Outcome, keys: &[Pubkey]) -> BTreeMap<Pubkey, i64> {
    let balances = outcome.pre_balances.iter().zip(&outcome.post_balances);
    let changes = keys
        .iter()
        .zip(balances)
        .map(|(key, (before, after))| (*key, after.wrapping_sub(*before).cast_signed()));
    changes.filter(|(_, change)| *change != 0).collect()
}

/// Changes by owner and mint. Old records name no owner; the token account stands in for it.
fn token_changes(outcome: &Outcome, keys: &[Pubkey]) -> BTreeMap<Pubkey, BTreeMap<Pubkey, SignedAmount>> {
    let before = outcome
        .pre_token_balances
        .iter()
        .flatten()
        .map(|balance| (balance, -i128::from(balance.amount)));
    let after = outcome
        .post_token_balances
        .iter()
        .flatten()
        .map(|balance| (balance, i128::from(balance.amount)));
    let mut changes: BTreeMap<Pubkey, BTreeMap<Pubkey, SignedAmount>> = BTreeMap::new();
    for (balance, amount) in before.chain(after) {
        let Some(owner) = owner_of(balance, keys) else { continue };
        changes.entry(owner).or_default().entry(balance.mint).or_default().0 += amount;
    }
    changes.retain(|_, mints| {
        mints.retain(|_, amount| amount.0 != 0);
        !mints.is_empty()
    });
    changes
}

fn owner_of(balance: &TokenBalance, keys: &[Pubkey]) -> Option<Pubkey> {
    balance
        .owner
        .or_else(|| keys.get(usize::from(balance.account_index)).copied())
}

fn account_diffs(report: &TransactionReport) -> BTreeMap<Pubkey, AccountDiff> {
    let diff = |diff: &engine::AccountDiff| AccountDiff {
        before: diff.before.as_ref().map(account_data),
        after: diff.after.as_ref().map(account_data),
    };
    report
        .account_diffs
        .iter()
        .map(|change| (change.address, diff(change)))
        .collect()
}
