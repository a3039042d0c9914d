//! The end of a range, while subscriptions still have something to tell.

use std::time::Duration;

use super::peer::{COMPLETED, Peer, subscribed, timed};
use crate::managed::{COMPLETION_DRAIN_TIMEOUT, ManagedEvent, ManagedFailure, ManagedSessionError};

#[tokio::test(start_paused = true)]
async fn completed_comes_after_everything_that_subscriptions_tell() {
    let (mut session, mut control, mut data, _listener) = subscribed().await;
    control.say_numbered(1, COMPLETED).await;
    for index in 0..10 {
        data.notify(1, 100, index).await;
    }
    for _ in 0..10 {
        assert!(matches!(session.next_event().await, Ok(ManagedEvent::AccountDiff(_))));
    }
    let pending = tokio::time::timeout(Duration::from_secs(1), session.next_event()).await;
    assert!(
        pending.is_err(),
        "the subscription has not said that it is complete: {pending:?}"
    );
    assert!(
        control.is_silent(),
        "the session is not closed while a subscription has something to tell"
    );
    data.complete(1).await;
    assert!(matches!(session.next_event().await, Ok(ManagedEvent::Completed { .. })));
    control.be_closed().await;
}

#[tokio::test(start_paused = true)]
async fn w15_a_slow_subscription_may_take_as_long_as_it_wants() {
    let (mut session, mut control, mut data, _listener) = subscribed().await;
    control.say_numbered(1, COMPLETED).await;
    let slow = async {
        for index in 0..20 {
            let (pings, _) = data.idle(COMPLETION_DRAIN_TIMEOUT - Duration::from_secs(1)).await;
            assert!(pings > 0);
            data.notify(1, 100, index).await;
        }
        data.complete(1).await;
    };
    let read = async {
        for _ in 0..20 {
            assert!(matches!(session.next_event().await, Ok(ManagedEvent::AccountDiff(_))));
        }
        session.next_event().await
    };
    let ((), last, _) = tokio::join!(slow, read, control.idle(Duration::from_secs(1_000)));
    assert!(matches!(last, Ok(ManagedEvent::Completed { .. })), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn w15_a_silent_subscription_makes_the_end_incomplete() {
    let (mut session, mut control, mut data, _listener) = subscribed().await;
    control.say_numbered(1, COMPLETED).await;
    let idle = async {
        tokio::join!(
            control.idle(Duration::from_secs(59)),
            data.idle(Duration::from_secs(59))
        )
    };
    let ((took, last), _) = tokio::join!(timed(session.next_event()), idle);
    assert!(matches!(last, Err(ManagedSessionError::Incomplete { .. })), "{last:?}");
    assert_eq!(took, COMPLETION_DRAIN_TIMEOUT);
    assert!(matches!(
        session.next_event().await,
        Err(ManagedSessionError::ControlClosed)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_comes_back_late_loses_nothing() {
    let (mut session, mut control, mut data, _listener) = subscribed().await;
    for index in 0..5 {
        data.notify(1, 100, index).await;
    }
    control.say_numbered(1, COMPLETED).await;
    data.complete(1).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    for _ in 0..5 {
        assert!(matches!(session.next_event().await, Ok(ManagedEvent::AccountDiff(_))));
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert!(matches!(session.next_event().await, Ok(ManagedEvent::Completed { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_reconnects_is_waited_for() {
    let (mut session, mut control, mut data, mut listener) = subscribed().await;
    data.notify(1, 100, 0).await;
    control.say_numbered(1, COMPLETED).await;
    assert!(matches!(session.next_event().await, Ok(ManagedEvent::AccountDiff(_))));
    drop(data);
    let serve = async {
        let mut data = Peer::accept(&mut listener).await;
        let request = data.json().await;
        assert_eq!(
            request["params"][1]["replayAfter"],
            serde_json::json!({"slot": 100, "index": 0})
        );
        let answer = serde_json::json!({"jsonrpc": "2.0", "id": request["id"], "result": 7});
        data.send(crate::transport::Frame::Text(answer.to_string().into()))
            .await;
        data.notify(7, 100, 1).await;
        data.complete(7).await;
        data
    };
    let read = async {
        assert!(matches!(session.next_event().await, Ok(ManagedEvent::AccountDiff(_))));
        session.next_event().await
    };
    let (last, _data) = tokio::join!(read, serve);
    assert!(matches!(last, Ok(ManagedEvent::Completed { .. })), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn w22_a_failed_subscription_is_told_at_once_and_again_in_place_of_the_end() {
    let (mut session, mut control, mut listener) = super::peer::started().await;
    session.subscribe_account_diffs(vec![super::peer::program()]).unwrap();
    let mut data = Peer::accept(&mut listener).await;
    data.refuse(-32602).await;
    let is_refusal = |told: &Result<ManagedEvent, ManagedSessionError>| {
        matches!(told, Err(ManagedSessionError::SubscriptionFailed { failure, .. })
            if matches!(**failure, ManagedFailure::Permanent(_)))
    };
    assert!(is_refusal(&session.next_event().await));
    control.say_numbered(1, COMPLETED).await;
    assert!(is_refusal(&session.next_event().await));
    assert!(matches!(
        session.next_event().await,
        Err(ManagedSessionError::ControlClosed)
    ));
}
