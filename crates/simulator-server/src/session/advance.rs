//! How a session goes on: what is due in each place, and where a run stops.

use simulator_api::{BacktestStatus, PausedEvent};

use super::goal::{AtEnd, OpenSlot};
use super::machine::{Place, Session};
use super::run::Progress;
use super::step::Due;
use super::{EventKind, Stop};

impl Session {
    pub(super) fn settled(&mut self) -> Due {
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
}

fn paused_at(open: &OpenSlot) -> PausedEvent {
    PausedEvent {
        slot: open.slot,
        batch_index: (!open.notified).then(|| u32::try_from(open.next_batch).unwrap_or(u32::MAX)),
    }
}
