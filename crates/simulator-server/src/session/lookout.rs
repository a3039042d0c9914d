//! What discovery filters have found ahead of a session, and what its client was told of it.

use std::collections::VecDeque;

use simulator_api::DiscoveryBatchEvent;

use super::Position;

/// Batches ahead that hold what the client looks for.
///
/// One announcement stands at a time: the next batch is announced when the session has passed, or has paused at, the
/// one before. That makes the place of every announcement among the events a matter of positions only, never of how
/// fast blocks are read.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    /// Found and not yet announced, in order of execution.
    coming: VecDeque<DiscoveryBatchEvent>,
    /// Announced, and neither passed nor paused at.
    announced: Option<Position>,
}

impl Lookout {
    /// Adds what was found, which lies behind everything that was found before.
    pub(super) fn sight(&mut self, found: Vec<DiscoveryBatchEvent>) {
        self.coming.extend(found);
    }

    /// Forgets the announcement if its batch has been executed.
    pub(super) fn pass(&mut self, here: Position) {
        self.announced = self.announced.filter(|announced| *announced >= here);
    }

    /// Forgets the announcement if the session has come to its batch: the client stopped there, or past it.
    pub(super) fn reach(&mut self, here: Position) {
        self.announced = self.announced.filter(|announced| *announced > here);
    }

    /// Forgets the announcement: the client wants to go on past its batch.
    pub(super) fn answer(&mut self) {
        self.announced = None;
    }

    /// The next batch to announce, if it is one that `is_wanted` and none is announced.
    pub(super) fn announce(&mut self, is_wanted: impl FnOnce(Position) -> bool) -> Option<DiscoveryBatchEvent> {
        let found = position(self.coming.front()?);
        if self.announced.is_some() || !is_wanted(found) {
            return None;
        }
        self.announced = Some(found);
        self.coming.pop_front()
    }

    /// Whether the batch that comes next is announced and not answered.
    pub(super) fn is_announced(&self, here: Position) -> bool {
        self.announced == Some(here)
    }
}

fn position(found: &DiscoveryBatchEvent) -> Position {
    Position {
        slot: found.slot,
        batch: usize::try_from(found.batch_index).unwrap_or(usize::MAX),
    }
}
