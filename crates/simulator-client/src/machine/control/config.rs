//! What a control conversation is made with, what it is asked and what it tells.

use std::time::Duration;

use simulator_api::{BacktestRequest, ContinueParams, ContinueToParams, CreateBacktestSessionRequest, RequestId};
use url::Url;

use crate::managed::{ControlEvent, SessionInfo};

/// What a control conversation is made with.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// The address of the control channel, against which the session's own address is resolved.
    pub control_url: Url,
    /// The session to create. It is kept until the session exists, and carries a create token.
    pub create: CreateBacktestSessionRequest,
    /// Begins the ids of the session's requests; unique among its clients. Only the first 40 characters count.
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

impl ControlRequest {
    pub(super) fn id(&self) -> Option<&RequestId> {
        match self {
            Self::Continue(params) => params.request_id.as_ref(),
            Self::ContinueTo(params) => params.request_id.as_ref(),
        }
    }

    pub(super) fn id_mut(&mut self) -> &mut Option<RequestId> {
        match self {
            Self::Continue(params) => &mut params.request_id,
            Self::ContinueTo(params) => &mut params.request_id,
        }
    }
}

impl From<ControlRequest> for BacktestRequest {
    fn from(request: ControlRequest) -> Self {
        match request {
            ControlRequest::Continue(params) => Self::Continue(params),
            ControlRequest::ContinueTo(params) => Self::ContinueTo(params),
        }
    }
}
