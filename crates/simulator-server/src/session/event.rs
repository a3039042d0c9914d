//! What a session tells its client.

use simulator_api::{BacktestError, BacktestStatus, DiscoveryBatchEvent, PausedEvent, RequestId};
use simulator_archive::model::Slot;

/// What the client is told, with the request that led to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) request: Option<RequestId>,
    pub(crate) kind: EventKind,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum EventKind {
    /// How far a request has come; never after the event that ends it.
    Status(BacktestStatus),
    /// The historical transactions of this slot have been applied.
    Slot(Slot),
    /// The session waits for the next order.
    Ready,
    /// The session stopped at a position that was asked for.
    Paused(PausedEvent),
    /// A batch ahead holds what a filter looks for.
    Discovery(DiscoveryBatchEvent),
    /// The range is exhausted.
    Completed,
    /// Something went wrong.
    Error(BacktestError),
}

/// A position: the open slot and its first batch that has not been executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) slot: Slot,
    pub(crate) batch: usize,
}
