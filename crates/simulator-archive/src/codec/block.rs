//! Blocks (`docs/archive.md`, section 4).

use bytes::Bytes;
use solana_hash::Hash;
use solana_pubkey::Pubkey;

use super::bytes::{DecodeError, Decoder, Encoder};
use super::outcome::{decode_outcome, encode_outcome};
use crate::model::{Block, RecordedTransaction, Reward, RewardKind};

/// The least sizes of encoded values, which bound the number of elements that a list can have.
const MIN_REWARD: usize = 32 + 8 + 8 + 1 + 1;
const MIN_TRANSACTION: usize = 4 + 1;

pub(crate) fn encode_block(block: &Block) -> Vec<u8> {
    let mut to = Encoder::default();
    to.u64(block.slot);
    to.u64(block.parent_slot);
    to.raw(block.blockhash.as_bytes());
    to.raw(block.previous_blockhash.as_bytes());
    to.option(block.block_height, Encoder::u64);
    to.option(block.block_time, Encoder::i64);
    to.option(block.bank_hash, |to, hash| to.raw(hash.as_bytes()));
    to.option(block.num_reward_partitions, Encoder::u64);
    to.list(&block.rewards, encode_reward);
    to.list(&block.transactions, encode_transaction);
    to.into_bytes()
}

pub(crate) fn decode_block(bytes: Bytes) -> Result<Block, DecodeError> {
    let mut from = Decoder::new(bytes);
    let block = Block {
        slot: from.u64()?,
        parent_slot: from.u64()?,
        blockhash: Hash::new_from_array(from.array()?),
        previous_blockhash: Hash::new_from_array(from.array()?),
        block_height: from.option(Decoder::u64)?,
        block_time: from.option(Decoder::i64)?,
        bank_hash: from.option(|from| from.array().map(Hash::new_from_array))?,
        num_reward_partitions: from.option(Decoder::u64)?,
        rewards: from.list(MIN_REWARD, decode_reward)?,
        transactions: from.list(MIN_TRANSACTION, decode_transaction)?,
    };
    from.finish()?;
    Ok(block)
}

fn encode_transaction(to: &mut Encoder, transaction: &RecordedTransaction) {
    to.bytes(&transaction.wire);
    to.option(transaction.outcome.as_ref(), encode_outcome);
}

fn decode_transaction(from: &mut Decoder) -> Result<RecordedTransaction, DecodeError> {
    Ok(RecordedTransaction {
        wire: from.bytes()?,
        outcome: from.option(decode_outcome)?,
    })
}

fn encode_reward(to: &mut Encoder, reward: &Reward) {
    to.raw(reward.pubkey.as_array());
    to.i64(reward.lamports);
    to.u64(reward.post_balance);
    to.u8(reward_tag(reward.kind));
    to.option(reward.commission, Encoder::u8);
}

fn decode_reward(from: &mut Decoder) -> Result<Reward, DecodeError> {
    Ok(Reward {
        pubkey: Pubkey::new_from_array(from.array()?),
        lamports: from.i64()?,
        post_balance: from.u64()?,
        kind: decode_reward_kind(from)?,
        commission: from.option(Decoder::u8)?,
    })
}

fn reward_tag(kind: Option<RewardKind>) -> u8 {
    match kind {
        None => 0,
        Some(RewardKind::Fee) => 1,
        Some(RewardKind::Rent) => 2,
        Some(RewardKind::Staking) => 3,
        Some(RewardKind::Voting) => 4,
        Some(RewardKind::DeactivatedStake) => 5,
    }
}

fn decode_reward_kind(from: &mut Decoder) -> Result<Option<RewardKind>, DecodeError> {
    let offset = from.offset();
    Ok(match from.u8()? {
        0 => None,
        1 => Some(RewardKind::Fee),
        2 => Some(RewardKind::Rent),
        3 => Some(RewardKind::Staking),
        4 => Some(RewardKind::Voting),
        5 => Some(RewardKind::DeactivatedStake),
        value => {
            return Err(DecodeError::Tag {
                offset,
                what: "a kind of reward",
                value,
            });
        }
    })
}
