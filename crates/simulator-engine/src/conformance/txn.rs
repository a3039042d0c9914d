//! One transaction, checked, executed and rolled back as a user's transaction in the engine.

use std::collections::BTreeMap;

use agave_precompiles::get_precompile;
use prost::Message;
use protosol::protos::{
    CompiledInstruction as ProtoInstruction, MessageAddressTableLookup as ProtoLookup, SanitizedTransaction, TxnBank,
    TxnContext, TxnFixture, TxnResult,
};
use serde::Serialize;
use solana_account::AccountSharedData;
use solana_hash::Hash;
use solana_instruction_error::InstructionError;
use solana_message::compiled_instruction::CompiledInstruction;
use solana_message::v0::MessageAddressTableLookup;
use solana_message::{MessageHeader, VersionedMessage, legacy, v0};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_svm_transaction::svm_message::SVMStaticMessage;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use super::account::{address, by_address, none_else, same_account};
use super::bench::Bench;
use super::mismatch::{same, same_bytes};
use super::{Stop, Unsupported};
use crate::blockhash_queue::{BlockhashQueue, RecentBlockhash};
use crate::check::{Checker, Origin, Sanitized};
use crate::execute::{Effects, Machine};
use crate::seen::SeenTransactions;

/// Executes a transaction and compares its effects.
pub(super) fn run(bytes: &[u8]) -> Result<(), Stop> {
    let TxnFixture { input, output, .. } = TxnFixture::decode(bytes)?;
    let TxnContext {
        tx,
        account_shared_data,
        bank,
    } = input.ok_or(Unsupported::Missing("input"))?;
    let expected = output.ok_or(Unsupported::Missing("output"))?;
    let bank = bank.ok_or(Unsupported::Missing("bank"))?;
    let transaction = transaction(&tx.ok_or(Unsupported::Missing("transaction"))?)?;
    let bench = Bench::new(&account_shared_data, bank.features.as_ref())?;
    let queue = blockhash_queue(&bank)?;
    let environment = bench.runtime.environment(bench.slot, queue.last());
    let machine = Machine {
        checker: Checker {
            runtime: &bench.runtime,
            accounts: (&bench.accounts).into(),
            blockhashes: &queue,
            extra_compute_units: 0,
        },
        environment: &environment,
        slot: bench.slot,
    };
    match machine.sanitize(transaction, Origin::User) {
        Err(error) => compare_refusal(&expected, &error),
        Ok(transaction) => match machine.execute(&transaction, Origin::User, &SeenTransactions::default()) {
            Err(error) => compare_refusal(&expected, &error),
            Ok(effects) => compare(&bench, &transaction, &expected, effects),
        },
    }
}

/// The number that fixtures give to an error: one more than its place among all.
pub(super) fn place(error: &impl Serialize) -> u32 {
    let bytes = bincode::serialize(error).expect("an error consists of integers and strings");
    let place = bytes.first_chunk().copied().unwrap_or_default();
    u32::from_le_bytes(place).saturating_add(1)
}

/// The numbers of an error: its own, that of the instruction's error, its own number if it is a custom one, and which
/// instruction it was.
#[derive(Debug, Default, PartialEq, Eq)]
struct Codes {
    status: u32,
    instruction_error: u32,
    custom_error: u32,
    instruction_error_index: u32,
}

impl Codes {
    fn of(error: &TransactionError) -> Self {
        let status = place(error);
        match error {
            TransactionError::InstructionError(index, error) => Self {
                status,
                instruction_error: place(error),
                custom_error: match error {
                    InstructionError::Custom(code) => *code,
                    _ => 0,
                },
                instruction_error_index: u32::from(*index),
            },
            _ => Self {
                status,
                ..Self::default()
            },
        }
    }

    fn compare(&self, expected: &TxnResult) -> Result<(), Stop> {
        same("status", &expected.status, &self.status)?;
        same(
            "instruction_error",
            &expected.instruction_error,
            &self.instruction_error,
        )?;
        same(
            "instruction_error_index",
            &expected.instruction_error_index,
            &self.instruction_error_index,
        )?;
        Ok(same("custom_error", &expected.custom_error, &self.custom_error)?)
    }
}

/// The runtime does not process the transaction at all.
fn compare_refusal(expected: &TxnResult, error: &TransactionError) -> Result<(), Stop> {
    same("executed", &expected.executed, &false)?;
    same("sanitization_error", &expected.sanitization_error, &true)?;
    let codes = Codes {
        custom_error: 0,
        ..Codes::of(error)
    };
    codes.compare(expected)
}

fn compare(bench: &Bench, transaction: &Sanitized, expected: &TxnResult, found: Effects) -> Result<(), Stop> {
    let outcome = &found.outcome;
    same("executed", &expected.executed, &true)?;
    same("sanitization_error", &expected.sanitization_error, &false)?;
    same("is_ok", &expected.is_ok, &outcome.status.is_ok())?;
    let mut codes = outcome.status.as_ref().err().map(Codes::of).unwrap_or_default();
    if outcome.status.is_err() && fails_in_precompile(transaction, codes.instruction_error_index) {
        codes.custom_error = 0;
    }
    codes.compare(expected)?;
    same(
        "executed_units",
        &expected.executed_units,
        &outcome.compute_units.unwrap_or_default(),
    )?;
    // Older fixtures do not say it.
    if expected.loaded_accounts_data_size > 0 {
        let size = u64::from(found.loaded_bytes);
        same("loaded_accounts_data_size", &expected.loaded_accounts_data_size, &size)?;
    }
    let return_data = outcome
        .return_data
        .as_ref()
        .map(|data| &data.data[..])
        .unwrap_or_default();
    same_bytes("return_data", &expected.return_data, return_data)?;
    let fees = expected.fee_details.unwrap_or_default();
    same(
        "fee_details.transaction_fee",
        &fees.transaction_fee,
        &found.transaction_fee,
    )?;
    same(
        "fee_details.prioritization_fee",
        &fees.prioritization_fee,
        &found.priority_fee,
    )?;
    compare_accounts(bench, expected, found)
}

/// The accounts that the transaction leaves: those that it may write if it succeeded, else those that pay for it.
fn compare_accounts(bench: &Bench, expected: &TxnResult, found: Effects) -> Result<(), Stop> {
    let (list, expected) = match found.outcome.status {
        Ok(()) => ("modified_accounts", by_address(&expected.modified_accounts)?),
        Err(_) => ("rollback_accounts", by_address(&expected.rollback_accounts)?),
    };
    let writes: BTreeMap<Pubkey, AccountSharedData> = found.writes.into_iter().collect();
    for (address, expected) in &expected {
        let stored = || bench.accounts.get(address).cloned().unwrap_or_default();
        let found = writes.get(address).cloned().unwrap_or_else(stored);
        same_account(list, address, expected, &found)?;
    }
    Ok(none_else(list, &expected, writes.keys())?)
}

fn fails_in_precompile(transaction: &Sanitized, index: u32) -> bool {
    let mut programs = transaction.program_instructions_iter().map(|(program, _)| program);
    let failed = programs.nth(usize::try_from(index).unwrap_or(usize::MAX));
    failed.is_some_and(|program| get_precompile(program, |_| true).is_some())
}

/// Fixtures list blockhashes from the oldest to the newest.
fn blockhash_queue(bank: &TxnBank) -> Result<BlockhashQueue, Unsupported> {
    let entries = bank.blockhash_queue.iter().rev().map(|entry| {
        Ok(RecentBlockhash {
            blockhash: hash(&entry.blockhash)?,
            lamports_per_signature: entry.lamports_per_signature,
        })
    });
    let entries = entries.collect::<Result<Vec<_>, Unsupported>>()?;
    BlockhashQueue::from_sysvar(&entries).ok_or(Unsupported::Missing("blockhash"))
}

fn transaction(given: &SanitizedTransaction) -> Result<VersionedTransaction, Unsupported> {
    let message = given.message.as_ref().ok_or(Unsupported::Missing("message"))?;
    let header = message.header.ok_or(Unsupported::Missing("message header"))?;
    let header = MessageHeader {
        num_required_signatures: small(header.num_required_signatures)?,
        num_readonly_signed_accounts: small(header.num_readonly_signed_accounts)?,
        num_readonly_unsigned_accounts: small(header.num_readonly_unsigned_accounts)?,
    };
    let account_keys = message.account_keys.iter().map(|key| address(key));
    let account_keys = account_keys.collect::<Result<Vec<_>, _>>()?;
    let recent_blockhash = hash(&message.recent_blockhash)?;
    let instructions = message.instructions.iter().map(instruction);
    let instructions = instructions.collect::<Result<Vec<_>, _>>()?;
    let message = if message.is_legacy {
        VersionedMessage::Legacy(legacy::Message {
            header,
            account_keys,
            recent_blockhash,
            instructions,
        })
    } else {
        let lookups = message.address_table_lookups.iter().map(lookup);
        VersionedMessage::V0(v0::Message {
            header,
            account_keys,
            recent_blockhash,
            instructions,
            address_table_lookups: lookups.collect::<Result<_, _>>()?,
        })
    };
    Ok(VersionedTransaction {
        signatures: signatures(given)?,
        message,
    })
}

/// A transaction without signatures counts as signed with one of zeros.
fn signatures(given: &SanitizedTransaction) -> Result<Vec<Signature>, Unsupported> {
    if given.signatures.is_empty() {
        return Ok(vec![Signature::default()]);
    }
    let signatures = given.signatures.iter();
    let signature = |bytes: &Vec<u8>| Signature::try_from(&bytes[..]).map_err(|_| Unsupported::Malformed("signature"));
    signatures.map(signature).collect()
}

fn instruction(given: &ProtoInstruction) -> Result<CompiledInstruction, Unsupported> {
    Ok(CompiledInstruction {
        program_id_index: small(given.program_id_index)?,
        accounts: given
            .accounts
            .iter()
            .map(|index| small(*index))
            .collect::<Result<_, _>>()?,
        data: given.data.clone(),
    })
}

fn lookup(given: &ProtoLookup) -> Result<MessageAddressTableLookup, Unsupported> {
    let indexes = |indexes: &[u32]| indexes.iter().map(|index| small(*index)).collect::<Result<_, _>>();
    Ok(MessageAddressTableLookup {
        account_key: address(&given.account_key)?,
        writable_indexes: indexes(&given.writable_indexes)?,
        readonly_indexes: indexes(&given.readonly_indexes)?,
    })
}

fn hash(bytes: &[u8]) -> Result<Hash, Unsupported> {
    let bytes = bytes.try_into().map_err(|_| Unsupported::Malformed("blockhash"))?;
    Ok(Hash::new_from_array(bytes))
}

fn small(number: u32) -> Result<u8, Unsupported> {
    number.try_into().map_err(|_| Unsupported::Malformed("index"))
}
