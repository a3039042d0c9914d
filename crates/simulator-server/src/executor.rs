//! A session's replay with everything that is kept about it: recent transactions, outcome records, totals.

mod actions;

use std::sync::Arc;

use simulator_api::SessionSummary;
use simulator_api::replay::{OutcomeDetail, ReplaySummary};
use simulator_archive::model::Slot;
use simulator_engine::{
    AccountDiff, DecodedBlock, Execution, InjectedTransaction, Replay, Skip, SlotError, TransactionReport,
};
use solana_account::{AccountSharedData, ReadableAccount as _};
use solana_pubkey::Pubkey;
use solana_sdk_ids::sysvar;
use solana_transaction::versioned::VersionedTransaction;

use crate::actions::Schedule;
use crate::convert::{SlotRecord, SummaryContext, Tally, mint_of, replay_summary};
use crate::history::{History, PastTransaction};
use crate::outcomes::OutcomeQueue;
use crate::pubsub::{Author, Changes, DataLog, Record, SlotHead};
use crate::usage::SessionMeter;

use self::actions::Runner;

/// The replay of one session.
pub(crate) struct Executor {
    replay: Replay,
    history: History,
    outcomes: Option<OutcomeRecorder>,
    data: Arc<DataLog>,
    actions: Option<Runner>,
    meter: Arc<SessionMeter>,
    tally: Tally,
    context: SummaryContext,
    complete: bool,
}

/// Why a user's transaction was not executed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InjectError {
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// Everything that is executed in a slot is kept for subscribers until the slot is over.
    #[error("the open slot holds as much of what was sent as it may; go on to the next one")]
    SlotFull,
}

/// Where the outcome records of a session go.
#[derive(Debug)]
pub(crate) struct OutcomeRecorder {
    pub(crate) queue: Arc<OutcomeQueue>,
    pub(crate) detail: OutcomeDetail,
    /// The record of the open slot.
    pub(crate) open: Option<SlotRecord>,
}

/// Reads: answered for the network between two steps.
impl Executor {
    pub(crate) fn replay(&self) -> &Replay {
        &self.replay
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// What the session was made from.
    pub(crate) fn context(&self) -> &SummaryContext {
        &self.context
    }

    /// The time of the session in seconds, from its Clock: the last of five integers of eight bytes.
    pub(crate) fn unix_timestamp(&self) -> Option<i64> {
        let clock = self.replay.account(&sysvar::clock::ID).known()?;
        let bytes = clock.data().get(32..40)?.try_into().ok()?;
        Some(i64::from_le_bytes(bytes))
    }

    pub(crate) fn replay_summary(&self) -> ReplaySummary {
        replay_summary(&self.replay, &self.context, self.complete)
    }

    pub(crate) fn session_summary(&self) -> SessionSummary {
        self.tally.summary()
    }
}

/// Steps.
impl Executor {
    pub(crate) fn new(
        replay: Replay,
        history: History,
        outcomes: Option<OutcomeRecorder>,
        data: Arc<DataLog>,
        meter: Arc<SessionMeter>,
        context: SummaryContext,
    ) -> Self {
        Self {
            replay,
            history,
            outcomes,
            data,
            actions: None,
            meter,
            tally: Tally::default(),
            context,
            complete: false,
        }
    }

    /// The same with actions that it runs by itself.
    pub(crate) fn with_actions(mut self, schedule: Option<Schedule>) -> Self {
        self.actions = schedule.map(Runner::new);
        self
    }

    /// Executes a block on the way to where the session begins.
    pub(crate) fn fast_forward(&mut self, block: Arc<DecodedBlock>) -> Result<(), SlotError> {
        self.replay.fast_forward(block)
    }

    /// Opens the slot of a block; returns its number and how many batches it has.
    pub(crate) fn open(&mut self, block: &Arc<DecodedBlock>) -> Result<(Slot, usize), SlotError> {
        let (slot, batches) = (block.block().slot, block.batches().len());
        self.replay.open_slot(Arc::clone(block))?;
        self.data.open_slot(SlotHead::of(block.block()));
        self.tell_changes();
        if let Some(outcomes) = &mut self.outcomes {
            outcomes.open = Some(SlotRecord::begin(block.block(), outcomes.detail));
        }
        self.begin_actions(block)?;
        Ok((slot, batches))
    }

    /// Executes the next batch of the open slot, with the actions that belong to it.
    pub(crate) fn execute_batch(&mut self) -> Result<(), SlotError> {
        let block = self.replay.open_block().cloned().ok_or(SlotError::NoOpenSlot)?;
        self.run_actions_before()?;
        if self.waits_for_matches() {
            self.execute_around_matches(&block)?;
        } else {
            for report in self.replay.execute_batch()?.unwrap_or_default() {
                self.keep(&block, report);
            }
        }
        self.run_actions_after()
    }

    /// Closes the open slot, and hands its record to the reader.
    pub(crate) fn close(&mut self) -> Result<(), SlotError> {
        let report = self.replay.close_slot()?;
        self.meter.slot();
        self.tell_changes();
        self.data.close_slot();
        if let Some(outcomes) = &mut self.outcomes
            && let Some(record) = outcomes.open.take()
        {
            outcomes.queue.add(report.slot, record.finish(&report));
        }
        Ok(())
    }

    /// The whole range has been executed.
    pub(crate) fn set_complete(&mut self) {
        self.complete = true;
    }

    /// Replaces accounts, effective at once.
    pub(crate) fn set_accounts(&mut self, accounts: Vec<(Pubkey, AccountSharedData)>) {
        for (address, account) in accounts {
            self.replay.set_account(address, account);
        }
        self.tell_changes();
    }

    /// Executes a user's transaction in the open slot.
    ///
    /// # Errors
    /// No slot is open, or it holds too much that the user sent.
    pub(crate) fn inject(&mut self, transaction: VersionedTransaction) -> Result<InjectedTransaction, InjectError> {
        if !self.data.takes_more() {
            return Err(InjectError::SlotFull);
        }
        let mut injected = self.replay.inject(&transaction)?;
        self.publish_injected(&mut injected, transaction);
        Ok(injected)
    }

    /// Tells of a transaction that is not the block's, if it was executed. Its diffs are told, and gone then.
    fn publish_injected(&mut self, injected: &mut InjectedTransaction, transaction: VersionedTransaction) {
        let Execution::Processed(outcome) = &injected.execution else {
            return;
        };
        self.meter.transaction();
        let past = PastTransaction {
            slot: self.replay.slot(),
            index: None,
            block_time: self.replay.open_block().and_then(|block| block.block().block_time),
            transaction,
            outcome: outcome.clone(),
        };
        self.publish(past, std::mem::take(&mut injected.account_diffs));
    }

    /// Remembers what a transaction did, and tells those who have subscribed.
    fn publish(&mut self, past: PastTransaction, diffs: Vec<AccountDiff>) {
        let past = Arc::new(past);
        self.history.add(Arc::clone(&past));
        self.data.add(Record::new(past, self.changes(diffs)));
    }

    /// Tells those who have subscribed what changed outside of transactions.
    fn tell_changes(&mut self) {
        let diffs = self.replay.take_changes_outside();
        if !diffs.is_empty() {
            self.data.add_changes(self.changes(diffs));
        }
    }

    /// Tells those who have subscribed what a transaction left that was not executed. There is nothing else to tell of it.
    fn tell_taken(&mut self, block: &DecodedBlock, report: TransactionReport) {
        if !report.account_diffs.is_empty() {
            let author = Author {
                signature: report.signature,
                index: Some(report.index),
                block_time: block.block().block_time,
            };
            let changes = self.changes(report.account_diffs);
            self.data.add_changes(changes.of(author, report.account_keys.iter()));
        }
    }

    /// Changes of the slot at hand, with what it takes to show them.
    fn changes(&self, diffs: Vec<AccountDiff>) -> Changes {
        let token_accounts = diffs.iter().filter_map(|diff| diff.after.as_ref());
        let mints = token_accounts
            .filter_map(mint_of)
            .filter_map(|mint| Some((mint, self.replay.account(&mint).known()?)));
        Changes {
            slot: self.replay.slot(),
            mints: mints.collect(),
            unix_timestamp: self.unix_timestamp().unwrap_or_default(),
            author: None,
            diffs,
        }
    }

    fn keep(&mut self, block: &DecodedBlock, report: TransactionReport) {
        if report.execution == Execution::Skipped(Skip::StateOnly) {
            return self.tell_taken(block, report);
        }
        self.tally.add(&report);
        self.meter.transaction();
        let index = usize::try_from(report.index).unwrap_or(usize::MAX);
        let recorded = block
            .block()
            .transactions
            .get(index)
            .and_then(|recorded| recorded.outcome.as_ref());
        if let Some(record) = self.outcomes.as_mut().and_then(|outcomes| outcomes.open.as_mut()) {
            record.add(&report, recorded);
        }
        if let (Execution::Processed(outcome), Some(transaction)) = (report.execution, block.transactions().get(index))
        {
            let (slot, block_time) = (block.block().slot, block.block().block_time);
            let (index, transaction) = (Some(report.index), transaction.clone());
            let past = PastTransaction {
                slot,
                index,
                block_time,
                transaction,
                outcome,
            };
            self.publish(past, report.account_diffs);
        }
    }
}
