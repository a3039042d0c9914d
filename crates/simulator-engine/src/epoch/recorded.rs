//! What the chain recorded of an epoch's rewards.

use std::collections::BTreeMap;

use simulator_archive::model::{Block, Reward, RewardKind};
use solana_pubkey::Pubkey;

/// What a vote account was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Commission {
    pub(crate) lamports: u64,
    /// Its commission, rounded down.
    pub(crate) percent: Option<u8>,
}

/// The commissions that a block pays.
pub(crate) fn commissions(block: &Block) -> BTreeMap<Pubkey, Commission> {
    let is_voting = |reward: &&Reward| reward.kind == Some(RewardKind::Voting);
    block
        .rewards
        .iter()
        .filter(is_voting)
        .map(|reward| {
            let commission = Commission {
                lamports: lamports(reward),
                percent: reward.commission,
            };
            (reward.pubkey, commission)
        })
        .collect()
}

/// The rewards that a block pays to stake accounts.
pub(crate) fn stake_rewards(block: &Block) -> BTreeMap<Pubkey, u64> {
    let is_stake = |reward: &&Reward| matches!(reward.kind, Some(RewardKind::Staking | RewardKind::DeactivatedStake));
    block
        .rewards
        .iter()
        .filter(is_stake)
        .map(|reward| (reward.pubkey, lamports(reward)))
        .collect()
}

/// No reward of these kinds takes anything away.
fn lamports(reward: &Reward) -> u64 {
    u64::try_from(reward.lamports).unwrap_or(0)
}
