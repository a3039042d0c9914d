//! A caller that does not read.

use std::sync::Arc;
use std::time::Duration;

use simulator_api::{BacktestRequest, BacktestResponse, BacktestStatus};

use super::peer::{Peer, builder, opened, started, timed};
use crate::managed::queue::Weigh;
use crate::managed::{
    CONTROL_QUEUE, ConnectionPolicy, ConnectionStatus, ControlEvent, HANDSHAKE_TOTAL_TIMEOUT, ManagedEvent,
    StreamFault, SubscriptionNotification,
};
use crate::transport::Frame;
use crate::transport::memory::{CAPACITY, network};

#[tokio::test(start_paused = true)]
async fn w5_ten_minutes_without_a_reader_cost_nothing() {
    let (mut session, mut peer, _listener) = started().await;
    // Everything that fits into the queue, and all that the network holds.
    let mut said = 0_u64;
    let limit = 2 * (CONTROL_QUEUE + CAPACITY) as u64;
    for _ in 0..limit {
        let event = format!(
            "{{\"seqId\":{},\"method\":\"slotNotification\",\"params\":{said}}}",
            said + 1
        );
        if !peer.try_send(Frame::Text(event.into())) {
            break;
        }
        said += 1;
        tokio::task::yield_now().await;
    }
    assert!(said < limit, "the queue is bounded: {said}");
    // The server cannot even answer pings, because nobody reads.
    let mut counted = (0, 0);
    for _ in 0..10 {
        let (pings, pongs) = peer.idle(Duration::from_secs(60)).await;
        counted = (counted.0 + pings, counted.1 + pongs);
    }
    assert!((39..=41).contains(&counted.0) && counted.1 >= 39, "{counted:?}");
    assert_eq!(*session.status().borrow(), ConnectionStatus::Up);
    for expected in 0..said {
        let event = session.next_event().await.unwrap();
        assert!(
            matches!(event, ManagedEvent::Slot(slot) if slot == expected),
            "{event:?}"
        );
    }
    peer.say_numbered(said + 1, BacktestResponse::ReadyForContinue).await;
    assert!(matches!(session.next_event().await, Ok(ManagedEvent::ReadyForContinue)));
    assert_eq!(session.counters().snapshot().reconnects(), 0);
}

#[tokio::test(start_paused = true)]
async fn w17_shutdown_with_a_full_queue_closes_the_session() {
    let (session, mut peer, _listener) = started().await;
    for number in 0..10_000 {
        let event = format!(
            "{{\"seqId\":{},\"method\":\"slotNotification\",\"params\":{number}}}",
            number + 1
        );
        if !peer.try_send(Frame::Text(event.into())) {
            break;
        }
        tokio::task::yield_now().await;
    }
    let serve = tokio::spawn(async move { peer.be_closed().await });
    let (took, ()) = timed(session.shutdown()).await;
    assert_eq!(took, Duration::ZERO);
    serve.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_is_made_however_much_is_told_before_it_is_there() {
    let (connector, mut listener) = network();
    let policy = ConnectionPolicy {
        control_queue: 1,
        ..ConnectionPolicy::default()
    };
    let told = 3 * CAPACITY;
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        peer.create().await;
        for _ in 0..told {
            peer.say(BacktestStatus::StartingRuntime).await;
        }
        peer.say(BacktestResponse::SessionCreated(opened())).await;
        peer
    };
    let (session, mut peer) = tokio::join!(builder(Arc::new(connector)).policy(policy).start(), serve);
    let mut session = session.unwrap();
    peer.say_numbered(1, BacktestResponse::ReadyForContinue).await;
    for _ in 0..told {
        assert!(matches!(session.next_event().await, Ok(ManagedEvent::Status(_))));
    }
    assert!(matches!(session.next_event().await, Ok(ManagedEvent::ReadyForContinue)));
}

#[test]
fn what_a_fault_repeats_counts_as_memory() {
    let raw = "x".repeat(1000);
    let fault = StreamFault::UnreadableNotification { raw, reason: "no" };
    assert!(ControlEvent::Fault(fault.clone()).weight() > 1000);
    assert!(SubscriptionNotification::Fault(fault).weight() > 1000);
}

#[tokio::test(start_paused = true)]
async fn w5_a_replay_that_waits_for_its_reader_is_no_failed_handshake() {
    let (mut session, peer, mut listener) = started().await;
    drop(peer);
    let mut peer = Peer::accept(&mut listener).await;
    assert!(matches!(
        peer.request().await,
        BacktestRequest::AttachBacktestSession(_)
    ));
    peer.say(BacktestResponse::SessionAttached(opened())).await;
    peer.request().await;
    // Everything is replayed before the resume is confirmed, and nobody reads for half an hour.
    let mut said = 0;
    while peer.try_send(slot_event(said)) {
        said += 1;
        tokio::task::yield_now().await;
    }
    peer.idle(HANDSHAKE_TOTAL_TIMEOUT * 2).await;
    for expected in 0..said {
        let event = session.next_event().await.unwrap();
        assert!(
            matches!(event, ManagedEvent::Slot(slot) if slot == expected),
            "{event:?}"
        );
    }
    peer.say(BacktestResponse::Success).await;
    let mut status = session.status();
    status.wait_for(|status| *status == ConnectionStatus::Up).await.unwrap();
    assert_eq!(session.counters().snapshot().reconnects(), 1);
}

fn slot_event(slot: u64) -> Frame {
    let number = slot + 1;
    Frame::Text(format!("{{\"seqId\":{number},\"method\":\"slotNotification\",\"params\":{slot}}}").into())
}
