//! What Solana's ledger recorded of a transaction, and the rewards of a block, as protocol buffers.
//! (Agave: `storage-proto/proto/confirmed_block.proto`)

use std::borrow::Cow;
use std::io::Read;
use std::str::FromStr;

use bytes::Bytes;
use solana_pubkey::Pubkey;
use solana_transaction_error::TransactionError;

use super::error::RecordProblem;
use super::oldest;
use super::protobuf::{Message, Value};
use crate::model::{
    InnerInstruction, InnerInstructions, LoadedAddresses, Outcome, ReturnData, Reward, RewardKind, TokenBalance,
};

/// The most bytes that a record is decompressed to. The rewards of an epoch's first block on mainnet take about 100 MiB.
const MAX_RECORD: u64 = 256 << 20;

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The rewards of a block, and over how many partitions those of an epoch are paid.
#[derive(Debug, Default)]
pub(super) struct Rewards {
    pub(super) rewards: Vec<Reward>,
    pub(super) partitions: Option<u64>,
}

/// The outcome of a transaction, or none where the record is empty.
pub(super) fn outcome(stored: &[u8]) -> Result<Option<Outcome>, RecordProblem> {
    let raw = decompress(stored)?;
    match *raw {
        [] => Ok(None),
        // No protocol buffer begins with a field of number 0.
        [0 | 1, ..] => oldest::outcome(&raw).map(Some),
        _ => fields(Message::new(&raw)).map(Some),
    }
}

/// The rewards of a block; none where the record is empty.
pub(super) fn rewards(stored: &[u8]) -> Result<Rewards, RecordProblem> {
    let raw = decompress(stored)?;
    let mut message = Message::new(&raw);
    let mut rewards = Rewards::default();
    while let Some((number, value)) = message.next()? {
        match number {
            1 => rewards.rewards.push(reward(value.message()?)?),
            2 => rewards.partitions = Some(first_number(value.message()?)?),
            _ => {}
        }
    }
    Ok(rewards)
}

fn decompress(stored: &[u8]) -> Result<Cow<'_, [u8]>, RecordProblem> {
    if !stored.starts_with(&ZSTD) {
        return Ok(stored.into());
    }
    let mut raw = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(stored).map_err(RecordProblem::Decompress)?;
    let read = decoder.take(MAX_RECORD + 1).read_to_end(&mut raw);
    match read.map_err(RecordProblem::Decompress)? as u64 {
        0..=MAX_RECORD => Ok(raw.into()),
        _ => Err(RecordProblem::TooLarge { limit: MAX_RECORD }),
    }
}

fn fields(mut message: Message<'_>) -> Result<Outcome, RecordProblem> {
    let mut outcome = Outcome {
        status: Ok(()),
        fee: 0,
        pre_balances: Vec::new(),
        post_balances: Vec::new(),
        pre_token_balances: Some(Vec::new()),
        post_token_balances: Some(Vec::new()),
        logs: Some(Vec::new()),
        inner_instructions: Some(Vec::new()),
        return_data: None,
        compute_units: None,
        loaded_addresses: Some(LoadedAddresses::default()),
        cost_units: None,
    };
    let mut none = Absent::default();
    while let Some((number, value)) = message.next()? {
        field(&mut outcome, &mut none, number, value)?;
    }
    if none.logs {
        outcome.logs = None;
    }
    if none.inner_instructions {
        outcome.inner_instructions = None;
    }
    Ok(outcome)
}

/// Lists that were not recorded, which protocol buffers cannot tell from empty ones.
#[derive(Debug, Default)]
struct Absent {
    logs: bool,
    inner_instructions: bool,
}

fn field(outcome: &mut Outcome, none: &mut Absent, number: u64, value: Value<'_>) -> Result<(), RecordProblem> {
    match number {
        1 => outcome.status = Err(transaction_error(value.message()?)?),
        2 => outcome.fee = value.number()?,
        3 => value.numbers(&mut outcome.pre_balances)?,
        4 => value.numbers(&mut outcome.post_balances)?,
        5 => outcome
            .inner_instructions
            .get_or_insert_default()
            .push(inner_instructions(value.message()?)?),
        6 => outcome.logs.get_or_insert_default().push(value.text()?.to_owned()),
        7 => outcome
            .pre_token_balances
            .get_or_insert_default()
            .push(token_balance(value.message()?)?),
        8 => outcome
            .post_token_balances
            .get_or_insert_default()
            .push(token_balance(value.message()?)?),
        10 => none.inner_instructions = value.flag()?,
        11 => none.logs = value.flag()?,
        12 => loaded(outcome).writable.push(address(value.bytes()?)?),
        13 => loaded(outcome).readonly.push(address(value.bytes()?)?),
        14 => outcome.return_data = return_data(value.message()?)?,
        16 => outcome.compute_units = Some(value.number()?),
        17 => outcome.cost_units = Some(value.number()?),
        _ => {}
    }
    Ok(())
}

fn loaded(outcome: &mut Outcome) -> &mut LoadedAddresses {
    outcome.loaded_addresses.get_or_insert_default()
}

/// Errors are in bincode. A text that old versions wrote behind one of them is lost.
fn transaction_error(mut message: Message<'_>) -> Result<TransactionError, RecordProblem> {
    let mut bytes = &[][..];
    while let Some((number, value)) = message.next()? {
        if number == 1 {
            bytes = value.bytes()?;
        }
    }
    bincode::deserialize(bytes).map_err(|_| RecordProblem::Field { field: "err" })
}

fn inner_instructions(mut message: Message<'_>) -> Result<InnerInstructions, RecordProblem> {
    let mut inner = InnerInstructions {
        index: 0,
        instructions: Vec::new(),
    };
    while let Some((number, value)) = message.next()? {
        match number {
            1 => inner.index = byte(value, "inner_instructions.index")?,
            2 => inner.instructions.push(inner_instruction(value.message()?)?),
            _ => {}
        }
    }
    Ok(inner)
}

fn inner_instruction(mut message: Message<'_>) -> Result<InnerInstruction, RecordProblem> {
    let mut instruction = InnerInstruction {
        program_id_index: 0,
        accounts: Vec::new(),
        data: Bytes::new(),
        stack_height: None,
    };
    while let Some((number, value)) = message.next()? {
        match number {
            1 => instruction.program_id_index = byte(value, "program_id_index")?,
            2 => instruction.accounts = value.bytes()?.to_vec(),
            3 => instruction.data = Bytes::copy_from_slice(value.bytes()?),
            4 => instruction.stack_height = Some(parse_number(value, "stack_height")?),
            _ => {}
        }
    }
    Ok(instruction)
}

fn token_balance(mut message: Message<'_>) -> Result<TokenBalance, RecordProblem> {
    let mut balance = TokenBalance {
        account_index: 0,
        mint: Pubkey::default(),
        owner: None,
        program_id: None,
        amount: 0,
        decimals: 0,
    };
    while let Some((number, value)) = message.next()? {
        match number {
            1 => balance.account_index = byte(value, "account_index")?,
            2 => balance.mint = parse(value.text()?, "mint")?,
            3 => (balance.amount, balance.decimals) = token_amount(value.message()?)?,
            4 => balance.owner = parse_unless_empty(value.text()?, "owner")?,
            5 => balance.program_id = parse_unless_empty(value.text()?, "program_id")?,
            _ => {}
        }
    }
    Ok(balance)
}

fn token_amount(mut message: Message<'_>) -> Result<(u64, u8), RecordProblem> {
    let (mut amount, mut decimals) = (0, 0);
    while let Some((number, value)) = message.next()? {
        match number {
            2 => decimals = byte(value, "decimals")?,
            3 => amount = parse(value.text()?, "amount")?,
            _ => {}
        }
    }
    Ok((amount, decimals))
}

/// Empty data is none.
fn return_data(mut message: Message<'_>) -> Result<Option<ReturnData>, RecordProblem> {
    let (mut program_id, mut data) = (None, Bytes::new());
    while let Some((number, value)) = message.next()? {
        match number {
            1 => program_id = Some(address(value.bytes()?)?),
            2 => data = Bytes::copy_from_slice(value.bytes()?),
            _ => {}
        }
    }
    match program_id {
        _ if data.is_empty() => Ok(None),
        Some(program_id) => Ok(Some(ReturnData { program_id, data })),
        None => Err(RecordProblem::Field {
            field: "return_data.program_id",
        }),
    }
}

fn reward(mut message: Message<'_>) -> Result<Reward, RecordProblem> {
    let mut reward = Reward {
        pubkey: Pubkey::default(),
        lamports: 0,
        post_balance: 0,
        kind: None,
        commission: None,
    };
    while let Some((number, value)) = message.next()? {
        match number {
            1 => reward.pubkey = parse(value.text()?, "pubkey")?,
            2 => reward.lamports = value.number()?.cast_signed(),
            3 => reward.post_balance = value.number()?,
            4 => reward.kind = reward_kind(value.number()?)?,
            5 => reward.commission = parse_unless_empty(value.text()?, "commission")?,
            _ => {}
        }
    }
    Ok(reward)
}

fn reward_kind(number: u64) -> Result<Option<RewardKind>, RecordProblem> {
    Ok(Some(match number {
        0 => return Ok(None),
        1 => RewardKind::Fee,
        2 => RewardKind::Rent,
        3 => RewardKind::Staking,
        4 => RewardKind::Voting,
        5 => RewardKind::DeactivatedStake,
        _ => return Err(RecordProblem::Field { field: "reward_type" }),
    }))
}

fn first_number(mut message: Message<'_>) -> Result<u64, RecordProblem> {
    let mut first = 0;
    while let Some((number, value)) = message.next()? {
        if number == 1 {
            first = value.number()?;
        }
    }
    Ok(first)
}

fn byte(value: Value<'_>, field: &'static str) -> Result<u8, RecordProblem> {
    parse_number(value, field)
}

fn parse_number<T: TryFrom<u64>>(value: Value<'_>, field: &'static str) -> Result<T, RecordProblem> {
    T::try_from(value.number()?).map_err(|_| RecordProblem::Field { field })
}

fn address(bytes: &[u8]) -> Result<Pubkey, RecordProblem> {
    Pubkey::try_from(bytes).map_err(|_| RecordProblem::Field { field: "an address" })
}

fn parse<T: FromStr>(text: &str, field: &'static str) -> Result<T, RecordProblem> {
    text.parse().map_err(|_| RecordProblem::Field { field })
}

/// Old records have an empty text where there is nothing.
fn parse_unless_empty<T: FromStr>(text: &str, field: &'static str) -> Result<Option<T>, RecordProblem> {
    match text {
        "" => Ok(None),
        text => parse(text, field).map(Some),
    }
}
