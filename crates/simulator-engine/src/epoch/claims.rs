//! What stake accounts have earned in an epoch, and which of them move on.

use std::collections::{BTreeMap, BTreeSet};

use agave_feature_set::FeatureSet;
use solana_pubkey::Pubkey;

use crate::epoch::ended::Ended;
use crate::epoch::points::{Advance, Earned, FULL_COMMISSION_BPS, PointValue, Split, earned};
use crate::epoch::recorded::Commission;
use crate::epoch::stake::Stake;
use crate::epoch::vote_state::VoteState;
use crate::epoch::voters::Voters;

/// What each stake account has earned, sorted by address.
#[derive(Debug)]
pub(crate) struct Claims(Vec<Claim>);

/// What one stake account has earned.
#[derive(Debug)]
struct Claim {
    stake: Pubkey,
    voter: Pubkey,
    earned: Earned,
    commission_bps: u16,
}

/// A stake account whose credits move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) stake: Pubkey,
    pub(crate) credits: u64,
    pub(crate) condition: Condition,
}

/// When they move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Always,
    /// With the reward that the block must record.
    Rewarded,
    /// With a reward, if the block records one.
    IfRewarded,
}

/// The dues of an epoch, and whether the rule could be applied to all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dues {
    pub(crate) dues: Vec<Due>,
    /// Stake accounts that earn nothing because their commission is all of it: whether their credits move depends on
    /// what they would have earned, and that is not known.
    pub(crate) undecided: usize,
}

impl Claims {
    /// What the delegations to these vote accounts have earned.
    pub(crate) fn new(ended: &Ended, voters: &Voters, commission_bps: impl Fn(&Pubkey, &VoteState) -> u16) -> Self {
        let claim = |stake: &Stake| {
            let voter = stake.delegation.voter_pubkey;
            let state = voters.get(&voter)?;
            Some(Claim {
                stake: stake.address,
                voter,
                earned: earned(stake, state, ended.epoch, &ended.warmup),
                commission_bps: commission_bps(&voter, state),
            })
        };
        Self(ended.stakes.iter().filter_map(claim).collect())
    }

    pub(crate) fn points(&self) -> u128 {
        self.0
            .iter()
            .fold(0, |sum, claim| claim.earned.points.saturating_add(sum))
    }

    /// How many stake accounts move on.
    pub(crate) fn moving(&self, value: &PointValue) -> u64 {
        self.0.iter().filter(|claim| claim.pay(value).is_some()).count() as u64
    }

    /// Of the possible rewards of the epoch the one that explains the commissions that were paid. `None` if none does
    /// for most vote accounts, or more than one.
    pub(crate) fn explain(
        &self,
        possible: &BTreeSet<u64>,
        recorded: &BTreeMap<Pubkey, Commission>,
    ) -> Option<PointValue> {
        let points = self.points();
        let mut explanations: Vec<(usize, PointValue)> = possible
            .iter()
            .map(|rewards| PointValue {
                points,
                rewards: *rewards,
            })
            .filter_map(|value| Some((self.unexplained(&value, recorded)?, value)))
            .collect();
        explanations.sort_by_key(|(unexplained, _)| *unexplained);
        match explanations.as_slice() {
            [(first, value)] => Some((first, value)),
            [(first, value), (second, _), ..] if first < second => Some((first, value)),
            _ => None,
        }
        .map(|(_, value)| *value)
    }

    /// How many vote accounts were paid another commission than `value` gives them; `None` if it is most of them.
    /// Those that are neither paid nor due anything tell nothing, and neither does a record that was left out: even a
    /// commission of nothing is recorded.
    fn unexplained(&self, value: &PointValue, recorded: &BTreeMap<Pubkey, Commission>) -> Option<usize> {
        if recorded.is_empty() && self.moving(value) > 0 {
            return None;
        }
        let due = self.commissions(value);
        let paid: BTreeMap<Pubkey, u64> = recorded
            .iter()
            .filter(|(_, commission)| commission.lamports > 0)
            .map(|(voter, commission)| (*voter, commission.lamports))
            .collect();
        let voters: BTreeSet<&Pubkey> = due.keys().chain(paid.keys()).collect();
        let unexplained = voters
            .iter()
            .filter(|voter| due.get(**voter) != paid.get(**voter))
            .count();
        (voters.is_empty() || unexplained * 2 < voters.len()).then_some(unexplained)
    }

    /// The commissions that are due, those of nothing left out.
    fn commissions(&self, value: &PointValue) -> BTreeMap<Pubkey, u64> {
        let mut commissions = BTreeMap::new();
        for claim in &self.0 {
            if let Some(split) = claim.pay(value).filter(|split| split.voter > 0) {
                let total: &mut u64 = commissions.entry(claim.voter).or_default();
                *total = total.saturating_add(split.voter);
            }
        }
        commissions
    }

    /// Who moves on. The value of a point decides over those who are not paid themselves.
    pub(crate) fn dues(&self, value: Option<&PointValue>) -> Dues {
        let mut result = Dues {
            dues: Vec::new(),
            undecided: 0,
        };
        for claim in &self.0 {
            let Some(condition) = claim.condition(value, &mut result.undecided) else {
                continue;
            };
            result.dues.push(Due {
                stake: claim.stake,
                credits: claim.earned.credits,
                condition,
            });
        }
        result
    }
}

impl Claim {
    fn pay(&self, value: &PointValue) -> Option<Split> {
        value.pay(&self.earned, self.commission_bps)
    }

    fn condition(&self, value: Option<&PointValue>, undecided: &mut usize) -> Option<Condition> {
        let Some(value) = value else {
            return self.condition_without_value(undecided);
        };
        match self.pay(value)? {
            Split { staker: 0, .. } => Some(Condition::Always),
            Split { .. } => Some(Condition::Rewarded),
        }
    }

    fn condition_without_value(&self, undecided: &mut usize) -> Option<Condition> {
        if self.earned.advance == Advance::Unpaid {
            Some(Condition::Always)
        } else if self.earned.points == 0 {
            None
        } else if self.commission_bps >= FULL_COMMISSION_BPS {
            *undecided += 1;
            Some(Condition::Always)
        } else {
            Some(Condition::IfRewarded)
        }
    }
}

/// The commission of a vote account in this payout. It was fixed an epoch or two ago; where the record names another
/// percentage than the account does now, the account has changed it since.
pub(crate) fn commission_bps(features: &FeatureSet, state: &VoteState, recorded: Option<&Commission>) -> u16 {
    let percent = state.commission_bps / 100;
    match recorded.and_then(|commission| commission.percent).map(u16::from) {
        Some(recorded) if recorded != percent => recorded * 100,
        _ if features.snapshot().commission_rate_in_basis_points => state.commission_bps,
        _ => percent.min(u16::from(u8::MAX)) * 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> Pubkey {
        Pubkey::new_from_array([number; 32])
    }

    fn claim(number: u8, points: u128, commission_bps: u16) -> Claim {
        Claim {
            stake: address(number),
            voter: address(100 + number),
            earned: Earned {
                points,
                credits: 50,
                advance: Advance::WithReward,
            },
            commission_bps,
        }
    }

    fn paid(lamports: u64) -> Commission {
        Commission {
            lamports,
            percent: None,
        }
    }

    #[test]
    fn the_commissions_tell_what_the_epoch_paid() {
        let claims = Claims(vec![claim(1, 500, 1_000), claim(2, 500, 0)]);
        let possible = BTreeSet::from([0, 1_000, 2_000]);
        let mut recorded = BTreeMap::from([(address(101), paid(100)), (address(102), paid(0))]);
        let value = PointValue {
            points: 1_000,
            rewards: 2_000,
        };
        assert_eq!(claims.explain(&possible, &recorded), Some(value));
        recorded.insert(address(101), paid(101));
        assert_eq!(claims.explain(&possible, &recorded), None);
    }

    #[test]
    fn a_commission_that_does_not_fit_is_outvoted() {
        let claims = Claims((1..4).map(|number| claim(number, 500, 1_000)).collect());
        let possible = BTreeSet::from([1_500, 3_000]);
        let mut recorded = BTreeMap::from([(address(101), paid(100)), (address(102), paid(100))]);
        recorded.insert(address(103), paid(70));
        let rewards = |recorded: &BTreeMap<_, _>| claims.explain(&possible, recorded).map(|value| value.rewards);
        assert_eq!(rewards(&recorded), Some(3_000));
        recorded.insert(address(102), paid(70));
        assert_eq!(rewards(&recorded), None);
    }

    #[test]
    fn no_commission_at_all_tells_that_nothing_is_paid() {
        let claims = Claims(vec![claim(1, 500, 1_000)]);
        let recorded = BTreeMap::from([(address(101), paid(0))]);
        let value = claims
            .explain(&BTreeSet::from([0, 1_000]), &recorded)
            .expect("explained");
        assert_eq!(value.rewards, 0);
        assert_eq!(claims.explain(&BTreeSet::from([0, 1_000]), &BTreeMap::new()), None);
        assert_eq!(claims.dues(Some(&value)).dues.len(), 1);
    }

    #[test]
    fn without_any_points_nobody_moves() {
        let mut young = claim(1, 0, 0);
        young.earned.advance = Advance::Unpaid;
        let claims = Claims(vec![young]);
        assert_eq!(claims.dues(Some(&PointValue::default())).dues, []);
        assert_eq!(claims.moving(&PointValue::default()), 0);
        assert_eq!(claims.dues(None).dues.len(), 1);
    }

    #[test]
    fn commissions_that_say_nothing_leave_it_open() {
        let claims = Claims(vec![claim(1, 500, 0)]);
        let recorded = BTreeMap::from([(address(101), paid(0))]);
        assert_eq!(claims.explain(&BTreeSet::from([1_000, 2_000]), &recorded), None);
    }

    #[test]
    fn credits_move_with_a_reward_or_where_the_commission_is_all() {
        let claims = Claims(vec![
            claim(1, 500, 0),
            claim(2, 500, 10_000),
            claim(3, 1, 10_000),
            claim(4, 0, 0),
        ]);
        let value = PointValue {
            points: 1_001,
            rewards: 100,
        };
        let conditions = |dues: &Dues| {
            dues.dues
                .iter()
                .map(|due| (due.stake, due.condition))
                .collect::<Vec<_>>()
        };
        let known = claims.dues(Some(&value));
        assert_eq!(known.undecided, 0);
        let expected = [(address(1), Condition::Rewarded), (address(2), Condition::Always)];
        assert_eq!(conditions(&known), expected);
        let unknown = claims.dues(None);
        let expected = [
            (address(1), Condition::IfRewarded),
            (address(2), Condition::Always),
            (address(3), Condition::Always),
        ];
        assert_eq!(conditions(&unknown), expected);
        assert_eq!(unknown.undecided, 2);
        assert_eq!(claims.moving(&value), 2);
    }

    #[test]
    fn a_commission_that_was_changed_since_is_taken_from_the_record() {
        let state = VoteState {
            lamports: 1,
            commission_bps: 725,
            has_bls_key: true,
            credits: 0,
            history: Vec::new(),
        };
        let recorded = |percent| Commission {
            lamports: 1,
            percent: Some(percent),
        };
        let fine = FeatureSet::all_enabled();
        assert_eq!(commission_bps(&fine, &state, None), 725);
        assert_eq!(commission_bps(&fine, &state, Some(&recorded(7))), 725);
        assert_eq!(commission_bps(&fine, &state, Some(&recorded(9))), 900);
        assert_eq!(commission_bps(&FeatureSet::default(), &state, Some(&recorded(7))), 700);
    }
}
