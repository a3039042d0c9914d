//! A caller that does not read.

use std::time::Duration;

use simulator_api::BacktestResponse;

use super::peer::{started, timed};
use crate::managed::{CONTROL_QUEUE, ConnectionStatus, ManagedEvent};
use crate::transport::Frame;
use crate::transport::memory::CAPACITY;

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
