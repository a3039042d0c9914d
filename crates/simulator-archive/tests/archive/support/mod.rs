//! A hand-made ledger of a few slots, in which every optional field is present somewhere and absent elsewhere.

pub(crate) mod car;
pub(crate) mod json;
pub(crate) mod stores;

use bytes::Bytes;
use object_store::memory::InMemory;
use simulator_archive::model::{
    Account, Block, InnerInstruction, InnerInstructions, LoadedAddresses, Outcome, RecordedTransaction, ReturnData,
    Reward, RewardKind, Slot, TokenBalance,
};
use simulator_archive::{
    Archive, ArchiveError, ArchiveWriter, Description, Digest, Importer, Location, Manifest, Scope, ScopeEvidence,
    SegmentLimits, Source, SourceFile,
};
use solana_hash::Hash;
use solana_message::compiled_instruction::CompiledInstruction;
use solana_message::v0::{self, MessageAddressTableLookup};
use solana_message::{Message, MessageHeader, VersionedMessage};
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;
use std::sync::Arc;

/// So small that a few slots make several segments and chunks.
pub(crate) const SMALL: SegmentLimits = SegmentLimits {
    segment_bytes: 450,
    segment_blocks: 2,
    chunk_bytes: 300,
};

pub(crate) fn key(seed: u8) -> Pubkey {
    Pubkey::new_from_array([seed; 32])
}

pub(crate) fn hash(seed: u8) -> Hash {
    Hash::new_from_array([seed; 32])
}

pub(crate) fn blocks() -> Vec<Block> {
    vec![
        Block {
            block_height: Some(9),
            block_time: Some(1_700_000_000),
            bank_hash: Some(hash(200)),
            num_reward_partitions: Some(2),
            rewards: rewards(),
            transactions: vec![
                RecordedTransaction {
                    wire: legacy(1),
                    outcome: Some(full_outcome()),
                },
                RecordedTransaction {
                    wire: versioned(2),
                    outcome: Some(failed_outcome()),
                },
            ],
            ..block(10, 9)
        },
        Block {
            transactions: vec![RecordedTransaction {
                wire: legacy(3),
                outcome: None,
            }],
            ..block(12, 10)
        },
        block(13, 12),
        Block {
            transactions: vec![RecordedTransaction {
                wire: legacy(4),
                outcome: Some(empty_outcome()),
            }],
            ..block(20, 19)
        },
    ]
}

/// The blocks as a ledger directory can hold them: `getBlock` knows no bank hash.
pub(crate) fn ledger_blocks() -> Vec<Block> {
    blocks()
        .into_iter()
        .map(|block| Block {
            bank_hash: None,
            ..block
        })
        .collect()
}

pub(crate) fn block(slot: Slot, parent_slot: Slot) -> Block {
    Block {
        slot,
        parent_slot,
        blockhash: hash(slot as u8),
        previous_blockhash: hash(parent_slot as u8),
        block_height: None,
        block_time: None,
        bank_hash: None,
        rewards: Vec::new(),
        num_reward_partitions: None,
        transactions: Vec::new(),
    }
}

/// Sorted by address.
pub(crate) fn accounts() -> Vec<(Pubkey, Account)> {
    (1..=9_u8)
        .map(|seed| {
            let account = Account {
                lamports: u64::from(seed) * 1_000_003,
                owner: key(100 + seed % 2),
                executable: seed == 4,
                rent_epoch: if seed == 5 { 7 } else { u64::MAX },
                data: Bytes::from(
                    (0..usize::from(seed) * 23 - 23)
                        .map(|i| i as u8 ^ seed)
                        .collect::<Vec<_>>(),
                ),
            };
            (key(seed), account)
        })
        .collect()
}

pub(crate) fn description() -> Description {
    Description {
        genesis_hash: Some(hash(99).to_string()),
        scope: Scope::Listed,
        scope_evidence: ScopeEvidence {
            given: false,
            missing_accounts: vec![key(50).to_string()],
            vote_accounts: 1,
            checked_accounts: 2,
            unlisted_accounts: 3,
            differing_accounts: 4,
            example: Some(key(51).to_string()),
        },
        closure: None,
        bank: None,
        sources: vec![Source {
            importer: Importer::Program,
            files: vec![SourceFile {
                name: "none".to_owned(),
                size: 1,
                digest: Digest::of(b"1"),
            }],
        }],
    }
}

pub(crate) fn in_memory() -> Location {
    Location::new(
        Arc::new(InMemory::new()),
        object_store::path::Path::from("archives/a"),
        "memory",
    )
}

/// Writes the hand-made ledger.
pub(crate) async fn write_sample(location: Location) -> Result<Manifest, ArchiveError> {
    write(location, SMALL, &accounts(), &blocks()).await
}

pub(crate) async fn write(
    location: Location,
    limits: SegmentLimits,
    accounts: &[(Pubkey, Account)],
    blocks: &[Block],
) -> Result<Manifest, ArchiveError> {
    let mut writer = ArchiveWriter::new(location, limits);
    let result = fill(&mut writer, accounts, blocks).await;
    match result {
        Ok(()) => writer.finish(description()).await,
        Err(error) => {
            writer.discard().await;
            Err(error)
        }
    }
}

async fn fill(
    writer: &mut ArchiveWriter,
    accounts: &[(Pubkey, Account)],
    blocks: &[Block],
) -> Result<(), ArchiveError> {
    writer
        .start_keyframe(blocks.first().map_or(0, |block| block.slot))
        .await?;
    for (address, account) in accounts {
        writer.account(address, account).await?;
    }
    for block in blocks {
        writer.block(block).await?;
    }
    Ok(())
}

pub(crate) async fn read_blocks(archive: &Archive) -> Result<Vec<Block>, ArchiveError> {
    let mut reader = archive.blocks(0..=Slot::MAX);
    let mut blocks = Vec::new();
    while let Some(block) = reader.next().await? {
        blocks.push(block);
    }
    Ok(blocks)
}

pub(crate) async fn read_accounts(archive: &Archive) -> Result<Vec<(Pubkey, Account)>, ArchiveError> {
    let (_, mut reader) = archive.accounts_at(Slot::MAX)?;
    let mut accounts = Vec::new();
    while let Some(account) = reader.next().await? {
        accounts.push(account);
    }
    Ok(accounts)
}

/// Opens an archive and reads all of it.
pub(crate) async fn read_all(location: Location) -> Result<(Vec<(Pubkey, Account)>, Vec<Block>), ArchiveError> {
    let archive = Archive::open_at(location).await?;
    Ok((read_accounts(&archive).await?, read_blocks(&archive).await?))
}

/// One signer, two other accounts, two instructions.
pub(crate) fn legacy(seed: u8) -> Bytes {
    wire(VersionedMessage::Legacy(Message {
        header: header(),
        account_keys: vec![key(1), key(2), key(40)],
        recent_blockhash: hash(seed),
        instructions: vec![instruction(vec![0, 1]), instruction(vec![1])],
    }))
}

/// As [`legacy`], with one writable and two read-only addresses from a lookup table.
pub(crate) fn versioned(seed: u8) -> Bytes {
    wire(VersionedMessage::V0(v0::Message {
        header: header(),
        account_keys: vec![key(1), key(2), key(40)],
        recent_blockhash: hash(seed),
        instructions: vec![instruction(vec![0, 3]), instruction(vec![4, 5])],
        address_table_lookups: vec![MessageAddressTableLookup {
            account_key: key(60),
            writable_indexes: vec![7],
            readonly_indexes: vec![8, 9],
        }],
    }))
}

fn wire(message: VersionedMessage) -> Bytes {
    let transaction = VersionedTransaction {
        signatures: vec![Default::default()],
        message,
    };
    wincode::serialize(&transaction).unwrap().into()
}

fn header() -> MessageHeader {
    MessageHeader {
        num_required_signatures: 1,
        num_readonly_signed_accounts: 0,
        num_readonly_unsigned_accounts: 1,
    }
}

fn instruction(accounts: Vec<u8>) -> CompiledInstruction {
    CompiledInstruction {
        program_id_index: 2,
        accounts,
        data: vec![1, 2, 3],
    }
}

fn rewards() -> Vec<Reward> {
    let kinds = [
        None,
        Some(RewardKind::Fee),
        Some(RewardKind::Rent),
        Some(RewardKind::Staking),
        Some(RewardKind::Voting),
        Some(RewardKind::DeactivatedStake),
    ];
    let reward = |(index, kind): (usize, Option<RewardKind>)| Reward {
        pubkey: key(70 + index as u8),
        lamports: if kind == Some(RewardKind::Rent) { -5 } else { 5000 },
        post_balance: 1_000_000,
        kind,
        commission: (kind == Some(RewardKind::Voting)).then_some(10),
    };
    kinds.into_iter().enumerate().map(reward).collect()
}

fn full_outcome() -> Outcome {
    Outcome {
        status: Ok(()),
        fee: 5000,
        pre_balances: vec![1_000_003, 2_000_006, 1],
        post_balances: vec![995_003, 2_000_006, 1],
        pre_token_balances: Some(vec![token_balance(1, Some(key(81)), Some(key(82)), 0)]),
        post_token_balances: Some(vec![token_balance(1, None, None, u64::MAX)]),
        logs: Some(vec!["Program log: gr\u{fc}\u{df}e".to_owned(), String::new()]),
        inner_instructions: Some(vec![InnerInstructions {
            index: 1,
            instructions: vec![inner(Some(2), vec![0, 1], &[9, 9]), inner(None, Vec::new(), &[])],
        }]),
        return_data: Some(ReturnData {
            program_id: key(40),
            data: Bytes::from_static(&[0, 1]),
        }),
        compute_units: Some(450),
        loaded_addresses: Some(LoadedAddresses::default()),
        cost_units: Some(3000),
    }
}

fn failed_outcome() -> Outcome {
    Outcome {
        status: Err(custom_error(6001)),
        fee: 10_000,
        pre_balances: vec![995_003, 2_000_006, 1, 4, 5, 6],
        post_balances: vec![985_003, 2_000_006, 1, 4, 5, 6],
        loaded_addresses: Some(LoadedAddresses {
            writable: vec![key(61)],
            readonly: vec![key(62), key(63)],
        }),
        ..bare_outcome()
    }
}

fn empty_outcome() -> Outcome {
    Outcome {
        pre_token_balances: Some(Vec::new()),
        post_token_balances: Some(Vec::new()),
        logs: Some(Vec::new()),
        inner_instructions: Some(Vec::new()),
        ..bare_outcome()
    }
}

fn bare_outcome() -> Outcome {
    Outcome {
        status: Ok(()),
        fee: 0,
        pre_balances: vec![985_003, 2_000_006, 1],
        post_balances: vec![985_003, 2_000_006, 1],
        pre_token_balances: None,
        post_token_balances: None,
        logs: None,
        inner_instructions: None,
        return_data: None,
        compute_units: None,
        loaded_addresses: None,
        cost_units: None,
    }
}

/// Through JSON, because the type of the error inside is that of another crate.
pub(crate) fn custom_error(code: u32) -> TransactionError {
    serde_json::from_value(serde_json::json!({ "InstructionError": [1, { "Custom": code }] })).unwrap()
}

fn token_balance(account_index: u8, owner: Option<Pubkey>, program_id: Option<Pubkey>, amount: u64) -> TokenBalance {
    TokenBalance {
        account_index,
        mint: key(80),
        owner,
        program_id,
        amount,
        decimals: 6,
    }
}

fn inner(stack_height: Option<u32>, accounts: Vec<u8>, data: &'static [u8]) -> InnerInstruction {
    InnerInstruction {
        program_id_index: 2,
        accounts,
        data: Bytes::from_static(data),
        stack_height,
    }
}
