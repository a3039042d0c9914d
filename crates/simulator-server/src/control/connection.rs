//! The reading side of a control connection: what its client asks for.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use serde::Deserialize;
use simulator_api::{
    AttachBacktestSessionRequest, AttachParallelControlSessionRequestV2, BacktestError, BacktestRequest,
    BacktestResponse, Capability, ContinueParams, CreateBacktestSessionRequest, RequestId, SessionOpened,
    UnknownMessage,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame};

use super::Ending;
use super::backlog::Backlog;
use super::creation::with_signs_of_life;
use super::opening::{Opened, Opener};
use super::phase::{Due, Phase};
use super::ping::Ping;
use super::receipts::Receipts;
use super::streams::{Form, Progress as Sent, Source};
use super::writer::{Outgoing, Shared};
use crate::convert::{continue_order, continue_to_order, session_spec};
use crate::event_log::Resumption;
use crate::handle::{Message, SessionGone, SessionHandle};
use crate::keys::Owner;
use crate::lifetime::Wanted;
use crate::seat::Driver;
use crate::session::Order;
use crate::state::State;
use crate::websocket::WebSocket;

/// Extensions of the protocol that this server speaks.
pub(super) const CAPABILITIES: [Capability; 6] = [
    Capability::RequestId,
    Capability::CreateToken,
    Capability::Cursor,
    Capability::StartPaused,
    Capability::Features,
    Capability::Outcomes,
];

/// One client's conversation.
pub(super) struct Connection {
    pub(super) state: Arc<State>,
    owner: Owner,
    driver: Arc<Driver>,
    pub(super) receipts: Arc<Receipts>,
    replies: mpsc::Sender<Outgoing>,
    pub(super) phase: Phase,
    backlog: Backlog,
    /// Bytes of the request at hand.
    request_bytes: usize,
}

/// Goes on, or says why the connection ends.
pub(super) type Progress = ControlFlow<Ending>;

impl Connection {
    pub(super) fn new(state: Arc<State>, owner: Owner, shared: Shared, replies: mpsc::Sender<Outgoing>) -> Self {
        Self {
            state,
            owner,
            driver: shared.driver,
            receipts: shared.receipts,
            replies,
            phase: Phase::New,
            backlog: Backlog::default(),
            request_bytes: 0,
        }
    }

    /// Listens to the client until the connection ends, and gives its session back.
    pub(super) async fn converse(mut self, frames: &mut SplitStream<WebSocket>) -> Ending {
        let (shutdown, replies) = (self.state.shutdown.clone(), self.replies.clone());
        let driver = Arc::clone(&self.driver);
        // A client's request may have to wait for the session: the end must not wait with it.
        let ending = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ending::Restart,
            () = driver.evicted() => Ending::Evicted,
            () = replies.closed() => Ending::Lost,
            ending = self.listen(frames) => ending,
        };
        if ending == Ending::Closed {
            driver.close();
            if let Phase::Several(several) = &self.phase {
                several.close_all();
            }
        }
        ending
    }

    async fn listen(&mut self, frames: &mut SplitStream<WebSocket>) -> Ending {
        let mut silent_until = self.silence();
        loop {
            let progress = tokio::select! {
                biased;
                due = self.phase.due() => self.due(due).await,
                delivered = self.backlog.deliver(), if !self.backlog.is_empty() => self.delivered(delivered).await,
                frame = timeout_at(silent_until, frames.next()), if self.backlog.has_room() => {
                    silent_until = self.silence();
                    self.frame(frame.ok().flatten()).await
                }
            };
            if let ControlFlow::Break(ending) = progress {
                return ending;
            }
        }
    }

    fn silence(&self) -> Instant {
        Instant::now() + self.state.times.silence_limit
    }

    async fn due(&mut self, due: Due) -> Progress {
        match (due, std::mem::replace(&mut self.phase, Phase::New)) {
            (Due::Opened(Ok(opened)), _) => self.opened(opened).await,
            (Due::Opened(Err(error)), _) => self.reply(BacktestResponse::Error(error)).await,
            (Due::Several(happened), phase) => {
                self.phase = phase;
                self.happened(happened).await
            }
            (Due::Deadline, Phase::Settling { drive, seen, .. }) => {
                let session = Arc::clone(&drive.session);
                self.phase = Phase::Open(drive);
                // What the session did last is known to its client: it has nothing else to go by.
                if session.events.last_stop() <= seen {
                    return self.tell(Message::Remind).await;
                }
                ControlFlow::Continue(())
            }
            (Due::Deadline, phase) => {
                self.phase = phase;
                self.resume().await
            }
        }
    }

    async fn opened(&mut self, opened: Opened) -> Progress {
        match opened {
            Opened::Created(drive, resumption) => {
                let session = Arc::clone(&drive.session);
                self.phase = Phase::Open(drive);
                self.reply(BacktestResponse::SessionCreated(describe(&session))).await?;
                self.send(events_of(session, resumption)).await
            }
            Opened::Attached(drive, resumption) => {
                let attached = BacktestResponse::SessionAttached(describe(&drive.session));
                let until = Instant::now() + self.state.times.resume_grace;
                self.phase = Phase::Silent {
                    drive,
                    resumption,
                    until,
                };
                self.reply(attached).await
            }
            Opened::Several(several) => self.making(several).await,
            Opened::SeveralAttached(several, cursors) => self.several_attached(several, &cursors).await,
        }
    }

    /// Lets events flow, if they do not yet.
    async fn resume(&mut self) -> Progress {
        match std::mem::replace(&mut self.phase, Phase::New) {
            Phase::Silent { drive, resumption, .. } => {
                let session = Arc::clone(&drive.session);
                self.phase = Phase::Settling {
                    drive,
                    seen: resumption.after,
                    until: Instant::now() + self.state.times.reminder_delay,
                };
                self.send(events_of(session, resumption)).await
            }
            phase => {
                self.phase = phase;
                ControlFlow::Continue(())
            }
        }
    }

    /// The client asks for something: it has no need to be waited for, or to be reminded.
    async fn settle(&mut self) -> Progress {
        self.resume().await?;
        self.phase = match std::mem::replace(&mut self.phase, Phase::New) {
            Phase::Settling { drive, .. } => Phase::Open(drive),
            phase => phase,
        };
        ControlFlow::Continue(())
    }

    /// Takes a frame; none means that the connection is lost.
    async fn frame(&mut self, frame: Option<Result<Frame, SocketError>>) -> Progress {
        match frame {
            None => ControlFlow::Break(Ending::Lost),
            Some(Err(error)) => ControlFlow::Break(ending_of(&error)),
            Some(Ok(Frame::Text(text))) => self.text(text.as_str()).await,
            Some(Ok(Frame::Binary(bytes))) => match std::str::from_utf8(&bytes) {
                Ok(text) => self.text(text).await,
                Err(_) => self.refuse("a binary message has to be JSON in UTF-8").await,
            },
            Some(Ok(Frame::Close(_))) => self.left().await,
            Some(Ok(Frame::Pong(payload))) => {
                self.answered(&payload);
                ControlFlow::Continue(())
            }
            // Whoever reads messages is never given a raw frame.
            Some(Ok(Frame::Ping(_) | Frame::Frame(_))) => ControlFlow::Continue(()),
        }
    }

    /// A pong says what the client has, and that it lives.
    fn answered(&self, payload: &[u8]) {
        let Some(answered) = Ping::from_bytes(payload) else {
            return;
        };
        self.driver.answered(answered.probe);
        self.receipts.answered(&self.driver, answered.number);
    }

    /// What the client asked for before it left still counts.
    async fn left(&mut self) -> Progress {
        if let Err(gone) = self.backlog.deliver().await {
            tracing::debug!(%gone, "what a client asked for last was not done");
        }
        ControlFlow::Break(Ending::Left)
    }

    async fn text(&mut self, text: &str) -> Progress {
        self.request_bytes = text.len();
        match BacktestRequest::from_json(text) {
            Ok(request) => self.request(request).await,
            Err(error) if matches!(self.phase, Phase::Several(_)) => self.undecodable_part(text, (&error).into()).await,
            Err(error) => {
                self.settle().await?;
                let error = BacktestError::from(&error);
                let request = match self.phase {
                    Phase::Open(_) => request_id_of(text),
                    _ => None,
                };
                match request {
                    // Whoever names a request waits for an event that names it too.
                    request @ Some(_) => self.tell(Message::Reject { request, error }).await,
                    None => self.reply(BacktestResponse::Error(error)).await,
                }
            }
        }
    }

    async fn request(&mut self, request: BacktestRequest) -> Progress {
        match request {
            BacktestRequest::CloseBacktestSession => return self.close().await,
            BacktestRequest::ResumeAttachedSession => return self.resumed().await,
            request if matches!(self.phase, Phase::Several(_)) => return self.request_of_several(request).await,
            _ => self.settle().await?,
        }
        match request {
            BacktestRequest::CreateBacktestSession(create) => self.create(create).await,
            BacktestRequest::AttachBacktestSession(attach) => self.attach(attach).await,
            BacktestRequest::Continue(params) => self.go_on(params).await,
            BacktestRequest::ContinueTo(params) => self.order(continue_to_order(params)).await,
            BacktestRequest::AttachParallelControlSessionV2(attach) => self.attach_several(attach).await,
            BacktestRequest::Unknown(message) => self.refuse_unknown(&message).await,
            _ => self.refuse("this connection has no parallel session").await,
        }
    }

    /// Ends the session; one that is on its way to this connection as well. While it is another's, that one is being
    /// asked for it: the answer to the close has to wait for what comes of that.
    async fn close(&mut self) -> Progress {
        if let Phase::Opening(opening) = &mut self.phase {
            // Whatever seat this connection gets from now on is over when it leaves it.
            self.driver.close();
            match timeout(self.state.times.probe_limit * 2, opening).await {
                Ok(Err(error)) => {
                    self.phase = Phase::New;
                    self.reply(BacktestResponse::Error(error)).await?;
                }
                Ok(Ok(Opened::Several(several) | Opened::SeveralAttached(several, _))) => several.close_all(),
                Ok(Ok(Opened::Created(..) | Opened::Attached(..))) | Err(_) => {}
            }
        }
        ControlFlow::Break(Ending::Closed)
    }

    async fn create(&mut self, request: Box<CreateBacktestSessionRequest>) -> Progress {
        if !matches!(self.phase, Phase::New) {
            return self.refuse(ONE_SESSION).await;
        }
        match session_spec(&request, &self.state.times) {
            Err(error) => self.reply(BacktestResponse::Error(error)).await,
            Ok(spec) => {
                let owner = self.owner.clone();
                let (opener, parallel) = (self.opener(), request.parallel);
                let wanted = Wanted { request, spec, owner };
                let created = async move {
                    if parallel {
                        opener.create_several(wanted).await
                    } else {
                        opener.create(wanted).await
                    }
                };
                let (period, replies) = (self.state.times.status_interval, self.replies.clone());
                self.phase = Phase::Opening(Box::pin(with_signs_of_life(created, period, replies)));
                ControlFlow::Continue(())
            }
        }
    }

    async fn attach(&mut self, attach: AttachBacktestSessionRequest) -> Progress {
        if !matches!(self.phase, Phase::New) {
            return self.refuse(ONE_SESSION).await;
        }
        let attached = self.opener().attach(attach, self.owner.clone());
        self.phase = Phase::Opening(Box::pin(attached));
        ControlFlow::Continue(())
    }

    async fn attach_several(&mut self, attach: AttachParallelControlSessionRequestV2) -> Progress {
        if !matches!(self.phase, Phase::New) {
            return self.refuse(ONE_SESSION).await;
        }
        let attached = self.opener().attach_several(attach, self.owner.clone());
        self.phase = Phase::Opening(Box::pin(attached));
        ControlFlow::Continue(())
    }

    fn opener(&self) -> Opener {
        Opener {
            state: Arc::clone(&self.state),
            driver: Arc::clone(&self.driver),
        }
    }

    /// The answer comes before the first event.
    async fn resumed(&mut self) -> Progress {
        if matches!(self.phase, Phase::Several(_)) {
            // Those go on without it.
            return self.reply(BacktestResponse::Success).await;
        }
        if self.phase.session().is_none() {
            return self.refuse("no session was attached").await;
        }
        self.reply(BacktestResponse::Success).await?;
        self.resume().await
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
        match self.phase.session().cloned() {
            Some(session) => self.tell_to(&session, message).await,
            None => {
                self.refuse("there is no session yet; create one and wait for sessionCreated")
                    .await
            }
        }
    }

    /// Hands a message to a session, unless its client asks and does not read.
    pub(super) async fn tell_to(&mut self, session: &SessionHandle, message: Message) -> Progress {
        if session.events.is_flooded() {
            return ControlFlow::Break(Ending::Flood);
        }
        let handed = self.backlog.hand(&session.inbox, message, self.request_bytes);
        self.delivered(handed).await
    }

    async fn delivered(&mut self, delivered: Result<(), SessionGone>) -> Progress {
        match delivered {
            Ok(()) => ControlFlow::Continue(()),
            Err(gone) => self.refuse(&gone.to_string()).await,
        }
    }

    pub(super) async fn refuse_unknown(&mut self, message: &UnknownMessage) -> Progress {
        self.refuse(&format!("unknown method {:?}", message.method())).await
    }

    pub(super) async fn refuse(&mut self, error: &str) -> Progress {
        self.reply(BacktestResponse::Error(BacktestError::InvalidRequest {
            error: error.to_owned(),
        }))
        .await
    }

    pub(super) async fn reply(&mut self, response: BacktestResponse) -> Progress {
        self.send(Outgoing::Reply(response)).await
    }

    pub(super) async fn send(&mut self, outgoing: Outgoing) -> Progress {
        match self.replies.send(outgoing).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(Ending::Lost),
        }
    }
}

pub(super) const ONE_SESSION: &str = "this connection has a session already; open another connection";

/// The id of a request that could not be decoded, as far as it can be made out. Nothing else of it is kept: it may be
/// large, and of many parts.
fn request_id_of(text: &str) -> Option<RequestId> {
    let message: Named = serde_json::from_str(text).ok()?;
    RequestId::new(message.params.request_id).ok()
}

/// A request of which nothing but the name is read.
#[derive(Deserialize)]
struct Named {
    params: Name,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    request_id: String,
}

/// The events of a single session from there on.
fn events_of(session: Arc<SessionHandle>, from: Resumption) -> Outgoing {
    Outgoing::Events(Source {
        session,
        form: Form::Plain,
        from,
        progress: Sent::default(),
    })
}

pub(super) fn describe(session: &SessionHandle) -> SessionOpened {
    SessionOpened {
        session_id: session.id,
        rpc_endpoint: format!("/backtest/{}", session.id),
        task_id: None,
        session_name: session.name.as_ref().map(ToString::to_string),
        capabilities: CAPABILITIES.to_vec(),
    }
}

fn ending_of(error: &SocketError) -> Ending {
    match error {
        SocketError::Capacity(CapacityError::MessageTooLong { .. }) => Ending::TooLarge,
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ending::Lost,
        SocketError::Protocol(_) | SocketError::Utf8(_) => Ending::Violation,
        _ => Ending::Lost,
    }
}
