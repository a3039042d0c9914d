//! The scripted server.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use simulator_api::{BacktestRequest, BacktestResponse, Capability, SequencedResponse, SessionId, SessionOpened};

use crate::transport::memory::{MemoryListener, MemoryTransport, network};
use crate::transport::{CloseReason, ConnectRequest, Frame};
use crate::{BacktestClient, BacktestSession, CreateSession, Limits};

/// The server's end of one connection.
pub(super) struct Server {
    end: MemoryTransport,
    pub(super) connect: ConnectRequest,
}

impl Server {
    pub(super) async fn accept(listener: &mut MemoryListener) -> Self {
        let accepted = listener.accept().await.expect("the client connects");
        Self {
            end: accepted.transport,
            connect: accepted.request,
        }
    }

    /// The next frame of the client; `None` once it is gone.
    pub(super) async fn frame(&mut self) -> Option<Frame> {
        self.end.next().await.map(Result::unwrap)
    }

    /// The next request of the client.
    pub(super) async fn request(&mut self) -> BacktestRequest {
        match self.frame().await {
            Some(Frame::Text(text)) => BacktestRequest::from_json(&text).unwrap(),
            other => panic!("expected a request, got {other:?}"),
        }
    }

    pub(super) async fn say(&mut self, events: impl IntoIterator<Item = BacktestResponse>) {
        for event in events {
            self.say_text(serde_json::to_string(&event).unwrap()).await;
        }
    }

    pub(super) async fn say_numbered(&mut self, number: u64, event: BacktestResponse) {
        let event = SequencedResponse {
            seq_id: Some(number),
            ..event.into()
        };
        self.say_text(serde_json::to_string(&event).unwrap()).await;
    }

    pub(super) async fn say_text(&mut self, text: impl Into<String>) {
        self.send(Frame::Text(text.into().into())).await;
    }

    pub(super) async fn send(&mut self, frame: Frame) {
        self.end.send(frame).await.unwrap();
    }

    pub(super) async fn close(&mut self, reason: Option<CloseReason>) {
        self.send(Frame::Close(reason)).await;
    }
}

/// A client on a network of its own.
pub(super) fn client() -> (BacktestClient, MemoryListener) {
    client_with(Limits::default())
}

pub(super) fn client_with(limits: Limits) -> (BacktestClient, MemoryListener) {
    let (connector, listener) = network();
    let client = BacktestClient::builder()
        .url("ws://sim.test")
        .connector(Arc::new(connector))
        .limits(limits)
        .build();
    (client, listener)
}

pub(super) fn create() -> CreateSession {
    CreateSession::builder().start_slot(100).end_slot(200).build()
}

pub(super) fn session_id() -> SessionId {
    SessionId::from_random_bytes([7; 16])
}

pub(super) fn opened(capabilities: &[Capability]) -> SessionOpened {
    SessionOpened {
        session_id: session_id(),
        rpc_endpoint: format!("/backtest/{}", session_id()),
        task_id: Some("worker-1".into()),
        session_name: None,
        capabilities: capabilities.to_vec(),
    }
}

/// A session that was just created, and its server.
pub(super) async fn session() -> (BacktestSession, Server) {
    session_with(&[], Limits::default()).await
}

pub(super) async fn session_with(capabilities: &[Capability], limits: Limits) -> (BacktestSession, Server) {
    let (client, mut listener) = client_with(limits);
    let serve = async {
        let mut server = Server::accept(&mut listener).await;
        assert!(matches!(
            server.request().await,
            BacktestRequest::CreateBacktestSession(_)
        ));
        server
            .say([BacktestResponse::SessionCreated(opened(capabilities))])
            .await;
        server
    };
    let (session, server) = tokio::join!(client.create_session(create()), serve);
    (session.unwrap(), server)
}

/// A session that was just attached to, and its server.
pub(super) async fn attached(last_sequence: Option<u64>) -> (BacktestSession, Server) {
    let (client, mut listener) = client();
    let serve = async {
        let mut server = Server::accept(&mut listener).await;
        assert!(matches!(
            server.request().await,
            BacktestRequest::AttachBacktestSession(_)
        ));
        server.say([BacktestResponse::SessionAttached(opened(&[]))]).await;
        server
    };
    let (session, server) = tokio::join!(client.attach_session(session_id(), last_sequence), serve);
    (session.unwrap(), server)
}

/// Everything that is still to be read, up to the end of the connection or silence.
pub(super) async fn rest(session: &mut BacktestSession) -> Vec<BacktestResponse> {
    let mut events = Vec::new();
    while let Ok(Some(event)) = session.next_event(super::LIMIT).await {
        events.push(event);
    }
    events
}
