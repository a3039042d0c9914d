//! The reading side of a control connection: what its client asks for.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::ws::{Message as Frame, WebSocket};
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, Capability, ContinueParams, CreateBacktestSessionRequest,
    RequestId, SessionOpened,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tungstenite::Error as SocketError;
use tungstenite::error::{CapacityError, ProtocolError};

use super::Ending;
use super::creation::with_signs_of_life;
use super::writer::Outgoing;
use crate::convert::{continue_order, continue_to_order, session_spec};
use crate::handle::{Message, SessionHandle};
use crate::keys::Owner;
use crate::session::Order;
use crate::state::State;

/// Extensions of the protocol that this server speaks.
const CAPABILITIES: [Capability; 4] = [
    Capability::RequestId,
    Capability::StartPaused,
    Capability::Features,
    Capability::Outcomes,
];

/// One client's conversation.
pub(super) struct Connection {
    state: Arc<State>,
    owner: Owner,
    replies: mpsc::Sender<Outgoing>,
    phase: Phase,
}

/// How far a connection is.
enum Phase {
    /// It has no session.
    New,
    /// Its session is being made.
    Creating(Creation),
    /// It drives a session.
    Open(Arc<SessionHandle>),
}

/// A session in the making; dropping it ends that session.
type Creation = Pin<Box<dyn Future<Output = Result<Arc<SessionHandle>, BacktestError>> + Send>>;

/// Goes on, or says why the connection ends.
type Progress = ControlFlow<Ending>;

impl Connection {
    pub(super) fn new(state: Arc<State>, owner: Owner, replies: mpsc::Sender<Outgoing>) -> Self {
        Self {
            state,
            owner,
            replies,
            phase: Phase::New,
        }
    }

    /// Listens to the client until the connection ends.
    pub(super) async fn converse(&mut self, frames: &mut SplitStream<WebSocket>) -> Ending {
        let (shutdown, replies) = (self.state.shutdown.clone(), self.replies.clone());
        // A client's request may have to wait for the session: the end must not wait with it.
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Ending::Restart,
            () = replies.closed() => Ending::Lost,
            ending = self.listen(frames) => ending,
        }
    }

    async fn listen(&mut self, frames: &mut SplitStream<WebSocket>) -> Ending {
        let mut silent_until = self.silence();
        loop {
            let progress = tokio::select! {
                biased;
                created = created(&mut self.phase) => self.created(created).await,
                frame = timeout_at(silent_until, frames.next()) => {
                    silent_until = self.silence();
                    self.frame(frame.ok().flatten()).await
                }
            };
            if let ControlFlow::Break(ending) = progress {
                return ending;
            }
        }
    }

    /// The session that this connection leaves behind.
    pub(super) fn into_session(self) -> Option<Arc<SessionHandle>> {
        match self.phase {
            Phase::Open(session) => Some(session),
            Phase::New | Phase::Creating(_) => None,
        }
    }

    fn silence(&self) -> Instant {
        Instant::now() + self.state.times.silence_limit
    }

    async fn created(&mut self, created: Result<Arc<SessionHandle>, BacktestError>) -> Progress {
        match created {
            Err(error) => {
                self.phase = Phase::New;
                self.reply(BacktestResponse::Error(error)).await
            }
            Ok(session) => {
                self.phase = Phase::Open(Arc::clone(&session));
                self.reply(BacktestResponse::SessionCreated(opened(&session))).await?;
                self.send(Outgoing::Events(session)).await
            }
        }
    }

    /// Takes a frame; none means that the connection is lost.
    async fn frame(&mut self, frame: Option<Result<Frame, axum::Error>>) -> Progress {
        match frame {
            None => ControlFlow::Break(Ending::Lost),
            Some(Err(error)) => ControlFlow::Break(ending_of(error)),
            Some(Ok(Frame::Text(text))) => self.text(text.as_str()).await,
            Some(Ok(Frame::Binary(bytes))) => match std::str::from_utf8(&bytes) {
                Ok(text) => self.text(text).await,
                Err(_) => self.refuse("a binary message has to be JSON in UTF-8").await,
            },
            Some(Ok(Frame::Close(_))) => ControlFlow::Break(Ending::Left),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => ControlFlow::Continue(()),
        }
    }

    async fn text(&mut self, text: &str) -> Progress {
        match BacktestRequest::from_json(text) {
            Ok(request) => self.request(request).await,
            Err(error) => {
                let error = BacktestError::from(&error);
                let is_open = matches!(self.phase, Phase::Open(_));
                match request_id_of(text).filter(|_| is_open) {
                    // Whoever names a request waits for an event that names it too.
                    request @ Some(_) => self.tell(Message::Reject { request, error }).await,
                    None => self.reply(BacktestResponse::Error(error)).await,
                }
            }
        }
    }

    async fn request(&mut self, request: BacktestRequest) -> Progress {
        match request {
            BacktestRequest::CreateBacktestSession(create) => self.create(&create).await,
            BacktestRequest::Continue(params) => self.go_on(params).await,
            BacktestRequest::ContinueTo(params) => self.order(continue_to_order(params)).await,
            BacktestRequest::CloseBacktestSession => ControlFlow::Break(Ending::Closed),
            // Without reattaching, a session ends with its connection: every other one is unknown.
            BacktestRequest::AttachBacktestSession(attach) => {
                let session_id = attach.session_id.to_string();
                self.reply(BacktestResponse::Error(BacktestError::SessionNotFound { session_id }))
                    .await
            }
            BacktestRequest::ResumeAttachedSession => self.refuse("no session was attached").await,
            BacktestRequest::ContinueSessionV1(_)
            | BacktestRequest::ContinueToSessionV1(_)
            | BacktestRequest::CloseSessionV1(_)
            | BacktestRequest::AttachParallelControlSessionV2(_) => {
                self.refuse("parallel sessions are not supported by this server").await
            }
            BacktestRequest::Unknown(message) => self.refuse(&format!("unknown method {:?}", message.method())).await,
        }
    }

    async fn create(&mut self, request: &CreateBacktestSessionRequest) -> Progress {
        if !matches!(self.phase, Phase::New) {
            return self
                .refuse("this connection has a session already; open another connection")
                .await;
        }
        match session_spec(request, &self.state.times) {
            Err(error) => self.reply(BacktestResponse::Error(error)).await,
            Ok(spec) => {
                let (state, owner, replies) = (Arc::clone(&self.state), self.owner.clone(), self.replies.clone());
                let period = state.times.status_interval;
                let session = async move { state.create(spec, owner).await };
                self.phase = Phase::Creating(Box::pin(with_signs_of_life(session, period, replies)));
                ControlFlow::Continue(())
            }
        }
    }

    async fn go_on(&mut self, params: ContinueParams) -> Progress {
        let request = params.request_id.clone();
        match continue_order(params) {
            Ok(order) => self.order(order).await,
            Err(error) => self.tell(Message::Reject { request, error }).await,
        }
    }

    async fn order(&mut self, order: Order) -> Progress {
        self.tell(Message::Order(order)).await
    }

    async fn tell(&mut self, message: Message) -> Progress {
        let Phase::Open(session) = &self.phase else {
            return self
                .refuse("there is no session yet; create one and wait for sessionCreated")
                .await;
        };
        if session.events.is_flooded() {
            return ControlFlow::Break(Ending::Flood);
        }
        match session.tell(message).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(gone) => self.refuse(&gone.to_string()).await,
        }
    }

    async fn refuse(&mut self, error: &str) -> Progress {
        self.reply(BacktestResponse::Error(BacktestError::InvalidRequest {
            error: error.to_owned(),
        }))
        .await
    }

    async fn reply(&mut self, response: BacktestResponse) -> Progress {
        self.send(Outgoing::Reply(response)).await
    }

    async fn send(&mut self, outgoing: Outgoing) -> Progress {
        match self.replies.send(outgoing).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(Ending::Lost),
        }
    }
}

async fn created(phase: &mut Phase) -> Result<Arc<SessionHandle>, BacktestError> {
    match phase {
        Phase::Creating(creation) => creation.await,
        Phase::New | Phase::Open(_) => std::future::pending().await,
    }
}

/// The id of a request that could not be decoded, as far as it can be made out.
fn request_id_of(text: &str) -> Option<RequestId> {
    let message: serde_json::Value = serde_json::from_str(text).ok()?;
    RequestId::new(message.get("params")?.get("requestId")?.as_str()?).ok()
}

fn opened(session: &SessionHandle) -> SessionOpened {
    SessionOpened {
        session_id: session.id,
        rpc_endpoint: format!("/backtest/{}", session.id),
        task_id: None,
        session_name: None,
        capabilities: CAPABILITIES.to_vec(),
    }
}

fn ending_of(error: axum::Error) -> Ending {
    match error.into_inner().downcast_ref::<SocketError>() {
        Some(SocketError::Capacity(CapacityError::MessageTooLong { .. })) => Ending::TooLarge,
        Some(SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Ending::Lost,
        Some(SocketError::Protocol(_) | SocketError::Utf8(_)) => Ending::Violation,
        _ => Ending::Lost,
    }
}
