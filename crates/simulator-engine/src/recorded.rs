//! Replays that execute nothing: accounts take on the states that were recorded, in the order in which that happened.
//!
//! Slots are opened and closed as always, so that everything is there that a simulation depends on: sysvars, blockhashes,
//! features, epochs. What was recorded of the runtime is laid over what it comes to, and decides.

use simulator_archive::Scope;
use simulator_archive::model::{Change, Outcome, Slot, Writer};
use solana_pubkey::Pubkey;

use crate::accounts::to_shared;
use crate::balances::complete_keys;
use crate::block::{DecodedBlock, first_signature};
use crate::deltas::written_by;
use crate::historical::Executed;
use crate::replay::{BlockTransactions, Replay, SlotError};
use crate::report::{AccountDiff, AccountDiffs, Execution, Skip, TransactionReport, Unverifiable, Verdict};
use crate::user::{holds_code, is_sysvar};

/// Accounts that took on states, and what that has to do with the virtual machine.
#[derive(Default)]
struct Taken {
    diffs: Vec<AccountDiff>,
    is_code: bool,
    is_sysvar: bool,
}

impl Replay {
    /// Whether transactions are executed.
    #[must_use]
    pub fn executes(&self) -> bool {
        self.options.transactions == BlockTransactions::Execute
    }

    /// Says why a transaction of the user's cannot be executed now.
    pub(crate) fn check_executing(&self) -> Result<(), SlotError> {
        match self.executes() {
            false => Err(SlotError::NothingIsExecuted),
            true if self.open.is_none() => Err(SlotError::NoOpenSlot),
            true => Ok(()),
        }
    }

    /// Says so if what a block changed is needed and not there.
    pub(crate) fn check_recorded(&self, block: &DecodedBlock) -> Result<(), SlotError> {
        match block.delta() {
            None if !self.executes() => Err(SlotError::NoDelta {
                slot: block.block().slot,
            }),
            _ => Ok(()),
        }
    }

    /// Has accounts take on what a transaction of the open block left. It counts as processed.
    pub(crate) fn take_recorded(&mut self, block: &DecodedBlock, index: usize) -> TransactionReport {
        let transaction = &block.transactions()[index];
        let recorded = block.block().transactions[index].outcome.as_ref();
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let mut skipped = Executed::skipped(transaction, Skip::StateOnly);
        if let Some(recorded) = recorded {
            complete_keys(transaction, recorded, &mut skipped);
            self.learn_absent(&skipped.account_keys, recorded);
        }
        self.count_unexecuted(transaction);
        let changes = block.delta().into_iter();
        let changes = changes.flat_map(|delta| written_by(delta, Writer::Transaction(number)));
        let taken = self.take_on(block.block().slot, changes);
        TransactionReport {
            index: number,
            signature: first_signature(transaction),
            account_keys: skipped.account_keys,
            programs: skipped.programs,
            execution: Execution::Skipped(Skip::StateOnly),
            verdict: Verdict::Unverifiable(Unverifiable::Skipped(Skip::StateOnly)),
            account_diffs: match self.options.account_diffs {
                AccountDiffs::Record => taken,
                AccountDiffs::Omit => Vec::new(),
            },
        }
    }

    /// What a recorded balance shows to be empty is known not to exist. What is there since and the deltas say nothing of,
    /// because they are those of some accounts only, is not known.
    fn learn_absent(&mut self, keys: &[Pubkey], recorded: &Outcome) {
        if self.accounts.scope() == Scope::All {
            return;
        }
        for (key, balance) in keys.iter().zip(&recorded.post_balances) {
            match balance {
                0 => self.accounts.assume_absent(key),
                // What the user removed stays so until the chain writes it.
                _ if self.is_overridden([key]) => {}
                _ => self.accounts.doubt_absent(key),
            }
        }
    }

    /// Has accounts take on states of the chain's. Nothing that the virtual machine keeps of an account outlives the state
    /// that it is of.
    pub(crate) fn take_on<'a>(
        &mut self,
        slot: Slot,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Vec<AccountDiff> {
        let mut taken = Taken::default();
        for change in changes {
            self.take_on_state(change, &mut taken);
        }
        if taken.is_code {
            self.runtime.forget_programs(slot, (&self.accounts).into());
        }
        if taken.is_sysvar {
            self.take_over_sysvars();
        }
        taken.diffs
    }

    fn take_on_state(&mut self, change: &Change, taken: &mut Taken) {
        let address = change.address;
        self.lineage.heal(&address);
        let before = self.accounts.get(&address).cloned();
        let after = change.account.clone().map(to_shared);
        if before == after {
            if after.is_none() {
                self.accounts.assume_absent(&address);
            }
            return;
        }
        match after.clone() {
            Some(account) => self.accounts.put(address, account),
            None => self.accounts.remove(&address),
        }
        taken.is_code |= [&before, &after].into_iter().flatten().any(holds_code);
        taken.is_sysvar |= is_sysvar(&address);
        taken.diffs.push(AccountDiff { address, before, after });
    }
}
