//! The end of a session, from every state.

use std::sync::Arc;
use std::time::Duration;

use simulator_api::{BacktestError, BacktestRequest, BacktestResponse};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::peer::{Broken, How, Peer, builder, living_tasks, opened, started, timed};
use crate::managed::{GRACEFUL_CLOSE_TIMEOUT, ManagedEvent, ManagedSessionError};
use crate::transport::memory::network;

/// Waits until no task is left.
async fn all_ended() {
    for _ in 0..100 {
        if living_tasks() == 0 {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("{} tasks are left", living_tasks());
}

#[tokio::test(start_paused = true)]
async fn w19_shutdown_closes_the_session_at_the_server() {
    let (session, mut peer, _listener) = started().await;
    let serve = async { peer.be_closed().await };
    let ((took, ()), ()) = tokio::join!(timed(session.shutdown()), serve);
    assert_eq!((took, living_tasks()), (Duration::ZERO, 0));
}

#[tokio::test(start_paused = true)]
async fn w19_dropping_a_session_closes_it_too() {
    let (session, mut peer, _listener) = started().await;
    drop(session);
    peer.be_closed().await;
    all_ended().await;
}

#[tokio::test(start_paused = true)]
async fn w14_a_server_that_says_nothing_holds_shutdown_up_for_its_limit_only() {
    let (session, mut peer, _listener) = started().await;
    let (took, ()) = timed(session.shutdown()).await;
    assert_eq!(took, GRACEFUL_CLOSE_TIMEOUT);
    assert_eq!(peer.request().await, BacktestRequest::CloseBacktestSession);
    all_ended().await;
}

#[tokio::test(start_paused = true)]
async fn w13_events_on_the_way_do_not_disturb_the_close() {
    let (session, mut peer, _listener) = started().await;
    let serve = async {
        assert_eq!(peer.request().await, BacktestRequest::CloseBacktestSession);
        for number in 1..50 {
            peer.say_numbered(number, BacktestResponse::SlotNotification(number))
                .await;
        }
        peer.say(BacktestResponse::Success).await;
        peer.gone().await;
    };
    let ((took, ()), ()) = tokio::join!(timed(session.shutdown()), serve);
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn w18_cancelling_while_connecting_ends_at_once() {
    let cancel = CancellationToken::new();
    let start = builder(Broken::new(How::Hangs)).cancel(cancel.clone()).start();
    let cancelling = async {
        sleep(Duration::from_secs(3)).await;
        cancel.cancel();
    };
    let ((took, started), ()) = tokio::join!(timed(start), cancelling);
    assert!(matches!(started, Err(ManagedSessionError::Cancelled)));
    assert_eq!(took, Duration::from_secs(3));
    all_ended().await;
}

#[tokio::test(start_paused = true)]
async fn w18_cancelling_while_creating_closes_the_session_once_its_id_is_known() {
    let (connector, mut listener) = network();
    let cancel = CancellationToken::new();
    let start = builder(Arc::new(connector)).cancel(cancel.clone()).start();
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        peer.create().await;
        cancel.cancel();
        sleep(Duration::from_secs(2)).await;
        peer.say(BacktestResponse::SessionCreated(opened())).await;
        peer.be_closed().await;
    };
    let (started, ()) = tokio::join!(start, serve);
    assert!(matches!(started, Err(ManagedSessionError::Cancelled)));
    all_ended().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_while_backing_off_connects_once_more_to_close() {
    let (session, peer, mut listener) = started().await;
    drop(peer);
    sleep(Duration::from_millis(100)).await;
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        assert!(matches!(
            peer.request().await,
            BacktestRequest::AttachBacktestSession(_)
        ));
        peer.say(BacktestResponse::SessionAttached(opened())).await;
        peer.be_closed().await;
    };
    let ((took, ()), ()) = tokio::join!(timed(session.shutdown()), serve);
    assert!(took < GRACEFUL_CLOSE_TIMEOUT, "{took:?}");
    all_ended().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_after_a_failure_returns_at_once() {
    let (mut session, mut peer, _listener) = started().await;
    peer.say_numbered(1, BacktestError::NoMoreBlocks).await;
    peer.be_closed().await;
    while session.next_event().await.is_ok() {}
    drop(peer);
    let (took, ()) = timed(session.shutdown()).await;
    assert_eq!((took, living_tasks()), (Duration::ZERO, 0));
}

#[tokio::test(start_paused = true)]
async fn a_completed_session_is_closed_by_itself() {
    let (mut session, mut peer, _listener) = started().await;
    let completed = BacktestResponse::Completed {
        summary: None,
        agent_stats: None,
    };
    peer.say_numbered(1, completed).await;
    assert!(matches!(session.next_event().await, Ok(ManagedEvent::Completed { .. })));
    peer.be_closed().await;
    assert!(matches!(
        session.next_event().await,
        Err(ManagedSessionError::ControlClosed)
    ));
    all_ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_session_says_so() {
    let (connector, mut listener) = network();
    let cancel = CancellationToken::new();
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        peer.create().await;
        peer.say(BacktestResponse::SessionCreated(opened())).await;
        peer
    };
    let start = builder(Arc::new(connector)).cancel(cancel.clone()).start();
    let (session, mut peer) = tokio::join!(start, serve);
    let mut session = session.unwrap();
    cancel.cancel();
    assert!(matches!(
        session.next_event().await,
        Err(ManagedSessionError::Cancelled)
    ));
    peer.be_closed().await;
}
