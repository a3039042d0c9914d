//! Subscriptions that their caller stops.

use std::time::Duration;

use tokio::time::sleep;

use super::peer::{Peer, ended, open, open_with, slots, timed};
use crate::subscriptions::{STOP_SILENCE_TIMEOUT, STOP_TOTAL_TIMEOUT, SubscriptionHandle, SubscriptionRuntimeError};

const NEARLY: Duration = Duration::from_secs(9);

fn is_undrained(result: &Result<(), SubscriptionRuntimeError>) -> bool {
    matches!(result, Err(SubscriptionRuntimeError::Undrained { .. }))
}

#[tokio::test(start_paused = true)]
async fn w32_a_stop_waits_for_the_end_marker_behind_a_slow_tail() {
    let (handle, mut peer, _listener, told) = open().await;
    handle.stop.send(true).unwrap();
    let serve = async {
        for slot in 0..4 {
            sleep(NEARLY).await;
            peer.notify(7, slot).await;
        }
        sleep(NEARLY).await;
        peer.complete(7).await;
        peer.gone().await;
    };
    let (result, ()) = tokio::join!(ended(handle), serve);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(slots(&told), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn w32_a_stop_in_the_middle_ends_after_a_silence() {
    let (handle, mut peer, _listener, told) = open().await;
    peer.notify(7, 1).await;
    handle.stop.send(true).unwrap();
    let handle = SubscriptionHandle::from(handle);
    let ending = timed(handle.join_handle);
    let ((took, result), ()) = tokio::join!(ending, peer.gone());
    assert!(is_undrained(&result.unwrap()));
    assert_eq!((took, slots(&told)), (STOP_SILENCE_TIMEOUT, vec![1]));
}

#[tokio::test(start_paused = true)]
async fn w32_a_stop_is_bounded_while_notifications_keep_coming() {
    let (handle, mut peer, _listener, told) = open().await;
    handle.stop.send(true).unwrap();
    let serve = async {
        for slot in 0.. {
            peer.notify(7, slot).await;
            sleep(Duration::from_secs(4)).await;
        }
    };
    let (took, result) = tokio::select! {
        ending = timed(ended(handle)) => ending,
        () = serve => unreachable!(),
    };
    assert!(is_undrained(&result));
    assert!(took >= STOP_TOTAL_TIMEOUT && took < STOP_TOTAL_TIMEOUT * 2, "{took:?}");
    assert_eq!(slots(&told).len(), 15);
}

#[tokio::test(start_paused = true)]
async fn w32_a_stop_is_bounded_where_the_callback_hangs() {
    let (handle, mut peer, _listener) = open_with(|_| std::future::pending()).await;
    peer.notify(7, 1).await;
    sleep(NEARLY).await;
    handle.stop.send(true).unwrap();
    let ((took, result), ()) = tokio::join!(timed(ended(handle)), peer.gone());
    assert!(is_undrained(&result));
    assert_eq!(took, STOP_TOTAL_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn w32_the_tail_of_a_connection_that_was_lost_is_waited_for() {
    let (handle, mut peer, mut listener, told) = open().await;
    peer.notify(7, 1).await;
    sleep(NEARLY).await;
    drop(peer);
    handle.stop.send(true).unwrap();
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        let request = peer.request().await.unwrap();
        sleep(STOP_SILENCE_TIMEOUT * 2).await;
        peer.grant(&request, 8).await;
        peer.notify(8, 1).await;
        peer.notify(8, 2).await;
        peer.complete(8).await;
        peer.gone().await;
    };
    let (result, ()) = tokio::join!(ended(handle), serve);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(slots(&told), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_is_dropped_stops_nothing() {
    let (handle, mut peer, _listener, told) = open().await;
    drop(handle);
    sleep(STOP_TOTAL_TIMEOUT / 2).await;
    peer.notify(7, 1).await;
    peer.complete(7).await;
    timed(peer.gone()).await;
    assert_eq!(slots(&told), [1]);
}
