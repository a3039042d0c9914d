//! What a message leads to.

use std::sync::Arc;
use std::time::Instant;

use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, Capability, DecodeError, SequencedResponse, SessionOpened,
};

use super::AfterCompletion;
use super::handshake::Handshake;
use super::in_flight::{Fate, InFlight};
use super::machine::{ControlMachine, unusable};
use super::output::{number_of, undecodable, visible};
use super::state::{Closing, Creating, Goal, Link, Session, State, Then};
use crate::create_session::required_capabilities;
use crate::machine::{Arrival, Ending, Verdict, Wait};
use crate::managed::{ConnectionError, ManagedFailure, SessionInfo, StreamFault};
use crate::urls::resolve_rpc_endpoint;

const RESUME: &str = "resume the session";

/// Characters of the request id prefix that count; the rest of an id is a number.
pub(super) const PREFIX_CHARS: usize = 40;

/// A decoded message and its text.
struct Received<'a> {
    event: SequencedResponse,
    text: &'a str,
}

impl ControlMachine {
    /// Takes a message.
    pub(super) fn handle_text(&mut self, text: &str, now: Instant) {
        self.state.heard(now);
        match SequencedResponse::from_json(text) {
            Ok(event) => self.handle_received(&Received { event, text }, now),
            Err(source) => self.handle_undecodable(text, source),
        }
    }

    /// A message that cannot be decoded is told, and the conversation goes on. It may have been anything, so that it
    /// is a gap to what depends on seeing every event.
    fn handle_undecodable(&mut self, text: &str, source: DecodeError) {
        let number = number_of(text);
        let (arrival, is_watched) = match &mut self.state {
            State::Creating(creating) => {
                let arrival = creating.stream.admit_number(number, &mut self.counts);
                (arrival, creating.then == Then::Run)
            }
            State::Alive(session, Link::Attaching(_) | Link::Resuming(_) | Link::Up { .. }) => {
                let arrival = session.stream.admit_number(number, &mut self.counts);
                if arrival != Arrival::Duplicate {
                    session.in_flight.on_gap();
                }
                (arrival, session.is_watched())
            }
            _ => return,
        };
        if is_watched && arrival != Arrival::Duplicate {
            self.output.report_gap(arrival, number);
            self.output.report(undecodable(text, source));
        }
    }

    fn handle_received(&mut self, received: &Received<'_>, now: Instant) {
        self.state = match self.take_state() {
            State::Creating(creating) => self.while_creating(creating, received, now),
            State::Alive(session, Link::Attaching(handshake)) => {
                self.while_attaching(session, handshake, received, now)
            }
            State::Alive(session, Link::Resuming(handshake)) => self.while_resuming(session, handshake, received, now),
            State::Alive(session, Link::Up { .. }) => self.while_up(session, received, now),
            State::Closing(closing) => while_closing(closing, received),
            other => other,
        };
    }

    fn while_creating(&mut self, mut creating: Creating, received: &Received<'_>, now: Instant) -> State {
        match (judge(&Wait::SessionCreated, &received.event), &received.event.response) {
            (Verdict::Answer, BacktestResponse::SessionCreated(opened)) => {
                self.created(&creating, received, opened, now)
            }
            (Verdict::Refusal, BacktestResponse::Error(error)) => refused_create(&creating, error),
            (Verdict::Refusal, _) => {
                let answer = received.text.to_owned();
                let request = creating.handshake.request();
                self.conclude(permanent(ConnectionError::UnexpectedAnswer { request, answer }), now)
            }
            _ => {
                self.take_early_event(&mut creating, received);
                match self.end_of_session(&received.event.response) {
                    Some(end) => State::Over(end.ending()),
                    None => State::Creating(creating),
                }
            }
        }
    }

    /// Takes an event of a session that the server has not named yet.
    fn take_early_event(&mut self, creating: &mut Creating, received: &Received<'_>) {
        let arrival = creating.stream.admit(&received.event, &mut self.counts);
        if creating.then == Then::Run && arrival != Arrival::Duplicate {
            self.output.report_gap(arrival, received.event.seq_id);
            self.tell(received);
        }
    }

    fn created(&mut self, creating: &Creating, received: &Received<'_>, opened: &SessionOpened, now: Instant) -> State {
        let mut session = Box::new(Session {
            id: opened.session_id,
            stream: creating.stream,
            in_flight: self.in_flight(opened),
            goal: match creating.then {
                Then::Run => Goal::Run,
                Then::Close => Goal::Close,
            },
        });
        self.note(&mut session, received);
        if !session.is_watched() {
            return self.close(session, now);
        }
        match self.session_info(opened) {
            Ok(info) => {
                self.output.open(info);
                State::Alive(session, Link::Up { heard: now })
            }
            Err(error) => self.conclude(permanent(error), now),
        }
    }

    fn while_attaching(
        &mut self,
        mut session: Box<Session>,
        handshake: Handshake,
        received: &Received<'_>,
        now: Instant,
    ) -> State {
        match (judge(&Wait::SessionAttached, &received.event), &received.event.response) {
            (Verdict::Answer, _) => {
                self.note(&mut session, received);
                self.attached(session, handshake, now)
            }
            (Verdict::Refusal, BacktestResponse::Error(error)) => refused(session, &handshake, error),
            _ => {
                self.take_event(&mut session, received);
                State::Alive(session, Link::Attaching(handshake))
            }
        }
    }

    fn attached(&mut self, mut session: Box<Session>, handshake: Handshake, now: Instant) -> State {
        if !session.is_watched() {
            return self.close(session, now);
        }
        session.stream.interrupt();
        if session.stream.is_unnumbered() {
            self.report_unnumbered(&mut session);
        }
        self.output.send(&BacktestRequest::ResumeAttachedSession);
        State::Alive(session, Link::Resuming(handshake.next(RESUME, now)))
    }

    /// What was missed cannot be told from what was not.
    fn report_unnumbered(&mut self, session: &mut Session) {
        if !session.takes_requests() {
            return;
        }
        self.output.report(StreamFault::Unnumbered);
        if session.in_flight.on_reattached_blindly() == Fate::Uncertain {
            self.output.report(StreamFault::Uncertain);
        }
    }

    fn while_resuming(
        &mut self,
        mut session: Box<Session>,
        handshake: Handshake,
        received: &Received<'_>,
        now: Instant,
    ) -> State {
        match (judge(&Wait::Resumed, &received.event), &received.event.response) {
            (Verdict::Answer, _) => {
                self.note(&mut session, received);
                if !session.is_watched() {
                    return self.close(session, now);
                }
                session.in_flight.on_reattached();
                State::Alive(session, Link::Up { heard: now })
            }
            (Verdict::Refusal, BacktestResponse::Error(error)) => refused(session, &handshake, error),
            _ => {
                self.take_event(&mut session, received);
                State::Alive(session, Link::Resuming(handshake))
            }
        }
    }

    fn while_up(&mut self, mut session: Box<Session>, received: &Received<'_>, now: Instant) -> State {
        self.take_event(&mut session, received);
        if session.is_watched() {
            State::Alive(session, Link::Up { heard: now })
        } else {
            self.close_established(session, now)
        }
    }

    /// Takes an event of a session that exists.
    fn take_event(&mut self, session: &mut Session, received: &Received<'_>) {
        if self.note(session, received) == Arrival::Duplicate {
            return;
        }
        let response = &received.event.response;
        let is_reminder = session.in_flight.is_reminder(&received.event);
        self.counts.duplicates += u64::from(is_reminder);
        session.in_flight.observe(&received.event);
        let is_repeated_end = matches!(session.goal, Goal::Rest) && response.is_completed();
        if session.is_watched() && !is_repeated_end && !is_reminder {
            self.tell(received);
        }
        if let (Goal::Run, Some(end)) = (&session.goal, self.end_of_session(response)) {
            session.goal = end;
        }
    }

    /// Takes note of the number of a session's message.
    fn note(&mut self, session: &mut Session, received: &Received<'_>) -> Arrival {
        let before = session.stream;
        let arrival = session.stream.admit(&received.event, &mut self.counts);
        if session.stream.turns_out_unnumbered_after(&before) {
            self.report_unnumbered(session);
        }
        if matches!(arrival, Arrival::Gap { .. }) {
            session.in_flight.on_gap();
        }
        if session.is_watched() {
            self.output.report_gap(arrival, received.event.seq_id);
        }
        arrival
    }

    fn tell(&mut self, received: &Received<'_>) {
        if let Some(event) = visible(&received.event.response, received.text) {
            self.output.tell(event);
        }
    }

    /// What a session that runs is kept for after an event that ends it.
    fn end_of_session(&self, event: &BacktestResponse) -> Option<Goal> {
        match (event, self.config.after_completion) {
            (BacktestResponse::Completed { .. }, AfterCompletion::Close) => Some(Goal::Conclude(Ending::Finished)),
            (BacktestResponse::Completed { .. }, AfterCompletion::Wait) => Some(Goal::Rest),
            (BacktestResponse::Error(error), _) if error.is_terminal() => {
                Some(Goal::Conclude(Ending::Failed(ManagedFailure::Session(error.clone()))))
            }
            _ => None,
        }
    }

    fn in_flight(&self, opened: &SessionOpened) -> InFlight {
        if opened.capabilities.contains(&Capability::RequestId) {
            InFlight::with_ids(self.config.request_id_prefix.chars().take(PREFIX_CHARS).collect())
        } else {
            InFlight::without_ids()
        }
    }

    fn session_info(&self, opened: &SessionOpened) -> Result<SessionInfo, ConnectionError> {
        let missing = required_capabilities(&self.config.create.request)
            .into_iter()
            .find(|capability| !opened.capabilities.contains(capability));
        if let Some(capability) = missing {
            return Err(ConnectionError::MissingCapability(capability));
        }
        let rpc_endpoint = resolve_rpc_endpoint(&self.config.control_url, &opened.rpc_endpoint)
            .map_err(|source| ConnectionError::Url(Arc::new(source)))?;
        Ok(SessionInfo {
            session_id: opened.session_id.to_string(),
            rpc_endpoint: rpc_endpoint.into(),
            task_id: opened.task_id.clone(),
            capabilities: opened.capabilities.clone(),
        })
    }
}

/// Whether a message answers a handshake. An error with a number is an event of the session, whatever it says.
fn judge(wait: &Wait, event: &SequencedResponse) -> Verdict {
    if event.seq_id.is_some() && matches!(event.response, BacktestResponse::Error(_)) {
        return Verdict::Unrelated;
    }
    wait.judge(&event.response)
}

fn while_closing(closing: Closing, received: &Received<'_>) -> State {
    match judge(&Wait::Closed, &received.event) {
        // A refusal says that the session is not there any more.
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

fn refused(session: Box<Session>, handshake: &Handshake, error: &BacktestError) -> State {
    let error = refusal(handshake, error);
    if error.is_retryable() {
        unusable(session, error)
    } else {
        State::Over(session.ending_without_access(permanent(error)))
    }
}

pub(super) fn refusal(handshake: &Handshake, error: &BacktestError) -> ConnectionError {
    ConnectionError::Refused {
        request: handshake.request(),
        error: error.clone(),
    }
}

pub(super) fn permanent(error: ConnectionError) -> Ending {
    Ending::Failed(ManagedFailure::Permanent(error))
}
