//! The first block of an epoch, and the blocks that pay the staking rewards of the last one.

use simulator_archive::model::Block;

use crate::replay::{Replay, SlotError};
use crate::report::Unreproduced;

/// Begins a new epoch in the slot that is being opened.
pub(crate) fn begin(replay: &mut Replay, block: &Block) -> Result<(), SlotError> {
    replay.recorder.unreproduced(Unreproduced::EpochBoundary, block.slot);
    Ok(())
}

/// Pays the staking rewards that fall into this block.
pub(crate) fn distribute_rewards(_replay: &mut Replay, _block: &Block) {}
