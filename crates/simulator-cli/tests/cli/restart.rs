//! `sim serve --state-dir`: the server is killed or stopped at every command, and nobody notices.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use simulator_api::ContinueParams;
use simulator_client::CreateSession;
use simulator_client::managed::{
    ConnectionPolicy, ManagedBacktestSession, ManagedEvent, ManagedSessionError, ReconnectPolicy,
};
use simulator_client::transport::{BoxTransport, ConnectRequest, Connector as _, Frame, WebSocketConnector};
use tokio::time::timeout;

use crate::support::{RunningServer, Workspace};

/// Longest wait for anything; only a defect makes a test wait so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is started again where it was.
pub(crate) struct Phoenix {
    workspace: Workspace,
    args: &'static [&'static str],
    server: Option<RunningServer>,
    pub(crate) address: String,
}

/// What happens to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lives,
    /// `kill -9`.
    IsKilled,
    /// SIGTERM.
    IsStopped,
}

impl Phoenix {
    fn new() -> Self {
        Self::over(
            Workspace::with_archive(),
            &["--archive", "archive", "--state-dir", "state"],
        )
    }

    pub(crate) fn over(workspace: Workspace, args: &'static [&'static str]) -> Self {
        let server = RunningServer::start(&workspace, args);
        let address = server.http.strip_prefix("http://").expect("no certificate").to_owned();
        Self {
            workspace,
            args,
            server: Some(server),
            address,
        }
    }

    pub(crate) fn meets(&mut self, fate: Fate) {
        let server = self.server.take().expect("it runs");
        match fate {
            Fate::Lives => return self.server = Some(server),
            Fate::IsKilled => server.kill(),
            Fate::IsStopped => assert_eq!(server.stop(), Some(0)),
        }
        let server = RunningServer::start_on(&self.workspace, &self.address, self.args);
        self.server = Some(server);
    }

    /// How many entries a folder of the state directory has.
    pub(crate) fn kept(&self, folder: &str) -> usize {
        let entries = std::fs::read_dir(self.workspace.path("state").join(folder));
        entries.expect("a directory").count()
    }

    /// Calls a method of a session, over a connection of its own.
    fn call(&self, session: &str, method: &str) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).to_string();
        let head = format!(
            "POST /backtest/{session} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nConnection: close\r\n",
            self.address
        );
        let mut socket = TcpStream::connect(&self.address).expect("the server listens");
        write!(socket, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).expect("it reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].clone()
    }
}

/// A client that knows nothing of connections that are lost.
pub(crate) struct Raw {
    socket: BoxTransport,
}

impl Raw {
    pub(crate) async fn connect(address: &str) -> Self {
        let request = ConnectRequest {
            url: format!("ws://{address}/backtest").parse().expect("an address"),
            headers: Default::default(),
        };
        let connected = WebSocketConnector::default().connect(request).await;
        let socket = connected.expect("the server listens");
        Self { socket }
    }

    pub(crate) async fn send(&mut self, request: &Value) {
        let sent = self.socket.send(Frame::Text(request.to_string().into())).await;
        sent.expect("the server reads");
    }

    /// The next message; none when the connection is over.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let frame = timeout(PATIENCE, self.socket.next()).await.expect("not for ever");
            match frame {
                Some(Ok(Frame::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    /// Creates a session and returns its id.
    async fn create(&mut self) -> String {
        let params = json!({"startSlot": 36, "endSlot": 44, "sendSummary": true, "outcomes": "divergences",
            "disconnectTimeoutSecs": 900});
        self.send(&json!({"method": "createBacktestSession", "params": params}))
            .await;
        loop {
            let message = self.next().await.expect("an answer");
            if message["method"] == "sessionCreated" {
                return message["params"]["session_id"].as_str().expect("an id").to_owned();
            }
            assert_eq!(message["method"], "status", "{message}");
        }
    }

    /// Takes a session over that may still be on its way.
    async fn attach(address: &str, id: &str, seen: &[Value]) -> Self {
        let mut client = Self::connect(address).await;
        let params = json!({"session_id": id, "last_sequence": seen.last().map(number)});
        loop {
            client
                .send(&json!({"method": "attachBacktestSession", "params": params}))
                .await;
            let answer = client.next().await.expect("an answer");
            if answer["method"] == "sessionAttached" {
                break;
            }
            assert!(answer["params"]["sessionOwnershipBusy"].is_object(), "{answer}");
        }
        client.send(&json!({"method": "resumeAttachedSession"})).await;
        assert_eq!(client.next().await, Some(json!({"method": "success"})));
        client
    }

    /// Reads up to the end of a run, or so many events; whether it was the end.
    async fn read(&mut self, seen: &mut Vec<Value>, most: usize) -> bool {
        for _ in 0..most {
            let mut event = self.next().await.expect("an event");
            event.as_object_mut().expect("an object").remove("replayed");
            assert_eq!(number(&event), seen.last().map_or(0, number) + 1, "{event}");
            let is_end = event["method"] != "slotNotification" && event["method"] != "status";
            seen.push(event);
            if is_end {
                return true;
            }
        }
        false
    }
}

fn number(event: &Value) -> u64 {
    event["seqId"].as_u64().unwrap_or_else(|| panic!("{event}"))
}

fn requests() -> Vec<Value> {
    let request = |method: &str, params: Value| json!({"method": method, "params": params});
    vec![
        request("continue", json!({"advanceCount": 2, "requestId": "a"})),
        request("continueTo", json!({"slot": 41, "batchIndex": 1, "requestId": "b"})),
        request("continue", json!({"transactions": ["!"], "requestId": "c"})),
        request("continueTo", json!({"slot": 40, "requestId": "d"})),
        request("continue", json!({"advanceCount": 99, "requestId": "e"})),
    ]
}

/// Plays a script. At each request, after some of its events, something happens to the server. Returns the events and
/// the results.
async fn play(phoenix: &mut Phoenix, fate: Fate, after: usize) -> (Vec<Value>, Vec<Value>) {
    let mut client = Raw::connect(&phoenix.address).await;
    let id = client.create().await;
    let mut seen = Vec::new();
    client.read(&mut seen, usize::MAX).await;
    for request in requests() {
        client.send(&request).await;
        let is_over = client.read(&mut seen, after).await;
        if fate != Fate::Lives {
            let hears_the_end = tokio::spawn(async move { while client.next().await.is_some() {} });
            phoenix.meets(fate);
            hears_the_end.await.expect("it ends");
            client = Raw::attach(&phoenix.address, &id, &seen).await;
            // It may have been lost, and is not applied twice.
            client.send(&request).await;
        }
        if !is_over {
            client.read(&mut seen, usize::MAX).await;
        }
    }
    let results = ["getReplaySummary", "getReplayOutcomes"].map(|method| phoenix.call(&id, method));
    client.send(&json!({"method": "closeBacktestSession"})).await;
    while client.next().await.is_some() {}
    (seen, results.to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_or_stopped_at_every_command_loses_nothing() {
    let mut phoenix = Phoenix::new();
    let (events, results) = play(&mut phoenix, Fate::Lives, 0).await;
    assert_eq!(events.last().expect("events")["method"], "completed");
    for (fate, after) in [
        (Fate::IsKilled, 0),
        (Fate::IsKilled, 2),
        (Fate::IsKilled, usize::MAX),
        (Fate::IsStopped, 0),
        (Fate::IsStopped, 2),
    ] {
        let (found, found_results) = play(&mut phoenix, fate, after).await;
        for (found, expected) in found.iter().zip(&events) {
            assert_eq!(found, expected, "{fate:?} after {after}");
        }
        assert_eq!(found.len(), events.len(), "{fate:?} after {after}");
        assert!(found_results == results, "{fate:?} after {after}");
    }
    phoenix.meets(Fate::IsStopped);
    assert_eq!(phoenix.kept("sessions"), 0, "every session was closed");
}

/// Everything that a caller of the managed client saw.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    control: Vec<String>,
    transactions: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_managed_client_does_not_notice_that_its_server_dies() {
    let mut phoenix = Phoenix::new();
    let whole = timeout(PATIENCE * 2, replay(&mut phoenix, |_| Fate::Lives)).await;
    let whole = whole.expect("it goes on").expect("nothing went wrong");
    assert!(whole.transactions.len() > 100 && whole.control.len() > 20, "{whole:?}");
    let fates = |stop: usize| [Fate::IsKilled, Fate::IsStopped][stop % 2];
    let cut = timeout(PATIENCE * 2, replay(&mut phoenix, fates)).await;
    let cut = cut.expect("it goes on").expect("nothing went wrong");
    assert_eq!(cut.control, whole.control);
    assert!(cut.transactions == whole.transactions);
}

/// Replays the sample block by block, with a subscription.
async fn replay(phoenix: &mut Phoenix, fate: impl Fn(usize) -> Fate) -> Result<Seen, ManagedSessionError> {
    let create = CreateSession::builder()
        .start_slot(36)
        .end_slot(46)
        .send_summary(true)
        .build();
    let quick = Duration::from_millis(20);
    let policy = ConnectionPolicy {
        reconnect: ReconnectPolicy {
            initial_backoff: quick,
            max_backoff: quick,
            max_attempts: u32::MAX,
            ..ReconnectPolicy::default()
        },
        ..ConnectionPolicy::default()
    };
    let request = create.into_request().expect("a range");
    let session = ManagedBacktestSession::builder(format!("ws://{}", phoenix.address), request).policy(policy);
    let mut session = session.start().await?;
    let programs = [
        "11111111111111111111111111111111",
        "Vote111111111111111111111111111111111111111",
    ];
    let programs = programs.map(|program| program.parse().expect("an address"));
    session.subscribe_transactions(programs.to_vec())?;
    let (mut seen, mut stops) = (Seen::default(), 0);
    loop {
        match session.next_event().await? {
            ManagedEvent::Transaction(transaction) => seen.transactions.push(format!(
                "{} {:?} {:?}",
                transaction.target(),
                transaction.cursor(),
                transaction.signature()
            )),
            event => {
                seen.control.push(format!("{event:?}"));
                match event {
                    ManagedEvent::Completed { .. } => break,
                    ManagedEvent::ReadyForContinue => {
                        session.send_continue(ContinueParams::default()).await?;
                        phoenix.meets(fate(stops));
                        stops += 1;
                    }
                    _ => {}
                }
            }
        }
    }
    session.shutdown().await;
    // Several subscriptions on one connection are in no order among each other.
    seen.transactions.sort();
    Ok(seen)
}
