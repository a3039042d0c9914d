//! What the first block of an epoch works out: how much the last one paid, to whom, and over how many blocks.

use std::collections::BTreeMap;

use simulator_archive::Scope;
use simulator_archive::model::Block;
use solana_account::{ReadableAccount, WritableAccount};
use solana_epoch_schedule::EpochSchedule;
use solana_pubkey::Pubkey;

use crate::accounts::AccountStore;
use crate::epoch::claims::{Claims, Due, commission_bps};
use crate::epoch::ended::Ended;
use crate::epoch::epoch_rewards::EpochRewards;
use crate::epoch::inflation::RewardTime;
use crate::epoch::points::PointValue;
use crate::epoch::recorded::{self, Commission};
use crate::epoch::voters::{self, StakeOf};
use crate::replay::Replay;
use crate::report::Unreproduced;

/// Rewards are paid in at most every so many-th block of an epoch.
const MIN_BLOCKS_PER_PAYMENT: u64 = 10;

/// The rewards of an epoch.
#[derive(Debug)]
pub(crate) struct Settlement {
    claims: Claims,
    /// As the block records them.
    commissions: BTreeMap<Pubkey, Commission>,
    /// `None` where it does not follow from the archive.
    value: Option<PointValue>,
}

impl Settlement {
    /// Settles an epoch that has just ended.
    pub(crate) fn now(replay: &Replay, block: &Block, ended: &Ended) -> Self {
        let commissions = recorded::commissions(block);
        let claims = claims(replay, block, ended, &commissions);
        let value = match (replay.accounts.scope(), claims.points()) {
            (Scope::Listed, _) => None,
            (Scope::All, 0) => Some(PointValue::default()),
            (Scope::All, _) => {
                let possible =
                    reward_time(replay, block, ended.epoch).possible_rewards(capitalization(&replay.accounts));
                claims.explain(&possible, &commissions)
            }
        };
        Self {
            claims,
            commissions,
            value,
        }
    }

    /// Takes up the settlement of an epoch that ended before the archive begins: the sysvar says what it came to.
    pub(crate) fn resumed(replay: &Replay, block: &Block, ended: &Ended, rewards: &EpochRewards) -> Self {
        let commissions = BTreeMap::new();
        Self {
            claims: claims(replay, block, ended, &commissions),
            commissions,
            value: Some(PointValue {
                points: rewards.total_points,
                rewards: rewards.total_rewards,
            }),
        }
    }

    /// Pays the vote accounts what the block records.
    pub(crate) fn pay_commissions(&self, replay: &mut Replay, block: &Block) {
        let is_due = |value: PointValue| self.claims.moving(&value) > 0;
        if self.commissions.is_empty() && self.value.is_none_or(is_due) {
            replay.recorder.unreproduced(Unreproduced::VotingRewards, block.slot);
        }
        for (address, commission) in &self.commissions {
            if !replay.accounts.is_known(address) {
                continue;
            }
            let mut account = replay.accounts.get(address).cloned().unwrap_or_default();
            account.set_lamports(account.lamports().saturating_add(commission.lamports));
            replay.accounts.put(*address, account);
        }
    }

    /// The stake accounts that move on.
    pub(crate) fn dues(&self, replay: &mut Replay, block: &Block) -> Vec<Due> {
        let dues = self.claims.dues(self.value.as_ref());
        if dues.undecided > 0 {
            replay.recorder.unreproduced(Unreproduced::StakeRewards, block.slot);
        }
        dues.dues
    }

    /// The sysvar while stake accounts are being paid.
    pub(crate) fn epoch_rewards(&self, replay: &mut Replay, block: &Block) -> EpochRewards {
        if self.value.is_none() || block.block_height.is_none() {
            replay.recorder.unreproduced(Unreproduced::EpochRewards, block.slot);
        }
        let distributed = self
            .commissions
            .values()
            .fold(0, |sum, commission| commission.lamports.saturating_add(sum));
        // Where the total is not known, what is known to have been paid stands in.
        let value = self.value.unwrap_or(PointValue {
            points: self.claims.points(),
            rewards: distributed,
        });
        let partitions = block
            .num_reward_partitions
            .unwrap_or_else(|| partitions(replay, block, self.claims.moving(&value)));
        EpochRewards {
            starting_height: replay.height_of(block).saturating_add(1),
            partitions,
            parent_blockhash: block.previous_blockhash,
            total_points: value.points,
            total_rewards: value.rewards,
            distributed,
            active: true,
        }
    }
}

fn claims(replay: &Replay, block: &Block, ended: &Ended, commissions: &BTreeMap<Pubkey, Commission>) -> Claims {
    let features = &replay.runtime.features;
    let epoch = replay.runtime.epoch_schedule.get_epoch(block.slot);
    let staked = StakeOf::new(ended, epoch, replay.accounts.scope());
    let voters = voters::delegated_to(&replay.accounts, ended);
    let voters = voters::admit(voters, features, &replay.runtime.rent, &staked);
    Claims::new(ended, &voters, |voter, state| {
        commission_bps(features, state, commissions.get(voter))
    })
}

fn reward_time<'a>(replay: &'a Replay, block: &Block, rewarded_epoch: u64) -> RewardTime<'a> {
    RewardTime {
        features: &replay.runtime.features,
        schedule: &replay.runtime.epoch_schedule,
        rewarded_epoch,
        epoch: replay.runtime.epoch_schedule.get_epoch(block.slot),
    }
}

/// All lamports there are.
fn capitalization(accounts: &AccountStore) -> u64 {
    accounts
        .addresses_after(None, usize::MAX)
        .iter()
        .filter_map(|address| accounts.get(address))
        .fold(0, |sum, account| account.lamports().saturating_add(sum))
}

/// Over how many blocks so many stake accounts are paid.
fn partitions(replay: &Replay, block: &Block, stakes: u64) -> u64 {
    let schedule = &replay.runtime.epoch_schedule;
    let epoch = schedule.get_epoch(block.slot);
    let pace = reward_time(replay, block, epoch.saturating_sub(1)).pace_of_epoch(epoch);
    partitions_at(schedule, epoch, stakes.div_ceil(pace.payments_per_block))
}

/// (Agave: `Bank::get_reward_distribution_num_blocks`.)
fn partitions_at(schedule: &EpochSchedule, epoch: u64, needed: u64) -> u64 {
    if schedule.warmup && epoch < schedule.first_normal_epoch {
        return 1;
    }
    let most = (schedule.slots_per_epoch / MIN_BLOCKS_PER_PAYMENT).max(1);
    needed.clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_take_at_least_a_block_and_at_most_a_tenth_of_the_epoch() {
        let schedule = EpochSchedule::custom(640, 640, false);
        let partitions: Vec<u64> = [0, 1, 63, 64, 65]
            .map(|needed| partitions_at(&schedule, 0, needed))
            .into();
        assert_eq!(partitions, [1, 1, 63, 64, 64]);
        let short = EpochSchedule::custom(32, 32, false);
        assert_eq!(partitions_at(&short, 0, 9), 3);
    }

    #[test]
    fn the_short_epochs_after_genesis_pay_in_one_block() {
        let schedule = EpochSchedule::custom(8_192, 8_192, true);
        let first_normal = schedule.first_normal_epoch;
        assert_eq!(partitions_at(&schedule, first_normal - 1, 9), 1);
        assert_eq!(partitions_at(&schedule, first_normal, 9), 9);
    }
}
