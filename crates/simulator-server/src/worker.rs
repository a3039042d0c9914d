//! The thread of one session. It owns the engine and does what the [`Session`] says; the network reaches it through
//! its inbox only, which it looks into between two steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use simulator_api::BacktestError;
use simulator_archive::model::Slot;
use simulator_engine::{DecodedBlock, Execution, SlotError};
use solana_transaction::versioned::VersionedTransaction;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::command_log::{Command, CommandLog, Progress};
use crate::discovery::Scout;
use crate::event_log::EventLog;
use crate::executor::Executor;
use crate::feed::Feed;
use crate::handle::{ChangeError, Message, SendReply};
use crate::outcomes::OutcomeQueue;
use crate::pubsub::DataLog;
use crate::session::{Changes, SendId, Session, Step, Upcoming};
use crate::usage::SessionMeter;

mod inbox;
mod repeat;
mod telling;
mod wait;

pub(crate) use repeat::Past;
pub(crate) use telling::Held;
use wait::Need;

/// What a session's thread works with.
pub(crate) struct Worker {
    pub(crate) executor: Executor,
    pub(crate) session: Session,
    pub(crate) feed: Feed,
    pub(crate) upcoming: Lookahead,
    /// Present where the client gave discovery filters.
    pub(crate) scout: Option<Scout>,
    pub(crate) inbox: mpsc::Receiver<Message>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) outcomes: Option<Arc<OutcomeQueue>>,
    pub(crate) data: Arc<DataLog>,
    pub(crate) meter: Arc<SessionMeter>,
    pub(crate) commands: Box<dyn CommandLog>,
    pub(crate) pace: Pace,
    pub(crate) sends: Sends,
    pub(crate) send_summary: bool,
    /// `completed`, while subscribers have not been sent everything.
    pub(crate) held: Option<Held>,
    /// How long it waits for them.
    pub(crate) completed_hold: Duration,
    pub(crate) stop: CancellationToken,
    pub(crate) runtime: Handle,
}

/// How far a worker is, and whether it goes at its readers' pace.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Steps that have been done.
    steps: u64,
    /// What was last written down of how far the session has come.
    noted: Progress,
    /// Whether the session does again what it had done before a restart. Its readers had room for that.
    is_repeating: bool,
}

/// What is known of the block after the open one.
#[derive(Debug, Default)]
pub(crate) enum Lookahead {
    #[default]
    Unknown,
    Block(Arc<DecodedBlock>),
    End,
}

/// Sent transactions that wait for their turn.
#[derive(Default)]
pub(crate) struct Sends {
    /// Those that were sent before a restart have nobody who waits for an answer.
    waiting: BTreeMap<SendId, (VersionedTransaction, Option<SendReply>)>,
    /// Those that were not executed before a restart, and are not now.
    withdrawn: BTreeSet<SendId>,
    next: u64,
}

/// Most messages that are taken between two steps, so that reads cannot hold a replay up for ever.
const MESSAGES_BETWEEN_STEPS: usize = 64;

impl Worker {
    /// Opens the first slot. Whoever looks at a session finds an open slot, until it is completed: messages wait for
    /// this one.
    pub(crate) fn begin(&mut self) {
        self.open_slot();
        self.publish();
    }

    /// Works until the session is stopped.
    pub(crate) fn run(mut self) {
        self.work();
        self.note();
    }

    fn work(&mut self) {
        while !self.stop.is_cancelled() {
            for _ in 0..MESSAGES_BETWEEN_STEPS {
                let Ok(message) = self.inbox.try_recv() else { break };
                self.take(message);
            }
            let need = self.step();
            self.meter.pauses(need.and_then(Need::pause));
            if let Some(need) = need
                && !self.wait(need)
            {
                return;
            }
        }
    }

    /// Does one step, or says what is needed for it, and tells the client what has happened.
    fn step(&mut self) -> Option<Need> {
        let need = self.try_step();
        if need.is_none() {
            self.pace.steps += 1;
        }
        self.publish();
        if need == Some(Need::Message) {
            self.events.stands();
        }
        need
    }

    fn try_step(&mut self) -> Option<Need> {
        if self.held.is_some() {
            return Some(Need::Drained);
        }
        if !self.pace.is_repeating && !self.events.has_room() {
            return Some(Need::EventRoom);
        }
        match self.session.next_step() {
            Step::Wait | Step::Over => return Some(Need::Message),
            Step::OpenSlot => self.open_slot(),
            Step::Peek => return self.peek(),
            Step::Apply(changes) => self.apply(changes),
            Step::Send(id) => self.send(id),
            Step::ExecuteBatch => match self.executor.execute_batch() {
                Ok(()) => self.session.batch_done(),
                Err(error) => self.fail(advance_failed(self.executor.replay().slot(), &error)),
            },
            Step::CloseSlot => match self.lacking_room() {
                Some(need) => return Some(need),
                None => self.next_slot(),
            },
        }
        None
    }

    /// Closes the open slot and opens the next one, if there is one. No message is taken in between.
    fn next_slot(&mut self) {
        if matches!(self.upcoming, Lookahead::End) {
            self.executor.end_schedule();
        }
        match self.executor.close() {
            Ok(()) => self.session.closed(),
            Err(error) => return self.fail(finalize_failed(self.executor.replay().slot(), &error)),
        }
        if self.session.next_step() == Step::OpenSlot {
            self.open_slot();
        }
    }

    /// Opens the slot of the next block, which is known: the session looks at it before it closes a slot.
    fn open_slot(&mut self) {
        let Lookahead::Block(block) = std::mem::take(&mut self.upcoming) else {
            return self.fail(BacktestError::Internal {
                error: "the session went past the last block that it knows".to_owned(),
            });
        };
        let slot = block.block().slot;
        if let Some(scout) = &mut self.scout {
            match scout.advance() {
                Ok(found) => self.session.sighted(found),
                Err(error) => return self.fail(advance_failed(slot, &error)),
            }
        }
        match self.executor.open(&block) {
            Ok((slot, batches)) => self.session.opened(slot, batches),
            Err(error) => self.fail(advance_failed(slot, &error)),
        }
    }

    /// Looks at what comes next. The session goes on to it without another look, so that the scout has to be far enough
    /// ahead for it: what it finds must not depend on how fast it is.
    fn peek(&mut self) -> Option<Need> {
        match &self.upcoming {
            Lookahead::Unknown => return Some(Need::Block),
            Lookahead::Block(_) if self.scout.as_ref().is_some_and(|scout| !scout.is_far_enough()) => {
                return Some(Need::Sight);
            }
            Lookahead::Block(block) => self.session.peeked(Upcoming::Block(block.block().slot)),
            Lookahead::End => self.session.peeked(Upcoming::End),
        }
        None
    }

    fn apply(&mut self, changes: Changes) {
        let applied = changes.extent();
        self.executor.set_accounts(changes.accounts);
        let mut refused = Vec::new();
        for (index, transaction) in changes.transactions.into_iter().enumerate() {
            match self.executor.inject(transaction) {
                Ok(injected) => refused.extend(
                    refusal(&injected.execution)
                        .map(|why| format!("transaction {index} ({}) was not executed: {why}", injected.signature)),
                ),
                Err(error) => refused.push(format!("transaction {index} was not executed: {error}")),
            }
        }
        self.session.applied(&applied, refused);
    }

    fn send(&mut self, id: SendId) {
        let Some((transaction, reply)) = self.sends.waiting.remove(&id) else {
            return;
        };
        let is_gone = reply.as_ref().is_some_and(SendReply::is_closed);
        if self.sends.withdrawn.contains(&id) || is_gone && self.withdraw(id) {
            return;
        }
        let sent = self.executor.inject(transaction).map_err(ChangeError::from);
        if let Some(reply) = reply {
            // Whoever sent it may have gone meanwhile; it was executed all the same.
            drop(reply.send(sent));
        }
    }

    /// A transaction whose sender has been told that it failed is not executed, if that can be written down: what is not
    /// written down is executed after a restart.
    fn withdraw(&mut self, id: SendId) -> bool {
        let written = self.write_down(Command::Withdraw(id));
        if let Err(error) = &written {
            tracing::warn!(%error, "a transaction that nobody waits for is executed all the same");
        }
        written.is_ok()
    }

    fn fail(&mut self, error: BacktestError) {
        if !self.pace.is_repeating
            && let Err(error) = self.write_down(Command::Fail(error.clone()))
        {
            tracing::warn!(%error, "the failure of a session was not written down");
        }
        self.session.fail(error);
        self.sends.waiting.clear();
    }
}

/// Why a transaction was not executed, if it was not.
fn refusal(execution: &Execution) -> Option<String> {
    match execution {
        Execution::Processed(_) => None,
        Execution::Refused(error) => Some(error.to_string()),
        Execution::Skipped(_) => Some("an account that it needs is not in the archive".to_owned()),
    }
}

/// The error for a block that cannot be executed.
pub(crate) fn advance_failed(slot: Slot, error: &dyn std::error::Error) -> BacktestError {
    BacktestError::AdvanceSlotFailed {
        slot,
        error: error.to_string(),
    }
}

fn finalize_failed(slot: Slot, error: &SlotError) -> BacktestError {
    BacktestError::FinalizeSlotFailed {
        slot,
        error: error.to_string(),
    }
}
