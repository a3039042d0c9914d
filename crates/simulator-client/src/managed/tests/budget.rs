//! The retry budget, spent in full.

use std::sync::Arc;
use std::time::Duration;

use super::peer::{Broken, How, Peer, builder, living_tasks, opened, session_id, started_with, timed};
use crate::managed::{
    CONNECT_TIMEOUT, ConnectionError, ConnectionPolicy, ConnectionStatus, ManagedFailure, ManagedSessionError,
    RECONNECT_MAX_TOTAL, RECONNECT_UPTIME_RESET, ReconnectPolicy,
};
use crate::transport::memory::network;
use simulator_api::BacktestResponse;

#[tokio::test(start_paused = true)]
async fn w20_connecting_is_tried_for_the_whole_budget_and_no_longer() {
    let broken = Broken::new(How::Fails);
    let (took, started) = timed(builder(broken.clone()).start()).await;
    let Err(ManagedSessionError::Create(failure)) = started else {
        panic!("{started:?}");
    };
    let ManagedFailure::BudgetSpent {
        attempts,
        elapsed,
        last,
    } = *failure
    else {
        panic!("{failure:?}");
    };
    assert!(matches!(last, ConnectionError::Connect(_)), "{last:?}");
    assert_eq!(elapsed, RECONNECT_MAX_TOTAL);
    assert!(
        took >= RECONNECT_MAX_TOTAL && took < RECONNECT_MAX_TOTAL + Duration::from_secs(1),
        "{took:?}"
    );
    assert_eq!(broken.attempts(), attempts as usize + 1);
    assert_eq!(living_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_attempts_are_counted() {
    let broken = Broken::new(How::Fails);
    let reconnect = ReconnectPolicy {
        max_backoff: Duration::from_secs(1),
        ..ReconnectPolicy::default()
    };
    let policy = ConnectionPolicy {
        reconnect,
        ..ConnectionPolicy::default()
    };
    let started = builder(broken.clone()).policy(policy).start().await;
    let Err(ManagedSessionError::Create(failure)) = started else {
        panic!("{started:?}");
    };
    assert!(
        matches!(*failure, ManagedFailure::BudgetSpent { attempts: 20, .. }),
        "{failure:?}"
    );
    assert_eq!(broken.attempts(), 21);
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_hangs_is_given_up_after_its_limit() {
    let broken = Broken::new(How::Hangs);
    let start = builder(broken.clone()).start();
    let watch = async {
        tokio::time::sleep(CONNECT_TIMEOUT - Duration::from_millis(1)).await;
        assert_eq!(broken.attempts(), 1);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(broken.attempts(), 2, "after 30 s and a delay of 0.8 to 1.2 s");
    };
    let (started, ()) = tokio::join!(start, watch);
    assert!(started.is_err());
}

/// Loses ten connections after some time each, with a budget of three attempts, and says whether the session lives on.
async fn survives(uptime: Duration) -> bool {
    let mut policy = ConnectionPolicy::default();
    policy.reconnect.max_attempts = 3;
    let (session, mut peer, mut listener) = started_with(policy).await;
    for _ in 0..10 {
        peer.idle(uptime).await;
        drop(peer);
        let accepted = tokio::time::timeout(Duration::from_secs(100), Peer::accept(&mut listener)).await;
        let Ok(next) = accepted else { break };
        peer = next;
        peer.attach().await;
    }
    let status = session.status().borrow().clone();
    !matches!(status, ConnectionStatus::Failed(_))
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lasts_fills_the_budget_and_one_that_does_not_does_not() {
    assert!(survives(RECONNECT_UPTIME_RESET).await);
    assert!(!survives(RECONNECT_UPTIME_RESET - Duration::from_secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn the_original_cause_of_a_failed_create_is_told() {
    let (connector, mut listener) = network();
    let policy = ConnectionPolicy {
        reconnect: ReconnectPolicy {
            max_attempts: 2,
            ..ReconnectPolicy::default()
        },
        ..ConnectionPolicy::default()
    };
    let serve = async {
        let mut tokens = Vec::new();
        for _ in 0..3 {
            let mut peer = Peer::accept(&mut listener).await;
            tokens.push(peer.create().await.create_token);
        }
        tokens
    };
    let (started, tokens) = tokio::join!(builder(Arc::new(connector)).policy(policy).start(), serve);
    assert!(
        tokens[0].is_some() && tokens.iter().all(|token| *token == tokens[0]),
        "{tokens:?}"
    );
    let Err(ManagedSessionError::Create(failure)) = started else {
        panic!("{started:?}");
    };
    let ManagedFailure::BudgetSpent { last, .. } = *failure else {
        panic!("{failure:?}");
    };
    assert!(matches!(last, ConnectionError::Ended), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn w1_a_create_that_was_lost_is_sent_again_and_succeeds() {
    let (connector, mut listener) = network();
    let serve = async {
        let first = Peer::accept(&mut listener).await.create().await;
        let mut peer = Peer::accept(&mut listener).await;
        let second = peer.create().await;
        assert_eq!(first, second);
        peer.say(BacktestResponse::SessionCreated(opened())).await;
        peer
    };
    let (started, _peer) = tokio::join!(builder(Arc::new(connector)).start(), serve);
    assert_eq!(started.unwrap().session_info().session_id, session_id().to_string());
}
