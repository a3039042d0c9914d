//! Scripted servers, and networks that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, pending};
use futures_util::{FutureExt, SinkExt, StreamExt};
use simulator_api::{
    AttachBacktestSessionRequest, BacktestRequest, BacktestResponse, Capability, CreateBacktestSessionRequest,
    SequencedResponse, SessionId, SessionOpened,
};
use solana_address::Address;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::CreateSession;
use crate::managed::{ConnectionPolicy, ManagedBacktestSession, ManagedSessionBuilder, ManagedSessionError};
use crate::transport::memory::{MemoryListener, MemoryTransport, network};
use crate::transport::{BoxTransport, CloseReason, ConnectRequest, Connector, Frame, TransportError};

/// What our own server announces.
pub(super) const OURS: [Capability; 2] = [Capability::RequestId, Capability::CreateToken];

/// The server's end of one connection.
pub(super) struct Peer {
    end: MemoryTransport,
}

/// A network that behaves in one way, for ever.
#[derive(Debug)]
pub(super) struct Broken {
    how: How,
    attempts: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    /// Nothing answers.
    Hangs,
    /// Connections are refused by the system.
    Fails,
    /// The server answers with an HTTP status.
    Refuses(StatusCode),
}

impl Broken {
    pub(super) fn new(how: How) -> Arc<Self> {
        Arc::new(Self {
            how,
            attempts: AtomicUsize::new(0),
        })
    }

    pub(super) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }
}

impl Connector for Broken {
    fn connect(&self, _request: ConnectRequest) -> BoxFuture<'_, Result<BoxTransport, TransportError>> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        match self.how {
            How::Hangs => pending().boxed(),
            How::Fails => async { Err(TransportError::Lost) }.boxed(),
            How::Refuses(status) => async move {
                Err(TransportError::Refused {
                    status,
                    body: "no".to_owned(),
                })
            }
            .boxed(),
        }
    }
}

impl Peer {
    pub(super) async fn accept(listener: &mut MemoryListener) -> Self {
        let accepted = listener.accept().await.expect("the client connects");
        Self {
            end: accepted.transport,
        }
    }

    /// The next frame; `None` once the client is gone.
    pub(super) async fn frame(&mut self) -> Option<Frame> {
        self.end.next().await.map(Result::unwrap)
    }

    /// The next request. Pings and pongs are passed over.
    pub(super) async fn request(&mut self) -> BacktestRequest {
        loop {
            match self.frame().await {
                Some(Frame::Text(text)) => return BacktestRequest::from_json(&text).unwrap(),
                Some(Frame::Ping(_) | Frame::Pong(_)) => {}
                other => panic!("expected a request, got {other:?}"),
            }
        }
    }

    /// Answers pings for some time, and says how many pings and pongs came.
    pub(super) async fn idle(&mut self, duration: Duration) -> (usize, usize) {
        let (mut pings, mut pongs) = (0, 0);
        let until = Instant::now() + duration;
        while let Ok(frame) = tokio::time::timeout_at(until, self.frame()).await {
            match frame {
                Some(Frame::Ping(_)) => {
                    pings += 1;
                    self.try_send(Frame::Pong(bytes::Bytes::new()));
                }
                Some(Frame::Pong(_)) => pongs += 1,
                other => panic!("expected silence, got {other:?}"),
            }
        }
        (pings, pongs)
    }

    pub(super) async fn say(&mut self, event: impl Into<BacktestResponse>) {
        self.say_sequenced(event.into().into()).await;
    }

    pub(super) async fn say_numbered(&mut self, number: u64, event: impl Into<BacktestResponse>) {
        let event = SequencedResponse {
            seq_id: Some(number),
            ..event.into().into()
        };
        self.say_sequenced(event).await;
    }

    async fn say_sequenced(&mut self, event: SequencedResponse) {
        let text = serde_json::to_string(&event).unwrap();
        self.send(Frame::Text(text.into())).await;
    }

    pub(super) async fn send(&mut self, frame: Frame) {
        self.end.send(frame).await.unwrap();
    }

    /// Whether nothing but signs of life has come.
    pub(super) fn is_silent(&mut self) -> bool {
        while let Some(frame) = self.frame().now_or_never() {
            if !matches!(frame, Some(Frame::Ping(_) | Frame::Pong(_))) {
                return false;
            }
        }
        true
    }

    /// Sends a frame if there is room for it.
    pub(super) fn try_send(&mut self, frame: Frame) -> bool {
        self.end.send(frame).now_or_never().is_some_and(|sent| sent.is_ok())
    }

    pub(super) async fn close(&mut self, reason: Option<CloseReason>) {
        self.send(Frame::Close(reason)).await;
    }

    /// Reads until the client closes the connection, which is answered, or is gone.
    pub(super) async fn gone(&mut self) {
        while let Some(frame) = self.frame().await {
            if let Frame::Close(reason) = frame {
                self.try_send(Frame::Close(reason));
                break;
            }
        }
    }

    /// Takes a create.
    pub(super) async fn create(&mut self) -> CreateBacktestSessionRequest {
        match self.request().await {
            BacktestRequest::CreateBacktestSession(create) => *create,
            other => panic!("expected a create, got {other:?}"),
        }
    }

    /// Takes an attach and answers it up to `success`.
    pub(super) async fn attach(&mut self) -> AttachBacktestSessionRequest {
        let BacktestRequest::AttachBacktestSession(attach) = self.request().await else {
            panic!("expected an attach");
        };
        self.say(BacktestResponse::SessionAttached(opened())).await;
        assert_eq!(self.request().await, BacktestRequest::ResumeAttachedSession);
        self.say(BacktestResponse::Success).await;
        attach
    }

    /// Takes one subscribe request and grants it under a number.
    pub(super) async fn grant(&mut self, number: u64) {
        let request = self.json().await;
        let answer = serde_json::json!({"jsonrpc": "2.0", "id": request["id"], "result": number});
        self.send(Frame::Text(answer.to_string().into())).await;
    }

    /// Takes one subscribe request and refuses it.
    pub(super) async fn refuse(&mut self, code: i64) {
        let request = self.json().await;
        let error = serde_json::json!({"code": code, "message": "no"});
        let answer = serde_json::json!({"jsonrpc": "2.0", "id": request["id"], "error": error});
        self.send(Frame::Text(answer.to_string().into())).await;
    }

    /// The next request of a data channel.
    pub(super) async fn json(&mut self) -> serde_json::Value {
        loop {
            match self.frame().await {
                Some(Frame::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Some(Frame::Ping(_) | Frame::Pong(_)) => {}
                other => panic!("expected a request, got {other:?}"),
            }
        }
    }

    pub(super) async fn notify(&mut self, number: u64, slot: u64, index: u64) {
        self.send(Frame::Text(diff(number, slot, index).into())).await;
    }

    /// Says that a subscription has told everything.
    pub(super) async fn complete(&mut self, number: u64) {
        let params = serde_json::json!({"subscription": number});
        let marker = serde_json::json!({"jsonrpc": "2.0", "method": "subscriptionComplete", "params": params});
        self.send(Frame::Text(marker.to_string().into())).await;
    }

    /// Takes a close and confirms it, then takes the close frame.
    pub(super) async fn be_closed(&mut self) {
        assert_eq!(self.request().await, BacktestRequest::CloseBacktestSession);
        self.say(BacktestResponse::Success).await;
        self.gone().await;
    }
}

/// A notification of an account diff.
pub(super) fn diff(number: u64, slot: u64, index: u64) -> String {
    let result = serde_json::json!({"context": {"slot": slot}, "account": "a", "signature": "s", "tx_index": index});
    let cursor = serde_json::json!({"slot": slot, "index": index});
    let params = serde_json::json!({"subscription": number, "result": result, "cursor": cursor});
    serde_json::json!({"jsonrpc": "2.0", "method": "accountDiffNotification", "params": params}).to_string()
}

/// The end of a range.
pub(super) const COMPLETED: BacktestResponse = BacktestResponse::Completed {
    summary: None,
    agent_stats: None,
};

/// A program to subscribe to.
pub(super) fn program() -> Address {
    Address::from([3; 32])
}

/// A session with one subscription that is established: its control channel's end and its data channel's.
pub(super) async fn subscribed() -> (ManagedBacktestSession, Peer, Peer, MemoryListener) {
    let (mut session, control, mut listener) = started().await;
    session.subscribe_account_diffs(vec![program()]).unwrap();
    let mut data = Peer::accept(&mut listener).await;
    data.grant(1).await;
    (session, control, data, listener)
}

pub(super) fn session_id() -> SessionId {
    SessionId::from_random_bytes([9; 16])
}

pub(super) fn opened() -> SessionOpened {
    SessionOpened {
        session_id: session_id(),
        rpc_endpoint: format!("/backtest/{}", session_id()),
        task_id: Some("worker-1".into()),
        session_name: None,
        capabilities: OURS.to_vec(),
    }
}

pub(super) fn create_request() -> CreateBacktestSessionRequest {
    CreateSession::builder()
        .start_slot(100)
        .end_slot(200)
        .build()
        .into_request()
        .unwrap()
}

/// A session to be started over a network.
pub(super) fn builder(connector: Arc<dyn Connector>) -> ManagedSessionBuilder {
    ManagedBacktestSession::builder("ws://sim.test", create_request()).connector(connector)
}

/// A session that was just created, its server's end, and the network.
pub(super) async fn started_with(policy: ConnectionPolicy) -> (ManagedBacktestSession, Peer, MemoryListener) {
    let (connector, mut listener) = network();
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        peer.create().await;
        peer.say(BacktestResponse::SessionCreated(opened())).await;
        peer
    };
    let (session, peer) = tokio::join!(builder(Arc::new(connector)).policy(policy).start(), serve);
    (session.unwrap(), peer, listener)
}

pub(super) async fn started() -> (ManagedBacktestSession, Peer, MemoryListener) {
    started_with(ConnectionPolicy::default()).await
}

/// How long something takes, by the paused clock.
pub(super) async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let start = Instant::now();
    let result = timeout(Duration::from_secs(86_400), work).await.expect("it ends");
    (start.elapsed(), result)
}

/// The next thing that the session says, if it says anything at once.
pub(super) async fn said(session: &mut ManagedBacktestSession) -> Option<Result<String, ManagedSessionError>> {
    let event = timeout(Duration::from_millis(1), session.next_event()).await.ok()?;
    Some(event.map(|event| format!("{event:?}")))
}

/// Tasks of the runtime that have not ended.
pub(super) fn living_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
