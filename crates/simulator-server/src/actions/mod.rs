//! Scheduled actions: transactions that a session runs by itself where it comes to certain places.
//!
//! ```text
//! create ──► Action ──► Schedule ──(block opened)──► Agenda ──► executor ──► ActionRecord ──► DataLog
//! ```
//!
//! What runs where follows from the create and the recorded blocks alone. There is no clock in it, and nothing that the
//! user does on the way makes a difference to it.

mod record;
mod schedule;

use std::num::NonZeroU64;
use std::sync::Arc;

use simulator_api::DiscoveryFilter;
use simulator_archive::model::Slot;
use solana_account::AccountSharedData;
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;

pub(crate) use self::record::{ActionRecord, Fate, MatchedAt, NotRun, RanTransaction};
pub(crate) use self::schedule::{Agenda, Firing, Schedule};

/// Transactions that run together, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Action {
    pub(crate) anchor: Anchor,
    pub(crate) kind: Kind,
    /// With an anchor that lists slots, one for each of them.
    pub(crate) transactions: Vec<VersionedTransaction>,
    /// Accounts that are replaced for these transactions, sorted by address.
    pub(crate) overrides: Vec<(Pubkey, AccountSharedData)>,
    /// Accounts whose state is told with the result.
    pub(crate) shown: Vec<Pubkey>,
    pub(crate) label: Option<Arc<str>>,
}

/// Where an action runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// At these slots.
    Slots(Edge, Vec<Slot>),
    /// At the first block of the session and at every n-th after it.
    Every(Edge, NonZeroU64),
    /// At each historical transaction that a filter looks for.
    Match(Edge, DiscoveryFilter),
}

/// On which side of a block's historical transactions, or of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    Before,
    After,
}

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It says what the transactions would do.
    Simulate,
    /// It executes them.
    Send,
}
