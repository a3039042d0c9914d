//! A short conversation over a real WebSocket on the loopback interface.

#![expect(clippy::unwrap_used, reason = "a test that fails should panic")]

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use simulator_api::{BacktestRequest, BacktestResponse, SessionId, SessionOpened};
use simulator_client::transport::TransportError;
use simulator_client::{BacktestClient, BacktestClientError, Continue, CreateSession, ReadyOutcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

type Socket = WebSocketStream<TcpStream>;

const ID: &str = "backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011";

/// What the client sent with its upgrade.
#[derive(Clone, Default)]
struct Upgrade {
    seen: Arc<Mutex<(String, HeaderMap)>>,
}

impl Upgrade {
    fn path(&self) -> String {
        self.seen.lock().unwrap().0.clone()
    }

    fn header(&self, name: &str) -> Option<String> {
        let seen = self.seen.lock().unwrap();
        seen.1.get(name).map(|value| value.to_str().unwrap().to_owned())
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn accept(listener: &TcpListener, upgrade: &Upgrade) -> Socket {
    let (stream, _) = listener.accept().await.unwrap();
    let seen = Arc::clone(&upgrade.seen);
    #[expect(clippy::result_large_err, reason = "the library fixes the type of the callback")]
    let callback = move |request: &Request, response: Response| {
        *seen.lock().unwrap() = (request.uri().to_string(), request.headers().clone());
        Ok(response)
    };
    accept_hdr_async(stream, callback).await.unwrap()
}

async fn request(socket: &mut Socket) -> BacktestRequest {
    let message = socket.next().await.expect("the client is there").unwrap();
    BacktestRequest::from_json(message.to_text().unwrap()).unwrap()
}

async fn say(socket: &mut Socket, event: BacktestResponse) {
    socket
        .send(Message::text(serde_json::to_string(&event).unwrap()))
        .await
        .unwrap();
}

/// Creates a session, runs one step, and closes.
async fn serve(listener: TcpListener, upgrade: Upgrade) {
    let mut socket = accept(&listener, &upgrade).await;
    let BacktestRequest::CreateBacktestSession(create) = request(&mut socket).await else {
        panic!("no create")
    };
    assert_eq!((create.request.start_slot, create.request.end_slot), (100, 110));
    let session_id: SessionId = ID.parse().unwrap();
    say(
        &mut socket,
        BacktestResponse::SessionCreated(SessionOpened {
            session_id,
            rpc_endpoint: format!("/backtest/{ID}"),
            task_id: None,
            session_name: None,
            capabilities: vec![],
        }),
    )
    .await;
    say(&mut socket, BacktestResponse::SlotNotification(100)).await;
    socket.send(Message::Ping(vec![1, 2, 3].into())).await.unwrap();
    say(&mut socket, BacktestResponse::ReadyForContinue).await;
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::Pong(vec![1, 2, 3].into())
    );

    assert!(matches!(request(&mut socket).await, BacktestRequest::Continue(next) if next.advance_count == 1));
    say(&mut socket, BacktestResponse::SlotNotification(101)).await;
    say(&mut socket, BacktestResponse::ReadyForContinue).await;

    assert_eq!(request(&mut socket).await, BacktestRequest::CloseBacktestSession);
    say(&mut socket, BacktestResponse::Success).await;
    // The library answers the close frame while the end of the stream is read.
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(None)))));
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn a_short_conversation_over_loopback() {
    let (listener, url) = listen().await;
    let upgrade = Upgrade::default();
    let server = tokio::spawn(serve(listener, upgrade.clone()));
    let headers = HeaderMap::from_iter([
        ("x-desk".parse().unwrap(), HeaderValue::from_static("7")),
        ("x-api-key".parse().unwrap(), HeaderValue::from_static("not this one")),
    ]);
    let client = BacktestClient::builder()
        .url(&url)
        .api_key("s3cret")
        .headers(headers)
        .log_raw(true)
        .build();

    let create = CreateSession::builder().start_slot(100).slot_count(10).build();
    let mut session = client.create_session(create).await.unwrap();
    assert_eq!(
        session.rpc_endpoint(),
        format!("{}/backtest/{ID}", url.replace("ws://", "http://"))
    );
    assert_eq!(session.ensure_ready(None).await.unwrap(), ReadyOutcome::Ready);
    assert_eq!(
        session.next_event(None).await.unwrap(),
        Some(BacktestResponse::SlotNotification(100))
    );
    let result = session
        .advance(Continue::builder().build(), None, |_| {})
        .await
        .unwrap();
    assert_eq!(result.last_slot, Some(101));
    session.close(None).await.unwrap();
    server.await.unwrap();

    assert_eq!(upgrade.path(), "/backtest");
    assert_eq!(upgrade.header("x-api-key").as_deref(), Some("s3cret"));
    assert_eq!(
        upgrade.header("user-agent").unwrap(),
        format!("simulator-client/{}", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(upgrade.header("x-desk").as_deref(), Some("7"));
    assert_eq!(upgrade.header("sec-websocket-protocol"), None);
    assert_eq!(upgrade.header("sec-websocket-extensions"), None);
}

#[tokio::test]
async fn a_refused_upgrade_is_a_typed_error() {
    for (status, is_retryable) in [("401 Unauthorized", false), ("503 Service Unavailable", true)] {
        let (listener, url) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let _request_fits_one_read = stream.read(&mut request).await.unwrap();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 10\r\nConnection: close\r\n\r\nno such key");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let client = BacktestClient::builder().url(&url).build();
        let create = CreateSession::builder().start_slot(100).slot_count(10).build();
        let error = client.create_session(create).await.unwrap_err();
        server.await.unwrap();
        assert_eq!(error.is_retryable(), is_retryable);
        let BacktestClientError::Connect {
            source: TransportError::Refused { status: seen, body },
            ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert!(status.starts_with(seen.as_str()));
        assert!("no such key".starts_with(&body), "{body}");
    }
}

#[tokio::test]
async fn nobody_there_is_a_typed_error() {
    let (listener, url) = listen().await;
    drop(listener);
    let client = BacktestClient::builder().url(&url).build();
    let create = CreateSession::builder().start_slot(100).slot_count(10).build();
    let error = client.create_session(create).await.unwrap_err();
    assert!(error.is_retryable());
    assert!(
        matches!(
            error,
            BacktestClientError::Connect {
                source: TransportError::Io(_),
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn tls_needs_nothing_from_the_rest_of_the_process() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move { drop(listener.accept().await) });
    let client = BacktestClient::builder().url(url.replace("ws://", "wss://")).build();
    let create = CreateSession::builder().start_slot(100).slot_count(10).build();
    // Without a crypto provider this would panic before the handshake instead of failing in it.
    let error = client.create_session(create).await.unwrap_err();
    assert!(matches!(error, BacktestClientError::Connect { .. }), "{error:?}");
    server.await.unwrap();
}
