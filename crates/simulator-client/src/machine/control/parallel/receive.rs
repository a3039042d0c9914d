//! What a message leads to.

use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use simulator_api::{
    BacktestError, BacktestResponse, Capability, DecodeError, ParallelSessionAttachedV2, SequencedResponse, SessionId,
};

use super::creating::{Creating, Listed};
use super::machine::{ParallelMachine, unusable};
use super::messages::{ParallelInfo, ParallelOutput};
use super::part::Part;
use super::state::{Closing, Goal, Link, Sessions, State};
use crate::create_session::required_capabilities;
use crate::machine::control::AfterCompletion;
use crate::machine::control::handshake::Handshake;
use crate::machine::control::in_flight::InFlight;
use crate::machine::control::output::{undecodable, visible};
use crate::machine::control::receive::{PREFIX_CHARS, permanent, refusal};
use crate::machine::control::state::Then;
use crate::machine::{Ending, Verdict, Wait};
use crate::managed::{ConnectionError, ControlEvent, ManagedFailure, StreamFault};

/// A message, sorted.
enum Received<'a> {
    /// An event of one session, as it would be without its envelope.
    Part(SessionId, SequencedResponse),
    /// Anything else, and its text.
    Whole(BacktestResponse, &'a str),
}

impl ParallelMachine {
    /// Takes a message.
    pub(super) fn handle_text(&mut self, text: &str, now: Instant) {
        if let Some(handshake) = self.state.handshake_mut() {
            handshake.heard(now);
        }
        match SequencedResponse::from_json(text) {
            Ok(message) => self.handle_received(sorted(message, text), now),
            Err(source) => self.handle_undecodable(text, source),
        }
    }

    /// A message that cannot be decoded is told, and the conversation goes on.
    fn handle_undecodable(&mut self, text: &str, source: DecodeError) {
        let fault = undecodable(text, source);
        let envelope = envelope_of(text);
        match &mut self.state {
            State::Alive(sessions, Link::Attaching(_) | Link::Up) => {
                let is_watched = sessions.is_watched();
                let part = envelope.and_then(|(id, number)| Some((sessions.parts.get_mut(&id)?, number)));
                match part {
                    Some((part, number)) => part.take_undecodable(fault, number, &mut self.counts, &mut self.output),
                    None if is_watched => self.report(fault),
                    None => {}
                }
            }
            State::Creating(creating) if creating.then == Then::Run => self.report(fault),
            _ => {}
        }
    }

    fn report(&mut self, fault: StreamFault) {
        self.output.push(ParallelOutput::Event(ControlEvent::Fault(fault)));
    }

    fn handle_received(&mut self, received: Received<'_>, now: Instant) {
        self.state = match self.take_state() {
            State::Creating(creating) => self.while_creating(creating, received, now),
            State::Alive(sessions, Link::Attaching(handshake)) => {
                self.while_attaching(sessions, handshake, received, now)
            }
            State::Alive(sessions, Link::Up) => self.while_up(sessions, received, now),
            State::Closing(closing) => while_closing(closing, &received),
            other => other,
        };
    }

    fn while_creating(&mut self, mut creating: Box<Creating>, received: Received<'_>, now: Instant) -> State {
        let (message, text) = match received {
            Received::Part(id, event) => {
                if creating.keep(id, event) {
                    return State::Creating(creating);
                }
                let answer = "too many events of sessions that are not listed yet";
                return self.unexpected(&creating.handshake, answer, now);
            }
            Received::Whole(message, text) => (message, text),
        };
        match message {
            BacktestResponse::SessionCreated(opened) => creating.announce(opened),
            BacktestResponse::SessionsCreatedV2(listed) => {
                return self.created(creating, &Listed::V2(&listed), now);
            }
            BacktestResponse::SessionsCreated(listed) => return self.created(creating, &Listed::V1(&listed), now),
            BacktestResponse::Error(error)
                if Wait::SessionsCreated.judge(&error.clone().into()) == Verdict::Refusal =>
            {
                return refused_create(&creating, &error);
            }
            other if creating.then == Then::Run => self.tell_whole(&other, text),
            _ => {}
        }
        State::Creating(creating)
    }

    fn created(&mut self, mut creating: Box<Creating>, listed: &Listed<'_>, now: Instant) -> State {
        let info = match self.checked_info(&creating, listed) {
            Ok(info) => info,
            Err(error) => return self.conclude(permanent(error), now),
        };
        let with_ids = info.capabilities.contains(&Capability::RequestId);
        let part = |id| (id, Part::new(id, self.in_flight(with_ids), now));
        let mut sessions = Box::new(Sessions {
            id: info.control_session_id,
            parts: info.sessions.iter().map(|session| part(session.id)).collect(),
            turn: 0,
            goal: match creating.then {
                Then::Run => Goal::Run,
                Then::Close => Goal::Close,
            },
        });
        if !sessions.is_watched() {
            return self.close(sessions, now);
        }
        self.output.push(ParallelOutput::Opened(info));
        for (id, event) in creating.take_early() {
            self.take_event(&mut sessions, id, &event, now);
        }
        self.go_on(sessions, now)
    }

    fn checked_info(&self, creating: &Creating, listed: &Listed<'_>) -> Result<ParallelInfo, ConnectionError> {
        let info = creating
            .info(listed, &self.config.control_url)
            .map_err(|source| ConnectionError::Url(Arc::new(source)))?;
        let mut required = required_capabilities(&self.config.create.request).into_iter();
        match required.find(|capability| !info.capabilities.contains(capability)) {
            Some(capability) => Err(ConnectionError::MissingCapability(capability)),
            None => Ok(info),
        }
    }

    /// Each session has ids of its own, but may share their prefix with the others.
    fn in_flight(&self, with_ids: bool) -> InFlight {
        if with_ids {
            InFlight::with_ids(self.config.request_id_prefix.chars().take(PREFIX_CHARS).collect())
        } else {
            InFlight::without_ids()
        }
    }

    fn while_attaching(
        &mut self,
        mut sessions: Box<Sessions>,
        handshake: Handshake,
        received: Received<'_>,
        now: Instant,
    ) -> State {
        match received {
            Received::Part(id, event) => {
                self.take_event(&mut sessions, id, &event, now);
                State::Alive(sessions, Link::Attaching(handshake))
            }
            Received::Whole(BacktestResponse::ParallelSessionAttachedV2(attached), _) => {
                self.attached(sessions, &attached, now)
            }
            Received::Whole(BacktestResponse::Error(error), _)
                if Wait::SessionAttached.judge(&error.clone().into()) == Verdict::Refusal =>
            {
                refused(sessions, &handshake, &error)
            }
            Received::Whole(other, text) => {
                self.take_whole(&mut sessions, &other, text);
                State::Alive(sessions, Link::Attaching(handshake))
            }
        }
    }

    fn attached(&mut self, mut sessions: Box<Sessions>, attached: &ParallelSessionAttachedV2, now: Instant) -> State {
        if !sessions.is_watched() {
            return self.close(sessions, now);
        }
        for (id, part) in &mut sessions.parts {
            if attached.session_ids.contains(id) {
                part.on_reattached(now);
            } else {
                part.on_unlisted(&mut self.output);
            }
        }
        self.go_on(sessions, now)
    }

    fn while_up(&mut self, mut sessions: Box<Sessions>, received: Received<'_>, now: Instant) -> State {
        match received {
            Received::Part(id, event) => self.take_event(&mut sessions, id, &event, now),
            Received::Whole(message, text) => self.take_whole(&mut sessions, &message, text),
        }
        self.go_on(sessions, now)
    }

    /// The sessions on an established connection: they go on, unless there is nothing left to go on with.
    fn go_on(&mut self, mut sessions: Box<Sessions>, now: Instant) -> State {
        if matches!(sessions.goal, Goal::Run) && sessions.have_ended() {
            sessions.goal = match self.config.after_completion {
                AfterCompletion::Close => Goal::Conclude(Ending::Finished),
                AfterCompletion::Wait => Goal::Rest,
            };
        }
        if sessions.is_watched() {
            State::Alive(sessions, Link::Up)
        } else {
            self.close_established(sessions, now)
        }
    }

    /// Takes an event of one session. One that was never listed cannot be told from a mistake.
    fn take_event(&mut self, sessions: &mut Sessions, id: SessionId, event: &SequencedResponse, now: Instant) {
        if !sessions.is_watched() {
            return;
        }
        if let Some(part) = sessions.parts.get_mut(&id) {
            part.take(event, &mut self.counts, &mut self.output, now);
        }
    }

    /// Takes a message that is about no session. An error that would end a session ends them all.
    fn take_whole(&mut self, sessions: &mut Sessions, message: &BacktestResponse, text: &str) {
        if !sessions.is_watched() {
            return;
        }
        self.tell_whole(message, text);
        if let BacktestResponse::Error(error) = message
            && error.is_terminal()
            && matches!(sessions.goal, Goal::Run)
        {
            let failure = ManagedFailure::Session(error.clone());
            sessions.goal = Goal::Conclude(Ending::Failed(failure));
        }
    }

    fn tell_whole(&mut self, message: &BacktestResponse, text: &str) {
        if let Some(event) = visible(message, text) {
            self.output.push(ParallelOutput::Event(event));
        }
    }

    fn unexpected(&mut self, handshake: &Handshake, answer: &str, now: Instant) -> State {
        let error = ConnectionError::UnexpectedAnswer {
            request: handshake.request(),
            answer: answer.to_owned(),
        };
        self.conclude(permanent(error), now)
    }
}

/// Takes an event out of its envelope. Only the number in the envelope counts: one beside it counts something else.
fn sorted(message: SequencedResponse, text: &str) -> Received<'_> {
    let SequencedResponse {
        request_id,
        replayed,
        response,
        ..
    } = message;
    let (session, seq_id, event) = match response {
        BacktestResponse::SessionEventV2(envelope) => (envelope.session_id, Some(envelope.seq_id), envelope.event),
        BacktestResponse::SessionEventV1(envelope) => (envelope.session_id, None, envelope.event),
        other => return Received::Whole(other, text),
    };
    let event = SequencedResponse {
        seq_id,
        request_id,
        replayed,
        response: event.into(),
    };
    Received::Part(session, event)
}

/// The session and the number of a message that cannot be decoded otherwise.
fn envelope_of(text: &str) -> Option<(SessionId, Option<u64>)> {
    #[derive(Deserialize)]
    struct Message {
        params: Envelope,
    }
    #[derive(Deserialize)]
    struct Envelope {
        session_id: SessionId,
        seq_id: Option<u64>,
    }
    let Message { params } = serde_json::from_str(text).ok()?;
    Some((params.session_id, params.seq_id))
}

fn while_closing(closing: Closing, received: &Received<'_>) -> State {
    let verdict = match received {
        Received::Part(..) => Verdict::Unrelated,
        Received::Whole(message, _) => Wait::Closed.judge(message),
    };
    match verdict {
        // A refusal says that the sessions are not there any more.
        Verdict::Answer | Verdict::Refusal => State::Over(closing.if_lost.ending()),
        Verdict::Unrelated => State::Closing(closing),
    }
}

fn refused_create(creating: &Creating, error: &BacktestError) -> State {
    let error = refusal(&creating.handshake, error);
    match creating.then {
        Then::Close => State::Over(Ending::Finished),
        Then::Run if error.is_retryable() => State::Uncreated(error),
        Then::Run => State::Over(permanent(error)),
    }
}

fn refused(sessions: Box<Sessions>, handshake: &Handshake, error: &BacktestError) -> State {
    let error = refusal(handshake, error);
    if error.is_retryable() {
        unusable(sessions, error)
    } else {
        State::Over(sessions.ending_without_access(permanent(error)))
    }
}
