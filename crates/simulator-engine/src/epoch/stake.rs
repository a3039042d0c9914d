//! Stake accounts: what they delegate, and how a reward changes them.
//!
//! Layout: bincode of `StakeStateV2::Stake` (`solana-stake-interface`).

use agave_feature_set::FeatureSet;
use solana_account::{AccountSharedData, ReadableAccount, WritableAccount};
use solana_epoch_schedule::EpochSchedule;
use solana_pubkey::Pubkey;
use solana_sdk_ids::stake;
use solana_stake_interface::stake_history::{StakeHistory, StakeHistoryEntry};
use solana_stake_interface::state::Delegation;

use crate::accounts::AccountStore;
use crate::sysvars::{put_u64, u64_at};

/// The first byte of an account that delegates stake.
const DELEGATED: [u8; 4] = [2, 0, 0, 0];
const VOTER_OFFSET: usize = 124;
const STAKE_OFFSET: usize = 156;
const ACTIVATION_OFFSET: usize = 164;
const DEACTIVATION_OFFSET: usize = 172;
const CREDITS_OFFSET: usize = 188;
/// Credits are followed by one byte of flags.
const DELEGATED_LEN: usize = 197;

/// A stake account that delegates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stake {
    pub(crate) address: Pubkey,
    pub(crate) delegation: Delegation,
    /// The vote account's credits when this stake was last paid.
    pub(crate) credits_observed: u64,
}

impl Stake {
    /// Reads an account; `None` if it does not delegate stake.
    pub(crate) fn of(address: Pubkey, account: &AccountSharedData) -> Option<Self> {
        let data = account.data();
        if *account.owner() != stake::ID || data.len() < DELEGATED_LEN || !data.starts_with(&DELEGATED) {
            return None;
        }
        let voter = data.get(VOTER_OFFSET..STAKE_OFFSET)?;
        let mut delegation = Delegation::new(
            &Pubkey::try_from(voter).ok()?,
            u64_at(data, STAKE_OFFSET),
            u64_at(data, ACTIVATION_OFFSET),
        );
        delegation.deactivation_epoch = u64_at(data, DEACTIVATION_OFFSET);
        Some(Self {
            address,
            delegation,
            credits_observed: u64_at(data, CREDITS_OFFSET),
        })
    }
}

/// Every stake account that delegates, sorted by address.
pub(crate) fn all(accounts: &AccountStore) -> Vec<Stake> {
    accounts
        .addresses_after(None, usize::MAX)
        .into_iter()
        .filter_map(|address| Stake::of(address, accounts.get(&address)?))
        .collect()
}

/// Adds a reward to the balance and to the delegated stake, and notes up to which credits it pays.
pub(crate) fn pay(account: &mut AccountSharedData, lamports: u64, credits: u64) {
    account.set_lamports(account.lamports().saturating_add(lamports));
    let data = account.data_as_mut_slice();
    let stake = u64_at(data, STAKE_OFFSET).saturating_add(lamports);
    put_u64(data, STAKE_OFFSET, stake);
    put_u64(data, CREDITS_OFFSET, credits);
}

/// How stake warms up and cools down.
#[derive(Clone, Debug)]
pub(crate) struct Warmup {
    history: StakeHistory,
    new_rate_epoch: Option<u64>,
    arithmetic: Arithmetic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arithmetic {
    FloatingPoint,
    /// Since stake program 5.1 (SIMD-0391).
    FixedPoint,
}

impl Warmup {
    pub(crate) fn new(history: StakeHistory, features: &FeatureSet, schedule: &EpochSchedule) -> Self {
        Self {
            history,
            new_rate_epoch: features.new_warmup_cooldown_rate_epoch(schedule),
            arithmetic: if features.snapshot().upgrade_bpf_stake_program_to_v5_1 {
                Arithmetic::FixedPoint
            } else {
                Arithmetic::FloatingPoint
            },
        }
    }

    /// How much of a delegation was effective, activating and deactivating in an epoch.
    #[expect(
        deprecated,
        reason = "chains without the newer stake program still compute with floating point"
    )]
    pub(crate) fn status(&self, delegation: &Delegation, epoch: u64) -> StakeHistoryEntry {
        let (history, rate) = (&self.history, self.new_rate_epoch);
        match self.arithmetic {
            Arithmetic::FloatingPoint => delegation.stake_activating_and_deactivating(epoch, history, rate),
            Arithmetic::FixedPoint => delegation.stake_activating_and_deactivating_v2(epoch, history, rate),
        }
    }

    /// Sums all delegations up for the epoch that ends, and takes the sum into the history.
    pub(crate) fn end_epoch(&mut self, epoch: u64, stakes: &[Stake]) -> StakeHistoryEntry {
        let total = stakes
            .iter()
            .map(|stake| self.status(&stake.delegation, epoch))
            .fold(StakeHistoryEntry::default(), StakeHistoryEntry::saturating_add);
        self.history.add(epoch, total.clone());
        total
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn account(voter: &Pubkey, lamports: u64, credits: u64) -> AccountSharedData {
        let mut account = AccountSharedData::new(lamports, 200, &stake::ID);
        let data = account.data_as_mut_slice();
        data[..4].copy_from_slice(&DELEGATED);
        data[VOTER_OFFSET..STAKE_OFFSET].copy_from_slice(voter.as_ref());
        put_u64(data, STAKE_OFFSET, lamports - 10);
        put_u64(data, ACTIVATION_OFFSET, 3);
        put_u64(data, DEACTIVATION_OFFSET, u64::MAX);
        put_u64(data, CREDITS_OFFSET, credits);
        account
    }

    #[test]
    fn a_delegation_is_read_and_paid() {
        let voter = Pubkey::new_from_array([4; 32]);
        let mut account = account(&voter, 100, 7);
        let address = Pubkey::new_from_array([5; 32]);
        let stake = Stake::of(address, &account).expect("delegated");
        assert_eq!(stake.delegation, Delegation::new(&voter, 90, 3));
        assert_eq!(stake.credits_observed, 7);
        pay(&mut account, 11, 20);
        let paid = Stake::of(address, &account).expect("delegated");
        assert_eq!(account.lamports(), 111);
        assert_eq!((paid.delegation.stake, paid.credits_observed), (101, 20));
    }

    #[test]
    fn the_layout_is_that_of_the_interface_crate() {
        // 4 bytes of kind, 8 of rent reserve, two authorities, and a lockup of time, epoch and custodian.
        assert_eq!(VOTER_OFFSET, 4 + 8 + 64 + 48);
        assert_eq!(CREDITS_OFFSET, VOTER_OFFSET + size_of::<Delegation>());
    }

    #[test]
    fn other_accounts_do_not_delegate() {
        let address = Pubkey::default();
        let mut uninitialized = AccountSharedData::new(1, 200, &stake::ID);
        assert_eq!(Stake::of(address, &uninitialized), None);
        uninitialized.data_as_mut_slice()[0] = 1;
        assert_eq!(Stake::of(address, &uninitialized), None);
        assert_eq!(Stake::of(address, &AccountSharedData::new(1, 20, &stake::ID)), None);
    }

    #[test]
    fn the_end_of_an_epoch_enters_the_history() {
        let mut warmup = Warmup::new(
            StakeHistory::default(),
            &FeatureSet::default(),
            &EpochSchedule::default(),
        );
        let voter = Pubkey::default();
        let stakes = [90, 45].map(|lamports| Stake {
            address: Pubkey::default(),
            delegation: Delegation::new(&voter, lamports, u64::MAX),
            credits_observed: 0,
        });
        let total = warmup.end_epoch(3, &stakes);
        assert_eq!(total, StakeHistoryEntry::with_effective(135));
        assert_eq!(warmup.history.get(3), Some(&total));
    }
}
