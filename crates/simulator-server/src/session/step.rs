//! What a session has its worker do.

use super::Changes;

/// How many sent transactions may wait for the end of the open slot.
pub(crate) const MAX_WAITING_SENDS: usize = 256;

/// How a session starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Execute the first slot and leave it open.
    AfterFirstBlock,
    /// Open the first slot and stop before its first batch.
    Paused,
    /// The same in a session with discovery filters, so that a match in the first batch can be stopped at.
    Discovering(Stop),
}

/// How the client is told that the session waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// By `readyForContinue`.
    Ready,
    /// By `paused`, with the position.
    Paused,
}

/// What the worker is to do next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Open the next slot of the range, then report [`Session::opened`].
    OpenSlot,
    /// Apply these to the open slot, then report [`Session::applied`].
    Apply(Changes),
    /// Execute a transaction that was sent, in the open slot.
    Send(SendId),
    /// Execute the next batch, then report [`Session::batch_done`].
    ExecuteBatch,
    /// Find out what follows the open slot, then report [`Session::peeked`].
    Peek,
    /// Close the open slot, then report [`Session::closed`].
    CloseSlot,
    /// Nothing, until a command arrives.
    Wait,
    /// Nothing ever again.
    Over,
}

/// What a session is about to have done: a [`Step`] that has not been handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    OpenSlot,
    Apply,
    Send,
    ExecuteBatch,
    Peek,
    CloseSlot,
    Wait,
    Over,
}

/// Names a transaction that waits to be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SendId(pub(crate) u64);

/// Why a transaction cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendRefusal {
    #[error("the session has no open slot any more: its range is exhausted or it has ended")]
    NoOpenSlot,
    #[error("{MAX_WAITING_SENDS} transactions already wait for the end of the open slot")]
    TooMany,
}
