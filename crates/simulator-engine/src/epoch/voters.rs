//! The vote accounts whose delegations are paid at an epoch boundary.

use std::collections::BTreeMap;

use agave_feature_set::FeatureSet;
use simulator_archive::Scope;
use solana_pubkey::Pubkey;
use solana_rent::Rent;

use crate::accounts::AccountStore;
use crate::epoch::ended::Ended;
use crate::epoch::stake::Stake;
use crate::epoch::vote_state::{VOTE_STATE_LEN, VoteState};

/// How many vote accounts are admitted at most. (Agave: `MAX_ALPENGLOW_VOTE_ACCOUNTS`.)
const MAX_ADMITTED: usize = 2_000;

/// Vote accounts by address.
pub(crate) type Voters = BTreeMap<Pubkey, VoteState>;

/// The initialized vote accounts that stake is delegated to, as they stood at the end of the epoch.
pub(crate) fn delegated_to(accounts: &AccountStore, ended: &Ended) -> Voters {
    let mut voters = Voters::new();
    for Stake { delegation, .. } in &ended.stakes {
        let address = delegation.voter_pubkey;
        if voters.contains_key(&address) {
            continue;
        }
        if let Some(state) = accounts.get(&address).and_then(VoteState::of) {
            voters.insert(address, state.at_end_of(ended.epoch));
        }
    }
    voters
}

/// Keeps the vote accounts that are admitted to the epoch that begins. (SIMD-0357;
/// Agave: `VoteAccounts::clone_and_filter_for_vat`.)
pub(crate) fn admit(mut voters: Voters, features: &FeatureSet, rent: &Rent, staked: &StakeOf) -> Voters {
    if !features.snapshot().validator_admission_ticket {
        return voters;
    }
    let minimum = rent.minimum_balance(VOTE_STATE_LEN);
    voters.retain(|address, state| state.has_bls_key && state.lamports >= minimum && staked.may_be_positive(address));
    if let Some(cutoff) = staked.cutoff(&voters) {
        voters.retain(|address, _| staked.of(address) > cutoff);
    }
    voters
}

/// How much stake each vote account has.
#[derive(Debug)]
pub(crate) struct StakeOf {
    by_voter: BTreeMap<Pubkey, u64>,
    scope: Scope,
}

impl StakeOf {
    /// The stake in the epoch that begins.
    pub(crate) fn new(ended: &Ended, epoch: u64, scope: Scope) -> Self {
        let mut by_voter = BTreeMap::new();
        for Stake { delegation, .. } in &ended.stakes {
            let effective = ended.warmup.status(delegation, epoch).effective;
            let total: &mut u64 = by_voter.entry(delegation.voter_pubkey).or_default();
            *total = total.saturating_add(effective);
        }
        Self { by_voter, scope }
    }

    fn of(&self, voter: &Pubkey) -> u64 {
        self.by_voter.get(voter).copied().unwrap_or(0)
    }

    /// An archive that lists only some accounts may leave out the very stake that counts.
    fn may_be_positive(&self, voter: &Pubkey) -> bool {
        self.scope == Scope::Listed || self.of(voter) > 0
    }

    /// The stake of the first vote account that there is no room for.
    fn cutoff(&self, voters: &Voters) -> Option<u64> {
        if self.scope == Scope::Listed || voters.len() <= MAX_ADMITTED {
            return None;
        }
        let mut stakes: Vec<u64> = voters.keys().map(|address| self.of(address)).collect();
        stakes.sort_unstable_by(|a, b| b.cmp(a));
        stakes.get(MAX_ADMITTED).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> Pubkey {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
        Pubkey::new_from_array(bytes)
    }

    fn state(lamports: u64) -> VoteState {
        VoteState {
            lamports,
            commission_bps: 0,
            has_bls_key: true,
            credits: 0,
            history: Vec::new(),
        }
    }

    fn with_ticket() -> FeatureSet {
        let mut features = FeatureSet::default();
        features.activate(&agave_feature_set::validator_admission_ticket::ID, 0);
        features
    }

    #[test]
    fn without_the_rule_all_are_admitted() {
        let voters = Voters::from([(address(1), state(1))]);
        let staked = StakeOf {
            by_voter: BTreeMap::new(),
            scope: Scope::All,
        };
        assert_eq!(
            admit(voters, &FeatureSet::default(), &Rent::default(), &staked).len(),
            1
        );
    }

    #[test]
    fn a_voter_needs_a_key_a_balance_and_stake() {
        let rent = Rent::default();
        let minimum = rent.minimum_balance(VOTE_STATE_LEN);
        let without_key = VoteState {
            has_bls_key: false,
            ..state(minimum)
        };
        let voters = Voters::from([
            (address(1), state(minimum)),
            (address(2), state(minimum - 1)),
            (address(3), without_key),
            (address(4), state(minimum)),
        ]);
        let mut staked = StakeOf {
            by_voter: (1..4).map(|number| (address(number), 7)).collect(),
            scope: Scope::All,
        };
        let admitted = admit(voters.clone(), &with_ticket(), &rent, &staked);
        assert_eq!(admitted.into_keys().collect::<Vec<_>>(), [address(1)]);
        staked.scope = Scope::Listed;
        assert_eq!(admit(voters, &with_ticket(), &rent, &staked).len(), 2);
    }

    #[test]
    fn voters_with_the_stake_of_the_first_one_left_out_are_left_out() {
        let voters: Voters = (0..MAX_ADMITTED + 1)
            .map(|number| (address(number), state(u64::MAX)))
            .collect();
        let staked = StakeOf {
            by_voter: (0..MAX_ADMITTED + 1)
                .map(|number| (address(number), if number < 5 { 1 } else { 2 }))
                .collect(),
            scope: Scope::All,
        };
        let admitted = admit(voters, &with_ticket(), &Rent::default(), &staked);
        assert_eq!(admitted.len(), MAX_ADMITTED - 4);
    }
}
