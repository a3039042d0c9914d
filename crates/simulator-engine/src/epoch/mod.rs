//! The first block of an epoch, and the blocks that pay the staking rewards of the last one.
//! (Agave: `Bank::process_new_epoch`.)
//!
//! What was paid is recorded in the blocks. Everything around it is computed: which features become active, the totals
//! of StakeHistory and EpochRewards, and which stake accounts move on without being paid. What the archive does not
//! hold enough accounts for is noted as not reproduced.

mod activation;
mod claims;
mod epoch_rewards;
mod inflation;
mod payout;
mod points;
mod programs;
mod recorded;
mod stake;
mod vote_state;
mod voters;

use std::collections::BTreeMap;

use agave_feature_set::FeatureSet;
use simulator_archive::Scope;
use simulator_archive::model::Block;
use solana_account::{ReadableAccount, WritableAccount};
use solana_pubkey::Pubkey;

use crate::accounts::AccountStore;
use crate::epoch::claims::{Claims, Dues, commission_bps};
use crate::epoch::epoch_rewards::{EpochRewards, push_stake_history, read_stake_history};
use crate::epoch::inflation::RewardTime;
pub(crate) use crate::epoch::payout::Payout;
use crate::epoch::points::PointValue;
use crate::epoch::recorded::Commission;
use crate::epoch::stake::{Stake, Warmup};
use crate::epoch::voters::StakeOf;
use crate::replay::{Replay, SlotError};
use crate::report::Unreproduced;

/// Rewards are paid in at most every so many-th block of an epoch.
const MIN_BLOCKS_PER_PAYMENT: u64 = 10;

/// Begins a new epoch in the slot that is being opened.
pub(crate) fn begin(replay: &mut Replay, block: &Block) -> Result<(), SlotError> {
    activation::activate_pending(replay, block.slot)?;
    if has_other_rules(&replay.runtime.features) {
        replay.recorder.unreproduced(Unreproduced::EpochBoundary, block.slot);
    }
    let rewarded_epoch = replay.runtime.epoch_schedule.get_epoch(replay.tip.slot);
    let stakes = stake::all(&replay.accounts);
    let warmup = end_epoch(replay, block, rewarded_epoch, &stakes);
    let commissions = recorded::commissions(block);
    let claims = claims(replay, block, &stakes, rewarded_epoch, &warmup, &commissions);
    let value = point_value(replay, block, rewarded_epoch, &claims, &commissions);
    for (voter, commission) in &commissions {
        pay_commission(&mut replay.accounts, voter, commission);
    }
    let was_due = |value: PointValue| claims.moving(&value) > 0;
    if commissions.is_empty() && claims.points() > 0 && value.is_none_or(was_due) {
        replay.recorder.unreproduced(Unreproduced::VotingRewards, block.slot);
    }
    let dues = decided(replay, block, claims.dues(value.as_ref()));
    if recorded::stake_rewards(block).is_empty() {
        if value.is_none() || block.block_height.is_none() {
            replay.recorder.unreproduced(Unreproduced::EpochRewards, block.slot);
        }
        let rewards = epoch_rewards(replay, block, &claims, value, &commissions);
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
    let Some(partition) = height(replay, block).checked_sub(rewards.starting_height) else {
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

/// Takes the epoch that has ended into StakeHistory.
fn end_epoch(replay: &mut Replay, block: &Block, epoch: u64, stakes: &[Stake]) -> Warmup {
    let (features, schedule) = (&replay.runtime.features, &replay.runtime.epoch_schedule);
    let mut warmup = Warmup::new(read_stake_history(&replay.accounts), features, schedule);
    if replay.accounts.scope() == Scope::All {
        let total = warmup.end_epoch(epoch, stakes);
        push_stake_history(&mut replay.accounts, &replay.runtime.rent, epoch, &total);
    } else {
        replay.recorder.unreproduced(Unreproduced::StakeHistory, block.slot);
    }
    warmup
}

fn claims(
    replay: &Replay,
    block: &Block,
    stakes: &[Stake],
    rewarded_epoch: u64,
    warmup: &Warmup,
    commissions: &BTreeMap<Pubkey, Commission>,
) -> Claims {
    let features = &replay.runtime.features;
    let epoch = replay.runtime.epoch_schedule.get_epoch(block.slot);
    let staked = StakeOf::new(stakes, warmup, epoch, replay.accounts.scope());
    let voters = voters::delegated_to(&replay.accounts, stakes, rewarded_epoch);
    let voters = voters::admit(voters, features, &replay.runtime.rent, &staked);
    Claims::new(stakes, &voters, rewarded_epoch, warmup, |voter, state| {
        commission_bps(features, state, commissions.get(voter))
    })
}

/// The rewards of the epoch and their points; `None` where they do not follow from the archive.
fn point_value(
    replay: &Replay,
    block: &Block,
    rewarded_epoch: u64,
    claims: &Claims,
    commissions: &BTreeMap<Pubkey, Commission>,
) -> Option<PointValue> {
    match (replay.accounts.scope(), claims.points()) {
        (Scope::Listed, _) => None,
        (Scope::All, 0) => Some(PointValue::default()),
        (Scope::All, _) => {
            let time = RewardTime {
                features: &replay.runtime.features,
                schedule: &replay.runtime.epoch_schedule,
                rewarded_epoch,
                epoch: replay.runtime.epoch_schedule.get_epoch(block.slot),
            };
            claims.explain(&time.possible_rewards(capitalization(&replay.accounts)), commissions)
        }
    }
}

/// All lamports there are.
fn capitalization(accounts: &AccountStore) -> u64 {
    accounts
        .addresses_after(None, usize::MAX)
        .iter()
        .filter_map(|address| accounts.get(address))
        .fold(0, |sum, account| sum.saturating_add(account.lamports()))
}

fn pay_commission(accounts: &mut AccountStore, voter: &Pubkey, commission: &Commission) {
    if !accounts.is_known(voter) {
        return;
    }
    let mut account = accounts.get(voter).cloned().unwrap_or_default();
    account.set_lamports(account.lamports().saturating_add(commission.lamports));
    accounts.put(*voter, account);
}

/// The dues, after noting where the rule could not be applied.
fn decided(replay: &mut Replay, block: &Block, dues: Dues) -> Vec<claims::Due> {
    if dues.undecided > 0 {
        replay.recorder.unreproduced(Unreproduced::StakeRewards, block.slot);
    }
    dues.dues
}

fn epoch_rewards(
    replay: &Replay,
    block: &Block,
    claims: &Claims,
    value: Option<PointValue>,
    commissions: &BTreeMap<Pubkey, Commission>,
) -> EpochRewards {
    let distributed = commissions
        .values()
        .fold(0, |sum, commission| commission.lamports.saturating_add(sum));
    // Where the total is not known, what is known to have been paid stands in.
    let value = value.unwrap_or(PointValue {
        points: claims.points(),
        rewards: distributed,
    });
    let partitions = block
        .num_reward_partitions
        .unwrap_or_else(|| partitions(replay, block, claims.moving(&value)));
    EpochRewards {
        starting_height: height(replay, block).saturating_add(1),
        partitions,
        parent_blockhash: block.previous_blockhash,
        total_points: value.points,
        total_rewards: value.rewards,
        distributed,
        active: true,
    }
}

/// Over how many blocks so many stake accounts are paid. (Agave: `Bank::get_reward_distribution_num_blocks`.)
fn partitions(replay: &Replay, block: &Block, stakes: u64) -> u64 {
    let schedule = &replay.runtime.epoch_schedule;
    let epoch = schedule.get_epoch(block.slot);
    if schedule.warmup && epoch < schedule.first_normal_epoch {
        return 1;
    }
    let time = RewardTime {
        features: &replay.runtime.features,
        schedule,
        rewarded_epoch: epoch.saturating_sub(1),
        epoch,
    };
    let most = (schedule.slots_per_epoch / MIN_BLOCKS_PER_PAYMENT).max(1);
    stakes
        .div_ceil(time.pace_of_epoch(epoch).payments_per_block)
        .clamp(1, most)
}

/// Pays one partition and says how much.
fn pay_partition(replay: &mut Replay, block: &Block, payout: &mut Payout, partition: u64) -> u64 {
    let paid = payout::pay(&mut replay.accounts, block, &payout.take(partition));
    if paid.unexplained > 0 {
        replay.recorder.unreproduced(Unreproduced::StakeRewards, block.slot);
    }
    paid.lamports
}

/// Works out the payout of an epoch that began before the archive does.
fn resume(replay: &mut Replay, block: &Block, rewards: &EpochRewards) -> Payout {
    let history = read_stake_history(&replay.accounts);
    let epoch = replay.runtime.epoch_schedule.get_epoch(block.slot);
    let rewarded_epoch = history
        .first()
        .map_or_else(|| epoch.saturating_sub(1), |(epoch, _)| *epoch);
    let warmup = Warmup::new(history, &replay.runtime.features, &replay.runtime.epoch_schedule);
    let stakes = stake::all(&replay.accounts);
    let claims = claims(replay, block, &stakes, rewarded_epoch, &warmup, &BTreeMap::new());
    let value = PointValue {
        points: rewards.total_points,
        rewards: rewards.total_rewards,
    };
    let dues = decided(replay, block, claims.dues(Some(&value)));
    Payout::new(dues, rewards.partitions, &rewards.parent_blockhash)
}

fn height(replay: &Replay, block: &Block) -> u64 {
    block
        .block_height
        .unwrap_or_else(|| replay.tip.block_height.saturating_add(1))
}
