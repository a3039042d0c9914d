//! The managed client against this server, over connections that are cut again and again.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, Sink, SinkExt as _, Stream, StreamExt as _};
use simulator_api::{ContinueParams, ContinueToParams};
use simulator_archive::import::ScopeChoice;
use simulator_client::CreateSession;
use simulator_client::managed::{
    ConnectionPolicy, ManagedBacktestSession, ManagedEvent, ManagedSessionError, ReconnectPolicy,
};
use simulator_client::transport::{BoxTransport, ConnectRequest, Connector, Frame, TransportError, WebSocketConnector};
use simulator_server::ServerConfig;
use tokio::time::timeout;

use crate::support::{PATIENCE, Running, SampleArchive};

/// Everything that a caller of one session saw.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    control: Vec<String>,
    transactions: Vec<String>,
    diffs: Vec<String>,
}

#[tokio::test]
async fn what_a_caller_sees_does_not_depend_on_the_connection() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config: ServerConfig = sample.config();
    // A reminder is an event of its own, which a slow machine would see and a fast one would not.
    config.times.reminder_delay = Duration::from_secs(3_600);
    config.times.subscribe_pause = Duration::ZERO;
    let server = Running::start(config).await;
    let (whole, connections) = replay(&server, Scissors::blunt()).await;
    assert_eq!(connections, 3, "the control channel and two subscriptions");
    assert!(whole.transactions.len() > 300, "{}", whole.transactions.len());
    assert!(whole.diffs.len() > 100 && whole.control.len() > 40, "{whole:?}");
    for seed in 1..=6 {
        let (cut, connections) = replay(&server, Scissors::new(seed)).await;
        assert!(connections > 10, "seed {seed}: only {connections} connections");
        assert_eq!(cut.control, whole.control, "seed {seed}");
        assert_eq!(cut.transactions, whole.transactions, "seed {seed}");
        assert_eq!(cut.diffs, whole.diffs, "seed {seed}");
    }
    server.stopped().await;
}

/// Replays the sample with two subscriptions, a pause and steps of two blocks.
async fn replay(server: &Running, scissors: Scissors) -> (Seen, usize) {
    let scissors = Arc::new(scissors);
    let create = CreateSession::builder()
        .start_slot(36)
        .end_slot(59)
        .send_summary(true)
        .build();
    let policy = ConnectionPolicy {
        reconnect: ReconnectPolicy {
            initial_backoff: Duration::ZERO,
            max_backoff: Duration::ZERO,
            max_attempts: u32::MAX,
            ..ReconnectPolicy::default()
        },
        ..ConnectionPolicy::default()
    };
    let session = ManagedBacktestSession::builder(format!("ws://{}", server.address), create.into_request().unwrap())
        .policy(policy)
        .connector(scissors.clone())
        .start();
    let mut session = session.await.unwrap();
    let everything = "11111111111111111111111111111111".parse().unwrap();
    let votes = "Vote111111111111111111111111111111111111111".parse().unwrap();
    let token = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA".parse().unwrap();
    session.subscribe_transactions(vec![everything, votes, token]).unwrap();
    session.subscribe_account_diffs(vec![token, votes]).unwrap();
    let seen = timeout(PATIENCE, read(&mut session))
        .await
        .expect("the session goes on")
        .unwrap();
    session.shutdown().await;
    (seen, scissors.connections())
}

async fn read(session: &mut ManagedBacktestSession) -> Result<Seen, ManagedSessionError> {
    let mut seen = Seen::default();
    let mut stops = 0;
    loop {
        match session.next_event().await? {
            ManagedEvent::Transaction(transaction) => seen.transactions.push(format!(
                "{} {:?} {:?}",
                transaction.target(),
                transaction.cursor(),
                transaction.signature()
            )),
            ManagedEvent::AccountDiff(diff) => seen.diffs.push(format!(
                "{} {:?} {:?} {:?} {:?}",
                diff.target(),
                diff.cursor(),
                diff.account(),
                diff.pre_json(),
                diff.post_json()
            )),
            event => {
                let is_over = matches!(event, ManagedEvent::Completed { .. });
                let is_stop = matches!(event, ManagedEvent::ReadyForContinue | ManagedEvent::Paused(_));
                seen.control.push(format!("{event:?}"));
                if is_over {
                    break;
                }
                if is_stop {
                    stops += 1;
                    go_on(session, stops).await?;
                }
            }
        }
    }
    // Several subscriptions on one connection are in no order among each other.
    seen.transactions.sort();
    seen.diffs.sort();
    Ok(seen)
}

async fn go_on(session: &mut ManagedBacktestSession, stops: u64) -> Result<(), ManagedSessionError> {
    if stops == 3 {
        let target = ContinueToParams {
            slot: 44,
            batch_index: Some(2),
            request_id: None,
        };
        return session.send_continue_to(target).await;
    }
    let blocks = ContinueParams {
        advance_count: 2,
        ..ContinueParams::default()
    };
    session.send_continue(blocks).await
}

/// A network whose connections are cut after a few messages.
#[derive(Debug)]
pub(crate) struct Scissors {
    network: WebSocketConnector,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seed: Option<u64>,
    connections: usize,
}

/// Connections after which no further one is cut.
const CUTS: usize = 120;

impl Scissors {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(Some(seed))
    }

    pub(crate) fn blunt() -> Self {
        Self::with(None)
    }

    fn with(seed: Option<u64>) -> Self {
        let state = State { seed, connections: 0 };
        Self {
            network: WebSocketConnector::default(),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// Messages in both directions together that the next connection lasts.
    fn next_life(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.connections += 1;
        let connections = state.connections;
        let Some(seed) = &mut state.seed else { return usize::MAX };
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        if connections > CUTS {
            return usize::MAX;
        }
        usize::try_from((*seed >> 33) % 40).unwrap()
    }
}

impl Connector for Scissors {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<'_, Result<BoxTransport, TransportError>> {
        let left = self.next_life();
        async move {
            let whole = Some(self.network.connect(request).await?);
            Ok(Box::pin(Thread { whole, left }) as BoxTransport)
        }
        .boxed()
    }
}

/// A connection that lasts for some messages. What is left of it is dropped, without a close frame.
struct Thread {
    whole: Option<BoxTransport>,
    left: usize,
}

impl Thread {
    fn wear(&mut self) -> Option<&mut BoxTransport> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.whole = None,
        }
        self.whole.as_mut()
    }
}

impl Stream for Thread {
    type Item = Result<Frame, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(whole) = &mut self.whole else {
            return Poll::Ready(None);
        };
        let polled = whole.poll_next_unpin(cx);
        if polled.is_ready() && self.wear().is_none() {
            return Poll::Ready(None);
        }
        polled
    }
}

impl Sink<Frame> for Thread {
    type Error = TransportError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.whole {
            Some(whole) => whole.poll_ready_unpin(cx),
            None => Poll::Ready(Err(TransportError::Lost)),
        }
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), TransportError> {
        self.wear()
            .map_or(Err(TransportError::Lost), |whole| whole.start_send_unpin(frame))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.whole {
            Some(whole) => whole.poll_flush_unpin(cx),
            None => Poll::Ready(Err(TransportError::Lost)),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.whole {
            Some(whole) => whole.poll_close_unpin(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
