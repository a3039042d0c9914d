//! What an archive records: blocks as they were produced, what their transactions did, and accounts.
//!
//! These are plain values. The archive stores and returns them; the engine computes the same [`Outcome`] again and
//! compares the two.

use bytes::Bytes;
use solana_hash::Hash;
use solana_pubkey::Pubkey;
use solana_transaction_error::TransactionError;

/// A slot number, counted from genesis.
pub type Slot = u64;

/// One produced block, in the order in which the chain recorded it. A skipped slot has no block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The slot in which the block was produced.
    pub slot: Slot,
    /// The slot of the block before it; slots between the two were skipped.
    pub parent_slot: Slot,
    /// The block's own blockhash: that of its last entry.
    pub blockhash: Hash,
    /// The blockhash of the parent block.
    pub previous_blockhash: Hash,
    /// Number of blocks below this one, where the source recorded it.
    pub block_height: Option<u64>,
    /// The Clock's `unix_timestamp` in this slot, in seconds, where the source recorded it.
    pub block_time: Option<i64>,
    /// The bank hash of this slot, where the source recorded it. `getBlock` does not; votes in later blocks do.
    pub bank_hash: Option<Hash>,
    /// What the runtime paid outside transactions: leader fees, voting and staking rewards.
    pub rewards: Vec<Reward>,
    /// Number of partitions over which this epoch's staking rewards are paid; only in the first block of an epoch.
    pub num_reward_partitions: Option<u64>,
    /// The transactions, in block order.
    pub transactions: Vec<RecordedTransaction>,
}

impl Block {
    /// How many of the transactions have a recorded outcome.
    pub fn outcomes(&self) -> u64 {
        self.transactions
            .iter()
            .filter(|transaction| transaction.outcome.is_some())
            .count() as u64
    }
}

/// One transaction of a block, with what the chain recorded about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedTransaction {
    /// The transaction in Solana's wire encoding, byte for byte as it was in the block.
    pub wire: Bytes,
    /// What the transaction did, or `None` where the source does not know.
    pub outcome: Option<Outcome>,
}

/// What one transaction did. `None` in a field means that the source did not record it, or that a transaction of
/// this kind has none (a transaction that only paid its fee has no logs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Success, or why the transaction failed.
    pub status: Result<(), TransactionError>,
    /// The fee that was charged, in lamports.
    pub fee: u64,
    /// Lamports of every account of the transaction before it, in the order of its account keys.
    pub pre_balances: Vec<u64>,
    /// Lamports of every account of the transaction after it, in the order of its account keys.
    pub post_balances: Vec<u64>,
    /// Token balances before the transaction, by account index.
    pub pre_token_balances: Option<Vec<TokenBalance>>,
    /// Token balances after the transaction, by account index.
    pub post_token_balances: Option<Vec<TokenBalance>>,
    /// The program log, one message a line.
    pub logs: Option<Vec<String>>,
    /// Instructions that programs invoked, grouped by the top-level instruction that led to them.
    pub inner_instructions: Option<Vec<InnerInstructions>>,
    /// The data that the last program returned, where it is not empty.
    pub return_data: Option<ReturnData>,
    /// Compute units consumed.
    pub compute_units: Option<u64>,
    /// The addresses that the transaction loaded from lookup tables.
    pub loaded_addresses: Option<LoadedAddresses>,
    /// The block cost of the transaction, in cost units. Kept for reports; the engine does not compute it.
    pub cost_units: Option<u64>,
}

/// The balance of one token account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBalance {
    /// Index of the token account among the transaction's account keys.
    pub account_index: u8,
    /// The token's mint.
    pub mint: Pubkey,
    /// Who owns the token account; absent in old records.
    pub owner: Option<Pubkey>,
    /// The token program that owns the account; absent in old records.
    pub program_id: Option<Pubkey>,
    /// Amount in the token's smallest unit.
    pub amount: u64,
    /// Number of decimal places of the mint.
    pub decimals: u8,
}

/// The instructions that one top-level instruction led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerInstructions {
    /// Index of the top-level instruction.
    pub index: u8,
    /// The invoked instructions, in order of execution.
    pub instructions: Vec<InnerInstruction>,
}

/// One instruction that a program invoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerInstruction {
    /// Index of the program among the transaction's account keys.
    pub program_id_index: u8,
    /// Indexes of the instruction's accounts among the transaction's account keys.
    pub accounts: Vec<u8>,
    /// The instruction's data.
    pub data: Bytes,
    /// Depth of the call, 2 for one that a top-level instruction made; absent in old records.
    pub stack_height: Option<u32>,
}

/// Data that a program returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnData {
    /// The program that set the data.
    pub program_id: Pubkey,
    /// The data, never empty.
    pub data: Bytes,
}

/// Addresses loaded from lookup tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedAddresses {
    /// Writable addresses of all tables, in message order.
    pub writable: Vec<Pubkey>,
    /// Read-only addresses of all tables, in message order.
    pub readonly: Vec<Pubkey>,
}

/// One payment of the runtime outside any transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reward {
    /// Who was paid.
    pub pubkey: Pubkey,
    /// By how much the balance changed, in lamports.
    pub lamports: i64,
    /// The balance after it, in lamports.
    pub post_balance: u64,
    /// What the payment is for; absent in old records.
    pub kind: Option<RewardKind>,
    /// The vote account's commission in percent, for voting and staking rewards.
    pub commission: Option<u8>,
}

/// What a reward is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewardKind {
    /// Transaction fees, paid to the leader of the block.
    Fee,
    /// Rent, collected by old versions of the runtime.
    Rent,
    /// Staking rewards of a delegation.
    Staking,
    /// A vote account's commission.
    Voting,
    /// Staking rewards of a delegation that has been deactivated.
    DeactivatedStake,
}

/// The state of one account. Its address is the key under which it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Balance in lamports, never 0: an account without lamports does not exist.
    pub lamports: u64,
    /// The program that owns the account.
    pub owner: Pubkey,
    /// Whether the account is a program.
    pub executable: bool,
    /// The epoch at which the account would next owe rent; `u64::MAX` for one that is exempt.
    pub rent_epoch: u64,
    /// The account's data.
    pub data: Bytes,
}

/// What one slot changed, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotDelta {
    /// The slot.
    pub slot: Slot,
    /// Each state that an account took on. One account may be there several times.
    pub changes: Vec<Change>,
}

/// One account that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What changed it.
    pub writer: Writer,
    /// The account's address.
    pub address: Pubkey,
    /// Its state from then on; none if it ceased to exist.
    pub account: Option<Account>,
}

/// What changed an account. Ordered as things happen in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writer {
    /// The runtime, before the first transaction: sysvars, a new epoch, staking rewards.
    SlotStart,
    /// The transaction of this index in the block.
    Transaction(u32),
    /// The runtime, after the last transaction: fees, sysvars, the incinerator.
    SlotEnd,
}
