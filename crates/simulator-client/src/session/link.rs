//! The driver of a conversation: it owns the connection and moves text.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use simulator_api::{BacktestRequest, BacktestResponse};
use tokio::time::{Instant, timeout, timeout_at};

use super::liveness::{Due, Liveness};
use super::log_raw::LogRaw;
use crate::Limits;
use crate::error::{BacktestClientError, BacktestClientResult};
use crate::machine::{Conversation, Delivery, ProtocolError, Readiness, Reply, Scan, Wait};
use crate::transport::{BoxTransport, CloseReason, Frame, TransportError};

/// A conversation and the connection that carries it.
pub(super) struct Link {
    transport: BoxTransport,
    pub(super) conversation: Conversation,
    pub(super) limits: Limits,
    log_raw: LogRaw,
    liveness: Liveness,
    state: LinkState,
}

/// Whether the connection lasts.
#[derive(Clone, Debug)]
enum LinkState {
    Open,
    /// The peer sent a close frame.
    ClosedByPeer(Option<CloseReason>),
    /// The connection broke, or its stream ended.
    Ended,
    /// This side closed the connection.
    ClosedHere,
}

/// What reading a frame led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// The conversation took a message.
    Message,
    /// There is nothing more to read.
    End,
}

impl Link {
    pub(super) fn new(transport: BoxTransport, conversation: Conversation, limits: Limits, log_raw: LogRaw) -> Self {
        Self {
            transport,
            conversation,
            liveness: Liveness::new(&limits),
            limits,
            log_raw,
            state: LinkState::Open,
        }
    }

    /// The limit of a call: its own, or the client's.
    fn limit(&self, own: Option<Duration>) -> Option<Duration> {
        own.or(self.limits.request_timeout)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, LinkState::Open)
    }

    /// Sends a request. If the call is cancelled, the request is either with the connection or was never sent, and
    /// the conversation knows which.
    pub(super) async fn send(
        &mut self,
        request: &BacktestRequest,
        limit: Option<Duration>,
    ) -> BacktestClientResult<()> {
        if !self.is_open() {
            return Err(self.closed());
        }
        let text = serde_json::to_string(request).map_err(|source| BacktestClientError::SerializeRequest { source })?;
        self.log_raw.outgoing(&text);
        let limit = self.limit(limit);
        bounded("send a request", limit, self.push(text, request)).await
    }

    async fn push(&mut self, text: String, request: &BacktestRequest) -> BacktestClientResult<()> {
        let fed = self.transport.feed(Frame::Text(text.into())).await;
        if fed.is_ok() {
            self.conversation.on_sent(request);
        }
        let sent = match fed {
            Ok(()) => self.transport.flush().await,
            failed => failed,
        };
        // What the server said before it went away can still be read.
        sent.map_err(|source| BacktestClientError::WebSocket {
            action: "send a request",
            source,
        })
    }

    /// The next event for the caller, unread or new; `None` at the end of the stream.
    pub(super) async fn next(&mut self, limit: Option<Duration>) -> BacktestClientResult<Option<Delivery>> {
        loop {
            if let Some(delivery) = self.conversation.next_event() {
                return Ok(Some(delivery));
            }
            if self.receive("read an event", limit).await? == Received::End {
                return Ok(None);
            }
        }
    }

    /// Waits for the event that `wait` describes, leaving all others unread.
    pub(super) async fn wait(
        &mut self,
        wait: &Wait,
        context: &'static str,
        limit: Option<Duration>,
    ) -> BacktestClientResult<BacktestResponse> {
        let mut scan = Scan::default();
        loop {
            match self.conversation.take_reply(wait, &mut scan) {
                Some(Reply::Answer(event)) => return Ok(event),
                Some(Reply::Refusal(BacktestResponse::Error(error))) => return Err(BacktestClientError::Remote(error)),
                Some(Reply::Refusal(event)) => {
                    return Err(BacktestClientError::UnexpectedResponse {
                        context,
                        response: Box::new(event),
                    });
                }
                None => self.receive_another(context, limit).await?,
            }
        }
    }

    /// Waits until the session waits or is over, leaving all other events unread.
    pub(super) async fn wait_for_readiness(&mut self, limit: Option<Duration>) -> BacktestClientResult<Readiness> {
        let mut scan = Scan::default();
        loop {
            match self.conversation.take_readiness(&mut scan) {
                Some(readiness) => return Ok(readiness),
                None => self.receive_another("wait until the session is ready", limit).await?,
            }
        }
    }

    /// Receives a message that has to wait behind others. The end of the stream is an error.
    pub(super) async fn receive_another(
        &mut self,
        action: &'static str,
        limit: Option<Duration>,
    ) -> BacktestClientResult<()> {
        if !self.conversation.has_room() {
            return Err(BacktestClientError::UnreadEvents {
                limit: self.limits.unread_events,
            });
        }
        match self.receive(action, limit).await? {
            Received::Message => Ok(()),
            Received::End => Err(self.closed()),
        }
    }

    /// Receives a message if one is there already, and says whether.
    pub(super) fn receive_at_once(&mut self) -> BacktestClientResult<bool> {
        if !self.conversation.has_room() {
            return Ok(false);
        }
        let received = self.receive_message().now_or_never().transpose()?;
        Ok(received == Some(Received::Message))
    }

    /// Receives until the conversation has taken one message. The limit is for silence: it starts anew each time.
    pub(super) async fn receive(
        &mut self,
        action: &'static str,
        limit: Option<Duration>,
    ) -> BacktestClientResult<Received> {
        let limit = self.limit(limit);
        bounded(action, limit, self.receive_message()).await
    }

    async fn receive_message(&mut self) -> BacktestClientResult<Received> {
        match &self.state {
            LinkState::Open => {}
            LinkState::ClosedByPeer(_) => return Err(self.closed()),
            LinkState::Ended | LinkState::ClosedHere => return Ok(Received::End),
        }
        loop {
            match self.next_frame().await? {
                Some(Ok(Frame::Text(text))) => return self.take(&text),
                Some(Ok(Frame::Binary(bytes))) => return self.take(&String::from_utf8_lossy(&bytes)),
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                Some(Ok(Frame::Close(reason))) => return Err(self.closed_by_peer(reason)),
                Some(Err(source)) => {
                    self.state = LinkState::Ended;
                    return Err(BacktestClientError::WebSocket {
                        action: "read a message",
                        source,
                    });
                }
                None => {
                    self.state = LinkState::Ended;
                    return Ok(Received::End);
                }
            }
        }
    }

    /// The next frame of the connection. Asks a silent server for a sign of life, and gives up on one that has none.
    async fn next_frame(&mut self) -> BacktestClientResult<Option<Result<Frame, TransportError>>> {
        let waiting = Instant::now();
        self.liveness.on_wait(waiting);
        loop {
            let due = self.liveness.due(waiting);
            let frame = match due {
                Due::Never => Ok(self.transport.next().await),
                Due::Ping(at) | Due::Death(at) => timeout_at(at, self.transport.next()).await,
            };
            if let Ok(frame) = frame {
                self.liveness.on_frame(Instant::now());
                return Ok(frame);
            }
            if matches!(due, Due::Death(_)) {
                self.state = LinkState::Ended;
                return Err(BacktestClientError::Unresponsive {
                    silence: self.liveness.silent_for(Instant::now()),
                });
            }
            // A ping that cannot leave at once tells as much as one that is not answered.
            let _best_effort = self.transport.send(Frame::Ping(Bytes::new())).now_or_never();
            self.liveness.on_ping(Instant::now());
        }
    }

    fn take(&mut self, text: &str) -> Result<Received, BacktestClientError> {
        self.log_raw.incoming(text);
        self.conversation
            .handle_message(text)
            .map_err(|error: ProtocolError| error.into())
            .map(|()| Received::Message)
    }

    fn closed_by_peer(&mut self, reason: Option<CloseReason>) -> BacktestClientError {
        // The library has queued the answering close frame; this is the last chance to send it.
        let _best_effort = self.transport.flush().now_or_never();
        self.state = LinkState::ClosedByPeer(reason);
        self.closed()
    }

    fn closed(&self) -> BacktestClientError {
        let reason = match &self.state {
            LinkState::ClosedByPeer(reason) => reason.clone(),
            LinkState::Open | LinkState::Ended | LinkState::ClosedHere => None,
        };
        BacktestClientError::Closed { reason }
    }

    /// Asks the server to close, and closes the connection, within `limit` or the client's limit for that.
    pub(super) async fn close(
        &mut self,
        limit: Option<Duration>,
        reason: Option<CloseReason>,
    ) -> BacktestClientResult<()> {
        if self.is_closed() {
            return Ok(());
        }
        let duration = limit.unwrap_or(self.limits.close_timeout);
        let deadline = Instant::now() + duration;
        let Ok(answer) = timeout_at(deadline, self.request_close()).await else {
            self.close_at_once(reason);
            return Err(BacktestClientError::Timeout {
                action: "close the session",
                duration,
            });
        };
        // The server has answered: that it does not close its side of the connection in time is no failure.
        let _closed_in_time = timeout_at(deadline, self.close_connection(reason)).await;
        answer
    }

    /// Asks the server to close the session and waits for its answer. Whatever else arrives is left unread, as long as
    /// there is room for it; the caller bounds the time.
    async fn request_close(&mut self) -> BacktestClientResult<()> {
        self.send(&BacktestRequest::CloseBacktestSession, None).await?;
        let mut scan = Scan::default();
        let mut dropped = 0;
        let answer = loop {
            match self.conversation.take_reply(&Wait::Closed, &mut scan) {
                Some(Reply::Refusal(BacktestResponse::Error(error))) => break Err(BacktestClientError::Remote(error)),
                Some(_) => break Ok(()),
                None => {}
            }
            match self.receive_message().await {
                Ok(Received::Message) => dropped += self.conversation.drop_excess(&mut scan),
                Ok(Received::End) | Err(BacktestClientError::Closed { .. }) => break Ok(()),
                Err(error @ (BacktestClientError::WebSocket { .. } | BacktestClientError::Unresponsive { .. })) => {
                    break Err(error);
                }
                // Neither an undecodable event nor a missing one says anything about the close.
                Err(error) => tracing::debug!(%error, "skipped while closing"),
            }
        };
        if dropped > 0 {
            tracing::debug!(dropped, "events dropped while closing");
        }
        answer
    }

    /// Closes the connection and reads until the peer has closed it too. The caller bounds the time.
    async fn close_connection(&mut self, reason: Option<CloseReason>) {
        if !self.is_open() {
            return;
        }
        self.state = LinkState::ClosedHere;
        if self.transport.send(Frame::Close(reason)).await.is_ok() {
            while let Some(Ok(frame)) = self.transport.next().await {
                if matches!(frame, Frame::Close(_)) {
                    break;
                }
            }
        }
    }

    /// Tells the peer that this side is gone, as far as that is possible without waiting.
    pub(super) fn close_at_once(&mut self, reason: Option<CloseReason>) {
        if self.is_open() {
            self.state = LinkState::ClosedHere;
            let _best_effort = self.transport.send(Frame::Close(reason)).now_or_never();
        }
    }

    /// Whether the connection is closed for good by either side, as opposed to lost.
    fn is_closed(&self) -> bool {
        matches!(self.state, LinkState::ClosedByPeer(_) | LinkState::ClosedHere)
    }
}

/// Bounds a call in time. A call without a limit is not bounded.
async fn bounded<T>(
    action: &'static str,
    limit: Option<Duration>,
    call: impl Future<Output = BacktestClientResult<T>>,
) -> BacktestClientResult<T> {
    match limit {
        None => call.await,
        Some(duration) => timeout(duration, call)
            .await
            .unwrap_or(Err(BacktestClientError::Timeout { action, duration })),
    }
}
