//! Ledger directories as Solana's tools write them.

use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator_archive::model::{Account, Block, Outcome, RewardKind, TokenBalance};
use solana_pubkey::Pubkey;

/// Writes a ledger directory, one value a line.
pub(crate) fn write_ledger(directory: &Path, accounts: &[Value], blocks: &[Value]) {
    std::fs::write(directory.join("accounts-start.jsonl"), lines(accounts)).unwrap();
    std::fs::write(directory.join("blocks.jsonl"), lines(blocks)).unwrap();
}

pub(crate) fn lines(values: &[Value]) -> Vec<u8> {
    let mut text = Vec::new();
    for value in values {
        writeln!(text, "{value}").unwrap();
    }
    text
}

/// The hand-made ledger's accounts and blocks.
pub(crate) fn sample() -> (Vec<Value>, Vec<Value>) {
    let accounts = super::accounts()
        .iter()
        .map(|(address, account)| self::account(address, account))
        .collect();
    (accounts, super::ledger_blocks().iter().map(block).collect())
}

pub(crate) fn account(address: &Pubkey, account: &Account) -> Value {
    json!({
        "pubkey": address.to_string(),
        "account": {
            "lamports": account.lamports,
            "data": [STANDARD.encode(&account.data), "base64"],
            "owner": account.owner.to_string(),
            "executable": account.executable,
            "rentEpoch": account.rent_epoch,
            "space": account.data.len(),
        },
    })
}

pub(crate) fn block(block: &Block) -> Value {
    let transactions: Vec<Value> = block
        .transactions
        .iter()
        .map(|transaction| {
            json!({
                "transaction": [STANDARD.encode(&transaction.wire), "base64"],
                "meta": transaction.outcome.as_ref().map(meta),
                "version": "legacy",
            })
        })
        .collect();
    let rewards: Vec<Value> = block
        .rewards
        .iter()
        .map(|reward| {
            json!({
                "pubkey": reward.pubkey.to_string(), "lamports": reward.lamports, "postBalance": reward.post_balance,
                "rewardType": reward.kind.map(reward_type), "commission": reward.commission,
            })
        })
        .collect();
    json!({
        "slot": block.slot,
        "parentSlot": block.parent_slot,
        "blockhash": block.blockhash.to_string(),
        "previousBlockhash": block.previous_blockhash.to_string(),
        "blockHeight": block.block_height,
        "blockTime": block.block_time,
        "numRewardPartitions": block.num_reward_partitions,
        "rewards": rewards,
        "transactions": transactions,
    })
}

fn meta(outcome: &Outcome) -> Value {
    let mut meta = json!({
        "err": outcome.status.as_ref().err(),
        "status": { "Ok": null },
        "fee": outcome.fee,
        "preBalances": outcome.pre_balances,
        "postBalances": outcome.post_balances,
        "preTokenBalances": outcome.pre_token_balances.as_deref().map(tokens),
        "postTokenBalances": outcome.post_token_balances.as_deref().map(tokens),
        "logMessages": outcome.logs,
        "innerInstructions": inner_instructions(outcome),
        "rewards": [],
    });
    let fields = meta.as_object_mut().unwrap();
    if let Some(data) = &outcome.return_data {
        let data = json!({ "programId": data.program_id.to_string(), "data": [STANDARD.encode(&data.data), "base64"] });
        fields.insert("returnData".to_owned(), data);
    }
    if let Some(units) = outcome.compute_units {
        fields.insert("computeUnitsConsumed".to_owned(), units.into());
    }
    if let Some(units) = outcome.cost_units {
        fields.insert("costUnits".to_owned(), units.into());
    }
    if let Some(loaded) = &outcome.loaded_addresses {
        let loaded = json!({ "writable": keys(&loaded.writable), "readonly": keys(&loaded.readonly) });
        fields.insert("loadedAddresses".to_owned(), loaded);
    }
    meta
}

fn inner_instructions(outcome: &Outcome) -> Option<Vec<Value>> {
    let inner = outcome.inner_instructions.as_ref()?;
    let groups = inner.iter().map(|group| {
        let instructions = group.instructions.iter().map(|instruction| {
            json!({
                "programIdIndex": instruction.program_id_index,
                "accounts": instruction.accounts,
                "data": bs58::encode(&instruction.data).into_string(),
                "stackHeight": instruction.stack_height,
            })
        });
        json!({ "index": group.index, "instructions": instructions.collect::<Vec<_>>() })
    });
    Some(groups.collect())
}

/// Old records have an empty text where there is no owner, or no field at all.
fn tokens(balances: &[TokenBalance]) -> Vec<Value> {
    let token = |balance: &TokenBalance| {
        let mut value = json!({
            "accountIndex": balance.account_index,
            "mint": balance.mint.to_string(),
            "owner": balance.owner.map(|owner| owner.to_string()).unwrap_or_default(),
            "uiTokenAmount": { "amount": balance.amount.to_string(), "decimals": balance.decimals, "uiAmount": null },
        });
        if let Some(program) = balance.program_id {
            value["programId"] = program.to_string().into();
        }
        value
    };
    balances.iter().map(token).collect()
}

fn keys(list: &[Pubkey]) -> Vec<String> {
    list.iter().map(Pubkey::to_string).collect()
}

fn reward_type(kind: RewardKind) -> &'static str {
    match kind {
        RewardKind::Fee => "Fee",
        RewardKind::Rent => "Rent",
        RewardKind::Staking => "Staking",
        RewardKind::Voting => "Voting",
        RewardKind::DeactivatedStake => "DeactivatedStake",
    }
}
