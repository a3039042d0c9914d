//! Subscriptions that end before they are told anything, and those that are refused.

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use solana_pubsub_client::nonblocking::pubsub_client::PubsubClientError;
use solana_rpc_client_api::config::{RpcBlockSubscribeFilter, RpcTransactionLogsConfig, RpcTransactionLogsFilter};
use solana_sdk_ids::sysvar;
use solana_signature::Signature;
use tokio::time::timeout;

use crate::pubsub::{NOBODY, TOKEN_PROGRAM, take};
use crate::stage::{PATIENCE, Stage};

/// A stream, and what ends its subscription.
type Subscribed<'a, T> = Result<(BoxStream<'a, T>, Stop), PubsubClientError>;
type Stop = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// Waits for the answer; the client hides what it is.
async fn end<T>(subscribed: Subscribed<'_, T>) {
    let (told, stop) = subscribed.unwrap();
    timeout(PATIENCE, stop()).await.unwrap();
    let told = timeout(PATIENCE, told.count()).await.unwrap();
    assert_eq!(told, 0, "the stream ends, and had nothing");
}

fn logs_config() -> RpcTransactionLogsConfig {
    RpcTransactionLogsConfig { commitment: None }
}

#[tokio::test]
async fn every_subscription_can_be_ended() {
    let mut stage = Stage::sample().await;
    let client = stage.pubsub().await;
    end(client.account_subscribe(&sysvar::clock::ID, None).await).await;
    end(client.program_subscribe(&TOKEN_PROGRAM, None).await).await;
    let all = RpcTransactionLogsFilter::AllWithVotes;
    end(client.logs_subscribe(all, logs_config()).await).await;
    end(client.signature_subscribe(&Signature::default(), None).await).await;
    end(client.slot_subscribe().await).await;
    end(client.slot_updates_subscribe().await).await;
    end(client.block_subscribe(RpcBlockSubscribeFilter::All, None).await).await;
    end(client.root_subscribe().await).await;
    // The connection works as before, and a subscription beside an ended one of its kind is told everything.
    let (ended, stop) = client.root_subscribe().await.unwrap();
    let (roots, _) = client.root_subscribe().await.unwrap();
    stop().await;
    stage.advance(3).await;
    assert_eq!(take(roots, 3).await, stage.ledger.slots()[..3]);
    assert_eq!(ended.count().await, 0);
    client.shutdown().await.unwrap();
}

/// The reason of a refusal.
fn refused<T>(subscribed: Subscribed<'_, T>) -> String {
    match subscribed.map(|_| ()).unwrap_err() {
        PubsubClientError::SubscribeFailed { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_with_solana_s_codes() {
    let stage = Stage::sample().await;
    let client = stage.pubsub().await;
    assert!(refused(client.vote_subscribe().await).contains("-32601"));
    let nonsense = RpcTransactionLogsFilter::Mentions(vec!["zzz".to_owned()]);
    assert!(refused(client.logs_subscribe(nonsense, logs_config()).await).contains("-32602"));
    let nonsense = RpcBlockSubscribeFilter::MentionsAccountOrProgram("zzz".to_owned());
    assert!(refused(client.block_subscribe(nonsense, None).await).contains("-32602"));
    client.account_subscribe(&NOBODY, None).await.map(|_| ()).unwrap();
    client.shutdown().await.unwrap();
}
