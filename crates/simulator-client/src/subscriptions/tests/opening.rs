//! Calls that subscribe.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};
use solana_commitment_config::CommitmentConfig;

use super::peer::{Peer, Told, ended, keep, open, start, timed};
use crate::managed::{ConnectionError, ConnectionPolicy, ManagedFailure, RECONNECT_MAX_TOTAL};
use crate::subscriptions::{SubscriptionError, subscribe_account_diffs_many, subscribe_program_logs};
use crate::transport::{BoxTransport, ConnectRequest, Connector, TransportError};

/// A network in which nothing answers.
#[derive(Debug)]
struct Silent;

impl Connector for Silent {
    fn connect(&self, _request: ConnectRequest) -> BoxFuture<'_, Result<BoxTransport, TransportError>> {
        pending().boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn w28_an_empty_list_is_done_at_once_and_connects_nowhere() {
    let (start, mut listener) = start(&[]);
    let (took, handle) = timed(keep(start, &Told::default())).await;
    assert!(ended(handle.unwrap()).await.is_ok());
    assert!(listener.accept().await.is_none(), "the connector was dropped unused");

    let public = subscribe_account_diffs_many(super::peer::URL, Vec::<String>::new(), |_| async {}).await;
    assert!(ended(public.unwrap()).await.is_ok());
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn w29_what_arrives_between_two_acks_is_delivered() {
    let (start, mut listener) = start(&["A", "B", "A"]);
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        let (first, second) = (peer.request().await.unwrap(), peer.request().await.unwrap());
        assert_eq!((&first["params"][0], &second["params"][0]), (&"A".into(), &"B".into()));
        peer.grant(&first, 7).await;
        peer.notify(7, 1).await;
        peer.complete(7).await;
        peer.grant(&second, 8).await;
        peer.notify(8, 2).await;
        peer.complete(8).await;
        peer.gone().await;
    };
    let told = Told::default();
    let subscribe = async { ended(keep(start, &told).await.unwrap()).await };
    let (result, ()) = tokio::join!(subscribe, serve);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(*told.lock().unwrap(), [("A".to_owned(), 1), ("B".to_owned(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn w29_more_than_a_queue_between_two_acks_does_not_block_the_second() {
    let (mut start, mut listener) = start(&["A", "B"]);
    start.policy.notification_queue = 2;
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        let (first, second) = (peer.request().await.unwrap(), peer.request().await.unwrap());
        peer.grant(&first, 7).await;
        for slot in 0..500 {
            peer.notify(7, slot).await;
        }
        peer.grant(&second, 8).await;
        peer
    };
    let told = Told::default();
    let (took, (handle, _peer)) = timed(async { tokio::join!(keep(start, &told), serve) }).await;
    assert!(handle.is_ok());
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn w31_a_refused_subscription_is_an_error_of_the_call() {
    let (start, mut listener) = start(&["A", "B"]);
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        let (first, second) = (peer.request().await.unwrap(), peer.request().await.unwrap());
        peer.grant(&first, 7).await;
        peer.refuse(&second).await;
        peer.gone().await;
    };
    let (took, (handle, ())) = timed(async { tokio::join!(keep(start, &Told::default()), serve) }).await;
    let Err(SubscriptionError::Subscribe { source }) = handle else {
        panic!("{handle:?}");
    };
    let Some(ConnectionError::SubscriptionRefused { target, code, .. }) = source.connection() else {
        panic!("{source:?}");
    };
    assert_eq!((target.as_str(), *code, took), ("B", -32602, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn w31_a_server_that_does_not_answer_is_given_up() {
    let (start, mut listener) = start(&["A"]);
    let serve = async {
        let mut silent = Vec::new();
        while let Some(accepted) = listener.accept().await {
            silent.push(accepted);
        }
        pending::<()>().await;
    };
    let subscribe = timed(keep(start, &Told::default()));
    let (took, handle) = tokio::select! {
        result = subscribe => result,
        () = serve => unreachable!("it never ends"),
    };
    assert!(took < RECONNECT_MAX_TOTAL * 2, "{took:?}");
    let Err(SubscriptionError::Subscribe { source }) = handle else {
        panic!("{handle:?}");
    };
    let ManagedFailure::BudgetSpent { last, .. } = *source else {
        panic!("{source:?}");
    };
    assert!(
        matches!(last, ConnectionError::Unanswered { .. } | ConnectionError::Silent(_)),
        "{last:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn w31_a_connect_that_hangs_is_given_up() {
    let (mut start, _) = start(&["A"]);
    start.connector = Some(Arc::new(Silent));
    start.policy = ConnectionPolicy {
        connect_timeout: Duration::from_secs(2),
        ..start.policy
    };
    let (took, handle) = timed(keep(start, &Told::default())).await;
    assert!(took < RECONNECT_MAX_TOTAL * 2, "{took:?}");
    assert!(matches!(handle, Err(SubscriptionError::Connect { .. })), "{handle:?}");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_none_is_an_error_at_once() {
    let program = "Stake11111111111111111111111111111111111111";
    let subscribed =
        subscribe_program_logs("ftp://sim.test", program, CommitmentConfig::confirmed(), |_| async {}).await;
    assert!(
        matches!(subscribed, Err(SubscriptionError::InvalidUrl { .. })),
        "{subscribed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_leaves_no_connection() {
    let (start, mut listener) = start(&["A"]);
    let told = Told::default();
    let mut call = Box::pin(keep(start, &told));
    assert!(futures_util::poll!(&mut call).is_pending());
    let mut peer = Peer::accept(&mut listener).await;
    assert!(peer.request().await.is_some());
    drop(call);
    timed(peer.gone()).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_aborted_leaves_no_connection() {
    let (handle, mut peer, _listener, _) = open().await;
    handle.join_handle.abort();
    timed(peer.gone()).await;
}
