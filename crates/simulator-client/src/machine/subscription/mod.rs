//! The conversation of one data-channel connection: subscriptions that are opened again after every loss, and whose
//! notifications reach the caller exactly once.
//!
//! ```text
//!   message --link--> text --shape----------> what is around the result --subscriptions--> whose? --resume--> new?
//!           inflate       \\-envelope, body-> and what is in it                                        |
//!                           (scan: one pass)                                          notification <--+
//! ```

mod account_state;
mod action;
mod body;
mod config;
mod envelope;
mod inflate;
mod link;
mod machine;
mod notification;
mod reading;
mod request;
mod resume;
mod scan;
mod search;
mod shape;
mod signature;
mod state;
mod subscriptions;
mod text;

#[cfg(test)]
mod tests;

pub use account_state::{AccountState, AccountStateError};
pub use action::{ActionNotification, ActionOutcome, ActionResult};
pub use config::{SubscriptionConfig, SubscriptionKind};
pub use machine::SubscriptionMachine;
pub use notification::{AccountDiffNotification, LogsNotification, MalformedNotification, TransactionNotification};
pub(crate) use request::is_transient_refusal;
