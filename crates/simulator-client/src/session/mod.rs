//! One session, driven by hand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use simulator_api::{BacktestRequest, BacktestResponse, Capability, PausedEvent, SessionId};

use crate::error::BacktestClientResult;
use crate::rpc::RpcEndpoint;
use crate::transport::Connector;

mod advance;
mod close;
mod created;
mod data;
mod discovery;
mod handshake;
mod link;
mod liveness;
mod log_raw;
#[cfg(feature = "solana-rpc-client")]
mod solana_rpc;
mod subscriptions;
mod wait;

#[cfg(test)]
mod tests;

pub use created::{CreatedSession, CreatedSessions};
pub(crate) use handshake::Opening;
use link::Link;
pub(crate) use log_raw::LogRaw;
pub use wait::ReadyOutcome;

/// One session over one WebSocket.
///
/// Nothing happens in the background: the connection is read only while a call waits for something. A call that waits
/// for one event leaves all others unread and in order, for [`next_event`](Self::next_event) to deliver.
///
/// Where a call takes a time limit, it bounds the silence, that is the time without any message; `None` stands for
/// the `request_timeout` of the client. A call that was cancelled or ran into its limit has lost nothing.
///
/// Dropping a session sends a close frame as far as that is possible without waiting. The session lives on at the
/// server for its disconnect timeout and can be attached to; [`close`](Self::close) ends it.
pub struct BacktestSession {
    link: Link,
    opened: OpenedSession,
}

/// What the server said when it opened the session.
#[derive(Clone, Debug)]
struct OpenedSession {
    session_id: SessionId,
    rpc: RpcEndpoint,
    task_id: Option<String>,
    session_name: Option<String>,
    /// Opens the connections of its subscriptions.
    connector: Arc<dyn Connector>,
    #[cfg(feature = "solana-rpc-client")]
    solana_rpc: solana_rpc::SolanaRpc,
}

impl BacktestSession {
    /// The session's id, by which it can be attached to and its data channel is addressed. It is a secret.
    pub fn session_id(&self) -> SessionId {
        self.opened.session_id
    }

    /// The absolute address of the session's JSON-RPC.
    pub fn rpc_endpoint(&self) -> &str {
        self.opened.rpc.url().as_str()
    }

    /// The session's JSON-RPC.
    pub fn json_rpc(&self) -> &RpcEndpoint {
        &self.opened.rpc
    }

    /// What the server calls the process that runs the session, for its operators.
    pub fn task_id(&self) -> Option<&str> {
        self.opened.task_id.as_deref()
    }

    /// The session's name, if it was created with one.
    pub fn session_name(&self) -> Option<&str> {
        self.opened.session_name.as_deref()
    }

    /// The extensions that the server announced.
    pub fn capabilities(&self) -> &[Capability] {
        self.link.conversation.capabilities()
    }

    /// The number of the last event up to which everything has been read, for attaching later without loss. `None`
    /// if the server does not number its events, or nothing has been read.
    pub fn last_sequence(&self) -> Option<u64> {
        self.link.conversation.last_sequence()
    }

    /// Whether the session waits for a continue, and the event that said so has been read.
    pub fn is_ready_for_continue(&self) -> bool {
        self.link.conversation.is_ready_for_continue()
    }

    /// Where the session paused last, if it ever did.
    pub fn last_pause(&self) -> Option<PausedEvent> {
        self.link.conversation.last_pause()
    }

    /// Sends any request.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::BacktestClientError::Closed), [`WebSocket`](crate::BacktestClientError::WebSocket) or
    /// [`Timeout`](crate::BacktestClientError::Timeout).
    pub async fn send(&mut self, request: &BacktestRequest, limit: Option<Duration>) -> BacktestClientResult<()> {
        self.link.send(request, limit).await
    }

    /// The next event, unread or new. `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::BacktestClientError::Closed) once the server has sent a close frame,
    /// [`WebSocket`](crate::BacktestClientError::WebSocket) if the connection breaks,
    /// [`Timeout`](crate::BacktestClientError::Timeout). Two errors do not end the session, and reading may go on:
    /// [`DeserializeResponse`](crate::BacktestClientError::DeserializeResponse) and
    /// [`SequenceGap`](crate::BacktestClientError::SequenceGap).
    pub async fn next_event(&mut self, limit: Option<Duration>) -> BacktestClientResult<Option<BacktestResponse>> {
        Ok(self.link.next(limit).await?.map(|delivery| delivery.event.response))
    }

    /// The same as [`next_event`](Self::next_event): the session follows every event, however it is read.
    ///
    /// # Errors
    ///
    /// As [`next_event`](Self::next_event).
    pub async fn next_response(&mut self, limit: Option<Duration>) -> BacktestClientResult<Option<BacktestResponse>> {
        self.next_event(limit).await
    }

    /// All events from here on. The stream ends with the connection; an error that does not end the session does not
    /// end the stream either.
    pub fn responses(self, limit: Option<Duration>) -> impl Stream<Item = BacktestClientResult<BacktestResponse>> {
        futures_util::stream::unfold(self, move |mut session| async move {
            let is_over = !session.link.is_open() && session.link.conversation.is_read();
            let event = if is_over {
                None
            } else {
                session.next_event(limit).await.transpose()
            };
            event.map(|event| (event, session))
        })
    }
}

impl Drop for BacktestSession {
    fn drop(&mut self) {
        self.link.close_at_once(None);
    }
}

impl fmt::Debug for BacktestSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BacktestSession")
            .field("opened", &self.opened)
            .field("conversation", &self.link.conversation)
            .finish_non_exhaustive()
    }
}
