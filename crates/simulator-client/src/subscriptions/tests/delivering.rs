//! What callbacks are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::peer::{Peer, Told, ended, open, open_with, slots, timed};
use crate::subscriptions::SubscriptionRuntimeError;

#[tokio::test(start_paused = true)]
async fn callbacks_come_one_after_the_other_and_in_order() {
    let (told, is_busy) = (Told::default(), Arc::new(AtomicBool::new(false)));
    let kept = told.clone();
    let (handle, mut peer, _listener) = open_with(move |diff| {
        let (kept, is_busy) = (kept.clone(), is_busy.clone());
        async move {
            assert!(!is_busy.swap(true, Ordering::Relaxed), "only one at a time");
            sleep(Duration::from_millis(10 - diff.slot())).await;
            is_busy.store(false, Ordering::Relaxed);
            kept.lock().unwrap().push((String::new(), diff.slot()));
        }
    })
    .await;
    for slot in 0..10 {
        peer.notify(7, slot).await;
    }
    peer.complete(7).await;
    let (result, ()) = tokio::join!(ended(handle), peer.gone());
    assert!(result.is_ok());
    assert_eq!(slots(&told), Vec::from_iter(0..10));
}

#[tokio::test(start_paused = true)]
async fn w31_a_lost_connection_is_made_again_and_nothing_is_told_twice() {
    let (handle, mut peer, mut listener, told) = open().await;
    peer.notify(7, 1).await;
    peer.notify(7, 2).await;
    timed(sleep(Duration::from_secs(1))).await;
    drop(peer);
    let mut peer = Peer::accept(&mut listener).await;
    let request = peer.request().await.unwrap();
    assert_eq!(request["params"][1]["replayFromSlot"], json!(2));
    peer.grant(&request, 3).await;
    for slot in [2, 3] {
        peer.notify(3, slot).await;
    }
    peer.complete(3).await;
    let (result, ()) = tokio::join!(ended(handle), peer.gone());
    assert!(result.is_ok());
    assert_eq!(slots(&told), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_go_on_where_it_was_is_told_of() {
    let (handle, mut peer, mut listener, told) = open().await;
    peer.notify(7, 1).await;
    sleep(Duration::from_secs(1)).await;
    drop(peer);
    let mut peer = Peer::accept(&mut listener).await;
    let request = peer.request().await.unwrap();
    peer.grant(&request, 3).await;
    peer.notify(3, 5).await;
    peer.complete(3).await;
    let (result, ()) = tokio::join!(ended(handle), peer.gone());
    assert!(
        matches!(result, Err(SubscriptionRuntimeError::Faulty { count: 1, .. })),
        "{result:?}"
    );
    assert_eq!(slots(&told), [1, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_refused_later_fails_with_its_cause() {
    let (handle, peer, mut listener, _) = open().await;
    drop(peer);
    let mut peer = Peer::accept(&mut listener).await;
    let request = peer.request().await.unwrap();
    peer.refuse(&request).await;
    let (result, ()) = tokio::join!(ended(handle), peer.gone());
    let Err(SubscriptionRuntimeError::Closed { target, .. }) = result else {
        panic!("{result:?}");
    };
    assert_eq!(target, "A");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_counted_and_the_rest_delivered() {
    let (handle, mut peer, _listener, told) = open().await;
    for slot in [1, 2] {
        let result = json!({"account": "A"});
        peer.say(json!({"method": "accountDiffNotification", "params": {"subscription": 7, "result": result}}))
            .await;
        peer.notify(7, slot).await;
    }
    peer.complete(7).await;
    let (result, ()) = tokio::join!(ended(handle), peer.gone());
    assert!(
        matches!(result, Err(SubscriptionRuntimeError::Faulty { count: 2, .. })),
        "{result:?}"
    );
    assert_eq!(slots(&told), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_callback_ends_the_task_and_the_connection() {
    let (handle, mut peer, _listener) = open_with(|_| async { panic!("the caller's mistake") }).await;
    peer.notify(7, 1).await;
    timed(peer.gone()).await;
    assert!(handle.join_handle.await.is_err_and(|error| error.is_panic()));
}
