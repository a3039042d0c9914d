//! The calls that subscribe.

use std::collections::BTreeSet;
use std::fmt::Display;

use solana_commitment_config::CommitmentConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::delivery::{Delivery, Subject};
use super::{AccountDiffSubscriptionHandle, LogSubscriptionHandle, SubscriptionError, SubscriptionHandle};
use crate::machine::subscription::{AccountDiffNotification, ActionNotification, LogsNotification, SubscriptionKind};
use crate::managed::{ConnectionStatus, SubscriptionNotification, SubscriptionStart};

/// A change of one of several accounts.
#[derive(Clone, Debug)]
pub struct RoutedAccountDiffNotification {
    /// The account that was subscribed to, in base58.
    pub account: String,
    /// What happened to it.
    pub notification: AccountDiffNotification,
}

/// Calls back with the logs of each transaction that mentions a program.
///
/// `rpc_endpoint` is the session's, as [`BacktestSession::rpc_endpoint`](crate::BacktestSession::rpc_endpoint) has it.
/// Everything in a session is confirmed, so that `commitment` makes no difference; it is not sent. Must be called
/// within a tokio runtime.
///
/// # Errors
///
/// [`SubscriptionError`], also if the server refuses. What another attempt can cure is tried again first, for
/// [`RECONNECT_MAX_TOTAL`](crate::managed::RECONNECT_MAX_TOTAL) at most beside the attempt that is under way then. A
/// call that is cancelled leaves nothing behind.
pub async fn subscribe_program_logs<C, F>(
    rpc_endpoint: &str,
    program_id: impl Display,
    commitment: CommitmentConfig,
    callback: C,
) -> Result<LogSubscriptionHandle, SubscriptionError>
where
    C: FnMut(LogsNotification) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    // There is nothing that it could choose between.
    let _ = commitment;
    program_logs(start(rpc_endpoint, SubscriptionKind::Logs, &program_id), callback).await
}

/// Calls back with each change of one account. Otherwise as [`subscribe_program_logs`].
///
/// # Errors
///
/// As [`subscribe_program_logs`].
pub async fn subscribe_account_diffs<C, F>(
    rpc_endpoint: &str,
    account: impl Display,
    callback: C,
) -> Result<AccountDiffSubscriptionHandle, SubscriptionError>
where
    C: FnMut(AccountDiffNotification) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    account_diffs(start(rpc_endpoint, SubscriptionKind::AccountDiffs, &account), callback).await
}

/// Calls back with each change of several accounts, over one connection. An account that is named twice is subscribed
/// to once. Without any account there is nothing to do: no connection is made, and the task has ended. Otherwise as
/// [`subscribe_program_logs`].
///
/// # Errors
///
/// As [`subscribe_program_logs`].
pub async fn subscribe_account_diffs_many<C, F>(
    rpc_endpoint: &str,
    accounts: impl IntoIterator<Item: Display>,
    callback: C,
) -> Result<AccountDiffSubscriptionHandle, SubscriptionError>
where
    C: FnMut(RoutedAccountDiffNotification) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let accounts = distinct(accounts);
    account_diffs_many(
        SubscriptionStart::new(rpc_endpoint.to_owned(), SubscriptionKind::AccountDiffs, accounts),
        callback,
    )
    .await
}

/// Calls back with each change of the accounts that a program owns. Otherwise as [`subscribe_program_logs`].
///
/// # Errors
///
/// As [`subscribe_program_logs`].
pub async fn subscribe_program_diffs<C, F>(
    rpc_endpoint: &str,
    program_id: impl Display,
    callback: C,
) -> Result<AccountDiffSubscriptionHandle, SubscriptionError>
where
    C: FnMut(AccountDiffNotification) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    account_diffs(
        start(rpc_endpoint, SubscriptionKind::ProgramAccountDiffs, &program_id),
        callback,
    )
    .await
}

/// Calls back with what each of the session's scheduled actions led to. Otherwise as [`subscribe_program_logs`].
///
/// # Errors
///
/// As [`subscribe_program_logs`].
pub async fn subscribe_actions<C, F>(rpc_endpoint: &str, callback: C) -> Result<SubscriptionHandle, SubscriptionError>
where
    C: FnMut(ActionNotification) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    actions(SubscriptionStart::actions(rpc_endpoint.to_owned()), callback).await
}

/// Subscribes to actions as `start` says.
pub(crate) async fn actions<C, F>(
    start: SubscriptionStart,
    callback: C,
) -> Result<SubscriptionHandle, SubscriptionError>
where
    C: FnMut(ActionNotification) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let take = |notification| match notification {
        SubscriptionNotification::Action(action) => Some(action),
        _ => None,
    };
    open(start, take, callback).await
}

/// Subscribes to logs as `start` says.
pub(crate) async fn program_logs<C, F>(
    start: SubscriptionStart,
    callback: C,
) -> Result<LogSubscriptionHandle, SubscriptionError>
where
    C: FnMut(LogsNotification) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let take = |notification| match notification {
        SubscriptionNotification::Logs(logs) => Some(logs),
        _ => None,
    };
    open(start, take, callback).await.map(SubscriptionHandle::into_logs)
}

/// Subscribes to account diffs as `start` says.
pub(crate) async fn account_diffs<C, F>(
    start: SubscriptionStart,
    callback: C,
) -> Result<AccountDiffSubscriptionHandle, SubscriptionError>
where
    C: FnMut(AccountDiffNotification) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    open(start, account_diff, callback)
        .await
        .map(SubscriptionHandle::into_account_diffs)
}

pub(super) async fn account_diffs_many<C, F>(
    start: SubscriptionStart,
    callback: C,
) -> Result<AccountDiffSubscriptionHandle, SubscriptionError>
where
    C: FnMut(RoutedAccountDiffNotification) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    if start.addresses.is_empty() {
        return Ok(nothing_to_do().into_account_diffs());
    }
    let take = |notification| {
        account_diff(notification).map(|notification| RoutedAccountDiffNotification {
            account: notification.target().to_owned(),
            notification,
        })
    };
    open(start, take, callback)
        .await
        .map(SubscriptionHandle::into_account_diffs)
}

fn start(rpc_endpoint: &str, kind: SubscriptionKind, address: &impl Display) -> SubscriptionStart {
    SubscriptionStart::new(rpc_endpoint.to_owned(), kind, vec![address.to_string()])
}

/// The addresses, each once, in their order.
fn distinct(addresses: impl IntoIterator<Item: Display>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let addresses = addresses.into_iter().map(|address| address.to_string());
    addresses.filter(|address| seen.insert(address.clone())).collect()
}

fn account_diff(notification: SubscriptionNotification) -> Option<AccountDiffNotification> {
    match notification {
        SubscriptionNotification::AccountDiff(diff) => Some(diff),
        _ => None,
    }
}

/// Starts a subscription and the task that calls back, and waits until the server has granted it.
async fn open<N, C, F>(
    start: SubscriptionStart,
    take: fn(SubscriptionNotification) -> Option<N>,
    callback: C,
) -> Result<SubscriptionHandle, SubscriptionError>
where
    N: Send + 'static,
    C: FnMut(N) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let subject = Subject {
        kind: start.kind,
        target: described(&start.addresses),
    };
    let subscription = start.spawn(&CancellationToken::new());
    let mut watcher = subscription.watcher();
    let (stop, stopped) = watch::channel(false);
    let delivery = Delivery {
        subscription,
        stop: stopped,
        take,
        callback,
        subject,
    };
    // Notifications are taken from now on, so that the answers behind them can be read.
    let task = AbortOnDropHandle::new(tokio::spawn(delivery.run()));
    // It is closed where everything was told at once.
    drop(
        watcher
            .status
            .wait_for(|status| *status != ConnectionStatus::Down)
            .await,
    );
    match watcher.known_failure() {
        Some(failure) => Err(failure.into()),
        None => Ok(SubscriptionHandle {
            join_handle: task.detach(),
            stop,
        }),
    }
}

fn nothing_to_do() -> SubscriptionHandle {
    SubscriptionHandle {
        join_handle: tokio::spawn(async { Ok(()) }),
        stop: watch::Sender::new(false),
    }
}

fn described(addresses: &[String]) -> String {
    match addresses {
        [first, _, ..] => format!("{first} and {} more", addresses.len() - 1),
        [only] => only.clone(),
        [] => String::new(),
    }
}
