//! Whether blocks follow from each other.

use solana_hash::Hash;

use super::error::ChainProblem;
use super::transaction::Shape;
use crate::model::{Block, Slot};

/// Whether blocks may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gaps {
    Refuse,
    Record,
}

/// A block, and the shape of each of its transactions.
#[derive(Debug)]
pub(super) struct LedgerBlock {
    pub(super) block: Block,
    pub(super) shapes: Vec<Shape>,
}

/// What a block says about its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) slot: Slot,
    pub(super) parent: Slot,
    /// The blockhash of the parent, where the source records it.
    pub(super) previous_blockhash: Option<Hash>,
}

/// The last block so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    last: Option<(Slot, Hash)>,
}

impl Chain {
    /// Whether a block can follow. Returns the blockhash of its parent: the one that it names, or else that of the last
    /// block if this is its parent, or else all zeros.
    pub(super) fn check(&self, place: Place, gaps: Gaps) -> Result<Hash, ChainProblem> {
        let Place {
            slot,
            parent,
            previous_blockhash,
        } = place;
        if let Some((previous, _)) = self.last.filter(|(previous, _)| *previous >= slot) {
            return Err(ChainProblem::SlotOrder { slot, previous });
        }
        if parent >= slot && (slot, parent) != (0, 0) {
            return Err(ChainProblem::ParentOrder { slot, parent });
        }
        let named = previous_blockhash.unwrap_or_default();
        let Some((previous, blockhash)) = self.last else {
            return Ok(named);
        };
        match gaps {
            _ if parent < previous => Err(ChainProblem::Fork { slot, parent, previous }),
            Gaps::Refuse if parent > previous => Err(ChainProblem::MissingBlocks { slot, parent, previous }),
            _ if parent > previous => Ok(named),
            _ if previous_blockhash.is_some_and(|named| named != blockhash) => Err(ChainProblem::PreviousBlockhash {
                slot,
                found: named,
                expected: blockhash,
            }),
            _ => Ok(blockhash),
        }
    }

    /// The block has been taken.
    pub(super) fn add(&mut self, block: &Block) {
        self.last = Some((block.slot, block.blockhash));
    }
}
