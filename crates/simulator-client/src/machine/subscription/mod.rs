//! The conversation of one data-channel connection: subscriptions that are opened again after every loss, and whose
//! notifications reach the caller exactly once.

mod machine;
mod notification;

pub use machine::{SubscriptionConfig, SubscriptionKind, SubscriptionMachine};
pub use notification::{AccountDiffNotification, LogsNotification, TransactionNotification};
