//! What a session's thread tells its client, and when.

use simulator_api::BacktestResponse;
use tokio::time::Instant;

use super::Worker;
use crate::convert;
use crate::session::{Event, EventKind};

/// An event that waits for subscribers.
#[derive(Debug)]
pub(crate) struct Held {
    event: Event,
    /// It waits no longer than this.
    pub(super) until: Instant,
}

/// After so many events it is written down how far the session has come.
const EVENTS_BETWEEN_NOTES: u64 = 64;

impl Worker {
    /// Tells the client what has happened.
    pub(super) fn publish(&mut self) {
        while let Some(event) = self.next_event() {
            let summary = || self.send_summary.then(|| self.executor.session_summary());
            let response = convert::response(event.kind, summary);
            if response.is_terminal() {
                self.seal();
                self.decided(&response);
            }
            self.events.append(event.request, response);
        }
        let reached = self.events.reach().0;
        if !self.pace.is_repeating && reached.0 >= self.pace.noted.reached + EVENTS_BETWEEN_NOTES {
            self.note();
        }
    }

    /// The next event that may be told. `completed` waits for subscribers: clients give up on them soon after it.
    fn next_event(&mut self) -> Option<Event> {
        if let Some(held) = self
            .held
            .take_if(|held| self.data.is_drained() || Instant::now() >= held.until)
        {
            return Some(held.event);
        }
        if self.held.is_some() {
            return None;
        }
        let event = self.session.next_event()?;
        if event.kind == EventKind::Completed {
            self.executor.set_complete();
            self.seal();
            if !self.data.is_drained() {
                let until = Instant::now() + self.completed_hold;
                self.held = Some(Held { event, until });
                return None;
            }
        }
        Some(event)
    }

    fn decided(&self, last: &BacktestResponse) {
        match last {
            BacktestResponse::Error(_) => self.meter.failed(),
            _ => self.meter.completed(),
        }
    }

    pub(super) fn seal(&self) {
        self.data.seal();
        if let Some(outcomes) = &self.outcomes {
            outcomes.seal();
        }
    }
}
