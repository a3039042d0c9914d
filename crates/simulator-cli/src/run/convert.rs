//! From what a server reports to what is written.

use std::collections::BTreeSet;

use serde_json::Value;
use simulator_api::AccountData;
use simulator_api::replay::{AccountDiff, Divergence, SlotOutcome, TransactionOutcome, Verdict};
use solana_pubkey::Pubkey;

use crate::report::{AccountChange, AccountState, DivergenceRow, SlotRecord, SlotRow, TransactionRow};

/// Which transactions are reported.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProgramFilter(BTreeSet<Pubkey>);

impl ProgramFilter {
    /// Those that invoke one of these programs; all if there is none.
    pub(crate) fn new(programs: BTreeSet<Pubkey>) -> Self {
        Self(programs)
    }

    /// Whether it leaves anything out.
    pub(crate) fn is_selective(&self) -> bool {
        !self.0.is_empty()
    }

    fn keeps(&self, transaction: &TransactionOutcome) -> bool {
        !self.is_selective() || transaction.programs.iter().any(|program| self.0.contains(program))
    }
}

/// Takes what is to be reported of a slot. Totals are those of all its transactions.
pub(crate) fn record(slot: SlotOutcome, filter: &ProgramFilter) -> SlotRecord {
    let totals = totals(&slot);
    let SlotOutcome {
        divergences,
        mut transactions,
        unverifiable_by_reason,
        ..
    } = slot;
    transactions.retain(|transaction| filter.keeps(transaction));
    let kept: BTreeSet<u32> = transactions.iter().map(|transaction| transaction.index).collect();
    let reported = |divergence: &Divergence| !filter.is_selective() || kept.contains(&divergence.index);
    SlotRecord {
        totals,
        divergences: divergences.into_iter().filter(reported).map(divergence_row).collect(),
        transactions: transactions.into_iter().map(transaction_row).collect(),
        unverifiable_by_reason,
    }
}

fn totals(slot: &SlotOutcome) -> SlotRow {
    let counts = slot.counts;
    SlotRow {
        slot: slot.slot,
        total: counts.total,
        successes: counts.successes,
        failures: counts.failures,
        matched: counts.matched,
        diverged: counts.diverged,
        unverifiable: counts.unverifiable,
        compute_units: slot.compute_units,
        bank_hash: slot.bank_hash.as_ref().and_then(|hash| hash.computed.clone()),
    }
}

fn divergence_row(divergence: Divergence) -> DivergenceRow {
    DivergenceRow {
        slot: divergence.slot,
        index: divergence.index,
        signature: divergence.signature,
        field: divergence.field,
        recorded: divergence.recorded,
        computed: divergence.computed,
        class: divergence.class.to_string(),
        culprit: divergence.culprit,
        root: divergence.root,
    }
}

fn transaction_row(transaction: TransactionOutcome) -> TransactionRow {
    let token_changes = transaction.token_changes.into_iter().map(|(owner, changes)| {
        let changes = changes.into_iter().map(|(mint, amount)| (mint.to_string(), amount.0));
        (owner.to_string(), changes.collect())
    });
    let account_diffs = transaction.account_diffs.map(|diffs| {
        let diffs = diffs
            .into_iter()
            .map(|(address, diff)| (address.to_string(), account_change(diff)));
        diffs.collect()
    });
    TransactionRow {
        slot: transaction.slot,
        index: transaction.index,
        signature: transaction.signature,
        success: transaction.success,
        error: transaction.error.unwrap_or(Value::Null),
        fee: transaction.fee,
        compute_units: transaction.compute_units,
        logs: transaction.logs,
        sol_changes: transaction
            .sol_changes
            .into_iter()
            .map(|(key, change)| (key.to_string(), change))
            .collect(),
        token_changes: token_changes.collect(),
        verdict: verdict(transaction.verdict).to_owned(),
        unverifiable_reason: transaction.unverifiable_reason,
        account_diffs,
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Matched => "matched",
        Verdict::Diverged => "diverged",
        Verdict::Unverifiable => "unverifiable",
    }
}

fn account_change(diff: AccountDiff) -> AccountChange {
    AccountChange {
        before: diff.before.map(account_state),
        after: diff.after.map(account_state),
    }
}

fn account_state(account: AccountData) -> AccountState {
    AccountState {
        lamports: account.lamports,
        data: (account.data.data, "base64".to_owned()),
        owner: account.owner.to_string(),
        executable: account.executable,
        space: account.space,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use simulator_api::replay::{DivergenceClass, OutcomeCounts, Verdict};

    use super::*;

    const TOKEN: Pubkey = Pubkey::new_from_array([1; 32]);
    const MEMO: Pubkey = Pubkey::new_from_array([2; 32]);

    fn transaction(index: u32, program: Pubkey) -> TransactionOutcome {
        TransactionOutcome {
            slot: 9,
            index,
            signature: format!("sig{index}"),
            success: true,
            error: None,
            fee: 5000,
            compute_units: 150,
            logs: vec![],
            programs: vec![program],
            verdict: Verdict::Diverged,
            unverifiable_reason: None,
            sol_changes: BTreeMap::new(),
            token_changes: BTreeMap::new(),
            account_diffs: None,
        }
    }

    fn divergence(index: u32) -> Divergence {
        Divergence {
            slot: 9,
            index,
            signature: format!("sig{index}"),
            field: "fee".into(),
            recorded: Value::from(1),
            computed: Value::from(2),
            class: DivergenceClass::Engine,
            culprit: None,
            root: true,
        }
    }

    fn slot() -> SlotOutcome {
        SlotOutcome {
            slot: 9,
            counts: OutcomeCounts {
                total: 2,
                successes: 2,
                diverged: 2,
                ..OutcomeCounts::default()
            },
            divergences: vec![divergence(0), divergence(1)],
            transactions: vec![transaction(0, TOKEN), transaction(1, MEMO)],
            ..SlotOutcome::default()
        }
    }

    #[test]
    fn without_a_filter_everything_is_reported() {
        let record = record(slot(), &ProgramFilter::default());
        assert_eq!((record.transactions.len(), record.divergences.len()), (2, 2));
        assert_eq!(record.divergences[0].class, "engine");
    }

    #[test]
    fn a_filter_leaves_transactions_out_but_not_out_of_the_totals() {
        let record = record(slot(), &ProgramFilter::new(BTreeSet::from([MEMO])));
        assert_eq!(record.transactions.iter().map(|row| row.index).collect::<Vec<_>>(), [1]);
        assert_eq!(record.divergences.iter().map(|row| row.index).collect::<Vec<_>>(), [1]);
        assert_eq!((record.totals.total, record.totals.diverged), (2, 2));
    }

    #[test]
    fn divergences_are_reported_where_the_session_keeps_no_transactions() {
        let slot = SlotOutcome {
            transactions: vec![],
            ..slot()
        };
        assert_eq!(record(slot, &ProgramFilter::default()).divergences.len(), 2);
    }
}
