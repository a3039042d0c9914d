//! The state of a session and every transition of it.

use std::collections::VecDeque;

use simulator_api::{BacktestError, BacktestStatus, PausedEvent, RequestId};
use simulator_archive::model::Slot;

use super::goal::{AtEnd, Goal, OpenSlot};
use super::requests::SeenRequests;
use super::step::MAX_WAITING_SENDS;
use super::{Applied, Changes, Event, EventKind, Order, Position, SendId, SendRefusal, Start, Step, Target, Upcoming};

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    /// The last slot of the range.
    end: Slot,
    place: Place,
    run: Option<Run>,
    queued: Option<Order>,
    sends: VecDeque<SendId>,
    seen: SeenRequests,
    events: VecDeque<Event>,
}

/// Where a session is.
#[derive(Debug)]
enum Place {
    BeforeFirst,
    Open(OpenSlot),
    /// This slot is closed and the next one not yet open.
    Between(Slot),
    Completed,
    /// Closed by its client, or failed.
    Over,
}

/// What is being executed.
#[derive(Debug)]
struct Run {
    request: Option<RequestId>,
    goal: Goal,
    /// Not yet applied.
    changes: Option<Changes>,
    progress: Progress,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// No block of it has been touched.
    Begun,
    /// Blocks are being executed, and the client was told so.
    Executing,
}

impl Run {
    fn new(request: Option<RequestId>, goal: Goal, changes: Option<Changes>) -> Self {
        Self {
            request,
            goal,
            changes,
            progress: Progress::Begun,
        }
    }
}

impl Session {
    /// A session over a range that ends with slot `end`, before its first slot.
    pub(crate) fn new(end: Slot, start: Start) -> Self {
        let goal = match start {
            Start::AfterFirstBlock => Goal::FirstBlock,
            Start::Paused => Goal::FirstBatch,
        };
        Self {
            end,
            place: Place::BeforeFirst,
            run: Some(Run::new(None, goal, None)),
            queued: None,
            sends: VecDeque::new(),
            seen: SeenRequests::default(),
            events: VecDeque::new(),
        }
    }

    /// Whether a request has been taken before, so that it must not be applied again.
    pub(crate) fn is_repeated(&self, request: Option<&RequestId>) -> bool {
        request.is_some_and(|request| self.seen.contains(request))
    }

    /// Takes an order: starts it, queues it, or refuses it with an event.
    pub(crate) fn order(&mut self, order: Order) {
        if self.is_repeated(order.request()) {
            return;
        }
        self.remember(order.request());
        match (&mut self.run, order) {
            (None, order) => self.begin(order),
            (Some(run), Order::ContinueTo { request, target }) if !run.goal.is_start() => {
                self.redirect(request, target);
            }
            (Some(_), order) if self.queued.is_none() => self.queued = Some(order),
            (Some(_), order) => self.refuse(
                order.request().cloned(),
                "another request already waits behind the running one; wait for readyForContinue".to_owned(),
            ),
        }
    }

    /// Answers a request that cannot be carried out.
    pub(crate) fn reject(&mut self, request: Option<RequestId>, error: BacktestError) {
        if self.is_repeated(request.as_ref()) {
            return;
        }
        self.remember(request.as_ref());
        self.push(request, EventKind::Error(error));
    }

    /// Takes a transaction to be executed in the open slot: at once if the session waits, else after the slot's
    /// historical transactions.
    pub(crate) fn send(&mut self, id: SendId) -> Result<(), SendRefusal> {
        self.check_changeable()?;
        if self.sends.len() >= MAX_WAITING_SENDS {
            return Err(SendRefusal::TooMany);
        }
        self.sends.push_back(id);
        Ok(())
    }

    /// Whether anything can still be changed: the result of a session that has ended stays what it was.
    pub(crate) fn check_changeable(&self) -> Result<(), SendRefusal> {
        match self.place {
            Place::Completed | Place::Over => Err(SendRefusal::NoOpenSlot),
            Place::BeforeFirst | Place::Open(_) | Place::Between(_) => Ok(()),
        }
    }

    /// Ends the session at its client's request: nothing more is executed or told.
    pub(crate) fn close(&mut self) {
        self.stop();
        self.events.clear();
    }

    /// Ends the session because it cannot go on.
    pub(crate) fn fail(&mut self, error: BacktestError) {
        let request = self.run.take().and_then(|run| run.request);
        self.stop();
        self.push(request, EventKind::Error(error));
    }

    /// What to do next. Asking again without a report gives the same answer, except that changes and sent
    /// transactions are handed out once.
    pub(crate) fn next_step(&mut self) -> Step {
        loop {
            if let Some(step) = self.advance() {
                return step;
            }
        }
    }

    /// The oldest event that has not been taken yet.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The position, where a slot is open.
    pub(crate) fn position(&self) -> Option<Position> {
        match &self.place {
            Place::Open(open) => Some(Position {
                slot: open.slot,
                batch: open.next_batch,
            }),
            _ => None,
        }
    }

    /// A slot was opened.
    pub(crate) fn opened(&mut self, slot: Slot, batches: usize) {
        self.place = Place::Open(OpenSlot {
            slot,
            batches,
            next_batch: 0,
            notified: false,
            upcoming: None,
        });
    }

    /// Changes were applied; each refused transaction gives an event.
    pub(crate) fn applied(&mut self, applied: &Applied, refused: impl IntoIterator<Item = String>) {
        let request = self.run.as_ref().and_then(|run| run.request.clone());
        if applied.accounts > 0 {
            let status = EventKind::Status(BacktestStatus::AppliedAccountModifications);
            self.push(request.clone(), status);
        }
        for error in refused {
            self.push(
                request.clone(),
                EventKind::Error(BacktestError::SimulationError { error }),
            );
        }
        if applied.transactions > 0 {
            self.push(request, EventKind::Status(BacktestStatus::ExecutedUserTransactions));
        }
    }

    /// A batch was executed.
    pub(crate) fn batch_done(&mut self) {
        if let Place::Open(open) = &mut self.place {
            open.next_batch += 1;
        }
    }

    /// What follows the open slot is known.
    pub(crate) fn peeked(&mut self, upcoming: Upcoming) {
        if let Place::Open(open) = &mut self.place {
            open.upcoming = Some(upcoming);
        }
    }

    /// The open slot was closed.
    pub(crate) fn closed(&mut self) {
        let Place::Open(open) = &self.place else { return };
        if open.upcoming == Some(Upcoming::End) {
            self.complete();
        } else {
            self.place = Place::Between(open.slot);
        }
    }

    fn advance(&mut self) -> Option<Step> {
        match (&mut self.place, &mut self.run) {
            (Place::Over, _) => Some(Step::Over),
            (Place::Completed, _) => Some(Step::Wait),
            (Place::BeforeFirst | Place::Between(_), _) => Some(Step::OpenSlot),
            (Place::Open(_), None) => Some(self.sends.pop_front().map_or(Step::Wait, Step::Send)),
            (Place::Open(open), Some(run)) => {
                // What was sent before the order comes before the order's own changes.
                if open.notified
                    && run.progress == Progress::Begun
                    && let Some(send) = self.sends.pop_front()
                {
                    return Some(Step::Send(send));
                }
                if let Some(changes) = run.changes.take() {
                    return Some(Step::Apply(changes));
                }
                if !open.notified {
                    self.advance_inside()
                } else {
                    self.advance_at_end()
                }
            }
        }
    }

    /// One step in a slot whose historical transactions are not all applied.
    fn advance_inside(&mut self) -> Option<Step> {
        let (Place::Open(open), Some(run)) = (&mut self.place, &mut self.run) else {
            return None;
        };
        if run.goal.stops_inside(open) {
            self.finish_run();
            return None;
        }
        if run.progress == Progress::Begun {
            run.progress = Progress::Executing;
            let request = run.request.clone();
            self.push(request, EventKind::Status(BacktestStatus::ExecutingBlockTransactions));
            return None;
        }
        if open.next_batch < open.batches {
            return Some(Step::ExecuteBatch);
        }
        open.notified = true;
        run.goal.count_block();
        let (slot, request) = (open.slot, run.request.clone());
        self.push(request, EventKind::Slot(slot));
        None
    }

    /// One step in a slot whose historical transactions have all been applied.
    fn advance_at_end(&mut self) -> Option<Step> {
        let (Place::Open(open), Some(run)) = (&self.place, &self.run) else {
            return None;
        };
        match run.goal.at_end(open, self.end) {
            AtEnd::AskUpcoming => Some(Step::Peek),
            AtEnd::Close => Some(self.sends.pop_front().map_or(Step::CloseSlot, Step::Send)),
            AtEnd::Stop => {
                self.finish_run();
                None
            }
        }
    }

    fn begin(&mut self, order: Order) {
        let Place::Open(open) = &self.place else {
            let error = self.no_slot_error();
            return self.push(order.request().cloned(), EventKind::Error(error));
        };
        match order {
            Order::Continue {
                request,
                blocks,
                changes,
            } => {
                let changes = Some(changes).filter(|changes| !changes.is_empty());
                self.run = Some(Run::new(request, Goal::Blocks(blocks), changes));
            }
            Order::ContinueTo { request, target } if target.is_behind(open) => self.refuse_behind(request, target),
            Order::ContinueTo { request, target } => {
                self.run = Some(Run::new(request, Goal::To(target), None));
            }
        }
    }

    /// Gives the running request another place to stop.
    fn redirect(&mut self, request: Option<RequestId>, target: Target) {
        let behind = match &self.place {
            Place::Open(open) => target.is_behind(open),
            Place::Between(closed) => target.slot <= *closed,
            Place::BeforeFirst | Place::Completed | Place::Over => false,
        };
        if behind {
            return self.refuse_behind(request, target);
        }
        if let Some(run) = &mut self.run {
            run.goal = Goal::To(target);
            run.request = request;
        }
    }

    fn finish_run(&mut self) {
        let (Place::Open(open), Some(run)) = (&self.place, self.run.take()) else {
            return;
        };
        let kind = if run.goal.ends_in_pause() {
            let batch = (!open.notified).then(|| u32::try_from(open.next_batch).unwrap_or(u32::MAX));
            EventKind::Paused(PausedEvent {
                slot: open.slot,
                batch_index: batch,
            })
        } else {
            EventKind::Ready
        };
        if run.progress == Progress::Executing {
            let status = EventKind::Status(BacktestStatus::ExecutedBlockTransactions);
            self.push(run.request.clone(), status);
        }
        let status = EventKind::Status(BacktestStatus::ReadyToExecuteUserTransactions);
        self.push(run.request.clone(), status);
        self.push(run.request, kind);
        self.begin_queued();
    }

    fn complete(&mut self) {
        self.place = Place::Completed;
        let request = self.run.take().and_then(|run| run.request);
        self.push(request, EventKind::Completed);
        self.begin_queued();
    }

    fn begin_queued(&mut self) {
        if let Some(order) = self.queued.take() {
            self.begin(order);
        }
    }

    fn stop(&mut self) {
        self.place = Place::Over;
        self.run = None;
        self.queued = None;
        self.sends.clear();
    }

    fn remember(&mut self, request: Option<&RequestId>) {
        if let Some(request) = request {
            self.seen.remember(request);
        }
    }

    /// Why there is no slot to go on from.
    fn no_slot_error(&self) -> BacktestError {
        match self.place {
            Place::Completed => BacktestError::NoMoreBlocks,
            _ => BacktestError::InvalidRequest {
                error: "the session has ended".to_owned(),
            },
        }
    }

    fn refuse_behind(&mut self, request: Option<RequestId>, target: Target) {
        let batch = target.batch.map(|batch| format!(", batch {batch}")).unwrap_or_default();
        let here = match (self.position(), &self.place) {
            (Some(Position { slot, batch }), _) => format!("slot {slot}, batch {batch}"),
            (None, Place::Between(closed)) => format!("the end of slot {closed}"),
            (None, _) => "the end".to_owned(),
        };
        self.refuse(
            request,
            format!("slot {}{batch} is behind the session, which is at {here}", target.slot),
        );
    }

    fn refuse(&mut self, request: Option<RequestId>, error: String) {
        self.push(request, EventKind::Error(BacktestError::InvalidRequest { error }));
    }

    fn push(&mut self, request: Option<RequestId>, kind: EventKind) {
        self.events.push_back(Event { request, kind });
    }
}
