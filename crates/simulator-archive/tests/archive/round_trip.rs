//! Any blocks and accounts come back as they were written.

use std::collections::BTreeMap;

use crate::support::{accounts, block, blocks, custom_error, in_memory, read_accounts, read_blocks, write};
use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use simulator_archive::model::{
    Account, Block, InnerInstruction, InnerInstructions, LoadedAddresses, Outcome, RecordedTransaction, ReturnData,
    Reward, RewardKind, TokenBalance,
};
use simulator_archive::{Archive, ArchiveError, SegmentLimits, WriteError, verify};
use solana_hash::Hash;
use solana_pubkey::Pubkey;
use solana_transaction_error::TransactionError;

fn pubkey() -> impl Strategy<Value = Pubkey> {
    any::<[u8; 32]>().prop_map(Pubkey::new_from_array)
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash::new_from_array)
}

fn data(size: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..size).prop_map(Bytes::from)
}

fn reward() -> impl Strategy<Value = Reward> {
    let kinds = vec![
        RewardKind::Fee,
        RewardKind::Rent,
        RewardKind::Staking,
        RewardKind::Voting,
        RewardKind::DeactivatedStake,
    ];
    (
        pubkey(),
        any::<i64>(),
        any::<u64>(),
        option::of(proptest::sample::select(kinds)),
        any::<Option<u8>>(),
    )
        .prop_map(|(pubkey, lamports, post_balance, kind, commission)| Reward {
            pubkey,
            lamports,
            post_balance,
            kind,
            commission,
        })
}

fn status() -> impl Strategy<Value = Result<(), TransactionError>> {
    prop_oneof![
        Just(Ok(())),
        Just(Err(TransactionError::AccountInUse)),
        any::<u8>().prop_map(|account_index| Err(TransactionError::InsufficientFundsForRent { account_index })),
        any::<u8>().prop_map(|index| Err(TransactionError::DuplicateInstruction(index))),
        any::<u32>().prop_map(|code| Err(custom_error(code))),
    ]
}

fn token_balances() -> impl Strategy<Value = Vec<TokenBalance>> {
    let balance = (
        any::<u8>(),
        pubkey(),
        option::of(pubkey()),
        option::of(pubkey()),
        any::<u64>(),
        any::<u8>(),
    );
    vec(
        balance.prop_map(
            |(account_index, mint, owner, program_id, amount, decimals)| TokenBalance {
                account_index,
                mint,
                owner,
                program_id,
                amount,
                decimals,
            },
        ),
        0..3,
    )
}

fn inner_instructions() -> impl Strategy<Value = Vec<InnerInstructions>> {
    let instruction = (any::<u8>(), vec(any::<u8>(), 0..4), data(20), any::<Option<u32>>()).prop_map(
        |(program_id_index, accounts, data, stack_height)| InnerInstruction {
            program_id_index,
            accounts,
            data,
            stack_height,
        },
    );
    let group = (any::<u8>(), vec(instruction, 0..3));
    vec(
        group.prop_map(|(index, instructions)| InnerInstructions { index, instructions }),
        0..3,
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let balances = (status(), any::<u64>(), vec(any::<u64>(), 0..4), vec(any::<u64>(), 0..4));
    let tokens = (option::of(token_balances()), option::of(token_balances()));
    let program = (
        option::of(vec(".{0,10}", 0..3)),
        option::of(inner_instructions()),
        option::of((pubkey(), data(10)).prop_map(|(program_id, data)| ReturnData { program_id, data })),
    );
    let loaded = (vec(pubkey(), 0..3), vec(pubkey(), 0..3))
        .prop_map(|(writable, readonly)| LoadedAddresses { writable, readonly });
    let rest = (any::<Option<u64>>(), option::of(loaded), any::<Option<u64>>());
    (balances, tokens, program, rest).prop_map(|(balances, tokens, program, rest)| Outcome {
        status: balances.0,
        fee: balances.1,
        pre_balances: balances.2,
        post_balances: balances.3,
        pre_token_balances: tokens.0,
        post_token_balances: tokens.1,
        logs: program.0,
        inner_instructions: program.1,
        return_data: program.2,
        compute_units: rest.0,
        loaded_addresses: rest.1,
        cost_units: rest.2,
    })
}

prop_compose! {
    /// A block whose slot and parent are set later.
    fn any_block()(
        (blockhash, previous_blockhash) in (hash(), hash()),
        (block_height, block_time) in (any::<Option<u64>>(), any::<Option<i64>>()),
        (bank_hash, num_reward_partitions) in (option::of(hash()), any::<Option<u64>>()),
        rewards in vec(reward(), 0..3),
        transactions in vec((data(100), option::of(outcome())), 0..4),
    ) -> Block {
        let transactions = transactions.into_iter().map(|(wire, outcome)| RecordedTransaction { wire, outcome });
        Block {
            slot: 0, parent_slot: 0, blockhash, previous_blockhash, block_height, block_time, bank_hash,
            rewards, num_reward_partitions, transactions: transactions.collect(),
        }
    }
}

fn chain() -> impl Strategy<Value = Vec<Block>> {
    vec((any_block(), 1..100_u64), 1..6).prop_map(|blocks| {
        let mut slot = 0;
        let follow = |(block, step): (Block, u64)| {
            let parent_slot = slot;
            slot += step;
            Block {
                slot,
                parent_slot,
                ..block
            }
        };
        blocks.into_iter().map(follow).collect()
    })
}

fn state() -> impl Strategy<Value = BTreeMap<Pubkey, Account>> {
    let account = (1..=u64::MAX, pubkey(), any::<bool>(), any::<u64>(), data(200)).prop_map(
        |(lamports, owner, executable, rent_epoch, data)| Account {
            lamports,
            owner,
            executable,
            rent_epoch,
            data,
        },
    );
    btree_map(pubkey(), account, 0..20)
}

fn limits() -> impl Strategy<Value = SegmentLimits> {
    (1..2000_u64, 1..4_u32, 1..1000_u32).prop_map(|(segment_bytes, segment_blocks, chunk_bytes)| SegmentLimits {
        segment_bytes,
        segment_blocks,
        chunk_bytes,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_comes_back(blocks in chain(), state in state(), limits in limits()) {
        let state: Vec<_> = state.into_iter().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let location = in_memory();
            let manifest = write(location.clone(), limits, &state, &blocks).await.unwrap();
            let archive = Archive::open_at(location).await.unwrap();
            assert_eq!(archive.manifest(), &manifest);
            assert_eq!(read_blocks(&archive).await.unwrap(), blocks);
            assert_eq!(read_accounts(&archive).await.unwrap(), state);
            let report = verify(&archive, |_| ()).await;
            assert!(report.is_intact(), "{:?}", report.problems);
        });
    }
}

async fn refused(blocks: &[Block]) -> WriteError {
    let location = in_memory();
    let error = write(location.clone(), SegmentLimits::default(), &accounts(), blocks)
        .await
        .unwrap_err();
    assert!(matches!(
        Archive::open_at(location).await,
        Err(ArchiveError::NotAnArchive { .. })
    ));
    let ArchiveError::Write(error) = error else {
        panic!("{error:?}")
    };
    error
}

#[tokio::test]
async fn blocks_out_of_order_are_refused() {
    assert_eq!(
        refused(&[block(5, 4), block(5, 4)]).await,
        WriteError::BlockOrder { slot: 5, previous: 5 }
    );
    assert_eq!(
        refused(&[block(5, 4), block(8, 3)]).await,
        WriteError::Parent { slot: 8, parent: 3 }
    );
    assert_eq!(refused(&[block(5, 5)]).await, WriteError::Parent { slot: 5, parent: 5 });
    assert_eq!(refused(&[]).await, WriteError::NoBlocks);
}

#[tokio::test]
async fn accounts_out_of_order_are_refused() {
    let mut accounts = accounts();
    accounts.swap(2, 3);
    let error = write(in_memory(), SegmentLimits::default(), &accounts, &blocks())
        .await
        .unwrap_err();
    let address = accounts[3].0;
    assert!(matches!(error, ArchiveError::Write(WriteError::AccountOrder { address: found }) if found == address));
}

#[tokio::test]
async fn accounts_without_lamports_do_not_exist() {
    let mut with_empty = accounts();
    with_empty[4].1.lamports = 0;
    let location = in_memory();
    let manifest = write(location.clone(), SegmentLimits::default(), &with_empty, &blocks())
        .await
        .unwrap();
    assert_eq!(manifest.accounts(10), 8);
    with_empty.remove(4);
    assert_eq!(
        read_accounts(&Archive::open_at(location).await.unwrap()).await.unwrap(),
        with_empty
    );
}

#[tokio::test]
async fn the_newest_keyframe_before_a_slot_is_found() {
    let location = in_memory();
    write(location.clone(), SegmentLimits::default(), &accounts(), &blocks())
        .await
        .unwrap();
    let archive = Archive::open_at(location).await.unwrap();
    assert_eq!(archive.accounts_at(10).unwrap().0, 10);
    assert_eq!(archive.accounts_at(15).unwrap().0, 10);
    assert!(matches!(
        archive.accounts_at(9),
        Err(ArchiveError::NoKeyframe { slot: 9, first: 10 })
    ));
}
