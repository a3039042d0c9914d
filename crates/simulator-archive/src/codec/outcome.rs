//! Recorded outcomes of transactions (`docs/archive.md`, section 4).

use bincode::Options;
use solana_pubkey::Pubkey;
use solana_transaction_error::TransactionError;

use super::bytes::{DecodeError, Decoder, Encoder};
use crate::model::{InnerInstruction, InnerInstructions, LoadedAddresses, Outcome, ReturnData, TokenBalance};

/// The least sizes of encoded values, which bound the number of elements that a list can have.
const MIN_TOKEN_BALANCE: usize = 1 + 32 + 1 + 1 + 8 + 1;
const MIN_INNER_INSTRUCTIONS: usize = 1 + 4;
const MIN_INNER_INSTRUCTION: usize = 1 + 4 + 4 + 1;
const MIN_TEXT: usize = 4;

pub(crate) fn encode_outcome(to: &mut Encoder, outcome: &Outcome) {
    encode_status(to, &outcome.status);
    to.u64(outcome.fee);
    to.list(&outcome.pre_balances, |to, lamports| to.u64(*lamports));
    to.list(&outcome.post_balances, |to, lamports| to.u64(*lamports));
    to.optional_list(outcome.pre_token_balances.as_deref(), encode_token_balance);
    to.optional_list(outcome.post_token_balances.as_deref(), encode_token_balance);
    to.optional_list(outcome.logs.as_deref(), |to, line| to.bytes(line.as_bytes()));
    to.optional_list(outcome.inner_instructions.as_deref(), encode_inner_instructions);
    to.option(outcome.return_data.as_ref(), encode_return_data);
    to.option(outcome.compute_units, Encoder::u64);
    to.option(outcome.loaded_addresses.as_ref(), encode_loaded_addresses);
    to.option(outcome.cost_units, Encoder::u64);
}

pub(crate) fn decode_outcome(from: &mut Decoder) -> Result<Outcome, DecodeError> {
    Ok(Outcome {
        status: decode_status(from)?,
        fee: from.u64()?,
        pre_balances: from.list(8, Decoder::u64)?,
        post_balances: from.list(8, Decoder::u64)?,
        pre_token_balances: from.option(decode_token_balances)?,
        post_token_balances: from.option(decode_token_balances)?,
        logs: from.option(|from| from.list(MIN_TEXT, Decoder::text))?,
        inner_instructions: from.option(|from| from.list(MIN_INNER_INSTRUCTIONS, decode_inner_instructions))?,
        return_data: from.option(decode_return_data)?,
        compute_units: from.option(Decoder::u64)?,
        loaded_addresses: from.option(decode_loaded_addresses)?,
        cost_units: from.option(Decoder::u64)?,
    })
}

/// The layout in which Solana's ledger stores transaction errors.
fn ledger_layout() -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .reject_trailing_bytes()
}

fn encode_status(to: &mut Encoder, status: &Result<(), TransactionError>) {
    let error = match status {
        Ok(()) => Vec::new(),
        Err(error) => ledger_layout()
            .serialize(error)
            .expect("an enum of numbers always serialises"),
    };
    to.bytes(&error);
}

/// No error serialises to nothing, so that an empty one means success.
fn decode_status(from: &mut Decoder) -> Result<Result<(), TransactionError>, DecodeError> {
    let offset = from.offset();
    let bytes = from.bytes()?;
    if bytes.is_empty() {
        return Ok(Ok(()));
    }
    let error = ledger_layout()
        .deserialize(&bytes)
        .map_err(|_| DecodeError::TransactionError { offset })?;
    Ok(Err(error))
}

fn encode_token_balance(to: &mut Encoder, balance: &TokenBalance) {
    to.u8(balance.account_index);
    to.raw(balance.mint.as_array());
    to.option(balance.owner, encode_pubkey);
    to.option(balance.program_id, encode_pubkey);
    to.u64(balance.amount);
    to.u8(balance.decimals);
}

fn decode_token_balances(from: &mut Decoder) -> Result<Vec<TokenBalance>, DecodeError> {
    from.list(MIN_TOKEN_BALANCE, |from| {
        Ok(TokenBalance {
            account_index: from.u8()?,
            mint: decode_pubkey(from)?,
            owner: from.option(decode_pubkey)?,
            program_id: from.option(decode_pubkey)?,
            amount: from.u64()?,
            decimals: from.u8()?,
        })
    })
}

fn encode_inner_instructions(to: &mut Encoder, inner: &InnerInstructions) {
    to.u8(inner.index);
    to.list(&inner.instructions, |to, instruction| {
        to.u8(instruction.program_id_index);
        to.bytes(&instruction.accounts);
        to.bytes(&instruction.data);
        to.option(instruction.stack_height, Encoder::u32);
    });
}

fn decode_inner_instructions(from: &mut Decoder) -> Result<InnerInstructions, DecodeError> {
    let index = from.u8()?;
    let instructions = from.list(MIN_INNER_INSTRUCTION, |from| {
        Ok(InnerInstruction {
            program_id_index: from.u8()?,
            accounts: from.bytes()?.into(),
            data: from.bytes()?,
            stack_height: from.option(Decoder::u32)?,
        })
    })?;
    Ok(InnerInstructions { index, instructions })
}

fn encode_return_data(to: &mut Encoder, data: &ReturnData) {
    encode_pubkey(to, data.program_id);
    to.bytes(&data.data);
}

fn decode_return_data(from: &mut Decoder) -> Result<ReturnData, DecodeError> {
    let program_id = decode_pubkey(from)?;
    Ok(ReturnData {
        program_id,
        data: from.bytes()?,
    })
}

fn encode_loaded_addresses(to: &mut Encoder, loaded: &LoadedAddresses) {
    to.list(&loaded.writable, |to, address| encode_pubkey(to, *address));
    to.list(&loaded.readonly, |to, address| encode_pubkey(to, *address));
}

fn decode_loaded_addresses(from: &mut Decoder) -> Result<LoadedAddresses, DecodeError> {
    Ok(LoadedAddresses {
        writable: from.list(32, decode_pubkey)?,
        readonly: from.list(32, decode_pubkey)?,
    })
}

fn encode_pubkey(to: &mut Encoder, pubkey: Pubkey) {
    to.raw(pubkey.as_array());
}

fn decode_pubkey(from: &mut Decoder) -> Result<Pubkey, DecodeError> {
    from.array().map(Pubkey::new_from_array)
}
