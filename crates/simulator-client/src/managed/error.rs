//! Why connections and sessions end.

use std::sync::Arc;
use std::time::Duration;

use simulator_api::{BacktestError, Capability, DecodeError};
use thiserror::Error;
use tokio_tungstenite::tungstenite::http::header::InvalidHeaderValue;

use super::InvalidPolicy;
use crate::error::{BacktestClientError, InvalidParams};
use crate::machine::subscription::is_transient_refusal;
use crate::transport::{CloseReason, TransportError};
use crate::urls::UrlError;

/// Why one connection could not be made, or was lost. It can be cloned, because the status, the events and the calls
/// of a session all tell it.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// It could not be opened.
    #[error("could not connect")]
    Connect(#[source] Arc<TransportError>),
    /// It was not open in time.
    #[error("could not connect within {0:?}")]
    ConnectTimeout(Duration),
    /// It broke.
    #[error("the connection broke")]
    Broken(#[source] Arc<TransportError>),
    /// The server closed it.
    #[error("the server closed the connection{}", described(.0.as_ref()))]
    ClosedByPeer(Option<CloseReason>),
    /// It ended without a close frame.
    #[error("the connection ended without a close frame")]
    Ended,
    /// Nothing arrived for too long, not even the answer to a ping.
    #[error("nothing was received for {0:?}")]
    Silent(Duration),
    /// A handshake was not answered in time.
    #[error("no answer to {request} within {after:?}")]
    Unanswered {
        /// What was asked.
        request: &'static str,
        /// The limit that was reached.
        after: Duration,
    },
    /// The server answered a handshake with an error.
    #[error("the server refused to {request}")]
    Refused {
        /// What was asked.
        request: &'static str,
        /// The answer.
        #[source]
        error: BacktestError,
    },
    /// The server answered a handshake with something else.
    #[error("unexpected answer to {request}: {answer}")]
    UnexpectedAnswer {
        /// What was asked.
        request: &'static str,
        /// The answer, as text.
        answer: String,
    },
    /// The server refused a subscription.
    #[error("the server refused the subscription to {target}: {message} (code {code})")]
    SubscriptionRefused {
        /// What was subscribed to.
        target: String,
        /// The JSON-RPC code.
        code: i64,
        /// What the server says.
        message: String,
    },
    /// Compressed notifications can no longer be read.
    #[error("the compressed stream is damaged: {reason}")]
    Desynchronised {
        /// What is wrong with it.
        reason: String,
    },
    /// The server's address cannot be used.
    #[error("the server's address cannot be used")]
    Url(#[source] Arc<UrlError>),
    /// The API key or the user agent cannot be sent in a header.
    #[error("the API key or the user agent has characters that a header cannot carry")]
    Header(#[source] Arc<InvalidHeaderValue>),
    /// There is no address to subscribe to.
    #[error("a subscription needs at least one address")]
    NothingToSubscribe,
    /// A message exceeds the policy's limit.
    #[error("a message of more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The connection to several sessions was lost, and the server has not said how to come back to them.
    #[error("this server's parallel sessions cannot be attached to again")]
    NotResumable,
    /// The server does not speak an extension that the session needs.
    #[error("this server does not speak {0}, which the session was asked to use")]
    MissingCapability(Capability),
}

/// Why a control channel or a subscription ended for good.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ManagedFailure {
    /// What went wrong would go wrong again.
    #[error("trying again cannot help")]
    Permanent(#[source] ConnectionError),
    /// Trying again has not helped for too long.
    #[error("gave up after {attempts} attempts in {elapsed:?}")]
    BudgetSpent {
        /// Attempts since the last connection that lasted.
        attempts: u32,
        /// Time since the first failure of the series.
        elapsed: Duration,
        /// What went wrong last.
        #[source]
        last: ConnectionError,
    },
    /// The session ended with an error.
    #[error("the session ended with an error")]
    Session(#[source] BacktestError),
    /// The task that looked after the connection has died, by a defect or with its runtime.
    #[error("the task that managed the connection has died")]
    Aborted,
}

/// Something that is wrong with the stream of events, although the connection lasts. The stream goes on after it.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum StreamFault {
    /// A message cannot be decoded.
    #[error("the server sent a message that could not be decoded")]
    Undecodable {
        /// The message.
        raw: String,
        /// What is wrong with it.
        #[source]
        source: Arc<DecodeError>,
    },
    /// A notification cannot be read.
    #[error("the server sent a notification that could not be read: {reason}")]
    UnreadableNotification {
        /// The notification.
        raw: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Events are missing: the server had forgotten them when the connection came back.
    #[error("events {expected} to {} of the session are missing", received - 1)]
    Gap {
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        received: u64,
    },
    /// The connection was lost and the server does not number its events: some may be missing, some may come twice.
    #[error("the connection was lost and this server does not number its events: some may be missing or repeated")]
    Unnumbered,
    /// The connection was lost and whether the server has applied a request cannot be told.
    #[error("the connection was lost and this server does not tell whether it has applied the last request")]
    Uncertain,
}

/// Why a call to a managed session failed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ManagedSessionError {
    /// The session could not be created.
    #[error("the session could not be created")]
    Create(#[source] Box<ManagedFailure>),
    /// The parameters cannot be used; nothing was sent.
    #[error("the session could not be created")]
    Params(#[source] Arc<BacktestClientError>),
    /// The policy contradicts itself; nothing was sent.
    #[error(transparent)]
    Policy(#[from] InvalidPolicy),
    /// The session has ended and everything about it has been told.
    #[error("the session has ended")]
    ControlClosed,
    /// The control channel failed for good.
    #[error("the control channel failed")]
    ControlFailed(#[source] Box<ManagedFailure>),
    /// A subscription failed for good.
    #[error("the subscription to {target} failed")]
    SubscriptionFailed {
        /// What was subscribed to.
        target: String,
        /// Why.
        #[source]
        failure: Box<ManagedFailure>,
    },
    /// The session completed, but a subscription fell silent before it had told everything.
    #[error("the session completed, but the subscription to {target} was silent for {silence:?} before its end")]
    Incomplete {
        /// What was subscribed to.
        target: String,
        /// How long it was silent.
        silence: Duration,
    },
    /// The caller cancelled the session.
    #[error("the session was cancelled")]
    Cancelled,
    /// The request could not be handed over, because the control channel has ended.
    #[error("the request was not sent: the control channel has ended")]
    ContinueSend,
    /// Something is wrong with the stream of events; reading may go on.
    #[error(transparent)]
    Stream(#[from] StreamFault),
    /// There is no address to subscribe to.
    #[error("a subscription needs at least one address")]
    EmptySubscription,
}

impl StreamFault {
    /// Bytes that the fault holds.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Undecodable { raw, .. } | Self::UnreadableNotification { raw, .. } => raw.len(),
            _ => 0,
        }
    }
}

impl ConnectionError {
    /// Whether another connection may fare better.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect(source) | Self::Broken(source) => source.is_retryable(),
            Self::ConnectTimeout(_)
            | Self::ClosedByPeer(_)
            | Self::Ended
            | Self::Silent(_)
            | Self::Unanswered { .. }
            | Self::Desynchronised { .. } => true,
            Self::Refused { error, .. } => matches!(
                error,
                BacktestError::SessionOwnershipBusy { .. } | BacktestError::ClerkError { .. }
            ),
            Self::SubscriptionRefused { code, .. } => is_transient_refusal(*code),
            Self::UnexpectedAnswer { .. }
            | Self::Url(_)
            | Self::Header(_)
            | Self::NothingToSubscribe
            | Self::TooLarge { .. }
            | Self::NotResumable
            | Self::MissingCapability(_) => false,
        }
    }
}

impl ManagedFailure {
    /// What was wrong with the last connection; `None` if it was the session itself that ended.
    pub fn connection(&self) -> Option<&ConnectionError> {
        match self {
            Self::Permanent(error) | Self::BudgetSpent { last: error, .. } => Some(error),
            Self::Session(_) | Self::Aborted => None,
        }
    }
}

impl ManagedSessionError {
    /// Whether nothing more can come from the session.
    pub fn is_final(&self) -> bool {
        !matches!(
            self,
            Self::Stream(_) | Self::EmptySubscription | Self::SubscriptionFailed { .. }
        )
    }
}

impl From<InvalidParams> for ManagedSessionError {
    fn from(error: InvalidParams) -> Self {
        Self::Params(Arc::new(error.into()))
    }
}

impl ManagedSessionError {
    pub(crate) fn create(failure: ManagedFailure) -> Self {
        Self::Create(Box::new(failure))
    }

    pub(crate) fn control_failed(failure: ManagedFailure) -> Self {
        Self::ControlFailed(Box::new(failure))
    }
}

/// An error with all its causes, for people: `what: why: why`.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn described(reason: Option<&CloseReason>) -> String {
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}
