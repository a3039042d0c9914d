//! The managed client with parallel sessions on this server, over connections that are cut again and again.

use std::sync::Arc;
use std::time::Duration;

use simulator_api::{ContinueParams, ContinueToParams};
use simulator_client::CreateSession;
use simulator_client::managed::{
    ConnectionPolicy, ManagedBacktestSession, ManagedEvent, ManagedParallelSession, ManagedSessionError,
    ReconnectPolicy,
};
use tokio::time::timeout;

use crate::managed::Scissors;
use crate::parallel::Neighbours;
use crate::support::{PATIENCE, Running};

/// Everything that a caller saw of one of the sessions.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    control: Vec<String>,
    transactions: Vec<String>,
}

#[tokio::test]
async fn what_a_caller_sees_of_each_session_does_not_depend_on_the_connection() {
    let archives = Neighbours::import(3).await;
    let mut config = archives.config();
    config.times.subscribe_pause = Duration::ZERO;
    let server = Running::start(config).await;
    let (whole, connections) = replay(&server, Scissors::blunt()).await;
    assert_eq!(connections, 3, "the control connection and two subscriptions");
    assert!(whole.iter().all(|seen| seen.control.len() > 12), "{whole:?}");
    let told: Vec<_> = whole.iter().map(|seen| seen.transactions.len()).collect();
    assert_eq!(told, [24, 0, 24], "4 in each of 6 blocks, to the two that subscribed");
    let mut all = 0;
    for seed in 1..=8 {
        let (cut, connections) = replay(&server, Scissors::new(seed)).await;
        assert_eq!(cut, whole, "seed {seed}");
        all += connections;
    }
    assert!(all > 8 * 4, "only {all} connections");
    server.stopped().await;
}

/// Replays three archives in steps of two blocks, the first one with a pause.
async fn replay(server: &Running, scissors: Scissors) -> (Vec<Seen>, usize) {
    let scissors = Arc::new(scissors);
    let create = CreateSession::builder()
        .start_slot(1000)
        .end_slot(1017)
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
    let url = format!("ws://{}", server.address);
    let parallel = ManagedParallelSession::builder(url, create.into_request().unwrap())
        .policy(policy)
        .connector(scissors.clone())
        .start_parallel();
    let mut parallel = parallel.await.unwrap();
    assert_eq!(parallel.sessions().len(), 3);
    assert_eq!(parallel.slots(1), Some(1006..=1011));
    for index in [0, 2] {
        let everything = "11111111111111111111111111111111".parse().unwrap();
        let session = parallel.session_mut(index).unwrap();
        session.subscribe_transactions(vec![everything]).unwrap();
    }
    let seen = timeout(PATIENCE, read(&mut parallel))
        .await
        .expect("the sessions go on");
    parallel.shutdown().await;
    (seen, scissors.connections())
}

async fn read(parallel: &mut ManagedParallelSession) -> Vec<Seen> {
    let mut seen: Vec<Seen> = parallel.sessions().iter().map(|_| Seen::default()).collect();
    let mut stops = vec![0; seen.len()];
    while let Some(told) = parallel.next_event().await {
        let event = told.event.unwrap();
        let Some(index) = told.session else { continue };
        if let ManagedEvent::Transaction(transaction) = &event {
            let line = format!("{:?} {:?}", transaction.cursor(), transaction.signature());
            seen[index].transactions.push(line);
            continue;
        }
        let is_stop = matches!(event, ManagedEvent::ReadyForContinue | ManagedEvent::Paused(_));
        seen[index].control.push(format!("{event:?}"));
        if is_stop {
            stops[index] += 1;
            let session = parallel.session_mut(index).unwrap();
            go_on(session, index, stops[index]).await.unwrap();
        }
    }
    seen
}

async fn go_on(session: &mut ManagedBacktestSession, index: usize, stops: u64) -> Result<(), ManagedSessionError> {
    if (index, stops) == (0, 2) {
        let target = ContinueToParams {
            slot: 1003,
            batch_index: Some(0),
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

#[tokio::test]
async fn one_of_several_sessions_can_be_closed() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let create = CreateSession::builder().start_slot(1000).end_slot(1011).build();
    let url = format!("ws://{}/backtest", server.address);
    let start = ManagedParallelSession::start(url, String::new(), create.into_request().unwrap());
    let mut parallel = start.await.unwrap();
    parallel.close_session(0).await.unwrap();
    let mut ends = Vec::new();
    while let Some(told) = timeout(PATIENCE, parallel.next_event()).await.unwrap() {
        match (told.session, told.event) {
            (Some(1), Ok(ManagedEvent::ReadyForContinue)) => {
                let all = ContinueParams {
                    advance_count: u64::MAX,
                    ..ContinueParams::default()
                };
                parallel.session_mut(1).unwrap().send_continue(all).await.unwrap();
            }
            (Some(index), Ok(ManagedEvent::Completed { .. })) => ends.push((index, "completed")),
            (Some(index), Err(ManagedSessionError::ControlClosed)) => ends.push((index, "closed")),
            (_, Err(error)) => panic!("{error:?}"),
            _ => {}
        }
    }
    ends.sort_unstable();
    assert_eq!(ends, [(0, "closed"), (1, "completed")]);
    parallel.shutdown().await;
    server.stopped().await;
}
