//! Every transition of a control conversation.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use simulator_api::{
    AttachBacktestSessionRequest, BacktestError, BacktestRequest, BacktestResponse, Capability, SequencedResponse,
    SessionOpened,
};

use super::handshake::Handshake;
use super::in_flight::{Fate, InFlight};
use super::output::{Output, encode, undecodable, visible};
use super::state::{Closing, Creating, Goal, IfLost, Link, Session, State, Then};
use super::stream::Stream;
use super::{AfterCompletion, ControlConfig, ControlOutput, ControlRequest};
use crate::create_session::required_capabilities;
use crate::machine::{Arrival, Ending, Machine, Message, Standing, Verdict, Wait};
use crate::managed::{ConnectionError, MachineCounts, ManagedFailure, SessionInfo, StreamFault};
use crate::transport::SharedText;
use crate::urls::resolve_rpc_endpoint;

const CREATE: &str = "create the session";
const ATTACH: &str = "attach to the session";
const RESUME: &str = "resume the session";
const CLOSE: &str = "close the session";

/// Characters of the request id prefix that count; the rest of an id is a number.
const PREFIX_CHARS: usize = 40;

/// A control conversation.
#[derive(Debug)]
pub struct ControlMachine {
    config: ControlConfig,
    state: State,
    pub(super) output: Output,
    counts: MachineCounts,
}

/// A decoded message and its text.
struct Received<'a> {
    event: SequencedResponse,
    text: &'a str,
}

impl ControlMachine {
    /// A conversation that creates a session on its first connection.
    pub fn new(config: ControlConfig) -> Self {
        Self {
            config,
            state: State::Start,
            output: Output::default(),
            counts: MachineCounts::default(),
        }
    }
}

impl Machine for ControlMachine {
    type Request = ControlRequest;
    type Event = ControlOutput;

    fn handle_connected(&mut self, now: Instant) {
        self.handle_disconnected(now);
        self.state = match self.take_state() {
            State::Start => self.create(now),
            State::Alive(session, _) => self.attach(session, now),
            other => other,
        };
    }

    fn handle_message(&mut self, message: Message, now: Instant) {
        match message {
            Message::Text(text) => self.handle_text(&text, now),
            Message::Binary(bytes) => self.handle_text(&String::from_utf8_lossy(&bytes), now),
        }
    }

    fn handle_sign_of_life(&mut self, now: Instant) {
        if let Some(handshake) = self.state.handshake_mut() {
            handshake.heard(now);
        } else if self.poll_timeout().is_some_and(|due| due < now)
            && let State::Alive(_, Link::Up { heard }) = &mut self.state
        {
            // Nobody has listened in the meantime, or the timeout would have been handled.
            *heard = now;
        }
    }

    fn handle_disconnected(&mut self, _now: Instant) {
        self.output.forget_transmits();
        self.state = match self.take_state() {
            State::Start | State::Uncreated(_) => State::Start,
            State::Creating(creating) => match creating.then {
                Then::Run => State::Start,
                // Its id is not known. The server ends a session without a connection by itself.
                Then::Close => State::Over(Ending::Finished),
            },
            State::Alive(session, _) => offline(session),
            State::Closing(closing) => match closing.if_lost {
                IfLost::End(ending) => State::Over(ending),
                IfLost::Again(session) => offline(session),
            },
            State::Over(ending) => State::Over(ending),
        };
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(error) = self.state.handshake().and_then(|handshake| handshake.expired(now)) {
            self.state = match self.take_state() {
                State::Creating(creating) if creating.then == Then::Run => State::Uncreated(error),
                State::Creating(_) => State::Over(Ending::Finished),
                State::Alive(session, _) => unusable(session, error),
                State::Closing(closing) => State::Over(closing.if_lost.ending()),
                other => other,
            };
        } else if self.poll_timeout().is_some_and(|due| due <= now)
            && let State::Alive(session, Link::Up { .. }) = &mut self.state
            && session.in_flight.on_silence() == Fate::Uncertain
        {
            self.output.report(StreamFault::Uncertain);
        }
    }

    fn handle_request(&mut self, request: ControlRequest, _now: Instant) {
        if let State::Alive(session, _) = &mut self.state
            && session.takes_requests()
        {
            session.in_flight.push(request);
        }
    }

    fn handle_close(&mut self, now: Instant) {
        self.state = match self.take_state() {
            State::Start | State::Uncreated(_) => State::Over(Ending::Finished),
            State::Creating(creating) => State::Creating(Creating {
                then: Then::Close,
                ..creating
            }),
            State::Alive(mut session, link) => {
                if session.is_watched() {
                    session.goal = Goal::Close;
                }
                match link {
                    Link::Up { .. } => self.close_established(session, now),
                    link => State::Alive(session, link),
                }
            }
            other @ (State::Closing(_) | State::Over(_)) => other,
        };
    }

    fn poll_transmit(&mut self) -> Option<SharedText> {
        if let Some(text) = self.output.next_transmit() {
            return Some(text);
        }
        match &mut self.state {
            State::Alive(session, Link::Up { .. }) if session.takes_requests() => {
                session.in_flight.next_due().map(|request| encode(&request))
            }
            _ => None,
        }
    }

    fn poll_event(&mut self) -> Option<ControlOutput> {
        self.output.next_event()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Alive(session, Link::Up { heard })
                if session.takes_requests() && session.in_flight.awaits_silence() =>
            {
                heard.checked_add(self.config.resend_settle_time)
            }
            state => state.handshake().and_then(Handshake::timeout),
        }
    }

    fn accepts_request(&self) -> bool {
        matches!(&self.state, State::Alive(session, _) if session.takes_requests() && session.in_flight.has_room())
    }

    fn needs_connection_to_close(&self) -> bool {
        self.state.is_to_be_closed()
    }

    fn standing(&self) -> Standing {
        self.state.standing()
    }

    fn counts(&self) -> MachineCounts {
        self.counts
    }
}

/// What begins a wait.
impl ControlMachine {
    fn create(&mut self, now: Instant) -> State {
        self.output.send(&self.config.create.clone().into());
        let capacity_wait = self.config.create.request.capacity_wait_timeout_secs.unwrap_or(0);
        let capacity_wait = Duration::from_secs(capacity_wait.into());
        let total = self.config.handshake_total_timeout.saturating_add(capacity_wait);
        State::Creating(Creating {
            handshake: Handshake::new(CREATE, self.config.handshake_response_timeout, total, now),
            stream: Stream::default(),
            then: Then::Run,
        })
    }

    fn attach(&mut self, session: Box<Session>, now: Instant) -> State {
        self.output
            .send(&BacktestRequest::AttachBacktestSession(AttachBacktestSessionRequest {
                session_id: session.id,
                last_sequence: session.stream.last(),
            }));
        State::Alive(session, Link::Attaching(self.handshake(ATTACH, now)))
    }

    /// Closes the session on the current connection.
    fn close(&mut self, session: Box<Session>, now: Instant) -> State {
        match &session.goal {
            Goal::Conclude(ending) => self.conclude(ending.clone(), now),
            Goal::Run | Goal::Rest | Goal::Close => self.send_close(IfLost::Again(session), now),
        }
    }

    /// As [`close`](Self::close), on a connection that stays established until the end.
    fn close_established(&mut self, session: Box<Session>, now: Instant) -> State {
        match self.close(session, now) {
            State::Closing(closing) => State::Closing(Closing {
                was_up: true,
                ..closing
            }),
            other => other,
        }
    }

    /// Closes the session on the current connection, and ends so in any case.
    fn conclude(&mut self, ending: Ending, now: Instant) -> State {
        self.send_close(IfLost::End(ending), now)
    }

    fn send_close(&mut self, if_lost: IfLost, now: Instant) -> State {
        self.output.send(&BacktestRequest::CloseBacktestSession);
        State::Closing(Closing {
            handshake: self.handshake(CLOSE, now),
            if_lost,
            was_up: false,
        })
    }

    fn handshake(&self, request: &'static str, now: Instant) -> Handshake {
        let ControlConfig {
            handshake_response_timeout,
            handshake_total_timeout,
            ..
        } = self.config;
        Handshake::new(request, handshake_response_timeout, handshake_total_timeout, now)
    }
}

/// What a message leads to.
impl ControlMachine {
    fn handle_text(&mut self, text: &str, now: Instant) {
        if let Some(handshake) = self.state.handshake_mut() {
            handshake.heard(now);
        }
        match SequencedResponse::from_json(text) {
            Ok(event) => self.handle_received(&Received { event, text }, now),
            Err(source) if self.is_watched() => self.output.report(undecodable(text, source)),
            Err(_) => {}
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
                self.created(creating, received, opened, now)
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
            self.report_gap(arrival, received);
            self.tell(received);
        }
    }

    fn created(&mut self, creating: Creating, received: &Received<'_>, opened: &SessionOpened, now: Instant) -> State {
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
        if session.takes_requests() && session.stream.is_unnumbered() {
            self.output.report(StreamFault::Unnumbered);
            if session.in_flight.on_reattached_blindly() == Fate::Uncertain {
                self.output.report(StreamFault::Uncertain);
            }
        }
        self.output.send(&BacktestRequest::ResumeAttachedSession);
        State::Alive(session, Link::Resuming(handshake.next(RESUME, now)))
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
        session.in_flight.observe(&received.event);
        let is_repeated_end = matches!(session.goal, Goal::Rest) && response.is_completed();
        if session.is_watched() && !is_repeated_end {
            self.tell(received);
        }
        if let (Goal::Run, Some(end)) = (&session.goal, self.end_of_session(response)) {
            session.goal = end;
        }
    }

    /// Takes note of the number of a session's message.
    fn note(&mut self, session: &mut Session, received: &Received<'_>) -> Arrival {
        let arrival = session.stream.admit(&received.event, &mut self.counts);
        if matches!(arrival, Arrival::Gap { .. }) {
            session.in_flight.on_gap();
        }
        if session.is_watched() {
            self.report_gap(arrival, received);
        }
        arrival
    }

    fn report_gap(&mut self, arrival: Arrival, received: &Received<'_>) {
        if let (Arrival::Gap { expected }, Some(received)) = (arrival, received.event.seq_id) {
            self.output.report(StreamFault::Gap { expected, received });
        }
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

    fn is_watched(&self) -> bool {
        match &self.state {
            State::Creating(creating) => creating.then == Then::Run,
            State::Alive(session, Link::Attaching(_) | Link::Resuming(_) | Link::Up { .. }) => session.is_watched(),
            _ => false,
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

    /// The state, which the caller replaces.
    fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Start)
    }
}

impl Goal {
    fn ending(self) -> Ending {
        match self {
            Self::Conclude(ending) => ending,
            Self::Run | Self::Rest | Self::Close => Ending::Finished,
        }
    }
}

impl IfLost {
    fn ending(self) -> Ending {
        match self {
            Self::End(ending) => ending,
            Self::Again(_) => Ending::Finished,
        }
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

fn refusal(handshake: &Handshake, error: &BacktestError) -> ConnectionError {
    ConnectionError::Refused {
        request: handshake.request(),
        error: error.clone(),
    }
}

fn permanent(error: ConnectionError) -> Ending {
    Ending::Failed(ManagedFailure::Permanent(error))
}

/// The session after its connection has proved to be of no use.
fn unusable(session: Box<Session>, error: ConnectionError) -> State {
    match session.goal {
        Goal::Conclude(ending) => State::Over(ending),
        Goal::Run | Goal::Rest | Goal::Close => State::Alive(session, Link::Useless(error)),
    }
}

/// The session after its connection is gone.
fn offline(mut session: Box<Session>) -> State {
    match session.goal {
        Goal::Conclude(ending) => State::Over(ending),
        Goal::Run | Goal::Rest | Goal::Close => {
            session.in_flight.on_lost();
            State::Alive(session, Link::Offline)
        }
    }
}
