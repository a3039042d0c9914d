//! What an archive says that a slot changed, where the session cannot find it out by itself.
//!
//! An archive of some accounts that was made of one of all accounts holds deltas, which say of its accounts what every
//! writer made of them: transactions that lack accounts here, and the runtime, which lacks the stakes.

use simulator_archive::Scope;
use simulator_archive::model::{Change, Outcome, SlotDelta, Writer};
use solana_account::AccountSharedData;
use solana_transaction::versioned::VersionedTransaction;

use crate::accounts::to_shared;
use crate::balances::complete_keys;
use crate::block::DecodedBlock;
use crate::historical::{Executed, diff};
use crate::replay::Replay;
use crate::report::AccountDiffs;

impl Replay {
    /// Takes over what a transaction changed that could not be executed: of the accounts of the archive, this is all. No
    /// account changes where a user's change has reached the transaction.
    pub(crate) fn take_over_delta(
        &mut self,
        delta: &SlotDelta,
        index: usize,
        recorded: Option<&Outcome>,
        transaction: &VersionedTransaction,
        executed: &mut Executed,
    ) {
        self.count_unexecuted(transaction);
        if let Some(recorded) = recorded {
            complete_keys(transaction, recorded, executed);
        }
        if self.is_overridden(&executed.account_keys) {
            return;
        }
        executed.writable_keys.clear();
        let Ok(index) = u32::try_from(index) else { return };
        for change in written_by(delta, Writer::Transaction(index)) {
            let after = state_after(change);
            if self.options.account_diffs == AccountDiffs::Record {
                let diff = diff(change.address, self.accounts.get(&change.address), &after);
                executed.account_diffs.extend(diff);
            }
            self.lineage.heal(&change.address);
            self.accounts.put(change.address, after);
        }
    }

    /// Lays over the accounts what the runtime made of them at an edge of the slot, but for those that a user's change has
    /// reached. Only where not all accounts are known: otherwise it has been computed. Where nothing is executed, what was
    /// recorded always decides.
    pub(crate) fn take_over_edge(&mut self, block: &DecodedBlock, edge: Writer) {
        if !self.executes() {
            return self.lay_over(block, edge);
        }
        let Some(delta) = block.delta().filter(|_| self.accounts.scope() == Scope::Listed) else {
            return;
        };
        for change in written_by(delta, edge) {
            if !self.is_overridden([&change.address]) {
                self.accounts.put(change.address, state_after(change));
            }
        }
    }
}

/// What one writer changed.
pub(crate) fn written_by(delta: &SlotDelta, writer: Writer) -> impl Iterator<Item = &Change> {
    let first = delta.changes.partition_point(|change| change.writer < writer);
    delta.changes[first..]
        .iter()
        .take_while(move |change| change.writer == writer)
}

/// The state from the change on; without lamports it is none.
fn state_after(change: &Change) -> AccountSharedData {
    change.account.clone().map(to_shared).unwrap_or_default()
}
