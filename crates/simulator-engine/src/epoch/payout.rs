//! The blocks that pay stake accounts. (Agave: `Bank::distribute_partitioned_epoch_rewards`.)

use std::collections::BTreeMap;

use simulator_archive::model::Block;
use solana_epoch_rewards_hasher::EpochRewardsHasher;
use solana_hash::Hash;

use crate::accounts::AccountStore;
use crate::epoch::claims::{Condition, Due};
use crate::epoch::recorded;
use crate::epoch::stake::{self, Stake};

/// The stake accounts that are still to be paid, by the block that pays them.
#[derive(Debug, Default)]
pub(crate) struct Payout(BTreeMap<usize, Vec<Due>>);

impl Payout {
    /// Divides the dues among so many blocks.
    pub(crate) fn new(dues: Vec<Due>, partitions: u64, parent_blockhash: &Hash) -> Self {
        let partitions = usize::try_from(partitions).unwrap_or(usize::MAX);
        let hasher = EpochRewardsHasher::new(partitions, parent_blockhash);
        let mut by_block: BTreeMap<usize, Vec<Due>> = BTreeMap::new();
        for due in dues {
            let partition = hasher.clone().hash_address_to_partition(&due.stake);
            by_block.entry(partition).or_default().push(due);
        }
        Self(by_block)
    }

    /// Everything in one block.
    pub(crate) fn at_once(dues: Vec<Due>) -> Self {
        Self(BTreeMap::from([(0, dues)]))
    }

    /// What one block pays.
    pub(crate) fn take(&mut self, partition: u64) -> Vec<Due> {
        usize::try_from(partition)
            .ok()
            .and_then(|partition| self.0.remove(&partition))
            .unwrap_or_default()
    }
}

/// What a block has paid to stake accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paid {
    pub(crate) lamports: u64,
    /// Stake accounts that are due a reward which the block does not record, or the other way round: their credits
    /// stay as they were.
    pub(crate) unexplained: usize,
}

/// Pays what the block records, and moves the credits that are due.
pub(crate) fn pay(accounts: &mut AccountStore, block: &Block, dues: &[Due]) -> Paid {
    let mut rewards = recorded::stake_rewards(block);
    let mut paid = Paid {
        lamports: rewards.values().fold(0, |sum, lamports| lamports.saturating_add(sum)),
        unexplained: 0,
    };
    // Who gets less than a lamport is not recorded, but that cannot be true of everyone.
    if rewards.is_empty() && dues.iter().any(|due| due.condition == Condition::IfRewarded) {
        paid.unexplained += 1;
    }
    for due in dues {
        let lamports = match (rewards.remove(&due.stake), due.condition) {
            (Some(lamports), _) => lamports,
            (None, Condition::Always) => 0,
            (None, Condition::IfRewarded) => continue,
            (None, Condition::Rewarded) => {
                paid.unexplained += 1;
                continue;
            }
        };
        let Some(mut account) = accounts.get(&due.stake).cloned() else {
            continue;
        };
        // The user may have replaced the account since the epoch began.
        if Stake::of(due.stake, &account).is_some() {
            stake::pay(&mut account, lamports, due.credits);
            accounts.put(due.stake, account);
        }
    }
    for (address, lamports) in rewards {
        let Some(mut account) = accounts.get(&address).cloned() else {
            continue;
        };
        if let Some(stake) = Stake::of(address, &account) {
            stake::pay(&mut account, lamports, stake.credits_observed);
            accounts.put(address, account);
            paid.unexplained += 1;
        }
    }
    paid
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use simulator_archive::Scope;
    use simulator_archive::model::{Reward, RewardKind};
    use solana_account::ReadableAccount;
    use solana_pubkey::Pubkey;

    use super::*;
    use crate::accounts::AccountBase;

    fn address(number: u8) -> Pubkey {
        Pubkey::new_from_array([number; 32])
    }

    fn due(number: u8, condition: Condition) -> Due {
        Due {
            stake: address(number),
            credits: 50,
            condition,
        }
    }

    fn block(rewards: &[(u8, i64, RewardKind)]) -> Block {
        Block {
            slot: 65,
            parent_slot: 64,
            blockhash: Hash::default(),
            previous_blockhash: Hash::default(),
            block_height: None,
            block_time: None,
            bank_hash: None,
            rewards: rewards
                .iter()
                .map(|(number, lamports, kind)| Reward {
                    pubkey: address(*number),
                    lamports: *lamports,
                    post_balance: 0,
                    kind: Some(*kind),
                    commission: None,
                })
                .collect(),
            num_reward_partitions: None,
            transactions: Vec::new(),
        }
    }

    #[test]
    fn every_due_is_in_exactly_one_block_and_one_block_has_all() {
        let dues: Vec<Due> = (0..40).map(|number| due(number, Condition::Always)).collect();
        let seed = Hash::new_from_array([3; 32]);
        let mut many = Payout::new(dues.clone(), 4, &seed);
        let blocks: Vec<Vec<Due>> = (0..4).map(|partition| many.take(partition)).collect();
        assert!(blocks.iter().all(|block| !block.is_empty()));
        assert!(many.0.is_empty());
        let mut all = blocks.concat();
        all.sort_by_key(|due| due.stake);
        assert_eq!(all, dues);
        assert_eq!(Payout::new(dues.clone(), 1, &seed).take(0), dues);
        let mut other = Payout::new(dues, 4, &Hash::new_from_array([4; 32]));
        assert_ne!(blocks[0], other.take(0), "the division depends on the blockhash");
    }

    #[test]
    fn a_block_without_any_rewards_is_suspicious() {
        let mut accounts = AccountStore::new(Arc::new(AccountBase::from_accounts([], Scope::All)));
        let mut unexplained = |condition| pay(&mut accounts, &block(&[]), &[due(1, condition)]).unexplained;
        assert_eq!(unexplained(Condition::Always), 0);
        assert_eq!(unexplained(Condition::IfRewarded), 1);
        assert_eq!(unexplained(Condition::Rewarded), 1);
    }

    #[test]
    fn rewards_are_paid_and_credits_moved() {
        let mut accounts = AccountStore::new(Arc::new(AccountBase::from_accounts([], Scope::All)));
        for number in 1..6 {
            accounts.put(address(number), stake::tests::account(&address(9), 100, 7));
        }
        let block = block(&[
            (1, 11, RewardKind::Staking),
            (4, 5, RewardKind::DeactivatedStake),
            (5, 3, RewardKind::Fee),
            (8, 2, RewardKind::Staking),
        ]);
        let dues = [
            due(1, Condition::IfRewarded),
            due(2, Condition::IfRewarded),
            due(3, Condition::Always),
            due(6, Condition::Rewarded),
            due(7, Condition::Always),
        ];
        let paid = pay(&mut accounts, &block, &dues);
        assert_eq!((paid.lamports, paid.unexplained), (18, 2));
        let state = |number| {
            let account = accounts.get(&address(number)).expect("stored");
            let stake = Stake::of(address(number), account).expect("delegated");
            (account.lamports(), stake.delegation.stake, stake.credits_observed)
        };
        assert_eq!(state(1), (111, 101, 50));
        assert_eq!(state(2), (100, 90, 7));
        assert_eq!(state(3), (100, 90, 50));
        assert_eq!(state(4), (105, 95, 7));
        assert_eq!(state(5), (100, 90, 7));
    }
}
