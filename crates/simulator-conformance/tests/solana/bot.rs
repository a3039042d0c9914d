//! What a bot does while the session stands in an open slot: it looks where it is, asks for money and sends.

use serde_json::{Value, json};
use solana_commitment_config::CommitmentConfig;
use solana_keypair::{Keypair, Signer as _};
use solana_message::Message;
use solana_pubkey::Pubkey;
use solana_rpc_client_api::client_error::ErrorKind;
use solana_rpc_client_api::config::{RpcContextConfig, RpcSendTransactionConfig};
use solana_rpc_client_api::request::{RpcError, RpcRequest, RpcResponseErrorData};
use solana_sdk_ids::{address_lookup_table, sysvar};
use solana_system_interface::instruction::transfer;
use solana_transaction::Transaction;
use solana_transaction_status::UiTransactionEncoding;

use crate::stage::{GENESIS, Stage};

pub(crate) const SOL: u64 = 1_000_000_000;

/// Which block is open after `BLOCKS` more than the first.
const BLOCKS: usize = 6;

#[tokio::test]
async fn says_where_it_is() {
    let mut stage = Stage::sample().await;
    stage.advance(BLOCKS as u64).await;
    check_place(&stage).await;
    check_blockhash(&stage).await;
    check_cluster(&stage).await;
}

async fn check_place(stage: &Stage) {
    let Stage { rpc, ledger, .. } = stage;
    let block = &ledger.blocks[BLOCKS];
    let slot = block.slot;
    for commitment in [
        CommitmentConfig::processed(),
        CommitmentConfig::confirmed(),
        CommitmentConfig::finalized(),
    ] {
        assert_eq!(
            rpc.get_slot_with_commitment(commitment).await.unwrap(),
            slot,
            "everything is final"
        );
    }
    let height = rpc.get_block_height().await.unwrap();
    assert_eq!(Some(height), block.shown.block_height);
    let epoch = rpc.get_epoch_info().await.unwrap();
    assert_eq!(
        (epoch.absolute_slot, epoch.block_height, epoch.slots_in_epoch),
        (slot, height, 64)
    );
    assert_eq!((epoch.epoch, epoch.slot_index), (slot / 64, slot % 64));
    let schedule = rpc.get_epoch_schedule().await.unwrap();
    assert_eq!((schedule.slots_per_epoch, schedule.get_epoch(slot)), (64, epoch.epoch));
    let executed: usize = ledger.blocks[..=BLOCKS]
        .iter()
        .map(|block| block.transactions().count())
        .sum();
    assert_eq!(rpc.get_transaction_count().await.unwrap(), executed as u64);
    assert_eq!(epoch.transaction_count, Some(executed as u64));
    assert_eq!(
        rpc.get_block_time(slot).await.ok(),
        block.shown.block_time,
        "the open slot has its time"
    );
    assert!(rpc.get_block(slot).await.is_err(), "and no block yet");
}

async fn check_blockhash(stage: &Stage) {
    let Stage { rpc, ledger, .. } = stage;
    let [parent, block] = &ledger.blocks[BLOCKS - 1..=BLOCKS] else {
        panic!("the sample has more blocks")
    };
    let (blockhash, last_valid) = rpc
        .get_latest_blockhash_with_commitment(CommitmentConfig::finalized())
        .await
        .unwrap();
    assert_eq!(blockhash.to_string(), parent.shown.blockhash);
    let height = block.shown.block_height.unwrap();
    assert_eq!(last_valid, height + 150, "the newest of 151 that are valid");
    assert!(
        rpc.is_blockhash_valid(&blockhash, CommitmentConfig::processed())
            .await
            .unwrap()
    );
    let unknown = [7; 32].into();
    assert!(
        !rpc.is_blockhash_valid(&unknown, CommitmentConfig::processed())
            .await
            .unwrap()
    );
}

async fn check_cluster(stage: &Stage) {
    let Stage { rpc, ledger, .. } = stage;
    assert_eq!(
        rpc.get_minimum_balance_for_rent_exemption(165).await.unwrap(),
        2_039_280
    );
    assert_eq!(rpc.get_genesis_hash().await.unwrap().to_string(), GENESIS);
    assert_eq!(rpc.get_identity().await.unwrap(), Pubkey::default());
    assert!(rpc.get_version().await.unwrap().solana_core.starts_with("4.2."));
    rpc.get_health().await.unwrap();
    let fees = rpc.get_recent_prioritization_fees(&[]).await.unwrap();
    let slots: Vec<_> = fees.iter().map(|fee| fee.slot).collect();
    assert_eq!(slots, ledger.slots()[..BLOCKS], "the blocks that are over");
}

/// A bot with ten SOL, and where it pays to.
pub(crate) async fn funded(stage: &Stage) -> (Keypair, Pubkey) {
    let bot = Keypair::new_from_array([11; 32]);
    let signature = stage.rpc.request_airdrop(&bot.pubkey(), 10 * SOL).await.unwrap();
    stage.rpc.poll_for_signature(&signature).await.unwrap();
    let balance = stage
        .rpc
        .poll_get_balance_with_commitment(&bot.pubkey(), CommitmentConfig::confirmed())
        .await;
    assert_eq!(balance.unwrap(), 10 * SOL);
    (bot, Pubkey::new_from_array([12; 32]))
}

pub(crate) async fn payment(stage: &Stage, bot: &Keypair, to: &Pubkey, lamports: u64) -> Transaction {
    let blockhash = stage.rpc.get_latest_blockhash().await.unwrap();
    let instruction = transfer(&bot.pubkey(), to, lamports);
    Transaction::new_signed_with_payer(&[instruction], Some(&bot.pubkey()), &[bot], blockhash)
}

#[tokio::test]
async fn sends_and_confirms() {
    let stage = Stage::sample().await;
    let (bot, to) = funded(&stage).await;
    let first = payment(&stage, &bot, &to, SOL).await;
    let fee = stage.rpc.get_fee_for_message(&first.message).await.unwrap();
    let signature = stage.rpc.send_and_confirm_transaction(&first).await.unwrap();
    assert_eq!(stage.rpc.get_balance(&to).await.unwrap(), SOL);
    assert_eq!(stage.rpc.get_balance(&bot.pubkey()).await.unwrap(), 9 * SOL - fee);
    let shown = stage
        .rpc
        .get_transaction(&signature, UiTransactionEncoding::Base64)
        .await
        .unwrap();
    assert_eq!(shown.transaction.transaction.decode(), Some(first.clone().into()));
    let of_bot = stage.rpc.get_signatures_for_address(&bot.pubkey()).await.unwrap();
    assert_eq!(of_bot.len(), 2, "and the airdrop");
    assert_eq!(of_bot[0].signature, signature.to_string());
    // In base58, without a simulation before it.
    let second = payment(&stage, &bot, &to, 2 * SOL).await;
    let config = RpcSendTransactionConfig {
        skip_preflight: true,
        encoding: Some(UiTransactionEncoding::Base58),
        max_retries: Some(0),
        ..RpcSendTransactionConfig::default()
    };
    stage.rpc.send_transaction_with_config(&second, config).await.unwrap();
    assert_eq!(stage.rpc.get_balance(&to).await.unwrap(), 3 * SOL);
    let message = Message::new_with_blockhash(&[], Some(&bot.pubkey()), &[7; 32].into());
    assert!(
        stage.rpc.get_fee_for_message(&message).await.is_err(),
        "its blockhash is not valid"
    );
}

#[tokio::test]
async fn a_transaction_that_would_fail_is_refused_with_its_simulation() {
    let stage = Stage::sample().await;
    let (bot, to) = funded(&stage).await;
    let too_much = payment(&stage, &bot, &to, 99 * SOL).await;
    let error = stage.rpc.send_transaction(&too_much).await.unwrap_err();
    let ErrorKind::RpcError(RpcError::RpcResponseError { code, data, .. }) = error.kind() else {
        panic!("{error}")
    };
    let RpcResponseErrorData::SendTransactionPreflightFailure(simulated) = data else {
        panic!("{data:?}")
    };
    assert_eq!(*code, -32002);
    assert!(simulated.err.is_some() && !simulated.logs.as_ref().unwrap().is_empty());
    assert_eq!(error.get_transaction_error(), simulated.err.clone().map(Into::into));
    assert_eq!(stage.rpc.get_balance(&bot.pubkey()).await.unwrap(), 10 * SOL);
}

async fn ask(stage: &Stage, method: &'static str, params: Value) -> Value {
    stage.rpc.send(RpcRequest::Custom { method }, params).await.unwrap()
}

#[tokio::test]
async fn asks_what_solana_has_no_call_for() {
    let mut stage = Stage::sample().await;
    let to = Pubkey::new_from_array([12; 32]);
    let account = json!({"data": {"data": "AQI=", "encoding": "base64"}, "executable": false, "lamports": 5,
                         "owner": sysvar::ID.to_string(), "space": 2});
    assert_eq!(
        ask(&stage, "modifyAccounts", json!([{to.to_string(): account}])).await,
        1
    );
    let set = stage.rpc.get_account(&to).await.unwrap();
    assert_eq!((set.lamports, set.data, set.owner), (5, vec![1, 2], sysvar::ID));
    stage.finish().await;
    let tables = stage.rpc.get_program_accounts(&address_lookup_table::ID).await.unwrap();
    let (address, table) = tables.first().unwrap();
    let shown = ask(&stage, "getAddressLookupTable", json!([address.to_string()])).await;
    let addresses: Vec<Pubkey> = table.data[56..].chunks(32).map(|key| key.try_into().unwrap()).collect();
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    assert_eq!(shown["value"]["addresses"], json!(addresses));
    let reached = RpcContextConfig {
        commitment: None,
        min_context_slot: Some(stage.ledger.last_slot()),
    };
    assert_eq!(ask(&stage, "getSlot", json!([reached])).await, stage.ledger.last_slot());
}
