//! What a snapshot's bank tells of the parent of the first block.

use std::sync::Arc;

use simulator_archive::{Bank, RecentBlockhash};
use simulator_engine::{DecodedBlock, Replay, ReplayOptions, Unreproduced};
use solana_hash::Hash;

use crate::support::Loaded;

/// The first block of the sample without anything that tells its parent's bank hash or its own height.
fn silent(block: &DecodedBlock) -> Arc<DecodedBlock> {
    let mut block = block.block().clone();
    block.transactions.clear();
    block.bank_hash = None;
    block.block_height = None;
    Arc::new(DecodedBlock::decode(block).expect("there is nothing to decode"))
}

#[test]
fn the_parent_is_known_without_votes() {
    let Loaded { base, blocks } = Loaded::sample();
    let block = silent(&blocks[0]);
    let options = ReplayOptions::default;
    let mut without = Replay::new(Arc::clone(&base), options()).expect("the ledger can be replayed");
    without.open_slot(Arc::clone(&block)).expect("the block follows");
    assert!(
        without
            .summary()
            .unreproduced
            .contains_key(&Unreproduced::ParentBankHash)
    );

    let bank = Bank {
        slot: block.block().parent_slot,
        hash: Hash::new_from_array([7; 32]).to_string(),
        block_height: 1234,
        blockhashes: vec![RecentBlockhash {
            blockhash: block.block().previous_blockhash.to_string(),
            lamports_per_signature: 5000,
        }],
        epoch_stakes: Vec::new(),
    };
    drop(without);
    let base = Arc::into_inner(base).expect("nobody else holds it");
    let base = Arc::new(base.with_parent(Some(&bank)));
    let mut with = Replay::new(base, options()).expect("the ledger can be replayed");
    with.open_slot(block).expect("the block follows");
    assert_eq!(with.summary().unreproduced.get(&Unreproduced::ParentBankHash), None);
    assert_eq!(with.block_height(), 1235);
}
