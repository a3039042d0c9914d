//! What a continue waits for, and what it does not wait for.

use std::time::Duration;

use simulator_api::{BacktestRequest, BacktestResponse, ContinueParams};

use super::peer::{Peer, diff, program, started, started_with, subscribed};
use crate::managed::{ConnectionPolicy, ConnectionStatus, ManagedSessionError};
use crate::transport::Frame;

#[tokio::test(start_paused = true)]
async fn a_continue_waits_for_subscriptions() {
    let (mut session, mut control, mut listener) = started().await;
    session.subscribe_account_diffs(vec![program()]).unwrap();
    let mut data = Peer::accept(&mut listener).await;
    let mut sending = Box::pin(session.send_continue(ContinueParams::default()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(futures_util::poll!(&mut sending).is_pending());
    data.grant(1).await;
    sending.await.unwrap();
    assert!(matches!(control.request().await, BacktestRequest::Continue(_)));
}

#[tokio::test(start_paused = true)]
async fn a_continue_fails_with_a_refused_subscription() {
    let (mut session, _control, mut listener) = started().await;
    session.subscribe_account_diffs(vec![program()]).unwrap();
    let mut data = Peer::accept(&mut listener).await;
    data.refuse(-32602).await;
    let sent = session.send_continue(ContinueParams::default()).await;
    assert!(
        matches!(sent, Err(ManagedSessionError::SubscriptionFailed { .. })),
        "{sent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_continue_does_not_wait_for_a_subscription_that_waits_for_its_reader() {
    let (mut session, mut control, mut data, mut listener) = subscribed().await;
    let mut index = 0;
    while data.try_send(Frame::Text(diff(1, 100, index).into())) {
        index += 1;
        tokio::task::yield_now().await;
    }
    let mut status = session.subscription_statuses().remove(0);
    // The client does not read, and cannot know that the connection is lost before it does; the peer resets it.
    drop(data);
    for _ in 0..index / 2 {
        session.next_event().await.unwrap();
    }
    status
        .wait_for(|status| *status == ConnectionStatus::Down)
        .await
        .unwrap();
    let mut data = Peer::accept(&mut listener).await;
    let request = data.json().await;
    // More than fits before the answer that establishes the subscription.
    let early = request["params"][1]["replayAfter"].clone();
    assert!(early.is_object(), "{request}");
    let answer = serde_json::json!({"jsonrpc": "2.0", "id": request["id"], "result": 1});
    data.send(Frame::Text(answer.to_string().into())).await;
    session.send_continue(ContinueParams::default()).await.unwrap();
    assert!(matches!(control.request().await, BacktestRequest::Continue(_)));
}

#[tokio::test(start_paused = true)]
async fn w28_an_empty_subscription_is_refused() {
    let (mut session, _control, _listener) = started().await;
    let subscribed = session.subscribe_transactions(Vec::new());
    assert!(matches!(subscribed, Err(ManagedSessionError::EmptySubscription)));
}

#[tokio::test(start_paused = true)]
async fn a_continue_after_the_end_is_an_error() {
    let (mut session, mut control, _listener) = started().await;
    control.say_numbered(1, super::peer::COMPLETED).await;
    session.next_event().await.unwrap();
    control.be_closed().await;
    let sent = session.send_continue(ContinueParams::default()).await;
    assert!(matches!(sent, Err(ManagedSessionError::ContinueSend)), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn w27_notifications_do_not_hold_control_events_up() {
    let (mut session, mut control, mut data, _listener) = subscribed().await;
    control.say_numbered(1, BacktestResponse::ReadyForContinue).await;
    for index in 0..50 {
        data.notify(1, 100, index).await;
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut before = 0;
    while !matches!(
        session.next_event().await.unwrap(),
        crate::managed::ManagedEvent::ReadyForContinue
    ) {
        before += 1;
    }
    assert!(before <= 1, "{before} notifications came first");
}

#[tokio::test(start_paused = true)]
async fn w9_a_subscription_that_once_waited_for_its_reader_is_waited_for_when_it_is_lost() {
    let policy = ConnectionPolicy {
        notification_queue: 4,
        ..ConnectionPolicy::default()
    };
    let (mut session, mut control, mut listener) = started_with(policy).await;
    session.subscribe_account_diffs(vec![program()]).unwrap();
    let mut data = Peer::accept(&mut listener).await;
    let request = data.json().await;
    let answer = serde_json::json!({"jsonrpc": "2.0", "id": request["id"], "result": 1});
    // All at once, so that the queue is full before the subscription counts as established.
    assert!(data.try_send(Frame::Text(answer.to_string().into())));
    for index in 0..10 {
        assert!(data.try_send(Frame::Text(diff(1, 100, index).into())));
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    for _ in 0..10 {
        session.next_event().await.unwrap();
    }
    let mut status = session.subscription_statuses().remove(0);
    drop(data);
    status
        .wait_for(|status| *status == ConnectionStatus::Down)
        .await
        .unwrap();
    let mut sending = Box::pin(session.send_continue(ContinueParams::default()));
    assert!(futures_util::poll!(&mut sending).is_pending());
    let mut data = Peer::accept(&mut listener).await;
    data.grant(1).await;
    sending.await.unwrap();
    assert!(matches!(control.request().await, BacktestRequest::Continue(_)));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_to_continue_what_has_ended_unread() {
    let (mut session, mut control, _listener) = started().await;
    control.say_numbered(1, super::peer::COMPLETED).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    for _ in 0..3 {
        let sent = session.send_continue(ContinueParams::default()).await;
        assert!(matches!(sent, Err(ManagedSessionError::ContinueSend)), "{sent:?}");
    }
    assert!(session.next_event().await.is_ok());
}
