//! The state of a control conversation and every transition of it.

use std::time::{Duration, Instant};

use simulator_api::{ContinueParams, ContinueToParams, CreateBacktestSessionRequest};
use url::Url;

use crate::machine::{Machine, Message, Standing};
use crate::managed::{ControlEvent, MachineCounts, SessionInfo};
use crate::transport::SharedText;

/// What a control conversation is made with.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// The address of the control channel, against which the session's own address is resolved.
    pub control_url: Url,
    /// The session to create. It is kept until the session exists, and carries a create token.
    pub create: CreateBacktestSessionRequest,
    /// Begins the ids of the session's requests; unique among its clients.
    pub request_id_prefix: String,
    /// What follows the end of the range.
    pub after_completion: AfterCompletion,
    /// Longest silence in a handshake.
    pub handshake_response_timeout: Duration,
    /// Longest handshake altogether.
    pub handshake_total_timeout: Duration,
    /// Silence after a reattach that shows that a server without request ids has not taken a request.
    pub resend_settle_time: Duration,
}

/// What follows the end of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterCompletion {
    /// The session is closed at once.
    Close,
    /// The conversation waits for its caller to close it, who may still have subscriptions to read.
    Wait,
}

/// What a caller asks of a session.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlRequest {
    /// To go on by a number of blocks.
    Continue(ContinueParams),
    /// To go on to a position.
    ContinueTo(ContinueToParams),
}

/// What a control conversation tells.
#[derive(Clone, Debug)]
pub enum ControlOutput {
    /// The session exists. Told once.
    Opened(SessionInfo),
    /// An event.
    Event(ControlEvent),
}

/// A control conversation.
#[derive(Debug)]
pub struct ControlMachine {}

impl ControlMachine {
    /// A conversation that creates a session on its first connection.
    pub fn new(_config: ControlConfig) -> Self {
        Self {}
    }
}

impl Machine for ControlMachine {
    type Request = ControlRequest;
    type Event = ControlOutput;

    fn handle_connected(&mut self, _now: Instant) {}
    fn handle_message(&mut self, _message: Message, _now: Instant) {}
    fn handle_sign_of_life(&mut self, _now: Instant) {}
    fn handle_disconnected(&mut self, _now: Instant) {}
    fn handle_timeout(&mut self, _now: Instant) {}
    fn handle_request(&mut self, _request: ControlRequest, _now: Instant) {}
    fn handle_close(&mut self, _now: Instant) {}
    fn poll_transmit(&mut self) -> Option<SharedText> {
        None
    }
    fn poll_event(&mut self) -> Option<ControlOutput> {
        None
    }
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn accepts_request(&self) -> bool {
        false
    }
    fn needs_connection_to_close(&self) -> bool {
        false
    }
    fn standing(&self) -> Standing {
        Standing::Opening
    }
    fn counts(&self) -> MachineCounts {
        MachineCounts::default()
    }
}
