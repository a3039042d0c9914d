//! A whole session: its control channel, its subscriptions, one stream of events, one way to end it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::join_all;
use simulator_api::{ContinueParams, ContinueToParams, CreateBacktestSessionRequest, SessionSummary};
use solana_address::Address;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::subscription::{ACTIONS, SubscriptionStart};
use super::{
    ConnectionCounters, ConnectionPolicy, ConnectionStatus, ControlHandle, ManagedEvent, ManagedSessionError,
    SessionInfo,
};
use crate::machine::subscription::SubscriptionKind;
use crate::transport::Connector;

mod builder;
mod events;
mod gate;

pub use builder::ManagedSessionBuilder;
use events::Progress;
pub(super) use events::{Event, Told, managed_event};
use gate::{Gate, Subscribed};

/// A session that looks after itself.
///
/// It owns one task for the control channel and one for each subscription connection, which connect, hand-shake, keep
/// alive and connect again by themselves. The caller reads [`next_event`](Self::next_event) and sends continues.
///
/// ```no_run
/// use simulator_api::ContinueParams;
/// use simulator_client::managed::{ManagedBacktestSession, ManagedEvent};
/// use simulator_client::CreateSession;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let create = CreateSession::builder().start_slot(402_000_000).slot_count(63).build().into_request()?;
/// let mut session = ManagedBacktestSession::start("ws://127.0.0.1:8900/backtest".into(), String::new(), create).await?;
/// loop {
///     match session.next_event().await? {
///         ManagedEvent::ReadyForContinue => session.send_continue(ContinueParams::default()).await?,
///         ManagedEvent::Slot(slot) => println!("slot {slot}"),
///         ManagedEvent::Completed { .. } => break,
///         _ => {}
///     }
/// }
/// session.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// While the caller does not read, the session waits: at most [`ConnectionPolicy`]'s queues are filled, nothing is
/// dropped, and the connections are kept alive. Dropping it closes the session in the background.
#[derive(Debug)]
pub struct ManagedBacktestSession {
    info: SessionInfo,
    control: ControlHandle,
    subscriptions: Vec<Subscribed>,
    progress: Progress,
    /// Which source is asked first next time.
    turn: usize,
    start_slot: u64,
    policy: ConnectionPolicy,
    connector: Option<Arc<dyn Connector>>,
    cancel: CancellationToken,
    _guard: DropGuard,
}

/// What a session is put together from once it exists.
pub(super) struct Assembly {
    pub(super) info: SessionInfo,
    pub(super) control: ControlHandle,
    pub(super) start_slot: u64,
    pub(super) policy: ConnectionPolicy,
    pub(super) connector: Option<Arc<dyn Connector>>,
    pub(super) cancel: CancellationToken,
}

impl ManagedBacktestSession {
    /// A session that exists.
    pub(super) fn assemble(assembly: Assembly) -> Self {
        Self {
            info: assembly.info,
            control: assembly.control,
            subscriptions: Vec::new(),
            progress: Progress::new(&assembly.cancel),
            turn: 0,
            start_slot: assembly.start_slot,
            policy: assembly.policy,
            connector: assembly.connector,
            _guard: assembly.cancel.clone().drop_guard(),
            cancel: assembly.cancel,
        }
    }

    /// Creates a session and waits until it exists. It may still be starting then.
    ///
    /// # Errors
    ///
    /// [`Create`](ManagedSessionError::Create) with the reason.
    pub async fn start(
        url: String,
        api_key: String,
        request: CreateBacktestSessionRequest,
    ) -> Result<Self, ManagedSessionError> {
        Self::builder(url, request).api_key(api_key).start().await
    }

    /// As [`start`](Self::start); the session also ends when `cancel` is cancelled.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and [`Cancelled`](ManagedSessionError::Cancelled).
    pub async fn start_with_cancel(
        url: String,
        api_key: String,
        request: CreateBacktestSessionRequest,
        cancel: CancellationToken,
    ) -> Result<Self, ManagedSessionError> {
        Self::builder(url, request)
            .api_key(api_key)
            .cancel(cancel)
            .start()
            .await
    }

    /// A session with headers, a policy or a network of its own.
    pub fn builder(url: impl Into<String>, request: CreateBacktestSessionRequest) -> ManagedSessionBuilder {
        ManagedSessionBuilder::new(url.into(), request)
    }

    /// What the server said about the session.
    pub fn session_info(&self) -> &SessionInfo {
        &self.info
    }

    /// Subscribes to the transactions that mention one of some programs, from the first slot of the session. Returns
    /// at once; the next continue waits for the subscription.
    ///
    /// # Errors
    ///
    /// [`EmptySubscription`](ManagedSessionError::EmptySubscription) if there is no program.
    pub fn subscribe_transactions(&mut self, programs: Vec<Address>) -> Result<(), ManagedSessionError> {
        self.subscribe(SubscriptionKind::Transactions, programs)
    }

    /// Subscribes to the changes of all accounts that belong to one of some programs. Otherwise as
    /// [`subscribe_transactions`](Self::subscribe_transactions).
    ///
    /// # Errors
    ///
    /// As [`subscribe_transactions`](Self::subscribe_transactions).
    pub fn subscribe_account_diffs(&mut self, programs: Vec<Address>) -> Result<(), ManagedSessionError> {
        self.subscribe(SubscriptionKind::ProgramAccountDiffs, programs)
    }

    /// Subscribes to the changes of some accounts. Otherwise as
    /// [`subscribe_transactions`](Self::subscribe_transactions).
    ///
    /// # Errors
    ///
    /// As [`subscribe_transactions`](Self::subscribe_transactions).
    pub fn subscribe_account_diffs_of(&mut self, accounts: Vec<Address>) -> Result<(), ManagedSessionError> {
        self.subscribe(SubscriptionKind::AccountDiffs, accounts)
    }

    /// Subscribes to the logs of the transactions that mention one of some programs. Otherwise as
    /// [`subscribe_transactions`](Self::subscribe_transactions).
    ///
    /// # Errors
    ///
    /// As [`subscribe_transactions`](Self::subscribe_transactions).
    pub fn subscribe_logs(&mut self, programs: Vec<Address>) -> Result<(), ManagedSessionError> {
        self.subscribe(SubscriptionKind::Logs, programs)
    }

    /// Subscribes to what the session's scheduled actions lead to. Otherwise as
    /// [`subscribe_transactions`](Self::subscribe_transactions).
    pub fn subscribe_actions(&mut self) {
        self.subscribe_to(SubscriptionKind::Actions, vec![ACTIONS.to_owned()]);
    }

    /// The next event of the control channel or a subscription. Neither can hold the other up. `Completed` comes last,
    /// when every subscription has told everything. Cancelling the call loses nothing.
    ///
    /// # Errors
    ///
    /// * [`Stream`](ManagedSessionError::Stream): something is wrong with the stream; reading goes on.
    /// * [`SubscriptionFailed`](ManagedSessionError::SubscriptionFailed): at once when a subscription has failed, and
    ///   again in place of `Completed`, because what it would have told is missing. Reading goes on.
    /// * [`Incomplete`](ManagedSessionError::Incomplete) in place of `Completed`, if a subscription is silent for
    ///   longer than the policy's `completion_drain_timeout`.
    /// * [`ControlFailed`](ManagedSessionError::ControlFailed), [`Cancelled`](ManagedSessionError::Cancelled): nothing
    ///   follows; further calls give [`ControlClosed`](ManagedSessionError::ControlClosed).
    pub async fn next_event(&mut self) -> Result<ManagedEvent, ManagedSessionError> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Asks the session to go on by a number of blocks, once the control channel and every subscription are
    /// established. Returns when the request is queued. It is sent again after a lost connection, and never applied
    /// twice.
    ///
    /// A subscription that cannot come back because its queue is full is not waited for: it will resume where it
    /// stopped.
    ///
    /// # Errors
    ///
    /// [`ControlFailed`](ManagedSessionError::ControlFailed),
    /// [`SubscriptionFailed`](ManagedSessionError::SubscriptionFailed),
    /// [`Cancelled`](ManagedSessionError::Cancelled), or [`ContinueSend`](ManagedSessionError::ContinueSend) if the
    /// session has ended.
    pub async fn send_continue(&mut self, params: ContinueParams) -> Result<(), ManagedSessionError> {
        self.open_gate().await?;
        self.control.send_continue(params).await
    }

    /// Asks the session to go on to a position. Otherwise as [`send_continue`](Self::send_continue).
    ///
    /// # Errors
    ///
    /// As [`send_continue`](Self::send_continue).
    pub async fn send_continue_to(&mut self, params: ContinueToParams) -> Result<(), ManagedSessionError> {
        self.open_gate().await?;
        self.control.send_continue_to(params).await
    }

    /// Whether the control channel is connected.
    pub fn status(&self) -> watch::Receiver<ConnectionStatus> {
        self.control.status.clone()
    }

    /// Whether each subscription connection is established, in the order in which they were made.
    pub fn subscription_statuses(&self) -> Vec<watch::Receiver<ConnectionStatus>> {
        let status = |subscribed: &Subscribed| subscribed.handle.status.clone();
        self.subscriptions.iter().map(status).collect()
    }

    /// What the control channel has been through.
    pub fn counters(&self) -> &ConnectionCounters {
        self.control.counters()
    }

    /// What each subscription connection has been through, in the order in which they were made.
    pub fn subscription_counters(&self) -> Vec<ConnectionCounters> {
        let counters = |subscribed: &Subscribed| subscribed.handle.counters().clone();
        self.subscriptions.iter().map(counters).collect()
    }

    /// The totals that came with the end of the range, if it has been reached and they were asked for.
    pub fn summary(&self) -> Option<&SessionSummary> {
        self.progress.summary()
    }

    /// How long a subscription may be silent while a completed session's subscriptions are drained.
    pub fn set_completion_drain_timeout(&mut self, timeout: Duration) {
        self.policy.completion_drain_timeout = timeout;
    }

    /// Ends the session and waits until it is closed at the server, for at most the policy's `graceful_close_timeout`.
    pub async fn shutdown(self) {
        let Self {
            control,
            subscriptions,
            policy,
            cancel,
            ..
        } = self;
        cancel.cancel();
        let joins = subscriptions.into_iter().map(|subscribed| subscribed.handle.join());
        let all = async {
            tokio::join!(control.join(), join_all(joins));
        };
        // Each task keeps to the same limit, so that this one only guards against a runtime that is too busy.
        if timeout(policy.graceful_close_timeout, all).await.is_err() {
            tracing::debug!("the connections are still being closed");
        }
    }

    fn subscribe(&mut self, kind: SubscriptionKind, addresses: Vec<Address>) -> Result<(), ManagedSessionError> {
        if addresses.is_empty() {
            return Err(ManagedSessionError::EmptySubscription);
        }
        self.subscribe_to(kind, addresses.into_iter().map(|address| address.to_string()).collect());
        Ok(())
    }

    fn subscribe_to(&mut self, kind: SubscriptionKind, names: Vec<String>) {
        let target = names.join(", ");
        let start = SubscriptionStart {
            rpc_endpoint: self.info.rpc_endpoint.clone(),
            kind,
            addresses: names,
            from_slot: first_slot(kind, self.start_slot),
            policy: self.policy.clone(),
            connector: self.connector.clone(),
        };
        self.subscriptions
            .push(Subscribed::new(start.spawn(&self.cancel), target));
    }

    /// Whether its last event has been read.
    pub(super) fn is_over(&self) -> bool {
        self.progress.is_over()
    }

    async fn open_gate(&mut self) -> Result<(), ManagedSessionError> {
        if !self.progress.is_running() {
            return Err(ManagedSessionError::ContinueSend);
        }
        let gate = Gate {
            control: &self.control,
            subscriptions: &self.subscriptions,
            cancel: &self.cancel,
        };
        gate.wait().await
    }
}

/// Solana's own streams begin with what is new, those of the backtest protocol with the first slot: the caller gets
/// the same from each.
fn first_slot(kind: SubscriptionKind, start_slot: u64) -> Option<u64> {
    match kind {
        SubscriptionKind::Logs => Some(start_slot),
        SubscriptionKind::Transactions
        | SubscriptionKind::ProgramAccountDiffs
        | SubscriptionKind::AccountDiffs
        | SubscriptionKind::Actions => None,
    }
}

/// The events as a stream. It ends after the last one, which is `Completed` or a final error.
impl Stream for ManagedBacktestSession {
    type Item = Result<ManagedEvent, ManagedSessionError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.progress.is_over() {
            return Poll::Ready(None);
        }
        self.poll_event(cx).map(Some)
    }
}
