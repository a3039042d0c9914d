//! Blocks as a session executed them, in the shapes of Solana's RPC.

use simulator_archive::model::{self, RewardKind};
use solana_rpc_client_types::response::{RpcBlockUpdate, RpcBlockUpdateError};
use solana_transaction_status::{
    BlockEncodingOptions, ConfirmedBlock, EncodeError, Reward, RewardType, TransactionDetails,
    TransactionWithStatusMeta, UiTransactionEncoding,
};

use super::notification::{Json, in_context};
use super::transaction::complete;
use crate::history::PastTransaction;
use crate::pubsub::SlotHead;

/// How a block is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockForm {
    pub(crate) encoding: UiTransactionEncoding,
    pub(crate) details: TransactionDetails,
    pub(crate) show_rewards: bool,
    /// The largest version of transactions that is understood, if any but legacy ones are.
    pub(crate) max_version: Option<u8>,
}

/// As `blockSubscribe` has it where nothing is said.
impl Default for BlockForm {
    fn default() -> Self {
        Self {
            encoding: UiTransactionEncoding::Base64,
            details: TransactionDetails::Full,
            show_rewards: false,
            max_version: None,
        }
    }
}

/// What `blockNotification` shows: these transactions of a block, or that they are of a version which is not understood.
pub(crate) fn block_result<'a>(
    head: &SlotHead,
    transactions: impl Iterator<Item = &'a PastTransaction>,
    form: BlockForm,
) -> Json {
    let options = BlockEncodingOptions {
        transaction_details: form.details,
        show_rewards: form.show_rewards,
        max_supported_transaction_version: form.max_version,
    };
    let encoded = confirmed_block(head, transactions).encode_with_options(form.encoding, options);
    let (block, err) = match encoded {
        Ok(block) => (Some(block), None),
        Err(EncodeError::UnsupportedTransactionVersion(version)) => {
            (None, Some(RpcBlockUpdateError::UnsupportedTransactionVersion(version)))
        }
    };
    let slot = head.slot;
    in_context(slot, RpcBlockUpdate { slot, block, err })
}

/// A block with these transactions.
pub(crate) fn confirmed_block<'a>(
    head: &SlotHead,
    transactions: impl Iterator<Item = &'a PastTransaction>,
) -> ConfirmedBlock {
    ConfirmedBlock {
        previous_blockhash: head.previous_blockhash.to_string(),
        blockhash: head.blockhash.to_string(),
        parent_slot: head.parent,
        transactions: transactions.map(with_meta).collect(),
        rewards: head.rewards.iter().map(reward).collect(),
        num_partitions: head.num_reward_partitions,
        block_time: head.block_time,
        block_height: head.block_height,
    }
}

fn with_meta(past: &PastTransaction) -> TransactionWithStatusMeta {
    TransactionWithStatusMeta::Complete(complete(past))
}

fn reward(reward: &model::Reward) -> Reward {
    Reward {
        pubkey: reward.pubkey.to_string(),
        lamports: reward.lamports,
        post_balance: reward.post_balance,
        reward_type: reward.kind.map(reward_type),
        commission: reward.commission,
        commission_bps: None,
    }
}

fn reward_type(kind: RewardKind) -> RewardType {
    match kind {
        RewardKind::Fee => RewardType::Fee,
        RewardKind::Rent => RewardType::Rent,
        RewardKind::Staking => RewardType::Staking,
        RewardKind::Voting => RewardType::Voting,
        RewardKind::DeactivatedStake => RewardType::DeactivatedStake,
    }
}
