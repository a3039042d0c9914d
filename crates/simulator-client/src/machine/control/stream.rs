//! The events of a session in order: which were delivered before, and which are missing.

use simulator_api::{BacktestResponse, BacktestStatus, SequencedResponse};

use crate::machine::{Arrival, SequenceCursor};
use crate::managed::MachineCounts;

/// How far a session's events have been delivered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stream {
    cursor: SequenceCursor,
    /// Whether an event without a number was delivered of which a server that numbers would have told the number.
    has_unnumbered: bool,
    /// Whether events may have been told to a connection that was lost.
    was_interrupted: bool,
}

impl Stream {
    /// The number of the last event.
    pub(super) fn last(&self) -> Option<u64> {
        self.cursor.last()
    }

    /// Whether events were delivered and none had a number, so that what an attach brings cannot be told from them.
    pub(super) fn is_unnumbered(&self) -> bool {
        self.has_unnumbered && self.last().is_none()
    }

    /// The stream goes on, on another connection.
    pub(super) fn interrupt(&mut self) {
        self.was_interrupted = true;
    }

    /// Whether this stream shows that its server does not number, where `before` it did not, after an interruption.
    pub(super) fn turns_out_unnumbered_after(&self, before: &Self) -> bool {
        self.was_interrupted && self.is_unnumbered() && !before.is_unnumbered()
    }

    /// Takes the next message of the session.
    pub(super) fn admit(&mut self, event: &SequencedResponse, counts: &mut MachineCounts) -> Arrival {
        counts.replayed += u64::from(event.replayed);
        self.has_unnumbered |= event.seq_id.is_none() && is_usually_numbered(&event.response);
        self.admit_number(event.seq_id, counts)
    }

    /// Takes a message of which no more is known than its number, if it has one.
    pub(super) fn admit_number(&mut self, number: Option<u64>, counts: &mut MachineCounts) -> Arrival {
        let arrival = number.map_or(Arrival::Next, |number| self.cursor.observe(number));
        counts.duplicates += u64::from(arrival == Arrival::Duplicate);
        arrival
    }
}

/// Answers of the connection, errors about messages, and signs of a session that starts have no number even where
/// events have one.
fn is_usually_numbered(event: &BacktestResponse) -> bool {
    match event {
        BacktestResponse::ReadyForContinue
        | BacktestResponse::SlotNotification(_)
        | BacktestResponse::Paused(_)
        | BacktestResponse::DiscoveryBatch(_)
        | BacktestResponse::Completed { .. } => true,
        BacktestResponse::Status { status } => *status != BacktestStatus::StartingRuntime,
        _ => false,
    }
}
