//! The first block of an epoch, and the blocks that pay the staking rewards of the last one.
//! (Agave: `Bank::process_new_epoch`.)
//!
//! What was paid is recorded in the blocks. Everything around it is computed: which features become active, the totals
//! of StakeHistory and EpochRewards, and which stake accounts move on without being paid. What the archive does not
//! hold enough accounts for is noted as not reproduced.

mod activation;
mod claims;
mod ended;
mod epoch_rewards;
mod inflation;
mod payout;
mod points;
mod programs;
mod recorded;
mod settlement;
mod stake;
mod vote_state;
mod voters;

use agave_feature_set::FeatureSet;
use simulator_archive::model::Block;

use crate::epoch::ended::Ended;
use crate::epoch::epoch_rewards::EpochRewards;
pub(crate) use crate::epoch::payout::Payout;
use crate::epoch::settlement::Settlement;
use crate::replay::{Replay, SlotError};
use crate::report::Unreproduced;

/// Begins a new epoch in the slot that is being opened.
pub(crate) fn begin(replay: &mut Replay, block: &Block) -> Result<(), SlotError> {
    activation::activate_pending(replay, block.slot)?;
    if has_other_rules(&replay.runtime.features) {
        replay.recorder.unreproduced(Unreproduced::EpochBoundary, block.slot);
    }
    let ended = Ended::now(replay, block);
    let settlement = Settlement::now(replay, block, &ended);
    settlement.pay_commissions(replay, block);
    let dues = settlement.dues(replay, block);
    if recorded::stake_rewards(block).is_empty() {
        let rewards = settlement.epoch_rewards(replay, block);
        rewards.write(&mut replay.accounts, &replay.runtime.rent);
        replay.payout = Some(Payout::new(dues, rewards.partitions, &rewards.parent_blockhash));
    } else {
        // Before SIMD-0118 the first block of an epoch paid everyone.
        pay_partition(replay, block, &mut Payout::at_once(dues), 0);
    }
    Ok(())
}

/// Pays the staking rewards that fall into this block.
pub(crate) fn distribute_rewards(replay: &mut Replay, block: &Block) {
    let Some(mut rewards) = EpochRewards::read(&replay.accounts).filter(|rewards| rewards.active) else {
        return;
    };
    if block.block_height.is_none() {
        // Slot numbers stand in for heights, so that the partitions may be paid in other blocks than on the chain.
        replay.recorder.unreproduced(Unreproduced::EpochRewards, block.slot);
    }
    let Some(partition) = replay.height_of(block).checked_sub(rewards.starting_height) else {
        return;
    };
    let mut payout = match replay.payout.take() {
        Some(payout) => payout,
        None => resume(replay, block, &rewards),
    };
    if partition < rewards.partitions {
        let paid = pay_partition(replay, block, &mut payout, partition);
        rewards.distributed = rewards.distributed.saturating_add(paid);
    }
    if partition.saturating_add(1) < rewards.partitions {
        replay.payout = Some(payout);
    } else {
        rewards.active = false;
    }
    rewards.write(&mut replay.accounts, &replay.runtime.rent);
}

/// Whether a feature is active that changes rewards in a way that is not repeated here.
fn has_other_rules(features: &FeatureSet) -> bool {
    let features = features.snapshot();
    features.alpenglow
        || features.custom_commission_collector
        || features.relax_post_exec_min_balance_check
        || features.block_revenue_sharing
}

/// Works out the payout of an epoch that began before the archive does.
fn resume(replay: &mut Replay, block: &Block, rewards: &EpochRewards) -> Payout {
    let ended = Ended::earlier(replay, block);
    let settlement = Settlement::resumed(replay, block, &ended, rewards);
    let dues = settlement.dues(replay, block);
    Payout::new(dues, rewards.partitions, &rewards.parent_blockhash)
}

/// Pays one partition and says how much.
fn pay_partition(replay: &mut Replay, block: &Block, payout: &mut Payout, partition: u64) -> u64 {
    let paid = payout::pay(&mut replay.accounts, block, &payout.take(partition));
    if paid.unexplained > 0 {
        replay.recorder.unreproduced(Unreproduced::StakeRewards, block.slot);
    }
    paid.lamports
}
