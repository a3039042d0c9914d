//! Every transition of a control conversation.

use std::mem;
use std::time::{Duration, Instant};

use simulator_api::{AttachBacktestSessionRequest, BacktestRequest};

use super::handshake::Handshake;
use super::in_flight::Fate;
use super::output::{Output, encode};
use super::state::{Closing, Creating, Goal, IfLost, Link, Session, State, Then};
use super::stream::Stream;
use super::{ControlConfig, ControlOutput, ControlRequest};
use crate::machine::{Ending, Machine, Message, Standing};
use crate::managed::{ConnectionError, MachineCounts, StreamFault};
use crate::transport::SharedText;

const CREATE: &str = "create the session";
const ATTACH: &str = "attach to the session";

const CLOSE: &str = "close the session";

/// A control conversation.
#[derive(Debug)]
pub struct ControlMachine {
    pub(super) config: ControlConfig,
    pub(super) state: State,
    pub(super) output: Output<ControlOutput>,
    pub(super) counts: MachineCounts,
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

#[cfg(test)]
impl ControlMachine {
    /// The number of the session's last event.
    pub(super) fn last_sequence(&self) -> Option<u64> {
        match &self.state {
            State::Alive(session, _) => session.stream.last(),
            _ => None,
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
        if self.state.handshake().is_some() {
            self.state.heard(now);
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
                session.in_flight.next_due().map(|request| encode(&request.into()))
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

    fn takes_requests(&self) -> bool {
        match &self.state {
            State::Alive(session, _) => session.takes_requests(),
            State::Start | State::Uncreated(_) => true,
            State::Creating(creating) => creating.then == Then::Run,
            State::Closing(_) | State::Over(_) => false,
        }
    }

    fn accepts_request(&self) -> bool {
        matches!(&self.state, State::Alive(session, _) if session.takes_requests() && session.in_flight.has_room())
    }

    /// A session that has ended is not attached to just to wait.
    fn wants_connection(&self) -> bool {
        !matches!(&self.state, State::Alive(session, Link::Offline) if matches!(session.goal, Goal::Rest))
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
    pub(super) fn close(&mut self, session: Box<Session>, now: Instant) -> State {
        match &session.goal {
            Goal::Conclude(ending) => self.conclude(ending.clone(), now),
            Goal::Run | Goal::Rest | Goal::Close => self.send_close(IfLost::Again(session), now),
        }
    }

    /// As [`close`](Self::close), on a connection that stays established until the end.
    pub(super) fn close_established(&mut self, session: Box<Session>, now: Instant) -> State {
        match self.close(session, now) {
            State::Closing(closing) => State::Closing(Closing {
                was_up: true,
                ..closing
            }),
            other => other,
        }
    }

    /// Closes the session on the current connection, and ends so in any case.
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

/// The session after its connection has proved to be of no use.
pub(super) fn unusable(session: Box<Session>, error: ConnectionError) -> State {
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
