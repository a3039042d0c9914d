//! What an archive says that a slot changed, where the session cannot find it out by itself.
//!
//! An archive of some accounts that was made of one of all accounts holds deltas, which say of its accounts what every
//! writer made of them: transactions that lack accounts here, and the runtime, which lacks the stakes.

use simulator_archive::Scope;
use simulator_archive::model::{Change, Outcome, SlotDelta, Writer};
use solana_transaction::versioned::VersionedTransaction;

use crate::block::DecodedBlock;
use crate::historical::Executed;
use crate::replay::Replay;
use crate::report::AccountDiffs;

impl Replay {
    /// Takes over what a transaction of the block changed that could not be executed. Of the accounts that the archive
    /// holds from its start the delta says all; of others, which transactions of the session may have created, the record
    /// says what can be known. No account changes where a user's change has reached the transaction.
    pub(crate) fn take_over_delta(
        &mut self,
        block: &DecodedBlock,
        index: usize,
        transaction: &VersionedTransaction,
        executed: &mut Executed,
    ) {
        self.count_unexecuted(transaction);
        let (Some(delta), Ok(number)) = (block.delta(), u32::try_from(index)) else {
            return;
        };
        let changes = || written_by(delta, Writer::Transaction(number));
        let is_overridden = changes().any(|change| self.is_overridden([&change.address]));
        if is_overridden || self.is_beyond_record(transaction, executed) {
            return;
        }
        let is_changed = |address| changes().any(|change| change.address == address);
        executed
            .writable_keys
            .retain(|address| !is_changed(*address) && !self.accounts.is_in_base(address));
        let diffs = self.take_on(block.block().slot, changes());
        if self.options.account_diffs == AccountDiffs::Record {
            executed.account_diffs = diffs;
        }
        if let Some(recorded) = recorded_outcome(block, index) {
            self.take_over_balances(transaction, recorded, executed);
        }
    }

    /// Lays over the accounts what the runtime made of them at an edge of the slot, but for those that a user's change has
    /// reached. Only where not all accounts are known: otherwise it has been computed. Where nothing is executed, what was
    /// recorded always decides.
    pub(crate) fn take_over_edge(&mut self, block: &DecodedBlock, edge: Writer) {
        let is_needed = !self.executes() || self.accounts.scope() == Scope::Listed;
        let Some(delta) = block.delta().filter(|_| is_needed) else {
            return;
        };
        let changes: Vec<_> = written_by(delta, edge)
            .filter(|change| !self.executes() || !self.is_overridden([&change.address]))
            .collect();
        self.take_on(block.block().slot, changes);
    }
}

/// What was recorded of a transaction.
pub(crate) fn recorded_outcome(block: &DecodedBlock, index: usize) -> Option<&Outcome> {
    block.block().transactions.get(index)?.outcome.as_ref()
}

/// What one writer changed.
pub(crate) fn written_by(delta: &SlotDelta, writer: Writer) -> impl Iterator<Item = &Change> {
    let first = delta.changes.partition_point(|change| change.writer < writer);
    delta.changes[first..]
        .iter()
        .take_while(move |change| change.writer == writer)
}
