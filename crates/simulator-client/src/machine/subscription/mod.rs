//! The conversation of one data-channel connection: subscriptions that are opened again after every loss, and whose
//! notifications reach the caller exactly once.
//!
//! ```text
//!   message --link--> text --envelope, body--> spans --subscriptions--> which one --resume--> new? --> event
//!           (inflate)        (scan: one pass)
//! ```

mod account_state;
mod body;
mod envelope;
mod inflate;
mod link;
mod machine;
mod notification;
mod request;
mod resume;
mod scan;
mod signature;
mod state;
mod subscriptions;

#[cfg(test)]
mod tests;

pub use account_state::{AccountState, AccountStateError};
pub use machine::{SubscriptionConfig, SubscriptionKind, SubscriptionMachine};
pub use notification::{AccountDiffNotification, LogsNotification, TransactionNotification};
