//! Every transition of the conversation of several sessions, but for what messages lead to.

use std::mem;
use std::time::{Duration, Instant};

use simulator_api::{AttachParallelControlSessionRequestV2, BacktestRequest, SessionId};

use super::creating::Creating;
use super::messages::{ParallelOutput, ParallelRequest};
use super::part::Part;
use super::state::{Closing, Goal, IfLost, Link, Sessions, State};
use crate::machine::control::ControlConfig;
use crate::machine::control::handshake::Handshake;
use crate::machine::control::output::{Output, encode};
use crate::machine::control::state::Then;
use crate::machine::{Ending, Machine, Message, Standing};
use crate::managed::{ConnectionError, MachineCounts, ManagedFailure};
use crate::transport::SharedText;

const CREATE: &str = "create the sessions";
const ATTACH: &str = "attach to the sessions";
const CLOSE: &str = "close the sessions";

/// Requests that wait to be sent, to all sessions together.
const MOST_WAITING: usize = 256;

/// The control conversation of several sessions.
#[derive(Debug)]
pub struct ParallelMachine {
    pub(super) config: ControlConfig,
    pub(super) state: State,
    pub(super) output: Output<ParallelOutput>,
    pub(super) counts: MachineCounts,
}

impl ParallelMachine {
    /// A conversation that creates sessions on its first connection.
    pub fn new(config: ControlConfig) -> Self {
        Self {
            config,
            state: State::Start,
            output: Output::default(),
            counts: MachineCounts::default(),
        }
    }
}

impl Machine for ParallelMachine {
    type Request = ParallelRequest;
    type Event = ParallelOutput;

    fn handle_connected(&mut self, now: Instant) {
        self.handle_disconnected(now);
        self.state = match self.take_state() {
            State::Start => self.create(now),
            State::Alive(sessions, _) => self.attach(sessions, now),
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
        }
    }

    fn handle_listening(&mut self, missed: Duration) {
        self.state.excuse(missed);
    }

    fn handle_disconnected(&mut self, _now: Instant) {
        self.output.forget_transmits();
        self.state = match self.take_state() {
            State::Start | State::Uncreated(_) => State::Start,
            State::Creating(creating) => match creating.then {
                Then::Run => State::Start,
                // Their ids are not known. The server ends sessions without a connection by itself.
                Then::Close => State::Over(Ending::Finished),
            },
            State::Alive(sessions, _) => offline(sessions),
            State::Closing(closing) => match closing.if_lost {
                IfLost::End(ending) => State::Over(ending),
                IfLost::Again(sessions) => offline(sessions),
            },
            State::Over(ending) => State::Over(ending),
        };
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(error) = self.state.handshake().and_then(|handshake| handshake.expired(now)) {
            self.state = match self.take_state() {
                State::Creating(creating) if creating.then == Then::Run => State::Uncreated(error),
                State::Creating(_) => State::Over(Ending::Finished),
                State::Alive(sessions, _) => unusable(sessions, error),
                State::Closing(closing) => State::Over(closing.if_lost.ending()),
                other => other,
            };
        } else if let State::Alive(sessions, Link::Up) = &mut self.state {
            let settle_time = self.config.resend_settle_time;
            let settled = |part: &&mut Part| part.settles_at(settle_time).is_some_and(|at| at <= now);
            for part in sessions.parts.values_mut().filter(settled) {
                part.on_silence(&mut self.output);
            }
        }
    }

    fn handle_request(&mut self, request: ParallelRequest, _now: Instant) {
        let State::Alive(sessions, _) = &mut self.state else {
            return;
        };
        if !sessions.takes_requests() {
            return;
        }
        let (id, request) = match request {
            ParallelRequest::Session(id, request) => (id, Some(request)),
            ParallelRequest::Close(id) => (id, None),
        };
        if let Some(part) = sessions.parts.get_mut(&id) {
            match request {
                Some(request) => part.push(request),
                None => part.close(),
            }
        }
    }

    fn handle_close(&mut self, now: Instant) {
        self.state = match self.take_state() {
            State::Start | State::Uncreated(_) => State::Over(Ending::Finished),
            State::Creating(mut creating) => {
                creating.then = Then::Close;
                State::Creating(creating)
            }
            State::Alive(mut sessions, link) => {
                if sessions.is_watched() {
                    sessions.goal = Goal::Close;
                }
                match link {
                    Link::Up => self.close_established(sessions, now),
                    Link::Offline if sessions.id.is_none() => State::Over(Ending::Finished),
                    link => State::Alive(sessions, link),
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
            State::Alive(sessions, Link::Up) if sessions.takes_requests() => {
                sessions.next_due().map(|request| encode(&request))
            }
            _ => None,
        }
    }

    fn poll_event(&mut self) -> Option<ParallelOutput> {
        self.output.next_event()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Alive(sessions, Link::Up) if sessions.takes_requests() => {
                sessions.settle_at(self.config.resend_settle_time)
            }
            state => state.handshake().and_then(Handshake::timeout),
        }
    }

    fn takes_requests(&self) -> bool {
        match &self.state {
            State::Alive(sessions, _) => sessions.takes_requests(),
            State::Start | State::Uncreated(_) => true,
            State::Creating(creating) => creating.then == Then::Run,
            State::Closing(_) | State::Over(_) => false,
        }
    }

    fn accepts_request(&self) -> bool {
        matches!(
            &self.state,
            State::Alive(sessions, _) if sessions.takes_requests() && sessions.backlog() < MOST_WAITING
        )
    }

    /// Sessions that have ended are not attached to just to wait.
    fn wants_connection(&self) -> bool {
        !matches!(&self.state, State::Alive(sessions, Link::Offline) if matches!(sessions.goal, Goal::Rest))
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

impl Sessions {
    /// The next request to write: of the session whose turn it is, or of one after it.
    fn next_due(&mut self) -> Option<BacktestRequest> {
        let count = self.parts.len();
        let turn = self.turn % count.max(1);
        let (before, after): (Vec<_>, Vec<_>) = self
            .parts
            .values_mut()
            .enumerate()
            .partition(|(index, _)| *index < turn);
        let mut in_turn = after.into_iter().chain(before);
        let (index, request) = in_turn.find_map(|(index, part)| Some((index, part.next_due()?)))?;
        self.turn = index + 1;
        Some(request)
    }
}

/// What begins a wait.
impl ParallelMachine {
    fn create(&mut self, now: Instant) -> State {
        self.output.send(&self.config.create.clone().into());
        let capacity_wait = self.config.create.request.capacity_wait_timeout_secs.unwrap_or(0);
        let capacity_wait = Duration::from_secs(capacity_wait.into());
        let total = self.config.handshake_total_timeout.saturating_add(capacity_wait);
        let handshake = Handshake::new(CREATE, self.config.handshake_response_timeout, total, now);
        State::Creating(Box::new(Creating::new(handshake)))
    }

    fn attach(&mut self, sessions: Box<Sessions>, now: Instant) -> State {
        let Some(control_session_id) = sessions.id else {
            return State::Over(sessions.ending_without_access(not_resumable()));
        };
        let last = |(id, part): (&SessionId, &Part)| Some((*id, part.last()?));
        let attach = AttachParallelControlSessionRequestV2 {
            control_session_id,
            last_sequences: sessions.parts.iter().filter_map(last).collect(),
        };
        self.output
            .send(&BacktestRequest::AttachParallelControlSessionV2(attach));
        State::Alive(sessions, Link::Attaching(self.handshake(ATTACH, now)))
    }

    /// Closes the sessions on the current connection.
    pub(super) fn close(&mut self, sessions: Box<Sessions>, now: Instant) -> State {
        match &sessions.goal {
            Goal::Conclude(ending) => self.conclude(ending.clone(), now),
            Goal::Run | Goal::Rest | Goal::Close => self.send_close(IfLost::Again(sessions), now),
        }
    }

    /// As [`close`](Self::close), on a connection that stays established until the end.
    pub(super) fn close_established(&mut self, sessions: Box<Sessions>, now: Instant) -> State {
        match self.close(sessions, now) {
            State::Closing(closing) => State::Closing(Closing {
                was_up: true,
                ..closing
            }),
            other => other,
        }
    }

    /// Closes the sessions on the current connection, and ends so in any case.
    pub(super) fn conclude(&mut self, ending: Ending, now: Instant) -> State {
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

    /// The state, which the caller replaces.
    pub(super) fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Start)
    }
}

/// The sessions after their connection has proved to be of no use.
pub(super) fn unusable(sessions: Box<Sessions>, error: ConnectionError) -> State {
    match sessions.goal {
        Goal::Conclude(ending) => State::Over(ending),
        Goal::Run | Goal::Rest | Goal::Close => State::Alive(sessions, Link::Useless(error)),
    }
}

/// The sessions after their connection is gone.
fn offline(mut sessions: Box<Sessions>) -> State {
    match sessions.goal {
        Goal::Conclude(ending) => State::Over(ending),
        Goal::Run | Goal::Rest | Goal::Close if sessions.id.is_none() => {
            State::Over(sessions.ending_without_access(not_resumable()))
        }
        Goal::Run | Goal::Rest | Goal::Close => {
            sessions.parts.values_mut().for_each(Part::on_lost);
            State::Alive(sessions, Link::Offline)
        }
    }
}

fn not_resumable() -> Ending {
    Ending::Failed(ManagedFailure::Permanent(ConnectionError::NotResumable))
}
