//! What happens around a lost connection.

use std::sync::Arc;

use simulator_api::{BacktestError, BacktestRequest, BacktestResponse, ContinueParams};

use super::peer::{Peer, said, started};
use crate::managed::{ConnectionPolicy, ConnectionStatus, ManagedEvent};
use crate::transport::memory::network;
use crate::transport::{CloseCode, CloseReason};

#[tokio::test(start_paused = true)]
async fn a_handoff_and_a_reset_are_ordinary_reattaches() {
    let (mut session, mut peer, mut listener) = started().await;
    peer.say_numbered(1, BacktestResponse::ReadyForContinue).await;
    assert!(matches!(session.next_event().await, Ok(ManagedEvent::ReadyForContinue)));
    let handoff = CloseReason {
        code: CloseCode::Restart,
        text: "management handoff".into(),
    };
    for (last, reason) in [(1, Some(handoff)), (2, None)] {
        match reason {
            Some(reason) => peer.close(Some(reason)).await,
            None => drop(peer),
        }
        peer = Peer::accept(&mut listener).await;
        assert_eq!(peer.attach().await.last_sequence, Some(last));
        peer.say_numbered(last + 1, BacktestResponse::SlotNotification(last))
            .await;
        assert!(matches!(session.next_event().await, Ok(ManagedEvent::Slot(slot)) if slot == last));
    }
    assert_eq!(session.counters().snapshot().reconnects(), 2);
}

#[tokio::test(start_paused = true)]
async fn w2_a_continue_that_was_lost_is_sent_again_with_its_id() {
    let (mut session, mut peer, mut listener) = started().await;
    peer.say_numbered(1, BacktestResponse::ReadyForContinue).await;
    session.next_event().await.unwrap();
    session.send_continue(ContinueParams::default()).await.unwrap();
    let first = peer.request().await;
    assert!(matches!(&first, BacktestRequest::Continue(params) if params.request_id.is_some()));
    drop(peer);
    let mut peer = Peer::accept(&mut listener).await;
    peer.attach().await;
    assert_eq!(peer.request().await, first);
}

#[tokio::test(start_paused = true)]
async fn w9_a_continue_waits_while_the_connection_is_down() {
    let (mut session, peer, mut listener) = started().await;
    let mut status = session.status();
    drop(peer);
    status
        .wait_for(|status| *status == ConnectionStatus::Down)
        .await
        .unwrap();
    let mut sending = Box::pin(session.send_continue(ContinueParams::default()));
    assert!(futures_util::poll!(&mut sending).is_pending());
    let mut peer = Peer::accept(&mut listener).await;
    peer.attach().await;
    sending.await.unwrap();
    assert!(matches!(peer.request().await, BacktestRequest::Continue(_)));
}

#[tokio::test(start_paused = true)]
async fn w3_a_replayed_error_is_an_event() {
    let (mut session, peer, mut listener) = started().await;
    drop(peer);
    let mut peer = Peer::accept(&mut listener).await;
    let BacktestRequest::AttachBacktestSession(_) = peer.request().await else {
        panic!("expected an attach");
    };
    peer.say(BacktestResponse::SessionAttached(super::peer::opened())).await;
    peer.request().await;
    let replayed = BacktestError::SimulationError {
        error: "account not found".into(),
    };
    peer.say_numbered(1, replayed.clone()).await;
    peer.say(BacktestResponse::Success).await;
    assert!(matches!(session.next_event().await, Ok(ManagedEvent::Error(error)) if error == replayed));
    let mut status = session.status();
    status.wait_for(|status| *status == ConnectionStatus::Up).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_gone_is_final() {
    let (mut session, peer, mut listener) = started().await;
    drop(peer);
    let mut peer = Peer::accept(&mut listener).await;
    peer.request().await;
    peer.say(BacktestError::SessionNotFound {
        session_id: super::peer::session_id().to_string(),
    })
    .await;
    let told = said(&mut session).await.expect("the end is told");
    assert!(told.is_err_and(|error| error.is_final()));
}

/// The window that a create asks for, under a policy that tries for `max_total`.
async fn window(max_total: std::time::Duration) -> Option<u16> {
    let (connector, mut listener) = network();
    let mut policy = ConnectionPolicy::default();
    policy.reconnect.max_total = max_total;
    let start = tokio::spawn(super::peer::builder(Arc::new(connector)).policy(policy).start());
    let mut peer = Peer::accept(&mut listener).await;
    let window = peer.create().await.request.disconnect_timeout_secs;
    start.abort();
    window
}

#[tokio::test(start_paused = true)]
async fn w45_a_session_outlives_the_attempts_to_come_back() {
    let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
    assert_eq!(window(minutes(5)).await, Some(360));
    assert_eq!(window(minutes(10)).await, Some(660));
    assert_eq!(window(minutes(60)).await, Some(900), "servers keep no session longer");
}
