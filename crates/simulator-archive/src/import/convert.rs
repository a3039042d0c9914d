//! From Solana's JSON to our values.

use super::fields::{Address, Encoded};
use super::json::{
    AccountJson, InnerInstructionsJson, LoadedAddressesJson, MetaJson, ReturnDataJson, RewardJson, RewardType,
    TokenBalanceJson,
};
use crate::model::{
    Account, InnerInstruction, InnerInstructions, LoadedAddresses, Outcome, ReturnData, Reward, RewardKind,
    TokenBalance,
};

impl From<AccountJson> for Account {
    fn from(json: AccountJson) -> Self {
        Self {
            lamports: json.lamports,
            owner: json.owner.0,
            executable: json.executable,
            rent_epoch: json.rent_epoch.0,
            data: json.data.0,
        }
    }
}

impl From<RewardJson> for Reward {
    fn from(json: RewardJson) -> Self {
        Self {
            pubkey: json.pubkey.0,
            lamports: json.lamports,
            post_balance: json.post_balance,
            kind: json.reward_type.map(RewardKind::from),
            commission: json.commission,
        }
    }
}

impl From<RewardType> for RewardKind {
    fn from(kind: RewardType) -> Self {
        match kind {
            RewardType::Fee => Self::Fee,
            RewardType::Rent => Self::Rent,
            RewardType::Staking => Self::Staking,
            RewardType::Voting => Self::Voting,
            RewardType::DeactivatedStake => Self::DeactivatedStake,
        }
    }
}

impl From<MetaJson> for Outcome {
    fn from(json: MetaJson) -> Self {
        Self {
            status: json.err.0,
            fee: json.fee,
            pre_balances: json.pre_balances,
            post_balances: json.post_balances,
            pre_token_balances: json.pre_token_balances.map(convert_all),
            post_token_balances: json.post_token_balances.map(convert_all),
            logs: json.log_messages,
            inner_instructions: json.inner_instructions.map(convert_all),
            return_data: json.return_data.and_then(return_data),
            compute_units: json.compute_units_consumed,
            loaded_addresses: json.loaded_addresses.map(LoadedAddresses::from),
            cost_units: json.cost_units,
        }
    }
}

impl From<TokenBalanceJson> for TokenBalance {
    fn from(json: TokenBalanceJson) -> Self {
        Self {
            account_index: json.account_index,
            mint: json.mint.0,
            owner: json.owner.map(|owner| owner.0),
            program_id: json.program_id.map(|program| program.0),
            amount: json.ui_token_amount.amount.0,
            decimals: json.ui_token_amount.decimals,
        }
    }
}

impl From<InnerInstructionsJson> for InnerInstructions {
    fn from(json: InnerInstructionsJson) -> Self {
        let instructions = json.instructions.into_iter().map(|instruction| InnerInstruction {
            program_id_index: instruction.program_id_index,
            accounts: instruction.accounts,
            data: instruction.data.0,
            stack_height: instruction.stack_height,
        });
        Self {
            index: json.index,
            instructions: instructions.collect(),
        }
    }
}

impl From<LoadedAddressesJson> for LoadedAddresses {
    fn from(json: LoadedAddressesJson) -> Self {
        let keys = |list: Vec<Address>| list.into_iter().map(|address| address.0).collect();
        Self {
            writable: keys(json.writable),
            readonly: keys(json.readonly),
        }
    }
}

/// Empty data is none.
fn return_data(json: ReturnDataJson) -> Option<ReturnData> {
    let Encoded(data) = json.data;
    (!data.is_empty()).then_some(ReturnData {
        program_id: json.program_id.0,
        data,
    })
}

pub(super) fn convert_all<T, U: From<T>>(list: Vec<T>) -> Vec<U> {
    list.into_iter().map(U::from).collect()
}
