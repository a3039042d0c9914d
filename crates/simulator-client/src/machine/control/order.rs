//! What the order of events tells about requests, where the server does not echo their ids.
//!
//! A server of the published protocol answers a request with events that do not name it. What is known:
//!
//! * messages of one connection arrive in order, so that a sign of a later request is one of those before it;
//! * one request runs at a time, and ends with one stop: `readyForContinue`, `paused`, `completed` or an error;
//! * while a request runs, its events say nothing about those behind it. Only a `paused` that the running one did not
//!   ask for shows that a `continueTo` has redirected it;
//! * while the session waits, a slot, a status with which execution begins, or a stop shows that the oldest request was
//!   taken. A slot is no sign of a request that moves nothing (`advanceCount` 0);
//! * after a reattach, and after a rejection, a server may repeat the stop at which it waits as a **hint**; after
//!   `paused`, it may say `readyForContinue` where no match of a filter is ahead. A stop that could be one of these is
//!   a sign of nothing, except that a `continueTo` that wanted to be there is done;
//! * where filters have matched, a run may be held in silence until the next request.

use std::collections::VecDeque;

use simulator_api::{BacktestError, BacktestResponse, BacktestStatus, ContinueToParams, PausedEvent};

use super::ControlRequest;
use super::in_flight::{Passage, Pending};
use crate::machine::is_rejection;

/// What the events so far tell about the session.
#[derive(Clone, Debug)]
pub(super) struct Order {
    activity: Activity,
    /// Whether the next stop may be a hint.
    hint_is_possible: bool,
    /// Whether events are missing, so that nothing can be counted any more.
    is_torn: bool,
    /// Whether a filter has matched, so that a session that runs may in truth be held.
    has_matches: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// It starts, or works on a request that is known to have been taken.
    Running {
        /// Where it was asked to stop, if it was asked to.
        target: Option<PausedEvent>,
    },
    /// It waits for a request.
    Waiting(Stop),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Ready,
    Paused(PausedEvent),
}

impl Order {
    pub(super) fn new() -> Self {
        Self {
            activity: Activity::Running { target: None },
            hint_is_possible: false,
            is_torn: false,
            has_matches: false,
        }
    }

    /// The session was attached to again.
    pub(super) fn reattached(&mut self) {
        self.hint_is_possible = true;
    }

    /// Events are missing.
    pub(super) fn tear(&mut self) {
        self.is_torn = true;
    }

    /// Whether silence would show something about requests that were sent on a connection that is gone.
    pub(super) fn is_decided_by_silence(&self, requests: &VecDeque<Pending>) -> bool {
        let first_lost = requests.iter().find(|pending| pending.passage == Passage::Lost);
        first_lost.is_some_and(|pending| self.may_be_repeated(pending))
            || requests.iter().any(|pending| self.is_uncertain(pending))
    }

    /// Whether a lost request can be sent again after silence. A `continueTo` can in any case: where it was applied, it
    /// changes nothing.
    pub(super) fn may_be_repeated(&self, pending: &Pending) -> bool {
        matches!(self.activity, Activity::Waiting(_)) || target_of(&pending.request).is_some()
    }

    /// Whether it will never be known if a lost request was applied, and applying it again would do harm.
    pub(super) fn is_uncertain(&self, pending: &Pending) -> bool {
        let may_be_held = self.has_matches && matches!(self.activity, Activity::Running { .. });
        pending.passage == Passage::Lost
            && target_of(&pending.request).is_none()
            && (pending.is_doubtful || self.is_torn || may_be_held)
    }

    /// Takes an event, and forgets the requests that it shows to have been taken.
    pub(super) fn observe(&mut self, event: &BacktestResponse, requests: &mut VecDeque<Pending>) {
        match event {
            BacktestResponse::SlotNotification(_) => self.on_slot(requests),
            BacktestResponse::Status { status } if begins_execution(status) => self.on_begun(requests),
            BacktestResponse::ReadyForContinue => self.on_stop(Stop::Ready, requests),
            BacktestResponse::Paused(position) => self.on_stop(Stop::Paused(*position), requests),
            BacktestResponse::DiscoveryBatch(_) => self.has_matches = true,
            BacktestResponse::Error(error) if is_rejection(error) => self.on_rejection(requests),
            BacktestResponse::Error(BacktestError::SimulationError { .. }) if front_sends_transactions(requests) => {
                self.on_begun(requests);
            }
            _ => {}
        }
    }

    fn on_slot(&mut self, requests: &mut VecDeque<Pending>) {
        if matches!(self.activity, Activity::Running { .. }) {
            return;
        }
        let mover = requests
            .iter()
            .take_while(|pending| pending.was_sent())
            .position(|pending| !moves_nothing(&pending.request));
        let target = mover.and_then(|index| self.prove(index, requests));
        self.activity = Activity::Running { target };
    }

    fn on_begun(&mut self, requests: &mut VecDeque<Pending>) {
        let waits = matches!(self.activity, Activity::Waiting(_));
        // With nothing to begin, it is a late report about what ended before.
        if waits && requests.front().is_some_and(Pending::was_sent) {
            let target = self.prove(0, requests);
            self.activity = Activity::Running { target };
        }
    }

    /// The oldest request that is not known to be taken is the one that was refused, or was taken before it.
    fn on_rejection(&mut self, requests: &mut VecDeque<Pending>) {
        if requests.front().is_some_and(Pending::was_sent) {
            self.prove(0, requests);
        }
        self.hint_is_possible |= matches!(self.activity, Activity::Waiting(_));
    }

    fn on_stop(&mut self, stop: Stop, requests: &mut VecDeque<Pending>) {
        match self.activity {
            Activity::Running { target } => self.on_end_of_run(stop, target, requests),
            Activity::Waiting(last) if stop.is_repeated_after(last) && self.may_be_hint(requests) => {
                self.on_hint(stop, requests);
            }
            Activity::Waiting(_) => self.on_answer(stop, requests),
        }
        self.activity = Activity::Waiting(stop);
        self.hint_is_possible |= matches!(stop, Stop::Paused(_));
    }

    fn on_end_of_run(&mut self, stop: Stop, target: Option<PausedEvent>, requests: &mut VecDeque<Pending>) {
        let (Stop::Paused(position), Some(wanted)) = (stop, front_target(requests)) else {
            return;
        };
        let is_where_it_was_going_anyway = target == Some(position) && wanted != position;
        if !is_where_it_was_going_anyway {
            self.prove(0, requests);
        }
    }

    /// A stop that ends nothing known: a request of which nothing else was seen.
    fn on_answer(&mut self, stop: Stop, requests: &mut VecDeque<Pending>) {
        let sent = || requests.iter().take_while(|pending| pending.was_sent());
        let Some(front) = sent().next() else { return };
        let was_doubtful = front.is_doubtful;
        let redirection = sent().position(|pending| target_of(&pending.request).is_some());
        let index = match stop {
            Stop::Ready => 0,
            Stop::Paused(_) => redirection.unwrap_or(0),
        };
        self.prove(index, requests);
        if was_doubtful {
            // It may have been answered before, and then this was the answer to the next one.
            doubt_front(requests);
        }
    }

    fn on_hint(&mut self, stop: Stop, requests: &mut VecDeque<Pending>) {
        self.hint_is_possible = false;
        match (stop, front_target(requests)) {
            (Stop::Paused(position), Some(wanted)) if position == wanted => {
                self.prove(0, requests);
            }
            (Stop::Paused(_), _) => {}
            (Stop::Ready, _) => doubt_front(requests),
        }
    }

    /// The replay after a reattach is complete, so that a lost request that moves the session would show slots.
    fn may_be_hint(&self, requests: &VecDeque<Pending>) -> bool {
        let front_is_lost = requests.front().is_some_and(|pending| pending.passage == Passage::Lost);
        self.hint_is_possible || front_is_lost
    }

    /// Forgets the requests up to `index`, and says where the last of them wants to stop.
    fn prove(&mut self, index: usize, requests: &mut VecDeque<Pending>) -> Option<PausedEvent> {
        let proven = requests.drain(..=index).next_back()?;
        if proven.passage == Passage::Sent {
            // The server has heard from this connection, so that it has no reason to give hints.
            self.hint_is_possible = false;
        }
        target_of(&proven.request)
    }
}

impl Stop {
    /// Whether it says nothing new after `last`: it is the same, or only adds that nothing is ahead to pause at.
    fn is_repeated_after(self, last: Self) -> bool {
        self == last || matches!((last, self), (Self::Paused(_), Self::Ready))
    }
}

/// A request that moves nothing is answered with nothing but `readyForContinue`, which may just have been seen.
fn doubt_front(requests: &mut VecDeque<Pending>) {
    if let Some(front) = requests.front_mut().filter(|pending| pending.was_sent()) {
        front.is_doubtful |= moves_nothing(&front.request);
    }
}

/// Whether a stop that comes without anything before it may be the answer to a request. If the request was lost and moves
/// the session it is not: the replay would have shown what it moved.
pub(super) fn may_be_answered_by(pending: &Pending, stop: &BacktestResponse) -> bool {
    match (pending.passage, stop) {
        (Passage::Unsent, _) => false,
        (Passage::Sent, _) => true,
        (Passage::Lost, BacktestResponse::Paused(position)) => target_of(&pending.request) == Some(*position),
        (Passage::Lost, _) => moves_nothing(&pending.request),
    }
}

fn moves_nothing(request: &ControlRequest) -> bool {
    matches!(request, ControlRequest::Continue(params) if params.advance_count == 0)
}

fn front_sends_transactions(requests: &VecDeque<Pending>) -> bool {
    requests.front().is_some_and(
        |pending| matches!(&pending.request, ControlRequest::Continue(params) if !params.transactions.is_empty()),
    )
}

fn front_target(requests: &VecDeque<Pending>) -> Option<PausedEvent> {
    let front = requests.front().filter(|pending| pending.was_sent())?;
    target_of(&front.request)
}

fn target_of(request: &ControlRequest) -> Option<PausedEvent> {
    match request {
        ControlRequest::Continue(_) => None,
        ControlRequest::ContinueTo(ContinueToParams { slot, batch_index, .. }) => Some(PausedEvent {
            slot: *slot,
            batch_index: *batch_index,
        }),
    }
}

/// Whether a status is only sent while a request is worked on. `executedBlockTransactions` is none of them, because it
/// may follow the stop of the request before.
fn begins_execution(status: &BacktestStatus) -> bool {
    matches!(
        status,
        BacktestStatus::DecodedTransactions
            | BacktestStatus::AppliedAccountModifications
            | BacktestStatus::ExecutedUserTransactions
            | BacktestStatus::ExecutingBlockTransactions
    )
}
