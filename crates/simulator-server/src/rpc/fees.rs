//! What transactions cost and have cost.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use simulator_engine::Lookup;
use solana_message::VersionedMessage;
use solana_pubkey::Pubkey;
use solana_rpc_client_types::response::RpcPrioritizationFee;
use solana_sdk_ids::compute_budget;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use super::budget::Budget;
use super::call::Params;
use super::context::{ContextConfig, look, pubkey};
use super::error::RpcError;
use super::ledger::{EVERYTHING, ledger};
use super::{Answer, Target, result};
use crate::executor::Executor;
use crate::handle::SessionHandle;
use crate::history::PastTransaction;
use crate::pubsub::KeptSlot;

/// Most addresses of one call, as Solana has it.
const MAX_ADDRESSES: usize = 128;
/// How many blocks count as recent, as Solana has it.
const RECENT_BLOCKS: usize = 150;
/// Most characters of a message in base64: a transaction has at most 4096 bytes.
const MAX_MESSAGE_CHARS: usize = 5464;
/// First byte of the compute budget instruction that sets the price of a compute unit.
const SET_COMPUTE_UNIT_PRICE: u8 = 3;

/// The fee of a message, or null if its blockhash is not valid.
pub(super) async fn get_fee_for_message(session: &SessionHandle, params: Params<'_>) -> Answer {
    let message = read_message(&params.required::<String>(0, "a message")?)?;
    let config: ContextConfig = params.optional(1, "config")?.unwrap_or_default();
    let signatures = usize::from(message.header().num_required_signatures);
    let transaction = VersionedTransaction {
        signatures: vec![Signature::default(); signatures],
        message,
    };
    let fee = move |executor: &Executor| fee(executor, transaction);
    result(&look(session, config.min_context_slot, fee).await?)
}

pub(super) async fn get_recent_prioritization_fees(target: &Target, params: Params<'_>) -> Answer {
    let texts: Vec<String> = params.optional(0, "an array of pubkeys")?.unwrap_or_default();
    if texts.len() > MAX_ADDRESSES {
        return Err(RpcError::invalid_params(format!(
            "Too many inputs provided; max {MAX_ADDRESSES}"
        )));
    }
    let addresses = texts
        .iter()
        .map(|text| pubkey(text))
        .collect::<Result<BTreeSet<_>, _>>()?;
    target.budget.search()?;
    let ledger = ledger(&target.session, None).await?.value;
    let show = move |_: &Budget| {
        let recent = ledger.closed_slots().rev().take(RECENT_BLOCKS);
        let mut fees: Vec<_> = recent.map(|slot| prioritization_fee(slot, &addresses)).collect();
        fees.reverse();
        result(&fees)
    };
    target.show(EVERYTHING, show).await
}

/// What a transaction without signatures would pay.
pub(super) fn fee(executor: &Executor, transaction: VersionedTransaction) -> Result<Option<u64>, RpcError> {
    let lookups = transaction.message.address_table_lookups().unwrap_or_default();
    let is_unknown = |table: &&Pubkey| executor.replay().account(table) == Lookup::Unknown;
    if let Some(unknown) = lookups.iter().map(|lookup| &lookup.account_key).find(is_unknown) {
        return Err(RpcError::account_not_in_archive(unknown));
    }
    let fee = executor.replay().fee(transaction);
    match fee.map_err(|error| RpcError::refused(&error.to_string()))? {
        Ok(fee) => Ok(Some(fee)),
        Err(TransactionError::BlockhashNotFound) => Ok(None),
        Err(error) => Err(RpcError::invalid_transaction(&error)),
    }
}

fn read_message(text: &str) -> Result<VersionedMessage, RpcError> {
    if text.len() > MAX_MESSAGE_CHARS {
        return Err(RpcError::invalid_params(format!(
            "base64 encoded message too large: {} characters (max {MAX_MESSAGE_CHARS})",
            text.len()
        )));
    }
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| RpcError::invalid_params(format!("invalid base64 encoding: {error}")))?;
    wincode::deserialize(&bytes)
        .map_err(|error| RpcError::invalid_params(format!("failed to deserialize message: {error}")))
}

/// The lowest price of a compute unit that got a transaction into a block; with addresses, the lowest that got one in
/// which locked the most contested of them for writing.
fn prioritization_fee(slot: &KeptSlot, addresses: &BTreeSet<Pubkey>) -> RpcPrioritizationFee {
    let (mut lowest, mut by_address) = (None, BTreeMap::new());
    for record in slot.transactions().filter(|record| !record.is_vote()) {
        let price = unit_price(&record.transaction);
        lowest = Some(lowest.map_or(price, |lowest: u64| lowest.min(price)));
        for address in locked(&record.transaction).filter(|key| addresses.contains(key)) {
            let lowest = by_address.entry(*address).or_insert(price);
            *lowest = price.min(*lowest);
        }
    }
    RpcPrioritizationFee {
        slot: slot.head.slot,
        prioritization_fee: by_address.into_values().chain(lowest).max().unwrap_or_default(),
    }
}

/// The accounts that a transaction locked for writing.
fn locked(past: &PastTransaction) -> impl Iterator<Item = &Pubkey> {
    let message = &past.transaction.message;
    let keys = message.static_account_keys().iter().enumerate();
    let loaded = past.outcome.loaded_addresses.iter();
    keys.filter(|(index, _)| message.is_maybe_writable(*index, None))
        .map(|(_, key)| key)
        .chain(loaded.flat_map(|loaded| &loaded.writable))
}

/// What a transaction offered for a compute unit, in micro-lamports.
fn unit_price(past: &PastTransaction) -> u64 {
    let message = &past.transaction.message;
    let keys = message.static_account_keys();
    let set = |instruction: &solana_message::compiled_instruction::CompiledInstruction| {
        let program = keys.get(usize::from(instruction.program_id_index));
        let data = instruction.data.split_first()?;
        let is_price = program == Some(&compute_budget::ID) && *data.0 == SET_COMPUTE_UNIT_PRICE;
        let price = data.1.first_chunk().map(|price| u64::from_le_bytes(*price));
        price.filter(|_| is_price)
    };
    message.instructions().iter().find_map(set).unwrap_or_default()
}
