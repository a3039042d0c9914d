//! The state of one control conversation.

use std::mem;

use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, Capability, DecodeError, DiscoveryBatchEvent, PausedEvent,
    RequestId, SequencedResponse,
};
use thiserror::Error;

use super::discovery::Discoveries;
use super::hold::Hold;
use super::request_ids::RequestIds;
use super::unread::{Scan, Unread, UnreadEvents};
use super::{Arrival, Phase, SequenceCursor, Verdict, Wait};

/// One client's conversation with one session.
#[derive(Debug)]
pub struct Conversation {
    pub(super) phase: Phase,
    paused: Option<PausedEvent>,
    numbering: Numbering,
    pub(super) unread: UnreadEvents,
    pub(super) discoveries: Discoveries,
    hold: Hold,
    unread_limit: usize,
    requests_sent: u64,
    /// The value of `requests_sent` from which on events belong to the current step.
    pub(super) step_began: u64,
    capabilities: Vec<Capability>,
    request_ids: RequestIds,
}

/// What the numbers beside the events count.
#[derive(Clone, Copy, Debug)]
enum Numbering {
    /// The events of the one session.
    Session(SequenceCursor),
    /// The events of several sessions, each on its own, so that nothing follows from their order.
    Several,
}

/// An event on its way to the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The event, with its number.
    pub event: SequencedResponse,
    /// Whether it was received after the last continue was sent. One that was not is of an earlier step.
    pub is_of_current_step: bool,
}

/// The event that a waiting call waited for.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It is what the call wanted.
    Answer(BacktestResponse),
    /// What the call wanted will not come.
    Refusal(BacktestResponse),
}

/// What a call that waits for readiness found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The session waits for a continue.
    Ready,
    /// The session has reached the end of its range.
    Completed,
    /// The session reported an error first.
    Failed(BacktestError),
}

/// Why a message is not an event.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// It does not decode.
    #[error("the server sent a message that could not be decoded")]
    Decode {
        /// The message.
        raw: String,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// Events before it are missing. The event itself is kept and delivered.
    #[error("events {expected} to {} are missing", received - 1)]
    Gap {
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        received: u64,
    },
}

impl Conversation {
    /// A conversation that begins with a create request. At most `unread_limit` events wait while a call looks for
    /// another one; `id_prefix` begins the ids of its requests.
    pub fn creating(unread_limit: usize, id_prefix: String) -> Self {
        let numbering = Numbering::Session(SequenceCursor::default());
        Self::new(Phase::Starting, numbering, unread_limit, id_prefix)
    }

    /// A conversation that begins with a create request for several sessions. Their events arrive in envelopes with
    /// numbers of their own; whoever reads them follows each session.
    pub fn creating_several(unread_limit: usize, id_prefix: String) -> Self {
        Self::new(Phase::Starting, Numbering::Several, unread_limit, id_prefix)
    }

    /// A conversation that begins with an attach request behind the event `last_sequence`.
    pub fn attaching(last_sequence: Option<u64>, unread_limit: usize, id_prefix: String) -> Self {
        let numbering = Numbering::Session(SequenceCursor::after(last_sequence));
        Self::new(Phase::Attached, numbering, unread_limit, id_prefix)
    }

    fn new(phase: Phase, numbering: Numbering, unread_limit: usize, id_prefix: String) -> Self {
        Self {
            phase,
            paused: None,
            numbering,
            unread: UnreadEvents::default(),
            discoveries: Discoveries::new(unread_limit),
            hold: Hold::default(),
            unread_limit,
            requests_sent: 0,
            step_began: 0,
            capabilities: Vec::new(),
            request_ids: RequestIds::new(id_prefix),
        }
    }

    /// What the session is doing.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The match before which a run without bound waits for another request, or will wait when it comes there. The
    /// server does not say so.
    pub fn held_before(&self) -> Option<&DiscoveryBatchEvent> {
        self.hold.before()
    }

    /// Where the session paused last.
    pub fn last_pause(&self) -> Option<PausedEvent> {
        self.paused
    }

    /// What the server announced that it speaks.
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Whether the session waits for a continue, and the caller has read so.
    pub fn is_ready_for_continue(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. }) && self.unread_stop().is_none()
    }

    /// The number of the last event up to which the caller has read everything.
    pub fn last_sequence(&self) -> Option<u64> {
        let Numbering::Session(cursor) = self.numbering else {
            return None;
        };
        match self.unread.iter().find_map(|unread| unread.event.seq_id) {
            Some(first_unread) => first_unread.checked_sub(1),
            None => cursor.last(),
        }
    }

    /// Whether the caller has read everything that was received.
    pub fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    /// Whether another event may be received before the caller reads one.
    pub fn has_room(&self) -> bool {
        self.unread.len() < self.unread_limit
    }

    /// The id that the next continue travels with, if any.
    pub fn assign_request_id(&mut self, chosen: Option<RequestId>) -> Option<RequestId> {
        self.request_ids.assign(chosen)
    }

    /// Takes note of a request that was sent.
    pub fn on_sent(&mut self, request: &BacktestRequest) {
        self.requests_sent += 1;
        self.discoveries.on_sent(request);
        self.hold.on_sent(request);
        if matches!(request, BacktestRequest::Continue(_) | BacktestRequest::ContinueTo(_)) {
            self.step_began = self.requests_sent;
            self.phase = mem::replace(&mut self.phase, Phase::Starting).after_continue();
        }
    }

    /// Takes a message of the server.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] if it cannot be decoded, or if events before it are missing; in the latter case it is kept.
    pub fn handle_message(&mut self, text: &str) -> Result<(), ProtocolError> {
        let event = SequencedResponse::from_json(text).map_err(|source| ProtocolError::Decode {
            raw: text.to_owned(),
            source,
        })?;
        match self.numbering.observe(event.seq_id) {
            Arrival::Duplicate => Ok(()),
            Arrival::Gap { expected } => {
                let received = event.seq_id.unwrap_or(expected);
                self.keep(event);
                Err(ProtocolError::Gap { expected, received })
            }
            Arrival::Next => {
                self.keep(event);
                Ok(())
            }
        }
    }

    fn keep(&mut self, event: SequencedResponse) {
        self.phase = mem::replace(&mut self.phase, Phase::Starting).after_event(&event.response);
        match &event.response {
            BacktestResponse::Paused(position) => self.paused = Some(*position),
            BacktestResponse::SessionCreated(opened) | BacktestResponse::SessionAttached(opened) => {
                self.on_capabilities(&opened.capabilities);
            }
            BacktestResponse::SessionsCreatedV2(created) => self.on_capabilities(&created.capabilities),
            _ => {}
        }
        self.discoveries.on_event(&event.response);
        self.hold.on_event(&event.response);
        self.unread.push(Unread {
            event,
            after_requests: self.requests_sent,
        });
    }

    fn on_capabilities(&mut self, capabilities: &[Capability]) {
        self.capabilities = capabilities.to_vec();
        self.request_ids.announce(capabilities.contains(&Capability::RequestId));
    }

    /// The unread events, oldest first.
    pub fn unread_events(&self) -> impl Iterator<Item = &BacktestResponse> {
        self.unread.iter().map(|unread| &unread.event.response)
    }

    /// The oldest unread event, which is then read.
    pub fn next_event(&mut self) -> Option<Delivery> {
        let Unread { event, after_requests } = self.unread.pop()?;
        if let BacktestResponse::DiscoveryBatch(discovery) = &event.response {
            self.discoveries.on_read(discovery);
        }
        Some(Delivery {
            event,
            is_of_current_step: after_requests >= self.step_began,
        })
    }

    /// The event that `wait` waits for, if it is there. It is taken out of the unread events, except the end of the
    /// range, which stays for the caller to read with its summary.
    pub fn take_reply(&mut self, wait: &Wait, scan: &mut Scan) -> Option<Reply> {
        let since = if wait.is_for_reply() {
            self.requests_sent
        } else {
            self.step_began
        };
        let verdict = |event: &SequencedResponse| match wait.judge(&event.response) {
            Verdict::Unrelated => None,
            // What an attach sends again answered an earlier connection.
            Verdict::Answer if event.replayed && wait.is_for_reply() && !event.response.is_completed() => None,
            verdict => Some(verdict),
        };
        let (index, verdict) = self.unread.find(since, scan, verdict)?;
        let event = self.take(index, scan);
        Some(if verdict == Verdict::Answer {
            Reply::Answer(event)
        } else {
            Reply::Refusal(event)
        })
    }

    /// Whether the current step has come to a stop. The stop is taken out of the unread events, and so is an error;
    /// the end of the range stays.
    pub fn take_readiness(&mut self, scan: &mut Scan) -> Option<Readiness> {
        if let Some(error) = self.take_step_error(scan) {
            return Some(Readiness::Failed(error));
        }
        match &self.phase {
            Phase::Completed => Some(Readiness::Completed),
            Phase::Failed(error) => Some(Readiness::Failed(error.clone())),
            Phase::Waiting { .. } => {
                self.take_unread_stop(scan);
                Some(Readiness::Ready)
            }
            Phase::Starting | Phase::Attached | Phase::Running { .. } => None,
        }
    }

    /// Drops the newest unread events that exceed the limit, and says how many. For a conversation that ends.
    pub fn drop_excess(&mut self, scan: &mut Scan) -> usize {
        self.unread.truncate(self.unread_limit, scan)
    }

    pub(super) fn take_step_error(&mut self, scan: &mut Scan) -> Option<BacktestError> {
        let error = |event: &SequencedResponse| match &event.response {
            BacktestResponse::Error(BacktestError::SimulationError { .. }) => None,
            BacktestResponse::Error(error) => Some(error.clone()),
            _ => None,
        };
        let (index, error) = self.unread.find(self.step_began, scan, error)?;
        self.unread.remove(index, scan);
        Some(error)
    }

    fn take(&mut self, index: usize, scan: &mut Scan) -> BacktestResponse {
        if self.unread.get(index).is_completed() {
            return self.unread.get(index).clone();
        }
        let taken = self
            .unread
            .remove(index, scan)
            .expect("the index was found in this queue just before");
        taken.event.response
    }

    /// The newest unread event of the current step by which the session stopped.
    fn unread_stop(&self) -> Option<usize> {
        self.unread.newest(self.step_began, is_stop)
    }

    pub(super) fn take_unread_stop(&mut self, scan: &mut Scan) {
        if let Some(index) = self.unread_stop() {
            self.unread.remove(index, scan);
        }
    }
}

impl Numbering {
    fn observe(&mut self, number: Option<u64>) -> Arrival {
        match (self, number) {
            (Self::Session(cursor), Some(number)) => cursor.observe(number),
            _ => Arrival::Next,
        }
    }
}

pub(super) fn is_stop(event: &BacktestResponse) -> bool {
    matches!(event, BacktestResponse::ReadyForContinue | BacktestResponse::Paused(_))
}
