//! Notifications by callback: one call subscribes, and a task calls back for each notification.
//!
//! This is the small way to a session's data channel, for a caller that has a session's address and wants to be told.
//! A [managed session](crate::managed::ManagedBacktestSession) is the larger one: it holds the session back until its
//! subscriptions are there, and gives all events in one order.
//!
//! What a subscription promises, whichever way it is made:
//!
//! * **A call returns when the server has granted everything it asked for**, or says why not. Every wait is bounded by
//!   a [`ConnectionPolicy`](crate::managed::ConnectionPolicy), the default one here.
//! * **Callbacks come one after the other, in the order of the stream**, and each notification comes once. The callback
//!   is awaited: while it works, a bounded number of notifications waits, then the server does. It may be called before
//!   the call that subscribes has returned, and must not wait for that.
//! * **The connection looks after itself**: it is kept alive, made again when it is lost, and goes on where it was.
//! * **A subscription ends with its stream**, when the server has told everything, which it says. One that is
//!   [stopped](SubscriptionHandle::stop) still delivers what is on its way up to there, within
//!   [`STOP_SILENCE_TIMEOUT`] and [`STOP_TOTAL_TIMEOUT`].
//! * **Nothing goes missing quietly.** What was not delivered is the [error](SubscriptionRuntimeError) of the task.
//!
//! ```no_run
//! use simulator_client::subscribe_account_diffs;
//!
//! # async fn example(rpc_endpoint: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let clock = "SysvarC1ock11111111111111111111111111111111";
//! let handle = subscribe_account_diffs(rpc_endpoint, clock, |diff| async move {
//!     println!("slot {}: {:?}", diff.slot(), diff.post());
//! })
//! .await?;
//! // Drive the session to its end here.
//! handle.join_handle.await??;
//! # Ok(())
//! # }
//! ```

mod delivery;
mod error;
mod handle;
mod subscribe;

#[cfg(test)]
mod tests;

pub use crate::machine::subscription::{
    AccountDiffNotification, ActionNotification, ActionOutcome, ActionResult, LogsNotification, SubscriptionKind,
};
pub use delivery::{STOP_SILENCE_TIMEOUT, STOP_TOTAL_TIMEOUT};
pub use error::{SubscriptionError, SubscriptionRuntimeError};
pub use handle::{AccountDiffSubscriptionHandle, LogSubscriptionHandle, SubscriptionHandle};
pub use subscribe::{
    RoutedAccountDiffNotification, subscribe_account_diffs, subscribe_account_diffs_many, subscribe_actions,
    subscribe_program_diffs, subscribe_program_logs,
};
pub(crate) use subscribe::{account_diffs, actions, program_logs};
