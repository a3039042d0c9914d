//! Starting a session: its queues, its thread, and the silent way from the keyframe to its first slot.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use simulator_api::{BacktestError, BacktestResponse, SessionId};
use simulator_archive::model::Slot;
use simulator_archive::{Archive, Scope};
use simulator_engine::{BlockTransactions, DecodedBlock};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::actions::Schedule;
use crate::archives::Keyframe;
use crate::command_log::CommandLog;
use crate::config::Limits;
use crate::convert::{SessionSpec, SummaryContext};
use crate::discovery::{Filters, Scout};
use crate::durable::Keeping;
use crate::event_log::{EventLog, Sequence};
use crate::executor::{Executor, OutcomeRecorder};
use crate::feed::{self, Feed, SlotReader};
use crate::handle::{Message, SessionHandle};
use crate::history::History;
use crate::outcomes::OutcomeQueue;
use crate::pubsub::{self, DataLog, DataPool};
use crate::session::Session;
use crate::usage::SessionMeter;
use crate::worker::{Lookahead, Pace, Past, Sends, Worker, advance_failed};

#[cfg(test)]
mod tests;

/// Programs call programs, each in a few frames of the virtual machine: room enough in an unoptimised build, too.
const STACK_BYTES: usize = 8 << 20;

/// What a session is started from.
pub(crate) struct Launch<'a> {
    pub(crate) id: SessionId,
    pub(crate) number: u64,
    pub(crate) spec: SessionSpec,
    pub(crate) archive: &'a Archive,
    pub(crate) keyframe: Keyframe,
    pub(crate) limits: &'a Limits,
    /// How long `completed` waits for subscribers.
    pub(crate) completed_hold: Duration,
    /// How long what subscribers had not been sent before a restart is kept for them.
    pub(crate) data_grace: Duration,
    /// Where its commands are written.
    pub(crate) commands: Box<dyn CommandLog>,
    /// What it has done already, before a restart.
    pub(crate) past: Option<Past>,
    /// Where it is kept.
    pub(crate) keeping: Keeping,
    /// Given back when the session's thread ends.
    pub(crate) place: OwnedSemaphorePermit,
    /// What it uses is counted here.
    pub(crate) meter: Arc<SessionMeter>,
    /// What it keeps for its subscribers is counted here.
    pub(crate) data_pool: &'a Arc<DataPool>,
}

/// Starts a session and waits until it stands before its first slot, or where it was before a restart. If nobody waits
/// any more, the session ends.
///
/// # Errors
/// The range has no block, or the engine cannot be set up or brought to its start.
pub(crate) async fn launch(launch: Launch<'_>) -> Result<Arc<SessionHandle>, BacktestError> {
    let stop = CancellationToken::new();
    let abandoned = stop.clone().drop_guard();
    let (inbox, messages) = mpsc::channel(launch.limits.inbox);
    let progress = launch.past.as_ref().map(|past| past.progress);
    let acknowledged = progress.and_then(|progress| progress.outcomes);
    let handle = Arc::new(SessionHandle {
        id: launch.id,
        number: launch.number,
        inbox,
        events: Arc::new(match progress {
            None => EventLog::new(launch.limits),
            Some(progress) => EventLog::rebuilt(launch.limits, Sequence(progress.read)),
        }),
        outcomes: launch
            .spec
            .outcomes
            .map(|_| Arc::new(OutcomeQueue::after(acknowledged, launch.limits.outcome_bytes))),
        name: launch.spec.name.clone(),
        data: Arc::new(DataLog::new(launch.limits.data(), launch.data_pool)),
        meter: Arc::clone(&launch.meter),
        keeping: launch.keeping.clone(),
        disconnect: launch.spec.disconnect,
        transactions: launch.spec.options.transactions,
        airdrops: AtomicU64::new(0),
        stop,
        finished: CancellationToken::new(),
    });
    let needed = progress.and_then(|progress| progress.data);
    let expected = needed.and_then(|slot| handle.data.expect_back(slot));
    let data_grace = launch.data_grace;
    let started = start_thread(launch, &handle, messages)?;
    started
        .await
        .unwrap_or_else(|_| Err(internal("the engine stopped while it started")))?;
    abandoned.disarm();
    if let Some(reader) = expected {
        tokio::spawn(give_up(reader, handle.finished.clone(), data_grace));
    }
    Ok(handle)
}

/// Keeps what subscribers had not been sent before a restart, for a while.
async fn give_up(reader: pubsub::Reader, finished: CancellationToken, patience: Duration) {
    // Whichever comes first, nobody is waited for any more.
    let _ = tokio::time::timeout(patience, finished.cancelled()).await;
    drop(reader);
}

/// What the thread of a session begins with.
struct Thread {
    spec: SessionSpec,
    keyframe: Keyframe,
    context: SummaryContext,
    limits: Limits,
    completed_hold: Duration,
    commands: Box<dyn CommandLog>,
    past: Option<Past>,
    feed: Feed,
    scout: Option<Scout>,
    inbox: mpsc::Receiver<Message>,
    events: Arc<EventLog>,
    outcomes: Option<Arc<OutcomeQueue>>,
    data: Arc<DataLog>,
    meter: Arc<SessionMeter>,
    stop: CancellationToken,
    runtime: Handle,
}

fn start_thread(
    launch: Launch<'_>,
    handle: &SessionHandle,
    inbox: mpsc::Receiver<Message>,
) -> Result<oneshot::Receiver<Result<(), BacktestError>>, BacktestError> {
    let thread = Thread {
        context: SummaryContext {
            archive: launch.archive.digest(),
            genesis_hash: launch.archive.manifest().genesis_hash.clone(),
            range: launch.spec.range.clone(),
        },
        feed: feed::spawn(reader(&launch), launch.limits.blocks_ahead, handle.stop.clone()),
        scout: scout(&launch, &handle.stop),
        spec: launch.spec,
        keyframe: launch.keyframe,
        limits: launch.limits.clone(),
        completed_hold: launch.completed_hold,
        commands: launch.commands,
        past: launch.past,
        inbox,
        events: Arc::clone(&handle.events),
        outcomes: handle.outcomes.clone(),
        data: Arc::clone(&handle.data),
        meter: Arc::clone(&handle.meter),
        stop: handle.stop.clone(),
        runtime: Handle::current(),
    };
    let (started, starting) = oneshot::channel();
    let finished = handle.finished.clone().drop_guard();
    let (place, metered) = (launch.place, handle.meter.end_on_drop());
    std::thread::Builder::new()
        .name("session".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let _until_the_end = (finished, place, metered);
            thread.guard(started);
        })
        .map_err(|error| internal(&format!("no thread for the session: {error}")))?;
    Ok(starting)
}

impl Thread {
    /// Runs the session. A panic ends this session only, and is told to its client; its engine is thrown away.
    fn guard(self, started: oneshot::Sender<Result<(), BacktestError>>) {
        let (events, outcomes) = (Arc::clone(&self.events), self.outcomes.clone());
        let (data, meter) = (Arc::clone(&self.data), Arc::clone(&self.meter));
        if catch_unwind(AssertUnwindSafe(|| self.run(started))).is_err() {
            tracing::error!("the engine of a session panicked");
            meter.failed();
            events.append(
                None,
                BacktestResponse::Error(internal("the engine stopped unexpectedly")),
            );
        }
        if let Some(outcomes) = outcomes {
            outcomes.seal();
        }
        data.seal();
    }

    fn run(mut self, started: oneshot::Sender<Result<(), BacktestError>>) {
        // If the receiver is gone, the session has been stopped and the worker sees it at once.
        let past = self.past.take();
        let mut worker = match self.prepare() {
            Ok(worker) => worker,
            Err(error) => return drop(started.send(Err(error))),
        };
        let Some(past) = past else {
            worker.meter.begin();
            drop(started.send(Ok(())));
            worker.begin();
            return worker.run();
        };
        worker.begin();
        match worker.repeat(past) {
            Ok(()) => {
                // What was done before has been counted.
                worker.meter.begin_again();
                drop(started.send(Ok(())));
                worker.run();
            }
            Err(error) => drop(started.send(Err(error.into()))),
        }
    }

    fn prepare(mut self) -> Result<Worker, BacktestError> {
        let (first, end) = (*self.spec.range.start(), *self.spec.range.end());
        let mut executor = self.executor()?;
        let block = self.fast_forward(&mut executor, first)?;
        self.look_ahead()?;
        Ok(Worker {
            executor,
            session: Session::new(end, self.spec.start),
            feed: self.feed,
            upcoming: Lookahead::Block(block),
            scout: self.scout,
            inbox: self.inbox,
            events: self.events,
            outcomes: self.outcomes,
            data: self.data,
            meter: self.meter,
            commands: self.commands,
            pace: Pace::default(),
            sends: Sends::default(),
            held: None,
            completed_hold: self.completed_hold,
            send_summary: self.spec.send_summary,
            stop: self.stop,
            runtime: self.runtime,
        })
    }

    fn executor(&self) -> Result<Executor, BacktestError> {
        let replay = self.keyframe.replay(self.spec.options.clone());
        let replay = replay.map_err(|error| BacktestError::InitializingSysvarsFailed {
            slot: self.keyframe.slot,
            error: error.to_string(),
        })?;
        let outcomes = self.outcomes.clone().zip(self.spec.outcomes);
        let recorder = outcomes.map(|(queue, detail)| OutcomeRecorder {
            queue,
            detail,
            open: None,
        });
        let schedule = Schedule::new(
            Arc::clone(&self.spec.actions),
            &self.spec.range,
            self.spec.options.ignored_signers.clone(),
        );
        let executor = Executor::new(
            replay,
            History::new(self.limits.history_bytes),
            recorder,
            Arc::clone(&self.data),
            Arc::clone(&self.meter),
            self.context.clone(),
        );
        Ok(executor.with_actions(schedule))
    }

    /// Executes the blocks between the keyframe and the first slot, and returns the block to begin with.
    fn fast_forward(&mut self, executor: &mut Executor, first: Slot) -> Result<Arc<DecodedBlock>, BacktestError> {
        loop {
            let block = self.next_block(executor.replay().slot())?;
            let slot = block.block().slot;
            if slot >= first {
                return Ok(block);
            }
            executor
                .fast_forward(block)
                .map_err(|error| advance_failed(slot, &error))?;
        }
    }

    /// Waits until it is known what filters find ahead of the first slot.
    fn look_ahead(&mut self) -> Result<(), BacktestError> {
        let Some(scout) = &mut self.scout else { return Ok(()) };
        while !scout.is_far_enough() {
            let looked = self.stop.run_until_cancelled(scout.look_further());
            self.runtime.block_on(looked).ok_or_else(stopped)?;
        }
        Ok(())
    }

    fn next_block(&mut self, slot: Slot) -> Result<Arc<DecodedBlock>, BacktestError> {
        match self.runtime.block_on(self.stop.run_until_cancelled(self.feed.recv())) {
            None => Err(stopped()),
            Some(None) => Err(no_blocks(&self.spec)),
            Some(Some(next)) => next.map_err(|error| advance_failed(slot, &error)),
        }
    }
}

/// What the session needs of each slot. Where an archive lists only some accounts, not every transaction can be executed:
/// what it changed is read, if the archive has it. Where nothing is executed, nothing else says what changed.
fn reader(launch: &Launch<'_>) -> SlotReader {
    let range = launch.keyframe.slot..=*launch.spec.range.end();
    let manifest = launch.archive.manifest();
    let is_exact = manifest.state_index.as_ref().is_some_and(|index| index.exact);
    let executes = launch.spec.options.transactions == BlockTransactions::Execute;
    if !executes || manifest.scope == Scope::Listed && is_exact {
        SlotReader::blocks_and_deltas(launch.archive, range)
    } else {
        SlotReader::blocks(launch.archive, range)
    }
}

fn scout(launch: &Launch<'_>, stop: &CancellationToken) -> Option<Scout> {
    let spec = &launch.spec;
    if spec.discoveries.is_empty() {
        return None;
    }
    let filters = Filters::new(spec.discoveries.clone(), spec.options.ignored_signers.clone());
    Some(Scout::spawn(launch.archive, spec.range.clone(), filters, stop.clone()))
}

/// Every slot of the range was skipped. Clients of the older generation do not know an error of its own for it, and
/// every error is final while a session is being created.
fn no_blocks(spec: &SessionSpec) -> BacktestError {
    let (start, end) = (spec.range.start(), spec.range.end());
    BacktestError::InvalidRequest {
        error: format!("no block was produced in slots {start} to {end}"),
    }
}

fn stopped() -> BacktestError {
    internal("the session was stopped while it started")
}

fn internal(error: &str) -> BacktestError {
    BacktestError::Internal {
        error: error.to_owned(),
    }
}
