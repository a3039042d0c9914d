//! What a delegation has earned, and how a reward is divided. (Agave: `solana-runtime`, `inflation_rewards`.)

use crate::epoch::stake::{Stake, Warmup};
use crate::epoch::vote_state::{EpochCredits, VoteState};

/// A commission of all, in hundredths of a percent.
pub(crate) const FULL_COMMISSION_BPS: u16 = 10_000;

/// What a delegation has earned since it was last paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Earned {
    /// Stake times credits.
    pub(crate) points: u128,
    /// The vote account's credits, up to which a reward would pay.
    pub(crate) credits: u64,
    /// Whether the credits move even without a reward.
    pub(crate) advance: Advance,
}

/// When a delegation takes over the credits of its vote account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advance {
    /// Only together with a reward.
    WithReward,
    /// In any case, and no reward is due: the stake has just been activated, or the vote account was created anew.
    Unpaid,
}

/// The rewards of an epoch, and the points they are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PointValue {
    pub(crate) points: u128,
    /// In lamports.
    pub(crate) rewards: u64,
}

/// A reward, divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) voter: u64,
    pub(crate) staker: u64,
}

/// What a delegation has earned by the end of an epoch.
pub(crate) fn earned(stake: &Stake, votes: &VoteState, rewarded_epoch: u64, warmup: &Warmup) -> Earned {
    if votes.credits < stake.credits_observed {
        return Earned {
            points: 0,
            credits: votes.credits,
            advance: Advance::Unpaid,
        };
    }
    let mut earned = Earned {
        points: 0,
        credits: stake.credits_observed,
        advance: if stake.delegation.activation_epoch == rewarded_epoch {
            Advance::Unpaid
        } else {
            Advance::WithReward
        },
    };
    if votes.credits == stake.credits_observed {
        return earned;
    }
    for entry in &votes.history {
        let effective = warmup.status(&stake.delegation, entry.epoch).effective;
        let credits = unobserved(entry, stake.credits_observed, earned.credits);
        earned.points = earned
            .points
            .saturating_add(u128::from(effective) * u128::from(credits));
        earned.credits = earned.credits.max(entry.credits);
    }
    earned
}

/// The credits of an epoch that have not been paid for: all of them, or those since the stake was delegated.
fn unobserved(entry: &EpochCredits, observed: u64, newly_observed: u64) -> u64 {
    if observed < entry.previous {
        entry.credits.saturating_sub(entry.previous)
    } else if observed < entry.credits {
        entry.credits.saturating_sub(newly_observed)
    } else {
        0
    }
}

impl PointValue {
    /// What a delegation is paid; `None` if it is left alone until it has earned more. An epoch without any points
    /// pays nobody and moves nobody on.
    pub(crate) fn pay(&self, earned: &Earned, commission_bps: u16) -> Option<Split> {
        if self.points == 0 {
            return None;
        }
        if self.rewards == 0 || earned.advance == Advance::Unpaid {
            return Some(Split::default());
        }
        let reward = earned
            .points
            .checked_mul(u128::from(self.rewards))?
            .checked_div(self.points)?;
        split(commission_bps, u64::try_from(reward).ok()?)
    }
}

/// Divides a reward. Where both sides are due a part and one of them would get less than a lamport, neither is paid.
fn split(commission_bps: u16, reward: u64) -> Option<Split> {
    let (voter, staker) = match commission_bps {
        _ if reward == 0 => return None,
        0 => (0, reward),
        FULL_COMMISSION_BPS.. => (reward, 0),
        bps => {
            let voter = part(reward, bps);
            let staker = part(reward, FULL_COMMISSION_BPS - bps);
            if voter == 0 || staker == 0 {
                return None;
            }
            (voter, staker)
        }
    };
    Some(Split { voter, staker })
}

fn part(reward: u64, bps: u16) -> u64 {
    let part = u128::from(reward) * u128::from(bps) / u128::from(FULL_COMMISSION_BPS);
    u64::try_from(part).expect("a part is not larger than the whole")
}

#[cfg(test)]
mod tests {
    use agave_feature_set::FeatureSet;
    use proptest::prelude::*;
    use solana_epoch_schedule::EpochSchedule;
    use solana_pubkey::Pubkey;
    use solana_stake_interface::stake_history::StakeHistory;
    use solana_stake_interface::state::Delegation;

    use super::*;

    fn warmup() -> Warmup {
        Warmup::new(
            StakeHistory::default(),
            &FeatureSet::default(),
            &EpochSchedule::default(),
        )
    }

    /// A stake that has been effective since genesis.
    fn stake(lamports: u64, credits_observed: u64) -> Stake {
        Stake {
            address: Pubkey::default(),
            delegation: Delegation::new(&Pubkey::default(), lamports, u64::MAX),
            credits_observed,
        }
    }

    fn votes(history: &[(u64, u64, u64)]) -> VoteState {
        let history: Vec<_> = history
            .iter()
            .map(|(epoch, credits, previous)| EpochCredits {
                epoch: *epoch,
                credits: *credits,
                previous: *previous,
            })
            .collect();
        VoteState {
            lamports: 1,
            commission_bps: 0,
            has_bls_key: true,
            credits: history.last().map_or(0, |entry| entry.credits),
            history,
        }
    }

    #[test]
    fn every_epoch_since_the_last_payment_counts() {
        let votes = votes(&[(1, 10, 0), (2, 30, 10), (3, 35, 30)]);
        let earned = earned(&stake(100, 10), &votes, 3, &warmup());
        assert_eq!((earned.points, earned.credits), (2_500, 35));
        assert_eq!(earned.advance, Advance::WithReward);
    }

    #[test]
    fn an_epoch_that_was_joined_late_counts_in_part() {
        let earned = earned(&stake(100, 12), &votes(&[(1, 10, 0), (2, 30, 10)]), 2, &warmup());
        assert_eq!((earned.points, earned.credits), (1_800, 30));
    }

    #[test]
    fn nothing_new_earns_nothing() {
        let earned = earned(&stake(100, 30), &votes(&[(2, 30, 10)]), 2, &warmup());
        assert_eq!((earned.points, earned.credits), (0, 30));
        assert_eq!(PointValue { points: 1, rewards: 9 }.pay(&earned, 0), None);
    }

    #[test]
    fn a_vote_account_that_was_created_anew_sets_credits_back() {
        let earned = earned(&stake(100, 31), &votes(&[(2, 30, 10)]), 2, &warmup());
        assert_eq!(
            (earned.points, earned.credits, earned.advance),
            (0, 30, Advance::Unpaid)
        );
        let value = PointValue { points: 1, rewards: 9 };
        assert_eq!(value.pay(&earned, 500), Some(Split::default()));
    }

    #[test]
    fn a_stake_in_its_first_epoch_is_not_paid() {
        let mut young = stake(100, 10);
        young.delegation.activation_epoch = 2;
        let earned = earned(&young, &votes(&[(2, 30, 10)]), 2, &warmup());
        assert_eq!((earned.credits, earned.advance), (30, Advance::Unpaid));
    }

    #[test]
    fn rewards_that_do_not_split_are_not_paid() {
        assert_eq!(split(0, 1), Some(Split { voter: 0, staker: 1 }));
        assert_eq!(split(10_000, 1), Some(Split { voter: 1, staker: 0 }));
        assert_eq!(split(20_000, 1), Some(Split { voter: 1, staker: 0 }));
        assert_eq!(split(725, 13), None);
        assert_eq!(split(725, 14), Some(Split { voter: 1, staker: 12 }));
        assert_eq!(split(9_990, 999), None);
        assert_eq!(split(0, 0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_split_never_pays_more_than_the_reward(bps in 0u16..=12_000, reward: u64) {
            if let Some(split) = split(bps, reward) {
                let paid = u128::from(split.voter) + u128::from(split.staker);
                prop_assert!(paid <= u128::from(reward) && u128::from(reward) - paid <= 1);
            }
        }
    }
}
