//! Bytes that nobody wrote: they give an error or a value, but no panic and no large allocation.

use ::bytes::Bytes;
use proptest::prelude::*;
use solana_hash::Hash;
use solana_pubkey::Pubkey;

use super::*;
use crate::model::{Account, Block, RecordedTransaction};

fn block() -> Block {
    let transaction = RecordedTransaction {
        wire: Bytes::from_static(&[1; 40]),
        outcome: None,
    };
    Block {
        slot: 5,
        parent_slot: 4,
        blockhash: Hash::new_from_array([1; 32]),
        previous_blockhash: Hash::new_from_array([2; 32]),
        block_height: Some(3),
        block_time: None,
        bank_hash: None,
        rewards: Vec::new(),
        num_reward_partitions: None,
        transactions: vec![transaction; 3],
    }
}

/// Where the number of transactions stands in the block: after its header and the empty list of rewards.
const TRANSACTIONS: usize = 8 + 8 + 32 + 32 + 9 + 1 + 1 + 1 + 4;

#[test]
fn a_huge_length_is_refused_before_anything_is_allocated() {
    let mut bytes = encode_block(&block());
    assert_eq!(bytes[TRANSACTIONS], 3);
    bytes[TRANSACTIONS..TRANSACTIONS + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let left = bytes.len() - TRANSACTIONS - 4;
    let expected = DecodeError::Ended {
        offset: TRANSACTIONS,
        needed: u64::from(u32::MAX) * 5,
        left,
    };
    assert_eq!(decode_block(bytes.into()), Err(expected));
}

#[test]
fn leftovers_are_refused() {
    let mut bytes = encode_block(&block());
    let offset = bytes.len();
    bytes.push(0);
    assert_eq!(
        decode_block(bytes.into()),
        Err(DecodeError::Trailing { offset, left: 1 })
    );
}

#[test]
fn every_truncation_is_refused() {
    let bytes = Bytes::from(encode_block(&block()));
    for length in 0..bytes.len() {
        assert!(
            matches!(decode_block(bytes.slice(..length)), Err(DecodeError::Ended { .. })),
            "{length}"
        );
    }
}

#[test]
fn an_account_without_lamports_is_refused() {
    let account = Account {
        lamports: 0,
        owner: Pubkey::default(),
        executable: false,
        rent_epoch: 0,
        data: Bytes::new(),
    };
    let mut to = Encoder::default();
    encode_account(&mut to, &Pubkey::default(), &account);
    let result = decode_account(&mut Decoder::new(to.into_bytes().into()));
    assert_eq!(
        result,
        Err(DecodeError::Empty {
            offset: 32,
            what: "an account's balance"
        })
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let bytes = Bytes::from(bytes);
        let _ = decode_block(bytes.clone());
        let _ = decode_account(&mut Decoder::new(bytes));
    }

    /// What decodes after a change encodes to the changed bytes again: there is one encoding of a value.
    #[test]
    fn a_changed_block_is_refused_or_another_block(index in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode_block(&block());
        let index = index.index(bytes.len());
        bytes[index] = byte;
        if let Ok(block) = decode_block(bytes.clone().into()) {
            prop_assert_eq!(encode_block(&block), bytes);
        }
    }
}
