//! One of several sessions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, CloseSessionRequestV1, ContinueSessionRequestV1,
    ContinueToSessionRequestV1, SequencedResponse, SessionId,
};

use super::messages::{ParallelOutput, PartEnd};
use crate::machine::Arrival;
use crate::machine::control::ControlRequest;
use crate::machine::control::in_flight::{Fate, InFlight};
use crate::machine::control::output::{Output, visible};
use crate::machine::control::stream::Stream;
use crate::managed::{ControlEvent, MachineCounts, ManagedFailure, StreamFault};

/// One of several sessions, whatever becomes of their connections.
#[derive(Debug)]
pub(super) struct Part {
    id: SessionId,
    stream: Stream,
    in_flight: InFlight,
    /// Requests that wait for room among those in flight.
    waiting: VecDeque<ControlRequest>,
    /// When it said something last, or its silence began to count anew.
    heard: Instant,
    life: Life,
}

/// What a part is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// To run.
    Open,
    /// Its caller wants it closed; whether the current connection was asked to.
    Closing { asked: bool },
    /// For nothing: it has ended.
    Ended,
}

impl Part {
    pub(super) fn new(id: SessionId, in_flight: InFlight, now: Instant) -> Self {
        Self {
            id,
            stream: Stream::default(),
            in_flight,
            waiting: VecDeque::new(),
            heard: now,
            life: Life::Open,
        }
    }

    /// The number of its last event.
    pub(super) fn last(&self) -> Option<u64> {
        self.stream.last()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.life == Life::Ended
    }

    /// Requests that wait to be sent.
    pub(super) fn backlog(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a request of the caller.
    pub(super) fn push(&mut self, request: ControlRequest) {
        if self.life == Life::Open {
            self.waiting.push_back(request);
        }
    }

    /// The caller wants it closed.
    pub(super) fn close(&mut self) {
        if self.life == Life::Open {
            self.life = Life::Closing { asked: false };
            self.waiting.clear();
        }
    }

    /// The next request to write, if any.
    pub(super) fn next_due(&mut self) -> Option<BacktestRequest> {
        match &mut self.life {
            Life::Ended => None,
            Life::Closing { asked } => {
                let session_id = self.id;
                let request = BacktestRequest::CloseSessionV1(CloseSessionRequestV1 { session_id });
                (!std::mem::replace(asked, true)).then_some(request)
            }
            Life::Open => {
                while self.in_flight.has_room()
                    && let Some(request) = self.waiting.pop_front()
                {
                    self.in_flight.push(request);
                }
                let request = self.in_flight.next_due()?;
                Some(addressed(self.id, request))
            }
        }
    }

    /// The connection is gone.
    pub(super) fn on_lost(&mut self) {
        self.in_flight.on_lost();
        if let Life::Closing { asked } = &mut self.life {
            *asked = false;
        }
    }

    /// All sessions were attached to again, this one among them.
    pub(super) fn on_reattached(&mut self, now: Instant) {
        self.heard = now;
        self.stream.interrupt();
        self.in_flight.on_reattached();
    }

    /// Nobody has listened for this long.
    pub(super) fn excuse(&mut self, missed: Duration) {
        self.heard = self.heard.checked_add(missed).unwrap_or(self.heard);
    }

    /// When the fate of its requests will be clear, if nothing is heard before.
    pub(super) fn settles_at(&self, settle_time: Duration) -> Option<Instant> {
        let awaits = self.life == Life::Open && self.in_flight.awaits_silence();
        awaits.then(|| self.heard.checked_add(settle_time)).flatten()
    }

    /// It has said nothing for long enough.
    pub(super) fn on_silence(&mut self, output: &mut Output<ParallelOutput>) {
        if self.in_flight.on_silence() == Fate::Uncertain {
            self.report(StreamFault::Uncertain, output);
        }
    }

    /// Takes one of its events.
    pub(super) fn take(
        &mut self,
        event: &SequencedResponse,
        counts: &mut MachineCounts,
        output: &mut Output<ParallelOutput>,
        now: Instant,
    ) {
        self.heard = now;
        let arrival = self.stream.admit(event, counts);
        self.note_gap(arrival, event.seq_id, output);
        if arrival == Arrival::Duplicate || self.life == Life::Ended {
            return;
        }
        let is_reminder = self.in_flight.is_reminder(event);
        counts.duplicates += u64::from(is_reminder);
        self.in_flight.observe(event);
        if self.life == Life::Open
            && !is_reminder
            && let Some(shown) = visible(&event.response, "")
        {
            output.push(ParallelOutput::Session(self.id, shown));
        }
        if let Some(end) = self.end_with(&event.response) {
            self.end(end, output);
        }
    }

    /// Takes one of its events that cannot be decoded. It may have been anything.
    pub(super) fn take_undecodable(
        &mut self,
        fault: StreamFault,
        number: Option<u64>,
        counts: &mut MachineCounts,
        output: &mut Output<ParallelOutput>,
    ) {
        let arrival = self.stream.admit_number(number, counts);
        self.note_gap(arrival, number, output);
        if arrival != Arrival::Duplicate && self.life == Life::Open {
            self.in_flight.on_gap();
            self.report(fault, output);
        }
    }

    /// The server does not list it any more.
    pub(super) fn on_unlisted(&mut self, output: &mut Output<ParallelOutput>) {
        match self.life {
            Life::Ended => {}
            Life::Closing { .. } => self.end(PartEnd::Finished, output),
            Life::Open => {
                let session_id = self.id.to_string();
                let gone = BacktestError::SessionNotFound { session_id };
                self.end(PartEnd::Failed(ManagedFailure::Session(gone)), output);
            }
        }
    }

    fn note_gap(&mut self, arrival: Arrival, number: Option<u64>, output: &mut Output<ParallelOutput>) {
        if let (Arrival::Gap { expected }, Some(received)) = (arrival, number) {
            self.in_flight.on_gap();
            if self.life == Life::Open {
                self.report(StreamFault::Gap { expected, received }, output);
            }
        }
    }

    fn report(&self, fault: StreamFault, output: &mut Output<ParallelOutput>) {
        output.push(ParallelOutput::Session(self.id, ControlEvent::Fault(fault)));
    }

    /// How an event ends it, if it does. A `success` that nobody has asked for says nothing.
    fn end_with(&self, event: &BacktestResponse) -> Option<PartEnd> {
        match (event, self.life) {
            (BacktestResponse::Completed { .. }, _) => Some(PartEnd::Finished),
            (BacktestResponse::Success, Life::Closing { asked: true }) => Some(PartEnd::Finished),
            (BacktestResponse::Error(BacktestError::SessionNotFound { .. }), Life::Closing { .. }) => {
                Some(PartEnd::Finished)
            }
            (BacktestResponse::Error(error), _) if error.is_terminal() || is_gone(error) => {
                Some(PartEnd::Failed(ManagedFailure::Session(error.clone())))
            }
            _ => None,
        }
    }

    fn end(&mut self, end: PartEnd, output: &mut Output<ParallelOutput>) {
        self.life = Life::Ended;
        self.waiting.clear();
        output.push(ParallelOutput::Ended(self.id, end));
    }
}

/// Whether somebody else has closed the session.
fn is_gone(error: &BacktestError) -> bool {
    matches!(error, BacktestError::SessionNotFound { .. })
}

/// A request to one of several sessions.
fn addressed(session_id: SessionId, request: ControlRequest) -> BacktestRequest {
    match request {
        ControlRequest::Continue(request) => {
            BacktestRequest::ContinueSessionV1(ContinueSessionRequestV1 { session_id, request })
        }
        ControlRequest::ContinueTo(request) => {
            BacktestRequest::ContinueToSessionV1(ContinueToSessionRequestV1 { session_id, request })
        }
    }
}
