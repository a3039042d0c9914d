//! Errors of the hand-driven client.

use std::time::Duration;

use simulator_api::{BacktestError, BacktestResponse, Capability, DecodeError};
use thiserror::Error;
use tokio_tungstenite::tungstenite::http::header::InvalidHeaderValue;

use crate::http::HttpError;
use crate::machine::ProtocolError;
use crate::rpc::RpcCallError;
use crate::transport::{CloseReason, TransportError};
use crate::urls::UrlError;

/// The result of a call to the server.
pub type BacktestClientResult<T> = Result<T, BacktestClientError>;

/// Why a call to the server failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BacktestClientError {
    /// The parameters contradict each other; nothing was sent.
    #[error(transparent)]
    InvalidParams(#[from] InvalidParams),
    /// The API key cannot be sent in a header.
    #[error("the API key has characters that a header cannot carry")]
    InvalidApiKeyHeader(#[source] InvalidHeaderValue),
    /// The user agent cannot be sent in a header.
    #[error("the user agent has characters that a header cannot carry")]
    InvalidUserAgentHeader(#[source] InvalidHeaderValue),
    /// The server's address cannot be used.
    #[error(transparent)]
    InvalidUrl(#[from] UrlError),
    /// The connection could not be opened.
    #[error("could not connect to {url}")]
    Connect {
        /// The address.
        url: String,
        /// What went wrong.
        #[source]
        source: TransportError,
    },
    /// Nothing happened for too long.
    #[error("no progress for {duration:?} while trying to {action}")]
    Timeout {
        /// What was being done.
        action: &'static str,
        /// The limit that was reached.
        duration: Duration,
    },
    /// The server has gone silent: not even a ping was answered. The connection counts as dead.
    #[error("the server has been silent for {silence:?}: the connection counts as dead")]
    Unresponsive {
        /// How long nothing arrived.
        silence: Duration,
    },
    /// A request has no JSON form.
    #[error("the request could not be encoded")]
    SerializeRequest {
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A message of the server could not be decoded. The session goes on.
    #[error("the server sent a message that could not be decoded: {}", excerpt(raw))]
    DeserializeResponse {
        /// The message.
        raw: String,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// Events are missing from the session's stream. The session goes on with the event after the gap.
    #[error("events {expected} to {} of the session are missing", received - 1)]
    SequenceGap {
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        received: u64,
    },
    /// The server answered with an error.
    #[error("the server reported an error")]
    Remote(#[source] BacktestError),
    /// The connection is closed.
    #[error("the connection is closed{}", described(reason.as_ref()))]
    Closed {
        /// What the server said when it closed; `None` if it said nothing, or if this side closed.
        reason: Option<CloseReason>,
    },
    /// The session has already reached the end of its range; nothing was sent.
    #[error("the session has completed: there is nothing left to continue")]
    AlreadyCompleted,
    /// The server answered with something else than the call expects.
    #[error("unexpected response while {context}: {response:?}")]
    UnexpectedResponse {
        /// What was being done.
        context: &'static str,
        /// The response.
        response: Box<BacktestResponse>,
    },
    /// The server does not speak an extension that the request needs. The session was closed again.
    #[error("this server does not speak {capability}, which the session was asked to use")]
    MissingCapability {
        /// The extension.
        capability: Capability,
    },
    /// Too many events wait unread for a call to look further. Nothing is lost: read them, then wait again.
    #[error("{limit} events wait unread: read them with next_event before waiting for another one")]
    UnreadEvents {
        /// The limit.
        limit: usize,
    },
    /// The connection broke.
    #[error("the connection broke while trying to {action}")]
    WebSocket {
        /// What was being done.
        action: &'static str,
        /// What went wrong.
        #[source]
        source: TransportError,
    },
    /// An HTTP call failed.
    #[error("the request to {url} failed")]
    Http {
        /// The address.
        url: String,
        /// How it failed.
        #[source]
        source: HttpError,
    },
    /// A JSON-RPC call failed.
    #[error(transparent)]
    Rpc(#[from] RpcCallError),
}

/// Parameters that contradict each other.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidParams {
    /// Neither `end_slot` nor `slot_count` is given.
    #[error("give one of end_slot and slot_count")]
    NoEnd,
    /// Both `end_slot` and `slot_count` are given.
    #[error("give either end_slot or slot_count, not both")]
    TwoEnds,
    /// The range ends beyond the largest slot number.
    #[error("{slot_count} slots from slot {start_slot} end beyond the largest slot number")]
    EndOverflow {
        /// First slot.
        start_slot: u64,
        /// Slots after it.
        slot_count: u64,
    },
    /// The range ends before it starts.
    #[error("the end slot {end_slot} lies before the start slot {start_slot}")]
    EndBeforeStart {
        /// First slot.
        start_slot: u64,
        /// Last slot.
        end_slot: u64,
    },
    /// One session was asked for with parameters for several.
    #[error("a parallel request makes several sessions: ask for one without `parallel`")]
    Parallel,
}

impl BacktestClientError {
    /// Whether the same call may succeed later on a new connection.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { source, .. } | Self::WebSocket { source, .. } => source.is_retryable(),
            Self::Timeout { .. } | Self::Closed { .. } | Self::Unresponsive { .. } => true,
            Self::Remote(error) => matches!(error, BacktestError::SessionOwnershipBusy { .. }),
            Self::Http { source, .. } => source.is_retryable(),
            Self::Rpc(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<ProtocolError> for BacktestClientError {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::Decode { raw, source } => Self::DeserializeResponse { raw, source },
            ProtocolError::Gap { expected, received } => Self::SequenceGap { expected, received },
        }
    }
}

/// Longest part of an undecodable message that an error's text repeats. The error itself keeps all of it.
const EXCERPT_CHARS: usize = 200;

fn excerpt(raw: &str) -> String {
    raw.chars().take(EXCERPT_CHARS).collect()
}

fn described(reason: Option<&CloseReason>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}
