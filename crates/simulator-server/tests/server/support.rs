//! A server on a loopback port, and a client that speaks to it in plain JSON.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use simulator_archive::import::{ImportOptions, ScopeChoice, ledger};
use simulator_server::{ServeError, Server, ServerConfig};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longest wait for anything; only a defect makes a test wait so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The sample ledger as an archive.
pub(crate) struct SampleArchive {
    directory: TempDir,
}

/// A server that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
    task: JoinHandle<Result<(), ServeError>>,
}

/// One control connection.
pub(crate) struct Control {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    address: SocketAddr,
}

/// A session's data channel.
pub(crate) struct Rpc {
    pub(crate) url: String,
    client: reqwest::Client,
}

impl SampleArchive {
    pub(crate) async fn import(scope: ScopeChoice) -> Self {
        Self::import_with(ImportOptions {
            scope,
            ..ImportOptions::default()
        })
        .await
    }

    pub(crate) async fn import_with(options: ImportOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/agave-small");
        ledger::import(&ledger, directory.path().to_str().unwrap(), options, |_| {})
            .await
            .unwrap();
        Self { directory }
    }

    pub(crate) fn location(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    pub(crate) fn config(&self) -> ServerConfig {
        ServerConfig::local(vec![self.location().to_owned()])
    }
}

impl Running {
    pub(crate) async fn start(config: ServerConfig) -> Self {
        let server = Server::bind(config).await.unwrap();
        let address = server.local_addr();
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.run(stop.clone().cancelled_owned()));
        Self {
            address,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
            task,
        }
    }

    pub(crate) async fn connect(&self) -> Control {
        Control::connect(self.address, None).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("http://{}{path}", self.address)).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    pub(crate) async fn stopped(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

impl Control {
    pub(crate) async fn connect(
        address: SocketAddr,
        key: Option<&str>,
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let headers: Vec<_> = key.into_iter().map(|key| ("x-api-key", key)).collect();
        Self::connect_as(address, &headers).await
    }

    /// Connects with these headers, the names in lower case.
    pub(crate) async fn connect_as(
        address: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let mut request = format!("ws://{address}/backtest").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Self { socket, address })
    }

    /// A connection that was made elsewhere.
    pub(crate) fn over(socket: WebSocketStream<MaybeTlsStream<TcpStream>>, address: SocketAddr) -> Self {
        Self { socket, address }
    }

    /// Connects with a small buffer, so that the server soon notices when nothing is read.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = MaybeTlsStream::Plain(socket.connect(address).await.unwrap());
        let (socket, _) = client_async(format!("ws://{address}/backtest"), stream).await.unwrap();
        Self { socket, address }
    }

    /// Sends and reads nothing, until the server listens no more; false if it never stops listening.
    pub(crate) async fn flood(&mut self, messages: impl Iterator<Item = String>) -> bool {
        for text in messages {
            let sent = timeout(Duration::from_secs(1), self.socket.send(Message::text(text))).await;
            if !matches!(sent, Ok(Ok(()))) {
                return true;
            }
        }
        false
    }

    pub(crate) async fn send(&mut self, method: &str, params: Value) {
        self.raw(Message::text(json!({"method": method, "params": params}).to_string()))
            .await;
    }

    pub(crate) async fn raw(&mut self, message: Message) {
        timeout(PATIENCE, self.socket.send(message)).await.unwrap().unwrap();
    }

    /// The next message that is not a ping.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected frame {other:?}"),
            }
        }
    }

    /// Has the server answer a ping, with nothing before the answer.
    pub(crate) async fn hears_nothing(&mut self) {
        self.raw(Message::Ping("anything?".into())).await;
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Ping(_) => {}
                Message::Pong(payload) if payload == "anything?" => return,
                other => panic!("unexpected frame {other:?}"),
            }
        }
    }

    /// The code with which the server closes, skipping everything before. Shakes hands to the end.
    pub(crate) async fn closed(&mut self) -> Option<CloseCode> {
        self.close_frame().await.map(|(code, _)| code)
    }

    /// The code and the reason with which the server closes, as [`Control::closed`].
    pub(crate) async fn close_frame(&mut self) -> Option<(CloseCode, String)> {
        let mut closed = None;
        while let Some(Ok(frame)) = timeout(PATIENCE, self.socket.next()).await.unwrap() {
            if let Message::Close(frame) = frame {
                closed = frame.map(|frame| (frame.code, frame.reason.to_string()));
            }
        }
        closed
    }

    /// Creates a session; returns its data channel and the messages up to `sessionCreated`.
    pub(crate) async fn create(&mut self, params: Value) -> (Rpc, Vec<Value>) {
        self.send("createBacktestSession", params).await;
        let mut messages = Vec::new();
        loop {
            let message = self.next().await;
            messages.push(message.clone());
            match message["method"].as_str() {
                Some("status") => {}
                Some("sessionCreated") => {
                    let id = message["params"]["session_id"].as_str().unwrap();
                    assert_eq!(message["params"]["rpc_endpoint"], format!("/backtest/{id}"));
                    return (self.rpc(id), messages);
                }
                _ => panic!("unexpected {message}"),
            }
        }
    }

    /// Asks for a session that cannot be had, and returns the error.
    pub(crate) async fn create_fails(&mut self, params: Value) -> String {
        self.send("createBacktestSession", params).await;
        loop {
            let message = self.next().await;
            match message["method"].as_str() {
                Some("status") => {}
                Some("error") => {
                    return message["params"]["invalidRequest"]["error"]
                        .as_str()
                        .unwrap()
                        .to_owned();
                }
                _ => panic!("unexpected {message}"),
            }
        }
    }

    /// The data channel of a session.
    pub(crate) fn rpc(&self, id: &str) -> Rpc {
        Rpc {
            url: format!("http://{}/backtest/{id}", self.address),
            client: reqwest::Client::new(),
        }
    }

    /// Asks for a session, and returns the answer.
    pub(crate) async fn attach(&mut self, id: &str, last_sequence: Option<u64>) -> Value {
        let params = json!({"session_id": id, "last_sequence": last_sequence});
        self.send("attachBacktestSession", params).await;
        self.next().await
    }

    /// Attaches a session and resumes it.
    pub(crate) async fn take_over(&mut self, id: &str, last_sequence: Option<u64>) {
        let attached = self.attach(id, last_sequence).await;
        assert_eq!(attached["method"], "sessionAttached", "{attached}");
        assert_eq!(attached["params"]["session_id"], id);
        self.resume().await;
    }

    pub(crate) async fn resume(&mut self) {
        self.raw(Message::text(r#"{"method": "resumeAttachedSession"}"#)).await;
        assert_eq!(self.next().await, json!({"method": "success"}));
    }

    /// Closes the session and shakes hands.
    pub(crate) async fn close(&mut self) {
        self.raw(Message::text(r#"{"method": "closeBacktestSession"}"#)).await;
        assert_eq!(self.next().await, json!({"method": "success"}));
        assert_eq!(self.closed().await.map(u16::from), Some(1000));
    }

    /// Events up to and including the first that ends a run.
    pub(crate) async fn run(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            let is_last = event["method"] != "slotNotification" && event["method"] != "status";
            events.push(event);
            if is_last {
                return events;
            }
        }
    }
}

impl Rpc {
    /// The session's id.
    pub(crate) fn id(&self) -> String {
        self.url.rsplit('/').next().unwrap().to_owned()
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        let reply = self.reply(method, params).await;
        assert!(reply.get("error").is_none(), "{method}: {reply}");
        reply["result"].clone()
    }

    pub(crate) async fn error(&self, method: &str, params: Value) -> (i64, String) {
        let reply = self.reply(method, params).await;
        let error = &reply["error"];
        (
            error["code"].as_i64().unwrap_or_default(),
            error["message"].as_str().unwrap_or_default().to_owned(),
        )
    }

    pub(crate) async fn reply(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let (status, text) = self.post(body).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, String) {
        let request = self
            .client
            .post(&self.url)
            .header("Content-Type", "application/json")
            .body(body);
        let response = timeout(PATIENCE, request.send()).await.unwrap().unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Waits until the server has forgotten the session.
    pub(crate) async fn gone(&self) {
        for _ in 0..10_000 {
            if self.post("{}").await == (404, "no such session\n".to_owned()) {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the session is still there");
    }
}

/// Events without their sequence numbers, in short. Statuses are left out.
pub(crate) fn shorten(events: &[Value]) -> Vec<String> {
    let short = |event: &Value| match (event["method"].as_str().unwrap(), &event["params"]) {
        (method, Value::Null) => method.to_owned(),
        (method, params) => format!("{method} {params}"),
    };
    events
        .iter()
        .filter(|event| event["method"] != "status")
        .map(short)
        .collect()
}
