//! The state of a session and every transition of it.

use std::collections::VecDeque;

use simulator_api::{BacktestError, BacktestStatus, DiscoveryBatchEvent, PausedEvent, RequestId};
use simulator_archive::model::Slot;

use super::goal::{AtEnd, Goal, OpenSlot};
use super::lookout::Lookout;
use super::requests::SeenRequests;
use super::run::{Progress, Run};
use super::step::{Due, MAX_WAITING_SENDS};
use super::{Applied, Event, EventKind, Order, Position, SendId, SendRefusal, Start, Step, Stop, Upcoming};

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    /// The last slot of the range.
    end: Slot,
    pub(super) place: Place,
    pub(super) run: Option<Run>,
    pub(super) queued: Option<Order>,
    /// Present where the client gave filters.
    pub(super) lookout: Option<Lookout>,
    sends: VecDeque<SendId>,
    pub(super) seen: SeenRequests,
    /// What the client was told when the session last began to wait.
    last_stop: Option<EventKind>,
    events: VecDeque<Event>,
    /// How many events there were in all.
    told: u64,
}

/// Where a session is.
#[derive(Debug)]
pub(super) enum Place {
    BeforeFirst,
    Open(OpenSlot),
    /// This slot is closed and the next one not yet open.
    Between(Slot),
    Completed,
    /// Closed by its client, or failed.
    Over,
}

impl Session {
    /// A session over a range that ends with slot `end`, before its first slot.
    pub(crate) fn new(end: Slot, start: Start) -> Self {
        let goal = match start {
            Start::AfterFirstBlock => Goal::FirstBlock,
            Start::Paused => Goal::FirstBatch(Stop::Paused),
            Start::Discovering(stop) => Goal::FirstBatch(stop),
        };
        Self {
            end,
            place: Place::BeforeFirst,
            run: Some(Run::new(None, goal, None)),
            queued: None,
            lookout: matches!(start, Start::Discovering(_)).then(Lookout::default),
            sends: VecDeque::new(),
            seen: SeenRequests::default(),
            last_stop: None,
            events: VecDeque::new(),
            told: 0,
        }
    }

    /// Whether the session waits for an order, whether its client knows or not.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_held() || matches!(self.place, Place::Open(_)) && self.run.is_none()
    }

    /// Tells a client that may have missed it that the session waits. If a run is held, the answer may have been lost,
    /// and nothing was told that could be told again.
    pub(crate) fn remind(&mut self) {
        if self.is_held() {
            self.push(None, EventKind::Ready);
        } else if let Some(kind) = self.last_stop.clone().filter(|_| self.is_waiting()) {
            self.push(None, kind);
        }
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
        match self.settled() {
            Due::OpenSlot => Step::OpenSlot,
            Due::Apply => {
                let changes = self.run.as_mut().and_then(|run| run.changes.take());
                changes.map_or(Step::Wait, Step::Apply)
            }
            Due::Send => self.sends.pop_front().map_or(Step::Wait, Step::Send),
            Due::ExecuteBatch => Step::ExecuteBatch,
            Due::Peek => Step::Peek,
            Due::CloseSlot => Step::CloseSlot,
            Due::Wait => Step::Wait,
            Due::Over => Step::Over,
        }
    }

    /// Goes as far as it can without a step. What a command leads to depends on that, so that it is done before every
    /// command: then it does not depend on when the next step was asked for.
    pub(crate) fn settle(&mut self) {
        self.settled();
    }

    /// How many events there were, taken or not.
    pub(crate) fn told(&self) -> u64 {
        self.told
    }

    /// Whether nothing is ever executed any more.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.place, Place::Completed | Place::Over)
    }

    /// The oldest event that has not been taken yet.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The position, where a slot is open.
    pub(crate) fn position(&self) -> Option<Position> {
        match &self.place {
            Place::Open(open) => Some(open.position()),
            _ => None,
        }
    }

    /// Filters found these ahead, behind everything that they found before. To be reported before the slot is opened
    /// with which they came into sight: they are announced from there on.
    pub(crate) fn sighted(&mut self, found: Vec<DiscoveryBatchEvent>) {
        if let Some(lookout) = &mut self.lookout {
            lookout.sight(found);
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
        self.announce();
    }

    /// Changes were applied; each refused transaction gives an event.
    pub(crate) fn applied(&mut self, applied: &Applied, refused: impl IntoIterator<Item = String>) {
        let request = self.run.as_ref().and_then(|run| run.changed_by.clone());
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
        self.announce();
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

    fn settled(&mut self) -> Due {
        loop {
            if let Some(due) = self.advance() {
                return due;
            }
        }
    }

    fn advance(&mut self) -> Option<Due> {
        match (&self.place, &self.run) {
            (Place::Over, _) => Some(Due::Over),
            (Place::Completed, _) => Some(Due::Wait),
            (Place::BeforeFirst | Place::Between(_), _) => Some(Due::OpenSlot),
            (Place::Open(_), None) => Some(self.send_or(Due::Wait)),
            (Place::Open(open), Some(run)) => {
                // What was sent before the order comes before the order's own changes.
                if open.notified && run.progress == Progress::Begun && !self.sends.is_empty() {
                    Some(Due::Send)
                } else if run.changes.is_some() {
                    Some(Due::Apply)
                } else if !open.notified {
                    self.advance_inside()
                } else {
                    self.advance_at_end()
                }
            }
        }
    }

    /// What was sent comes first.
    fn send_or(&self, otherwise: Due) -> Due {
        if self.sends.is_empty() { otherwise } else { Due::Send }
    }

    /// One step in a slot whose historical transactions are not all applied.
    fn advance_inside(&mut self) -> Option<Due> {
        let (Place::Open(open), Some(run)) = (&self.place, &self.run) else {
            return None;
        };
        if run.goal.stops_inside(open) {
            self.finish_run();
            return None;
        }
        if self.is_held() {
            return self.advance_held();
        }
        self.execute_inside()
    }

    /// One step of a run before an announced batch that its client has not answered. It waits as a session without a
    /// run does, but the client has not been told: it may be writing its answer.
    fn advance_held(&mut self) -> Option<Due> {
        match self.queued.take() {
            Some(order) => {
                self.answer(order);
                None
            }
            None => Some(self.send_or(Due::Wait)),
        }
    }

    /// One step of a run that goes on in a slot.
    fn execute_inside(&mut self) -> Option<Due> {
        let (Place::Open(open), Some(run)) = (&mut self.place, &mut self.run) else {
            return None;
        };
        if run.progress == Progress::Begun {
            run.progress = Progress::Executing;
            let request = run.request.clone();
            self.push(request, EventKind::Status(BacktestStatus::ExecutingBlockTransactions));
            return None;
        }
        if open.next_batch < open.batches {
            return Some(Due::ExecuteBatch);
        }
        open.notified = true;
        run.goal.count_block();
        let (slot, request) = (open.slot, run.request.clone());
        self.push(request, EventKind::Slot(slot));
        None
    }

    /// One step in a slot whose historical transactions have all been applied.
    fn advance_at_end(&mut self) -> Option<Due> {
        let (Place::Open(open), Some(run)) = (&self.place, &self.run) else {
            return None;
        };
        match run.goal.at_end(open, self.end) {
            AtEnd::AskUpcoming => Some(Due::Peek),
            AtEnd::Close => Some(self.send_or(Due::CloseSlot)),
            AtEnd::Stop => {
                self.finish_run();
                None
            }
        }
    }

    fn finish_run(&mut self) {
        let (Place::Open(open), Some(run)) = (&self.place, self.run.take()) else {
            return;
        };
        let stop = run.goal.stop();
        let kind = match stop {
            Stop::Paused => EventKind::Paused(paused_at(open)),
            Stop::Ready => EventKind::Ready,
        };
        if run.progress == Progress::Executing {
            let status = EventKind::Status(BacktestStatus::ExecutedBlockTransactions);
            self.push(run.request.clone(), status);
        }
        let status = EventKind::Status(BacktestStatus::ReadyToExecuteUserTransactions);
        self.push(run.request.clone(), status);
        self.push(run.request.clone(), kind);
        self.look_out(stop, run.request);
        self.begin_queued();
    }

    /// Tells what is ahead of a stop. After a pause a client reads on until it knows whether there is a further match
    /// in sight: `readyForContinue` says that there is none.
    fn look_out(&mut self, stop: Stop, request: Option<RequestId>) {
        let (Some(here), Some(lookout)) = (self.position(), &mut self.lookout) else {
            return;
        };
        match stop {
            Stop::Ready => {
                self.announce();
            }
            Stop::Paused => {
                lookout.reach(here);
                if !self.announce() {
                    self.push(request, EventKind::Ready);
                }
            }
        }
    }

    /// Announces the next batch that a filter found, if now is the time for it; whether it was.
    fn announce(&mut self) -> bool {
        let (Place::Open(open), Some(lookout)) = (&self.place, &mut self.lookout) else {
            return false;
        };
        lookout.pass(open.position());
        let run = self.run.as_ref();
        let Some(found) = lookout.announce(|found| run.is_none_or(|run| run.goal.announces(open, found))) else {
            return false;
        };
        self.push(None, EventKind::Discovery(found));
        true
    }

    /// Whether a run to the end stands before a batch that was announced and that its client has not answered.
    pub(super) fn is_held(&self) -> bool {
        let (Place::Open(open), Some(run), Some(lookout)) = (&self.place, &self.run, &self.lookout) else {
            return false;
        };
        run.goal == Goal::End && run.changes.is_none() && lookout.is_announced(open.position())
    }

    fn complete(&mut self) {
        self.place = Place::Completed;
        let request = self.run.take().and_then(|run| run.request);
        self.push(request, EventKind::Completed);
        self.begin_queued();
    }

    fn stop(&mut self) {
        self.place = Place::Over;
        self.run = None;
        self.queued = None;
        self.sends.clear();
    }

    pub(super) fn push(&mut self, request: Option<RequestId>, kind: EventKind) {
        if matches!(kind, EventKind::Ready | EventKind::Paused(_)) {
            self.last_stop = Some(kind.clone());
        }
        self.told += 1;
        self.events.push_back(Event { request, kind });
    }
}

fn paused_at(open: &OpenSlot) -> PausedEvent {
    PausedEvent {
        slot: open.slot,
        batch_index: (!open.notified).then(|| u32::try_from(open.next_batch).unwrap_or(u32::MAX)),
    }
}
