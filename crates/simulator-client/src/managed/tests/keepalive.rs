//! Pings, silence, and the limits of handshakes.

use std::sync::Arc;
use std::time::Duration;

use simulator_api::{BacktestResponse, BacktestStatus};
use tokio::time::{Instant, sleep};

use super::peer::{Peer, builder, opened, started, started_with, timed};
use crate::managed::{
    ConnectionPolicy, ConnectionStatus, HANDSHAKE_RESPONSE_TIMEOUT, HANDSHAKE_TOTAL_TIMEOUT, KEEPALIVE_INTERVAL,
    KEEPALIVE_MISS_DEADLINE,
};
use crate::transport::memory::network;

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_pinged_and_stays() {
    let (session, mut peer, _listener) = started().await;
    let (pings, pongs) = peer.idle(Duration::from_secs(600)).await;
    assert_eq!((pings, pongs), (39, 0), "one every {KEEPALIVE_INTERVAL:?}");
    assert_eq!(*session.status().borrow(), ConnectionStatus::Up);
    assert_eq!(session.counters().snapshot().reconnects(), 0);
}

#[tokio::test(start_paused = true)]
async fn w9_silence_ends_the_connection_and_the_status_says_so_at_once() {
    let (session, peer, mut listener) = started().await;
    let mut status = session.status();
    let lost = async {
        status
            .wait_for(|status| *status == ConnectionStatus::Down)
            .await
            .unwrap();
        Instant::now()
    };
    let silent_since = Instant::now();
    let at = lost.await;
    assert_eq!(at - silent_since, KEEPALIVE_MISS_DEADLINE);
    let mut next = Peer::accept(&mut listener).await;
    assert!(at.elapsed() >= Duration::from_millis(800), "a back-off lies between");
    next.attach().await;
    status.wait_for(|status| *status == ConnectionStatus::Up).await.unwrap();
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_is_not_answered_is_tried_again() {
    let (connector, mut listener) = network();
    let serve = async {
        let mut silent = Peer::accept(&mut listener).await;
        silent.create().await;
        let (took, mut next) = timed(Peer::accept(&mut listener)).await;
        let slack = took
            .checked_sub(HANDSHAKE_RESPONSE_TIMEOUT)
            .expect("not before the limit");
        assert!(slack < Duration::from_millis(1_200), "{took:?}");
        next.create().await;
        next.say(BacktestResponse::SessionCreated(opened())).await;
        next
    };
    let (started, _peer) = tokio::join!(builder(Arc::new(connector)).start(), serve);
    started.unwrap();
}

#[tokio::test(start_paused = true)]
async fn w26_signs_of_life_prolong_a_handshake_up_to_its_overall_limit() {
    let (connector, mut listener) = network();
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        peer.create().await;
        let begun = Instant::now();
        while begun.elapsed() < HANDSHAKE_TOTAL_TIMEOUT - Duration::from_secs(100) {
            sleep(Duration::from_secs(100)).await;
            peer.say(BacktestStatus::StartingRuntime).await;
        }
        let next = Peer::accept(&mut listener).await;
        (begun.elapsed(), next)
    };
    let start = builder(Arc::new(connector)).start();
    tokio::select! {
        (took, _next) = serve => {
            let slack = took.checked_sub(HANDSHAKE_TOTAL_TIMEOUT).expect("not before the limit");
            assert!(slack < Duration::from_millis(1_200), "{took:?}");
        }
        started = start => panic!("{started:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn w5_what_waits_to_be_read_counts_before_the_time_that_has_passed() {
    let (mut session, mut peer, _listener) = started().await;
    peer.say_numbered(1, BacktestResponse::ReadyForContinue).await;
    // The client's task does not get to run before all this time has passed.
    tokio::time::advance(2 * KEEPALIVE_MISS_DEADLINE).await;
    assert!(session.next_event().await.is_ok());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(*session.status().borrow(), ConnectionStatus::Up);
    assert_eq!(session.counters().snapshot().reconnects(), 0);
}

#[tokio::test(start_paused = true)]
async fn limits_that_are_never_reached_are_limits() {
    let policy = ConnectionPolicy {
        keepalive_interval: Duration::from_secs(u64::MAX / 8),
        keepalive_miss_deadline: Duration::MAX,
        handshake_response_timeout: Duration::MAX,
        handshake_total_timeout: Duration::MAX,
        ..ConnectionPolicy::default()
    };
    let (session, peer, _listener) = started_with(policy).await;
    sleep(Duration::from_secs(86_400)).await;
    assert_eq!(*session.status().borrow(), ConnectionStatus::Up);
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_dead_long_before_anybody_looked_is_given_up() {
    let (session, peer, _listener) = started().await;
    let mut status = session.status();
    tokio::time::advance(2 * KEEPALIVE_MISS_DEADLINE).await;
    let (took, down) = timed(status.wait_for(|status| *status == ConnectionStatus::Down)).await;
    down.unwrap();
    assert!(took < Duration::from_secs(1), "{took:?}");
    drop(peer);
}
