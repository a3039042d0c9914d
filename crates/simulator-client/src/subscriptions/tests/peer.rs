//! The scripted server, and callbacks that keep what they are told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::machine::subscription::SubscriptionKind;
use crate::managed::SubscriptionStart;
use crate::subscriptions::subscribe::{account_diffs, account_diffs_many};
use crate::subscriptions::{
    AccountDiffNotification, AccountDiffSubscriptionHandle, RoutedAccountDiffNotification, SubscriptionError,
    SubscriptionRuntimeError,
};
use crate::transport::Frame;
use crate::transport::memory::{MemoryListener, MemoryTransport, network};

pub(super) const URL: &str = "http://sim.test/backtest/secret";

/// The server's end of one connection.
pub(super) struct Peer(MemoryTransport);

/// What callbacks were told: account and slot.
pub(super) type Told = Arc<Mutex<Vec<(String, u64)>>>;

impl Peer {
    pub(super) async fn accept(listener: &mut MemoryListener) -> Self {
        Self(listener.accept().await.expect("the client connects").transport)
    }

    /// The next request; `None` once the client closes the connection. Answers pings.
    pub(super) async fn request(&mut self) -> Option<Value> {
        loop {
            match self.0.next().await.map(Result::unwrap) {
                Some(Frame::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Frame::Ping(data)) => drop(self.0.send(Frame::Pong(data)).await),
                Some(Frame::Close(reason)) => {
                    let _gone = self.0.send(Frame::Close(reason)).await;
                    return None;
                }
                None => return None,
                other => panic!("expected a request, got {other:?}"),
            }
        }
    }

    pub(super) async fn say(&mut self, message: Value) {
        self.0.send(Frame::Text(message.to_string().into())).await.unwrap();
    }

    pub(super) async fn grant(&mut self, request: &Value, number: u64) {
        self.say(json!({"jsonrpc": "2.0", "id": request["id"], "result": number}))
            .await;
    }

    pub(super) async fn refuse(&mut self, request: &Value) {
        let error = json!({"code": -32602, "message": "unknown account"});
        self.say(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}))
            .await;
    }

    pub(super) async fn notify(&mut self, number: u64, slot: u64) {
        let result = json!({
            "context": {"slot": slot}, "account": "A", "signature": format!("sig{slot}"), "tx_index": 0,
            "pre": null, "post": null,
        });
        self.say_params(
            "accountDiffNotification",
            json!({"subscription": number, "result": result}),
        )
        .await;
    }

    pub(super) async fn complete(&mut self, number: u64) {
        self.say_params("subscriptionComplete", json!({"subscription": number}))
            .await;
    }

    async fn say_params(&mut self, method: &str, params: Value) {
        self.say(json!({"jsonrpc": "2.0", "method": method, "params": params}))
            .await;
    }

    /// Waits until the client has gone.
    pub(super) async fn gone(&mut self) {
        assert_eq!(self.request().await, None);
    }
}

/// What subscribes over a network of its own.
pub(super) fn start(addresses: &[&str]) -> (SubscriptionStart, MemoryListener) {
    let (connector, listener) = network();
    let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
    let start = SubscriptionStart {
        connector: Some(Arc::new(connector)),
        ..SubscriptionStart::new(URL.to_owned(), SubscriptionKind::AccountDiffs, addresses)
    };
    (start, listener)
}

/// Subscribes, and keeps what is told.
pub(super) fn keep(
    start: SubscriptionStart,
    told: &Told,
) -> impl Future<Output = Result<AccountDiffSubscriptionHandle, SubscriptionError>> + use<> {
    let told = told.clone();
    account_diffs_many(start, move |routed: RoutedAccountDiffNotification| {
        let slot = routed.notification.slot();
        told.lock().unwrap().push((routed.account, slot));
        std::future::ready(())
    })
}

/// One subscription that is open, with the number 7 at its server.
pub(super) async fn open_with<C, F>(callback: C) -> (AccountDiffSubscriptionHandle, Peer, MemoryListener)
where
    C: FnMut(AccountDiffNotification) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (start, mut listener) = start(&["A"]);
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        let request = peer.request().await.unwrap();
        peer.grant(&request, 7).await;
        peer
    };
    let (handle, peer) = tokio::join!(account_diffs(start, callback), serve);
    (handle.unwrap(), peer, listener)
}

/// As `open_with`, with a callback that keeps what it is told.
pub(super) async fn open() -> (AccountDiffSubscriptionHandle, Peer, MemoryListener, Told) {
    let told = Told::default();
    let kept = told.clone();
    let (handle, peer, listener) = open_with(move |diff| {
        kept.lock().unwrap().push((diff.target().to_owned(), diff.slot()));
        std::future::ready(())
    })
    .await;
    (handle, peer, listener, told)
}

pub(super) fn slots(told: &Told) -> Vec<u64> {
    told.lock().unwrap().iter().map(|(_, slot)| *slot).collect()
}

/// How long something takes, by the paused clock.
pub(super) async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let began = Instant::now();
    let result = timeout(Duration::from_secs(86_400), work).await.expect("it ends");
    (began.elapsed(), result)
}

/// How a subscription ends.
pub(super) async fn ended(handle: AccountDiffSubscriptionHandle) -> Result<(), SubscriptionRuntimeError> {
    timed(handle.join_handle).await.1.unwrap()
}
