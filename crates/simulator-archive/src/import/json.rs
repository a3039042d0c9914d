//! The shapes of Solana's JSON: accounts, and what `getBlock` returns. Fields that are not kept are not named.

use serde::Deserialize;

use super::fields::{Address, Amount, Base58, Blockhash, Encoded, RentEpoch, Status};
use super::parts::{TransactionJson, Version};

#[derive(Debug, Deserialize)]
pub(super) struct AccountLine {
    pub(super) pubkey: Address,
    pub(super) account: AccountJson,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountJson {
    pub(super) lamports: u64,
    pub(super) data: Encoded,
    pub(super) owner: Address,
    pub(super) executable: bool,
    pub(super) rent_epoch: RentEpoch,
    pub(super) space: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockLine {
    pub(super) slot: Option<u64>,
    pub(super) parent_slot: u64,
    pub(super) blockhash: Blockhash,
    pub(super) previous_blockhash: Blockhash,
    pub(super) block_height: Option<u64>,
    pub(super) block_time: Option<i64>,
    pub(super) rewards: Option<Vec<RewardJson>>,
    pub(super) num_reward_partitions: Option<u64>,
    pub(super) transactions: Vec<TransactionLine>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RewardJson {
    pub(super) pubkey: Address,
    pub(super) lamports: i64,
    pub(super) post_balance: u64,
    pub(super) reward_type: Option<RewardType>,
    pub(super) commission: Option<u8>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum RewardType {
    #[serde(alias = "fee")]
    Fee,
    #[serde(alias = "rent")]
    Rent,
    #[serde(alias = "staking")]
    Staking,
    #[serde(alias = "voting")]
    Voting,
    #[serde(alias = "deactivatedStake")]
    DeactivatedStake,
}

#[derive(Debug, Deserialize)]
pub(super) struct TransactionLine {
    pub(super) transaction: TransactionJson,
    pub(super) meta: Option<MetaJson>,
    pub(super) version: Option<Version>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetaJson {
    pub(super) err: Status,
    pub(super) fee: u64,
    pub(super) pre_balances: Vec<u64>,
    pub(super) post_balances: Vec<u64>,
    pub(super) pre_token_balances: Option<Vec<TokenBalanceJson>>,
    pub(super) post_token_balances: Option<Vec<TokenBalanceJson>>,
    pub(super) log_messages: Option<Vec<String>>,
    pub(super) inner_instructions: Option<Vec<InnerInstructionsJson>>,
    pub(super) return_data: Option<ReturnDataJson>,
    pub(super) compute_units_consumed: Option<u64>,
    pub(super) loaded_addresses: Option<LoadedAddressesJson>,
    pub(super) cost_units: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenBalanceJson {
    pub(super) account_index: u8,
    pub(super) mint: Address,
    #[serde(default, deserialize_with = "super::fields::address_or_empty")]
    pub(super) owner: Option<Address>,
    #[serde(default, deserialize_with = "super::fields::address_or_empty")]
    pub(super) program_id: Option<Address>,
    pub(super) ui_token_amount: TokenAmountJson,
}

#[derive(Debug, Deserialize)]
pub(super) struct TokenAmountJson {
    pub(super) amount: Amount,
    pub(super) decimals: u8,
}

#[derive(Debug, Deserialize)]
pub(super) struct InnerInstructionsJson {
    pub(super) index: u8,
    pub(super) instructions: Vec<InstructionJson>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstructionJson {
    pub(super) program_id_index: u8,
    pub(super) accounts: Vec<u8>,
    pub(super) data: Base58,
    pub(super) stack_height: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReturnDataJson {
    pub(super) program_id: Address,
    pub(super) data: Encoded,
}

#[derive(Debug, Deserialize)]
pub(super) struct LoadedAddressesJson {
    pub(super) writable: Vec<Address>,
    pub(super) readonly: Vec<Address>,
}
