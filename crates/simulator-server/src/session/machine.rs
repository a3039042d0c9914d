//! The state of a session and every transition of it.

use std::collections::VecDeque;

use simulator_api::{BacktestError, BacktestStatus, DiscoveryBatchEvent, RequestId};
use simulator_archive::model::Slot;

use super::goal::{Goal, OpenSlot};
use super::lookout::Lookout;
use super::requests::SeenRequests;
use super::run::Run;
use super::step::{Due, MAX_WAITING_SENDS};
use super::{Applied, Event, EventKind, Order, Position, SendId, SendRefusal, Start, Step, Stop, Upcoming};

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    /// The last slot of the range.
    pub(super) end: Slot,
    pub(super) place: Place,
    pub(super) run: Option<Run>,
    pub(super) queued: Option<Order>,
    /// Present where the client gave filters.
    pub(super) lookout: Option<Lookout>,
    pub(super) sends: VecDeque<SendId>,
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

    /// Tells what is ahead of a stop. After a pause a client reads on until it knows whether there is a further match
    /// in sight: `readyForContinue` says that there is none.
    pub(super) fn look_out(&mut self, stop: Stop, request: Option<RequestId>) {
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
