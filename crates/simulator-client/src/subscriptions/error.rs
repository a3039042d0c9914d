//! Why subscriptions cannot be opened, and why they end.

use std::sync::Arc;

use thiserror::Error;

use crate::machine::subscription::SubscriptionKind;
use crate::managed::{ConnectionError, ManagedFailure, StreamFault};
use crate::urls::UrlError;

/// Why a subscription could not be opened.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// The address cannot be used.
    #[error("the address of the session cannot be used")]
    InvalidUrl {
        /// What is wrong with it.
        #[source]
        source: Arc<UrlError>,
    },
    /// The server could not be reached.
    #[error("could not connect to the session's subscriptions")]
    Connect {
        /// What was tried and went wrong. The address is not told: it holds the session's secret.
        #[source]
        source: Box<ManagedFailure>,
    },
    /// The server was reached, and did not grant what was asked for.
    #[error("the subscription was not granted")]
    Subscribe {
        /// What it answered, if it did.
        #[source]
        source: Box<ManagedFailure>,
    },
}

/// Why a subscription ended before it had told everything, or told less than everything.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SubscriptionRuntimeError {
    /// The connection was lost for good, or the server refused to take the subscription up again.
    #[error("the subscription to {target} failed")]
    Closed {
        /// What kind of subscription it was.
        kind: SubscriptionKind,
        /// What was subscribed to.
        target: String,
        /// Why it failed.
        #[source]
        source: Box<ManagedFailure>,
    },
    /// The stream came to its end, but with faults: some notifications could not be read, or the server did not go on
    /// where a lost connection had stopped. Everything else was delivered.
    #[error("the subscription to {target} had {count} faults")]
    Faulty {
        /// What kind of subscription it was.
        kind: SubscriptionKind,
        /// What was subscribed to.
        target: String,
        /// How many faults there were.
        count: u64,
        /// The first of them.
        #[source]
        first: Box<StreamFault>,
    },
    /// The subscription was stopped, and its end did not come in time. To be expected where the session is not at its
    /// end: there may have been more.
    #[error("the subscription to {target} was stopped before it had told everything")]
    Undrained {
        /// What kind of subscription it was.
        kind: SubscriptionKind,
        /// What was subscribed to.
        target: String,
    },
}

impl From<ManagedFailure> for SubscriptionError {
    fn from(failure: ManagedFailure) -> Self {
        let source = Box::new(failure);
        match source.connection() {
            Some(ConnectionError::Url(source)) => Self::InvalidUrl { source: source.clone() },
            Some(ConnectionError::Connect(_) | ConnectionError::ConnectTimeout(_)) => Self::Connect { source },
            _ => Self::Subscribe { source },
        }
    }
}
