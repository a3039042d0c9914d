//! The reading side of a control connection: what its client asks for.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use simulator_api::{BacktestError, BacktestResponse, Capability, SessionOpened, UnknownMessage};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame};

use super::Ending;
use super::backlog::Backlog;
use super::opening::Opened;
use super::phase::{Due, Phase};
use super::ping::Ping;
use super::receipts::Receipts;
use super::streams::{Form, Progress as Sent, Source};
use super::writer::{Outgoing, Shared};
use crate::event_log::Resumption;
use crate::handle::{Message, SessionGone, SessionHandle};
use crate::keys::Owner;
use crate::seat::Driver;
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
    pub(super) owner: Owner,
    pub(super) driver: Arc<Driver>,
    pub(super) receipts: Arc<Receipts>,
    pub(super) replies: mpsc::Sender<Outgoing>,
    pub(super) phase: Phase,
    backlog: Backlog,
    /// Bytes of the request at hand.
    pub(super) request_bytes: usize,
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
    pub(super) async fn resume(&mut self) -> Progress {
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
    pub(super) async fn settle(&mut self) -> Progress {
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

    pub(super) async fn tell(&mut self, message: Message) -> Progress {
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

    /// Answers a client. What is refused because the server stops is not answered: the client sends it again to the next
    /// server, which has the session.
    pub(super) async fn reply(&mut self, response: BacktestResponse) -> Progress {
        if matches!(response, BacktestResponse::Error(_)) && self.state.shutdown.is_cancelled() {
            return ControlFlow::Break(Ending::Restart);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_session_does_not_take_is_an_error_unless_the_server_stops() {
        let state = State::empty().await;
        let (replies, mut answers) = mpsc::channel(1);
        let shared = Shared {
            driver: Arc::default(),
            receipts: Arc::default(),
        };
        let mut connection = Connection::new(Arc::clone(&state), Owner::Anyone, shared, replies);
        assert_eq!(connection.delivered(Err(SessionGone)).await, ControlFlow::Continue(()));
        assert!(matches!(
            answers.try_recv(),
            Ok(Outgoing::Reply(BacktestResponse::Error(_)))
        ));
        state.shutdown.cancel();
        assert_eq!(
            connection.delivered(Err(SessionGone)).await,
            ControlFlow::Break(Ending::Restart)
        );
        assert!(
            answers.try_recv().is_err(),
            "it would be taken for the answer to the request"
        );
    }
}
