//! Transactions of recorded blocks: executed, committed, compared with the record.

use simulator_archive::Scope;
use simulator_archive::model::Outcome;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;
use solana_runtime_transaction::transaction_meta::TransactionMeta;
use solana_svm_transaction::svm_message::SVMMessage;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use crate::balances::complete_keys;
use crate::block::{DecodedBlock, first_signature};
use crate::cause::{Cause, Compared};
use crate::check::{Origin, Sanitized};
use crate::divergence::differing_fields;
use crate::execute::Effects;
use crate::lineage::{Reached, Way};
use crate::outcome;
use crate::replay::{OpenSlot, Replay};
use crate::report::{
    AccountDiff, AccountDiffs, Divergence, DivergenceClass, Execution, OutcomeField, Skip, TransactionReport,
    Unreproduced, Unverifiable, Verdict,
};
use crate::view::AccountView;

/// What executing a transaction came to.
pub(crate) struct Executed {
    pub(crate) execution: Execution,
    pub(crate) account_keys: Vec<Pubkey>,
    /// Accounts that it may have written in a way that is not known to be the chain's.
    pub(crate) writable_keys: Vec<Pubkey>,
    pub(crate) programs: Vec<Pubkey>,
    pub(crate) account_diffs: Vec<AccountDiff>,
    /// Why it differs from its record, if it was compared and does.
    pub(crate) cause: Option<Cause>,
}

impl Replay {
    /// Executes one transaction of the open block and compares it with its record.
    pub(crate) fn execute_historical(&mut self, block: &DecodedBlock, index: usize) -> TransactionReport {
        let transaction = &block.transactions()[index];
        let recorded = block.block().transactions[index].outcome.as_ref();
        let mut executed = match self.ignored_signer(transaction) {
            Some(signer) => Executed::skipped(transaction, Skip::IgnoredSigner(signer)),
            None => self.execute_and_commit(transaction, Origin::Block, recorded),
        };
        if let (None, Some(recorded)) = (executed.execution.outcome(), recorded) {
            complete_keys(transaction, recorded, &mut executed);
        }
        if executed.lacks_account() {
            match (block.delta(), recorded) {
                (Some(_), _) => self.take_over_delta(block, index, transaction, &mut executed),
                (None, Some(recorded)) => self.take_over_record(transaction, recorded, &mut executed),
                (None, None) => {}
            }
        }
        let verdict = self.judge(transaction, &executed, recorded);
        let report = TransactionReport {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            signature: first_signature(transaction),
            account_keys: executed.account_keys,
            programs: executed.programs,
            execution: executed.execution,
            verdict,
            account_diffs: executed.account_diffs,
        };
        self.recorder.historical(&report);
        report
    }

    fn ignored_signer(&self, transaction: &VersionedTransaction) -> Option<Pubkey> {
        let signers = usize::from(transaction.message.header().num_required_signatures);
        let keys = transaction.message.static_account_keys();
        keys.iter()
            .take(signers)
            .find(|key| self.options.ignored_signers.contains(*key))
            .copied()
    }

    /// Executes a transaction in the open slot and stores what it changed.
    pub(crate) fn execute_and_commit(
        &mut self,
        transaction: &VersionedTransaction,
        origin: Origin,
        recorded: Option<&Outcome>,
    ) -> Executed {
        if let Some(table) = self.unknown_lookup_table(transaction) {
            return Executed::skipped(transaction, Skip::UnknownAccount(table));
        }
        let mut open = self.open.take().expect("callers have checked that a slot is open");
        let sanitized = self.machine(&open).sanitize(transaction.clone(), origin);
        let executed = match sanitized {
            Err(error) => Executed::refused(transaction, error),
            Ok(sanitized) => self.run(&mut open, &sanitized, origin, recorded),
        };
        self.open = Some(open);
        executed
    }

    fn run(
        &mut self,
        open: &mut OpenSlot,
        transaction: &Sanitized,
        origin: Origin,
        recorded: Option<&Outcome>,
    ) -> Executed {
        let keys = outcome::account_keys(transaction);
        if let Some(unknown) = self.unknown_account(open, transaction, &keys, recorded) {
            return Executed::of(transaction, keys, Execution::Skipped(Skip::UnknownAccount(unknown)));
        }
        let result = self.machine(open).execute(transaction, origin, &self.seen);
        let computed = result.as_ref().ok().map(|effects| &effects.outcome);
        let cause = recorded.and_then(|recorded| self.cause(open, transaction, &keys, Compared { recorded, computed }));
        let executed = match result {
            Ok(effects) => self.land(open, transaction, keys, effects),
            Err(error) => Executed::of(transaction, keys, Execution::Refused(error)),
        };
        Executed { cause, ..executed }
    }

    /// Stores what a transaction has done to the session in the open slot.
    pub(crate) fn land(
        &mut self,
        open: &mut OpenSlot,
        transaction: &Sanitized,
        keys: Vec<Pubkey>,
        effects: Effects,
    ) -> Executed {
        self.seen.insert(*transaction.message_hash());
        open.fees.add(&effects);
        self.runtime.merge_programs(open.block.block().slot, &effects.programs);
        let (outcome, account_diffs) = self.commit(effects);
        let mut executed = Executed::of(transaction, keys, Execution::Processed(outcome));
        executed.account_diffs = account_diffs;
        executed
    }

    fn commit(&mut self, effects: Effects) -> (Outcome, Vec<AccountDiff>) {
        let mut diffs = Vec::new();
        for (address, account) in effects.writes {
            if self.options.account_diffs == AccountDiffs::Record {
                diffs.extend(diff(address, self.accounts.get(&address), &account));
            }
            self.accounts.put(address, account);
        }
        diffs.sort_by_key(|diff| diff.address);
        (effects.outcome, diffs)
    }

    fn unknown_lookup_table(&self, transaction: &VersionedTransaction) -> Option<Pubkey> {
        lookup_tables(transaction).find(|table| !self.accounts.is_known(table))
    }

    /// The first account that the transaction needs and the archive says nothing of. What a recorded balance shows
    /// to be empty is known to be absent.
    fn unknown_account(
        &mut self,
        open: &OpenSlot,
        transaction: &Sanitized,
        keys: &[Pubkey],
        recorded: Option<&Outcome>,
    ) -> Option<Pubkey> {
        if self.accounts.scope() == Scope::All {
            return None;
        }
        match recorded {
            None => self.assume_unlisted_absent(open, transaction, keys),
            Some(recorded) => {
                let balances = keys.iter().zip(&recorded.pre_balances);
                for (key, _) in balances.filter(|(_, balance)| **balance == 0) {
                    self.accounts.assume_absent(key);
                }
            }
        }
        // What a transaction before has left unknown follows from what that one lacked.
        let unknown: Vec<_> = AccountView::from(&self.accounts).unknown(keys).collect();
        let is_first = |account: &&Pubkey| self.lineage.of([*account]).is_none();
        unknown.iter().find(is_first).or(unknown.first()).copied()
    }

    /// Where nothing was recorded, nothing speaks against taking accounts that are not listed as absent: those that a
    /// transaction creates are not. Without its payer and its programs it could not have been executed.
    fn assume_unlisted_absent(&mut self, open: &OpenSlot, transaction: &Sanitized, keys: &[Pubkey]) {
        let is_needed = |index: usize| index == 0 || transaction.is_invoked(index);
        for (_, key) in keys.iter().enumerate().filter(|(index, _)| !is_needed(*index)) {
            if !self.accounts.is_known(key) {
                self.accounts.assume_absent(key);
                self.lineage.reach([key], Reached::UNKNOWN);
                let slot = open.block.block().slot;
                self.recorder.unreproduced(Unreproduced::UnlistedAccounts, slot);
            }
        }
    }

    fn judge(
        &mut self,
        transaction: &VersionedTransaction,
        executed: &Executed,
        recorded: Option<&Outcome>,
    ) -> Verdict {
        let inherited = self.inherited(transaction, executed);
        if let Some(inherited) = inherited {
            let by = Reached::through_transaction(inherited.class);
            self.lineage.reach(&executed.writable_keys, by);
        }
        match (&executed.execution, recorded) {
            (Execution::Skipped(skip), _) => self.judge_skipped(executed, skip),
            (_, None) => Verdict::Unverifiable(Unverifiable::NoRecord),
            (Execution::Refused(_), Some(_)) => self.diverged(executed, vec![OutcomeField::Processed], inherited),
            (Execution::Processed(computed), Some(recorded)) => {
                let fields = differing_fields(recorded, computed, |mint| self.accounts.is_known(mint));
                if fields.is_empty() {
                    Verdict::Matched
                } else {
                    self.diverged(executed, fields, inherited)
                }
            }
        }
    }

    /// What has reached anything that a transaction depends on: its accounts, its lookup tables, and the code of the
    /// programs that it invoked.
    pub(crate) fn inherited(&self, transaction: &VersionedTransaction, executed: &Executed) -> Option<Reached> {
        if self.lineage.is_empty() {
            return None;
        }
        let code = executed
            .programs
            .iter()
            .filter_map(|program| self.accounts.program_data_address(program));
        let others: Vec<_> = code.chain(lookup_tables(transaction)).collect();
        self.lineage.of(executed.account_keys.iter().chain(&others))
    }

    fn judge_skipped(&mut self, executed: &Executed, skip: &Skip) -> Verdict {
        let by = match skip {
            Skip::IgnoredSigner(_) => {
                self.proof.session_changed();
                Reached::OVERRIDDEN
            }
            Skip::UnknownAccount(_) => Reached::UNKNOWN,
            // What it left on the chain is what it leaves here.
            Skip::StateOnly => return Verdict::Unverifiable(Unverifiable::Skipped(Skip::StateOnly)),
        };
        self.lineage.reach(&executed.writable_keys, by);
        Verdict::Unverifiable(Unverifiable::Skipped(skip.clone()))
    }

    /// What a divergence is put down to that follows from nothing before it.
    pub(crate) fn default_class(&self) -> DivergenceClass {
        if self.options.deviate() {
            DivergenceClass::Overridden
        } else {
            DivergenceClass::Engine
        }
    }

    fn diverged(&mut self, executed: &Executed, fields: Vec<OutcomeField>, inherited: Option<Reached>) -> Verdict {
        let cause = executed.cause.filter(|_| inherited.is_none());
        let class = match (inherited, cause) {
            (Some(inherited), _) => inherited.class,
            (None, Some(cause)) => cause.class,
            (None, None) => self.default_class(),
        };
        self.lineage
            .reach(&executed.writable_keys, Reached::through_transaction(class));
        let root = inherited.is_none_or(|inherited| inherited.way == Way::Directly);
        Verdict::Diverged(Divergence {
            fields,
            class,
            culprit: cause.and_then(|cause| cause.culprit),
            root,
        })
    }
}

impl Executed {
    pub(crate) fn of(transaction: &Sanitized, account_keys: Vec<Pubkey>, execution: Execution) -> Self {
        let message = transaction.message();
        let writable_keys = keys_where(&account_keys, |index| message.is_writable(index));
        let programs = outcome::invoked_programs(transaction, &account_keys, execution.outcome());
        Self {
            execution,
            account_keys,
            writable_keys,
            programs,
            account_diffs: Vec::new(),
            cause: None,
        }
    }

    /// Whether it was not executed because the archive does not hold all that it needs.
    fn lacks_account(&self) -> bool {
        matches!(self.execution, Execution::Skipped(Skip::UnknownAccount(_)))
    }

    pub(crate) fn skipped(transaction: &VersionedTransaction, skip: Skip) -> Self {
        Self::unresolved(transaction, Execution::Skipped(skip))
    }

    pub(crate) fn refused(transaction: &VersionedTransaction, error: TransactionError) -> Self {
        Self::unresolved(transaction, Execution::Refused(error))
    }

    /// A transaction of which only the static part is known.
    fn unresolved(transaction: &VersionedTransaction, execution: Execution) -> Self {
        let message = &transaction.message;
        let account_keys = message.static_account_keys().to_vec();
        let writable_keys = keys_where(&account_keys, |index| message.is_maybe_writable(index, None));
        let mut programs: Vec<Pubkey> = Vec::new();
        for instruction in message.instructions() {
            let program = account_keys.get(usize::from(instruction.program_id_index));
            programs.extend(program.filter(|program| !programs.contains(program)).copied());
        }
        Self {
            execution,
            account_keys,
            writable_keys,
            programs,
            account_diffs: Vec::new(),
            cause: None,
        }
    }
}

/// The lookup tables that a transaction names.
pub(crate) fn lookup_tables(transaction: &VersionedTransaction) -> impl Iterator<Item = Pubkey> {
    let lookups = transaction.message.address_table_lookups().unwrap_or_default();
    lookups.iter().map(|lookup| lookup.account_key)
}

fn keys_where(keys: &[Pubkey], wanted: impl Fn(usize) -> bool) -> Vec<Pubkey> {
    keys.iter()
        .enumerate()
        .filter(|(index, _)| wanted(*index))
        .map(|(_, key)| *key)
        .collect()
}

/// What a write changed, if anything.
pub(crate) fn diff(
    address: Pubkey,
    before: Option<&AccountSharedData>,
    after: &AccountSharedData,
) -> Option<AccountDiff> {
    let after = (after.lamports() > 0).then_some(after);
    (before != after).then(|| AccountDiff {
        address,
        before: before.cloned(),
        after: after.cloned(),
    })
}
