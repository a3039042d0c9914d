//! The manager of a subscription connection, and its caller's end.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use simulator_api::Compression;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use super::endpoint::{Endpoint, default_connector};
use super::manager::{Manager, Surroundings};
use super::queue::{EventSender, Room, Weigh, queue};
use super::supervisor::{Outlet, Watcher};
use super::{
    CompressionChoice, ConnectionCounters, ConnectionError, ConnectionPolicy, ConnectionStatus, EventReceiver,
    ManagedFailure, SubscriptionNotification,
};
use crate::machine::subscription::{SubscriptionConfig, SubscriptionKind, SubscriptionMachine};
use crate::transport::Connector;
use crate::urls::http_to_ws_url;

/// The caller's end of a subscription connection. Dropping it ends the subscriptions.
#[derive(Debug)]
pub struct SubscriptionHandle {
    /// What the subscriptions deliver, in order; closed once every one of them has told everything. While nobody
    /// reads, the session waits.
    pub notifications: EventReceiver<SubscriptionNotification>,
    /// Whether the subscriptions are established.
    pub status: watch::Receiver<ConnectionStatus>,
    manager: Manager,
}

/// What a subscription manager is started with.
#[derive(Debug)]
pub(crate) struct SubscriptionStart {
    /// The session's JSON-RPC address.
    pub(crate) rpc_endpoint: String,
    pub(crate) kind: SubscriptionKind,
    pub(crate) addresses: Vec<String>,
    pub(crate) from_slot: Option<u64>,
    pub(crate) policy: ConnectionPolicy,
    pub(crate) connector: Option<Arc<dyn Connector>>,
}

/// What stands for an address where all actions of a session are meant.
pub(super) const ACTIONS: &str = "the session's actions";

/// Subscribes to the transactions that mention one of some programs, over one connection, and keeps it connected. An
/// empty list fails at once.
///
/// `rpc_endpoint` is the session's, as [`SessionInfo`](super::SessionInfo) has it. Must be called within a tokio
/// runtime.
#[expect(clippy::needless_pass_by_value, reason = "users of the published client call it so")]
pub fn spawn_transaction_subscription_manager(
    rpc_endpoint: String,
    program_ids: Vec<String>,
    cancel: CancellationToken,
) -> SubscriptionHandle {
    SubscriptionStart::new(rpc_endpoint, SubscriptionKind::Transactions, program_ids).spawn(&cancel)
}

/// Subscribes to the changes of all accounts that belong to one of some programs. Otherwise as
/// [`spawn_transaction_subscription_manager`].
#[expect(clippy::needless_pass_by_value, reason = "users of the published client call it so")]
pub fn spawn_account_diff_subscription_manager(
    rpc_endpoint: String,
    program_ids: Vec<String>,
    cancel: CancellationToken,
) -> SubscriptionHandle {
    SubscriptionStart::new(rpc_endpoint, SubscriptionKind::ProgramAccountDiffs, program_ids).spawn(&cancel)
}

/// Subscribes to the logs of the transactions that mention one of some programs. Otherwise as
/// [`spawn_transaction_subscription_manager`].
#[expect(clippy::needless_pass_by_value, reason = "users of the published client call it so")]
pub fn spawn_logs_subscription_manager(
    rpc_endpoint: String,
    program_ids: Vec<String>,
    cancel: CancellationToken,
) -> SubscriptionHandle {
    SubscriptionStart::new(rpc_endpoint, SubscriptionKind::Logs, program_ids).spawn(&cancel)
}

/// Subscribes to what the scheduled actions of the session lead to. Otherwise as
/// [`spawn_transaction_subscription_manager`].
#[expect(clippy::needless_pass_by_value, reason = "the other managers are spawned so")]
pub fn spawn_action_subscription_manager(rpc_endpoint: String, cancel: CancellationToken) -> SubscriptionHandle {
    SubscriptionStart::actions(rpc_endpoint).spawn(&cancel)
}

impl SubscriptionStart {
    /// All actions of a session.
    pub(crate) fn actions(rpc_endpoint: String) -> Self {
        Self::new(rpc_endpoint, SubscriptionKind::Actions, vec![ACTIONS.to_owned()])
    }

    pub(crate) fn new(rpc_endpoint: String, kind: SubscriptionKind, addresses: Vec<String>) -> Self {
        Self {
            rpc_endpoint,
            kind,
            addresses,
            from_slot: None,
            policy: ConnectionPolicy::default(),
            connector: None,
        }
    }

    pub(crate) fn spawn(self, cancel: &CancellationToken) -> SubscriptionHandle {
        let (outlet, notifications) = queue(self.policy.notification_queue, self.policy.queue_bytes);
        let surroundings = Surroundings {
            outlet,
            requests: None,
            policy: self.policy.clone(),
            span: tracing::info_span!("subscription", kind = ?self.kind),
        };
        let manager = Manager::spawn(self.prepare(), surroundings, cancel);
        SubscriptionHandle {
            notifications,
            status: manager.status(),
            manager,
        }
    }

    fn prepare(self) -> Result<(Endpoint, SubscriptionMachine), ConnectionError> {
        if self.addresses.is_empty() {
            return Err(ConnectionError::NothingToSubscribe);
        }
        let url = websocket_url(&self.rpc_endpoint)?;
        let config = SubscriptionConfig {
            kind: self.kind,
            addresses: self.addresses,
            from_slot: self.from_slot,
            compression: compression(self.policy.compression, &url),
            handshake_response_timeout: self.policy.handshake_response_timeout,
            handshake_total_timeout: self.policy.handshake_total_timeout,
            max_message_bytes: self.policy.max_message_bytes,
        };
        let connector = self.connector.unwrap_or_else(|| default_connector(&self.policy));
        Ok((Endpoint::data(url, connector), SubscriptionMachine::new(config)))
    }
}

fn websocket_url(rpc_endpoint: &str) -> Result<Url, ConnectionError> {
    let text = http_to_ws_url(rpc_endpoint).map_err(|source| ConnectionError::Url(Arc::new(source)))?;
    Ok(Url::parse(&text).expect("an address that was just made from an address is one"))
}

fn compression(choice: CompressionChoice, url: &Url) -> Option<Compression> {
    let is_wanted = match choice {
        CompressionChoice::Always => true,
        CompressionChoice::Never => false,
        CompressionChoice::UnlessLoopback => !is_loopback(url),
    };
    is_wanted.then_some(Compression::Zstd)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

impl SubscriptionHandle {
    /// Why the subscriptions failed for good, if they did.
    pub fn failure(&self) -> Option<ManagedFailure> {
        self.manager.failure()
    }

    /// What the connection has been through.
    pub fn counters(&self) -> &ConnectionCounters {
        self.manager.counters()
    }

    /// Waits until the manager has ended. Notifications are no longer read, so that subscriptions that have not told
    /// everything are given up.
    pub async fn join(self) {
        drop(self.notifications);
        self.manager.join().await;
    }

    pub(crate) fn watcher(&self) -> Watcher {
        self.manager.watcher()
    }

    /// Why nothing follows the last notification, if that is not because everything was told.
    pub(super) fn abnormal_end(&self) -> Option<ManagedFailure> {
        self.manager.abnormal_end()
    }

    pub(super) fn stalled(&self) -> watch::Receiver<bool> {
        self.manager.stalled()
    }
}

impl Outlet<SubscriptionNotification> for EventSender<SubscriptionNotification> {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        EventSender::poll_room(self, cx)
    }

    #[inline]
    fn known_room(&self) -> usize {
        self.known_room()
    }

    #[inline]
    fn deliver(&mut self, notification: SubscriptionNotification) {
        self.send(notification);
    }

    fn flush(&mut self) {
        EventSender::flush(self);
    }

    fn failed(&mut self, failure: ManagedFailure) {
        self.send(SubscriptionNotification::Failed(failure));
    }
}

impl Weigh for SubscriptionNotification {
    fn weight(&self) -> usize {
        let content = match self {
            Self::Transaction(notification) => notification.size(),
            Self::AccountDiff(notification) => notification.size(),
            Self::Logs(notification) => notification.size(),
            Self::Action(notification) => notification.size(),
            Self::Fault(fault) => fault.size(),
            Self::Failed(_) => 0,
        };
        size_of::<Self>() + content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_this_machine_does_not_compress() {
        let chosen = |choice, url: &str| compression(choice, &Url::parse(url).unwrap());
        for local in ["ws://localhost:1/x", "ws://127.0.0.1/x", "ws://[::1]:9/x"] {
            assert_eq!(chosen(CompressionChoice::UnlessLoopback, local), None);
            assert_eq!(chosen(CompressionChoice::Always, local), Some(Compression::Zstd));
        }
        let remote = "wss://sim.example.net/x";
        assert_eq!(
            chosen(CompressionChoice::UnlessLoopback, remote),
            Some(Compression::Zstd)
        );
        assert_eq!(chosen(CompressionChoice::Never, remote), None);
    }
}
