//! Fees at the end of a slot, and the rate that blockhashes are registered with.

use simulator_archive::model::{Block, RewardKind};
use solana_account::{AccountSharedData, ReadableAccount, WritableAccount};
use solana_pubkey::Pubkey;
use solana_rent::Rent;
use solana_sdk_ids::system_program;

use crate::accounts::AccountStore;
use crate::execute::Effects;
use crate::runtime::Runtime;

/// Share of the signature fees that is burnt, in percent. (Agave: `FeeRateGovernor::burn_percent`.)
const BURN_PERCENT: u64 = 50;

/// What the processed transactions of a slot have paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CollectedFees {
    /// For signatures, in lamports.
    pub(crate) transaction: u64,
    /// For priority, in lamports.
    pub(crate) priority: u64,
    /// Signatures of processed transactions, those of precompiles left out.
    pub(crate) signatures: u64,
    /// Whether transactions have paid of which only the record is known.
    pub(crate) are_incomplete: bool,
}

impl CollectedFees {
    /// Adds what one transaction paid. Only a user's transactions can pay more than fits.
    pub(crate) fn add(&mut self, effects: &Effects) {
        self.transaction = self.transaction.saturating_add(effects.transaction_fee);
        self.priority = self.priority.saturating_add(effects.priority_fee);
        self.signatures = self.signatures.saturating_add(effects.signatures);
    }

    /// Adds a transaction that could not be executed, so that its fees are not known apart.
    pub(crate) fn add_unexecuted(&mut self, signatures: u64) {
        self.signatures = self.signatures.saturating_add(signatures);
        self.are_incomplete = true;
    }

    /// The part that goes to the leader. Priority fees are never burnt.
    fn leader_share(&self) -> u64 {
        let burnt = u128::from(self.transaction) * u128::from(BURN_PERCENT) / 100;
        let share = u128::from(self.priority) + u128::from(self.transaction) - burnt;
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// What became of the leader's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaderFee {
    /// There was none, or it was paid or burnt as on the chain.
    AsRecorded,
    /// This leader's share is another than on the chain.
    Other(Pubkey),
    /// No recorded reward says who the leader was, or rules that are not known here say who is paid; it was burnt.
    LeaderUnknown,
}

/// Pays the leader's share to the account that the recorded reward names.
pub(crate) fn pay_leader(
    accounts: &mut AccountStore,
    runtime: &Runtime,
    block: &Block,
    fees: &CollectedFees,
) -> LeaderFee {
    let reward = block.rewards.iter().find(|reward| reward.kind == Some(RewardKind::Fee));
    let recorded = reward.and_then(|reward| u64::try_from(reward.lamports).ok());
    let share = match recorded.filter(|_| fees.are_incomplete) {
        Some(recorded) => recorded,
        None => fees.leader_share(),
    };
    let Some(reward) = reward else {
        return if share == 0 {
            LeaderFee::AsRecorded
        } else {
            LeaderFee::LeaderUnknown
        };
    };
    match credited(accounts, &runtime.rent, &reward.pubkey, share) {
        Some(account) => accounts.put(reward.pubkey, account),
        // With SIMD-0232 the fees may go to an account of another kind.
        None if runtime.features.snapshot().custom_commission_collector => return LeaderFee::LeaderUnknown,
        None => {}
    }
    if recorded == Some(share) {
        LeaderFee::AsRecorded
    } else {
        LeaderFee::Other(reward.pubkey)
    }
}

/// The leader's account with the share added, unless the rules forbid paying to it.
fn credited(accounts: &AccountStore, rent: &Rent, leader: &Pubkey, share: u64) -> Option<AccountSharedData> {
    let mut account = accounts.get(leader).cloned().unwrap_or_default();
    if *account.owner() != system_program::ID {
        return None;
    }
    account.checked_add_lamports(share).ok()?;
    rent.is_exempt(account.lamports(), account.data().len())
        .then_some(account)
}

/// The fee governor's rate. It no longer enters into fees, only into nonce accounts and RecentBlockhashes.
/// (`FeeRateGovernor::new_derived`, with the cluster's parameters.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeeRate(pub(crate) u64);

impl FeeRate {
    const TARGET: u64 = 10_000;
    const TARGET_SIGNATURES_PER_SLOT: u64 = 20_000;
    const MIN: u64 = Self::TARGET / 2;
    const MAX: u64 = Self::TARGET * 10;
    const STEP: u64 = Self::TARGET / 20;

    /// The rate of a slot whose parent had this rate and so many signatures.
    pub(crate) fn next(self, parent_signatures: u64) -> Self {
        let signatures = parent_signatures.min(u64::from(u32::MAX));
        let desired = (Self::TARGET * signatures / Self::TARGET_SIGNATURES_PER_SLOT).clamp(Self::MIN, Self::MAX);
        let next = match self.0.cmp(&desired) {
            std::cmp::Ordering::Equal => return Self(desired),
            std::cmp::Ordering::Less => self.0 + Self::STEP,
            std::cmp::Ordering::Greater => self.0.saturating_sub(Self::STEP),
        };
        Self(next.clamp(Self::MIN, Self::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_signature_fees_is_burnt_and_an_odd_lamport_goes_to_the_leader() {
        let fees = CollectedFees {
            transaction: 15_001,
            priority: 7,
            signatures: 3,
            ..CollectedFees::default()
        };
        assert_eq!(fees.leader_share(), 7 + 15_001 - 7_500);
    }

    #[test]
    fn fees_beyond_all_lamports_do_not_overflow() {
        let fees = CollectedFees {
            transaction: u64::MAX,
            priority: u64::MAX,
            signatures: 1,
            ..CollectedFees::default()
        };
        assert_eq!(fees.leader_share(), u64::MAX);
    }

    #[test]
    fn the_rate_stays_at_its_minimum_until_a_slot_has_more_than_ten_thousand_signatures() {
        assert_eq!(FeeRate(5000).next(0), FeeRate(5000));
        assert_eq!(FeeRate(5000).next(10_000), FeeRate(5000));
        assert_eq!(FeeRate(5000).next(12_000), FeeRate(5500));
        assert_eq!(FeeRate(5500).next(0), FeeRate(5000));
        assert_eq!(FeeRate(100_000).next(u64::MAX), FeeRate(100_000));
    }
}
