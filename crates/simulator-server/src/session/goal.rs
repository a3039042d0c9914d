//! Where a run stops.

use simulator_archive::model::Slot;

use super::{Position, Stop};

/// A position that a client wants to stop at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The slot.
    pub(crate) slot: Slot,
    /// Stop before this batch of the slot; `None` is the end of the slot.
    pub(crate) batch: Option<usize>,
}

/// What follows the open slot in the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upcoming {
    /// The block of this slot.
    Block(Slot),
    /// Nothing: the open slot is the last one.
    End,
}

/// What a run goes on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// The start of a session: before the first batch of its first slot.
    FirstBatch(Stop),
    /// The start of a session: its first slot, executed and still open.
    FirstBlock,
    /// This many more blocks.
    Blocks(u64),
    /// All that there are.
    End,
    /// A position.
    To(Target),
}

/// A slot that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenSlot {
    pub(super) slot: Slot,
    pub(super) batches: usize,
    /// The first batch that has not been executed.
    pub(super) next_batch: usize,
    /// Whether all historical transactions have been applied and the client was told so.
    pub(super) notified: bool,
    pub(super) upcoming: Option<Upcoming>,
}

/// What to do at the end of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// Stop and leave the slot open.
    Stop,
    /// Close it.
    Close,
    /// It depends on what comes next.
    AskUpcoming,
}

/// The number of blocks with which a client says that it wants all that there are.
const ALL_BLOCKS: u64 = u64::MAX;

impl Goal {
    /// What a client means by a number of blocks.
    pub(super) fn of_blocks(blocks: u64) -> Self {
        match blocks {
            ALL_BLOCKS => Self::End,
            blocks => Self::Blocks(blocks),
        }
    }

    /// Whether a run stops in a slot whose historical transactions are not all applied.
    pub(super) fn stops_inside(&self, open: &OpenSlot) -> bool {
        match self {
            Self::FirstBatch(_) => true,
            Self::FirstBlock | Self::End => false,
            Self::Blocks(left) => *left == 0,
            Self::To(target) if target.slot == open.slot => {
                target.batch == Some(open.next_batch) && open.next_batch < open.batches
            }
            // The run was told to stop in a skipped slot when the one before it was closed already.
            Self::To(target) => target.slot < open.slot,
        }
    }

    /// What a run does when all historical transactions of a slot have been applied; `end` is the end of the range.
    pub(super) fn at_end(&self, open: &OpenSlot, end: Slot) -> AtEnd {
        // A session starts open even where its first block is its last: its client may still want to change something.
        if self.is_start() {
            return AtEnd::Stop;
        }
        let Some(upcoming) = open.upcoming else {
            return AtEnd::AskUpcoming;
        };
        let stops = match (self, upcoming) {
            (Self::FirstBatch(_) | Self::FirstBlock, _) => true,
            (Self::Blocks(left), Upcoming::Block(_)) => *left == 0,
            (Self::Blocks(_), Upcoming::End) | (Self::End, _) => false,
            (Self::To(target), Upcoming::Block(next)) => target.slot < next,
            (Self::To(target), Upcoming::End) => target.slot <= end,
        };
        if stops { AtEnd::Stop } else { AtEnd::Close }
    }

    /// One more block has been executed.
    pub(super) fn count_block(&mut self) {
        if let Self::Blocks(left) = self {
            *left = left.saturating_sub(1);
        }
    }

    /// Whether this is how a session starts, not something that a client asked for.
    pub(super) fn is_start(&self) -> bool {
        matches!(self, Self::FirstBatch(_) | Self::FirstBlock)
    }

    /// What the client is told at its end.
    pub(super) fn stop(&self) -> Stop {
        match self {
            Self::FirstBatch(stop) => *stop,
            Self::To(_) => Stop::Paused,
            Self::FirstBlock | Self::Blocks(_) | Self::End => Stop::Ready,
        }
    }

    /// Whether a batch that a filter found ahead is announced during the run. A run that stops somewhere announces
    /// what it passes, when it comes to the slot; the rest is announced after the stop, where its client looks for it.
    pub(super) fn announces(&self, open: &OpenSlot, found: Position) -> bool {
        match self {
            Self::FirstBatch(_) | Self::FirstBlock => false,
            Self::End => true,
            Self::Blocks(left) => *left > 0 && found.slot == open.slot,
            Self::To(target) => found.slot == open.slot && target.is_after(found),
        }
    }
}

impl OpenSlot {
    pub(super) fn position(&self) -> Position {
        Position {
            slot: self.slot,
            batch: self.next_batch,
        }
    }
}

impl Target {
    /// Whether a run to this position executes the batch that begins there.
    fn is_after(&self, found: Position) -> bool {
        self.slot > found.slot || (self.slot == found.slot && self.batch.is_none_or(|batch| batch > found.batch))
    }

    /// Whether an open slot is already past this position.
    pub(super) fn is_behind(&self, open: &OpenSlot) -> bool {
        let is_earlier_batch = || self.batch.is_some_and(|batch| batch < open.next_batch);
        self.slot < open.slot || (self.slot == open.slot && is_earlier_batch())
    }
}
