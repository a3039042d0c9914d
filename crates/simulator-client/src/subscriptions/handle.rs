//! The caller's end of a subscription.

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::SubscriptionRuntimeError;

/// The caller's end of any subscription that calls back.
///
/// Dropping it changes nothing: the subscription goes on to the end of its stream. To end it at once, and lose what is
/// on its way, abort the task.
#[derive(Debug)]
pub struct SubscriptionHandle {
    /// The task that calls back. It ends with the stream, and says what was not delivered.
    pub join_handle: JoinHandle<Result<(), SubscriptionRuntimeError>>,
    /// Send `true` to end the subscription: what is on its way is delivered first.
    pub stop: watch::Sender<bool>,
}

/// The caller's end of a subscription to logs; otherwise as a [`SubscriptionHandle`], which it can become.
#[derive(Debug)]
pub struct LogSubscriptionHandle {
    /// As [`SubscriptionHandle::join_handle`].
    pub join_handle: JoinHandle<Result<(), SubscriptionRuntimeError>>,
    /// As [`SubscriptionHandle::stop`].
    pub stop: watch::Sender<bool>,
}

/// The caller's end of a subscription to account diffs; otherwise as a [`SubscriptionHandle`], which it can become.
#[derive(Debug)]
pub struct AccountDiffSubscriptionHandle {
    /// As [`SubscriptionHandle::join_handle`].
    pub join_handle: JoinHandle<Result<(), SubscriptionRuntimeError>>,
    /// As [`SubscriptionHandle::stop`].
    pub stop: watch::Sender<bool>,
}

impl From<LogSubscriptionHandle> for SubscriptionHandle {
    fn from(LogSubscriptionHandle { join_handle, stop }: LogSubscriptionHandle) -> Self {
        Self { join_handle, stop }
    }
}

impl From<AccountDiffSubscriptionHandle> for SubscriptionHandle {
    fn from(AccountDiffSubscriptionHandle { join_handle, stop }: AccountDiffSubscriptionHandle) -> Self {
        Self { join_handle, stop }
    }
}

impl SubscriptionHandle {
    pub(super) fn into_logs(self) -> LogSubscriptionHandle {
        let Self { join_handle, stop } = self;
        LogSubscriptionHandle { join_handle, stop }
    }

    pub(super) fn into_account_diffs(self) -> AccountDiffSubscriptionHandle {
        let Self { join_handle, stop } = self;
        AccountDiffSubscriptionHandle { join_handle, stop }
    }
}
