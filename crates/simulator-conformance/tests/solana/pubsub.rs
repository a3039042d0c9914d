//! Every subscription, by Solana's PubSub client.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::json;
use solana_account_decoder::{UiAccount, UiAccountData, UiAccountEncoding};
use solana_commitment_config::CommitmentConfig;
use solana_keypair::{Keypair, Signer as _};
use solana_pubkey::Pubkey;
use solana_rpc_client_api::config::{
    RpcAccountInfoConfig, RpcBlockSubscribeConfig, RpcBlockSubscribeFilter, RpcProgramAccountsConfig,
    RpcSignatureSubscribeConfig, RpcTransactionLogsConfig, RpcTransactionLogsFilter,
};
use solana_rpc_client_api::filter::RpcFilterType;
use solana_rpc_client_api::request::RpcRequest;
use solana_rpc_client_api::response::{
    ProcessedSignatureResult, ReceivedSignatureResult, RpcSignatureResult, SlotUpdate,
};
use solana_sdk_ids::sysvar;
use solana_system_interface::instruction::transfer;
use solana_transaction::Transaction;
use solana_transaction_status::{TransactionDetails, UiTransactionEncoding};
use tokio::time::timeout;

use crate::recorded::{Recorded, comparable};
use crate::stage::{PATIENCE, Stage};

pub(crate) const TOKEN_PROGRAM: Pubkey = Pubkey::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
pub(crate) const NOBODY: Pubkey = Pubkey::new_from_array([12; 32]);

/// So many notifications.
pub(crate) async fn take<T>(stream: BoxStream<'_, T>, count: usize) -> Vec<T> {
    let taken = timeout(PATIENCE, stream.take(count).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(taken.len(), count);
    taken
}

fn base64() -> RpcAccountInfoConfig {
    RpcAccountInfoConfig {
        encoding: Some(UiAccountEncoding::Base64),
        commitment: Some(CommitmentConfig::confirmed()),
        ..RpcAccountInfoConfig::default()
    }
}

#[tokio::test]
async fn slots_and_roots_are_those_of_the_ledger() {
    let mut stage = Stage::sample().await;
    let client = stage.pubsub().await;
    let slots = stage.ledger.slots();
    let (opened, stop_slots) = client.slot_subscribe().await.unwrap();
    let (rooted, stop_roots) = client.root_subscribe().await.unwrap();
    let (updates, stop_updates) = client.slot_updates_subscribe().await.unwrap();
    stage.finish().await;
    let opened = take(opened, slots.len() - 1).await;
    assert!(opened.iter().map(|info| info.slot).eq(slots[1..].iter().copied()));
    assert!(
        opened
            .iter()
            .map(|info| info.parent)
            .eq(slots[..slots.len() - 1].iter().copied())
    );
    assert_eq!(take(rooted, slots.len()).await, slots);
    // Two when a slot is closed and one when the next is opened, but the first was open before.
    let updates = take(updates, 3 * slots.len() - 1).await;
    let frozen = updates.iter().filter_map(|update| match update {
        SlotUpdate::Frozen { slot, stats, .. } => {
            Some((*slot, stats.num_successful_transactions + stats.num_failed_transactions))
        }
        _ => None,
    });
    let recorded = stage
        .ledger
        .blocks
        .iter()
        .map(|block| (block.slot, block.transactions().count() as u64));
    assert_eq!(frozen.collect::<Vec<_>>(), recorded.collect::<Vec<_>>());
    stop_slots().await;
    stop_roots().await;
    stop_updates().await;
    client.shutdown().await.unwrap();
}

#[tokio::test]
async fn blocks_are_those_of_the_ledger() {
    let mut stage = Stage::sample().await;
    let client = stage.pubsub().await;
    let config = RpcBlockSubscribeConfig {
        commitment: Some(CommitmentConfig::confirmed()),
        encoding: Some(UiTransactionEncoding::Base64),
        transaction_details: Some(TransactionDetails::Full),
        show_rewards: Some(true),
        max_supported_transaction_version: Some(0),
    };
    let (blocks, stop) = client
        .block_subscribe(RpcBlockSubscribeFilter::All, Some(config))
        .await
        .unwrap();
    let of_tokens = RpcBlockSubscribeFilter::MentionsAccountOrProgram(TOKEN_PROGRAM.to_string());
    let signatures = RpcBlockSubscribeConfig {
        transaction_details: Some(TransactionDetails::Signatures),
        ..RpcBlockSubscribeConfig::default()
    };
    let (mentioning, _) = client.block_subscribe(of_tokens, Some(signatures)).await.unwrap();
    stage.finish().await;
    for (told, recorded) in take(blocks, stage.ledger.blocks.len())
        .await
        .iter()
        .zip(&stage.ledger.blocks)
    {
        assert_eq!((told.context.slot, told.value.slot), (recorded.slot, recorded.slot));
        assert_eq!(comparable(&told.value.block), comparable(&recorded.shown));
    }
    let expected: Vec<(u64, Vec<String>)> = stage
        .ledger
        .blocks
        .iter()
        .map(|block| {
            let of_tokens = block
                .transactions()
                .filter(|recorded| recorded.keys().contains(&TOKEN_PROGRAM));
            (
                block.slot,
                of_tokens.map(|recorded| recorded.signature().to_string()).collect(),
            )
        })
        .filter(|(_, signatures): &(u64, Vec<String>)| !signatures.is_empty())
        .collect();
    let told = take(mentioning, expected.len())
        .await
        .into_iter()
        .map(|told| (told.value.slot, told.value.block.unwrap().signatures.unwrap()));
    assert_eq!(told.collect::<Vec<_>>(), expected);
    stop().await;
    client.shutdown().await.unwrap();
}

#[tokio::test]
async fn logs_are_those_of_the_ledger() {
    let mut stage = Stage::sample().await;
    let client = stage.pubsub().await;
    let config = || RpcTransactionLogsConfig {
        commitment: Some(CommitmentConfig::processed()),
    };
    let mentions = RpcTransactionLogsFilter::Mentions(vec![TOKEN_PROGRAM.to_string()]);
    let (of_tokens, stop) = client.logs_subscribe(mentions, config()).await.unwrap();
    let (with_votes, _) = client
        .logs_subscribe(RpcTransactionLogsFilter::AllWithVotes, config())
        .await
        .unwrap();
    let (without, _) = client
        .logs_subscribe(RpcTransactionLogsFilter::All, config())
        .await
        .unwrap();
    // The first slot has been executed already.
    let first = stage.ledger.first_slot();
    stage.finish().await;
    let later = || stage.ledger.transactions().filter(|recorded| recorded.slot > first);
    let expected: Vec<_> = later()
        .filter(|recorded| recorded.keys().contains(&TOKEN_PROGRAM))
        .collect();
    for (told, recorded) in take(of_tokens, expected.len()).await.iter().zip(&expected) {
        assert_eq!(
            (told.context.slot, &told.value.signature),
            (recorded.slot, &recorded.signature().to_string())
        );
        assert_eq!(
            (&told.value.err, &told.value.logs),
            (&recorded.meta().err, &recorded.logs())
        );
    }
    let all = take(with_votes, later().count())
        .await
        .into_iter()
        .map(|logs| logs.value.signature);
    let all: Vec<_> = all.collect();
    let expected: Vec<_> = later().map(|recorded| recorded.signature().to_string()).collect();
    assert_eq!(all, expected);
    let is_vote = |recorded: &Recorded<'_>| {
        recorded.transaction.message.instructions().len() == 1
            && recorded.keys().contains(&solana_sdk_ids::vote::ID)
            && recorded.transaction.version() == solana_transaction::versioned::TransactionVersion::LEGACY
    };
    let others = later().filter(|recorded| !is_vote(recorded));
    let others: Vec<_> = others.map(|recorded| recorded.signature().to_string()).collect();
    assert!(others.len() < all.len(), "there are votes");
    let without = take(without, others.len()).await.into_iter();
    assert_eq!(without.map(|logs| logs.value.signature).collect::<Vec<_>>(), others);
    stop().await;
    client.shutdown().await.unwrap();
}

#[tokio::test]
async fn accounts_end_as_the_ledger_has_them() {
    let mut stage = Stage::sample().await;
    let client = stage.pubsub().await;
    let (clocks, stop) = client
        .account_subscribe(&sysvar::clock::ID, Some(base64()))
        .await
        .unwrap();
    let filters = vec![RpcFilterType::DataSize(165), RpcFilterType::TokenAccountState];
    let config = |encoding| RpcProgramAccountsConfig {
        filters: Some(filters.clone()),
        account_config: RpcAccountInfoConfig {
            encoding: Some(encoding),
            ..base64()
        },
        ..RpcProgramAccountsConfig::default()
    };
    let encodings = [
        UiAccountEncoding::Base64,
        UiAccountEncoding::Base64Zstd,
        UiAccountEncoding::JsonParsed,
    ];
    let mut tokens = Vec::new();
    for encoding in encodings {
        tokens.push(
            client
                .program_subscribe(&TOKEN_PROGRAM, Some(config(encoding)))
                .await
                .unwrap(),
        );
    }
    // Of the same slot, this one is told last.
    let (roots, _) = client.root_subscribe().await.unwrap();
    stage.finish().await;
    take(roots, stage.ledger.blocks.len()).await;
    let clocks = take(clocks, stage.ledger.blocks.len()).await;
    assert!(clocks.iter().map(|told| told.context.slot).eq(stage.ledger.slots()));
    assert_eq!(
        bytes(&clocks.last().unwrap().value),
        stage.ledger.accounts[&sysvar::clock::ID].data
    );
    for (told, stop) in tokens {
        // The stream ends when nobody wants it any more.
        stop().await;
        let told: Vec<_> = timeout(PATIENCE, told.collect()).await.unwrap();
        let last: BTreeMap<_, _> = told
            .into_iter()
            .map(|told| (told.value.pubkey, told.value.account))
            .collect();
        let compared = last
            .into_iter()
            .filter(|(address, account)| is_as_recorded(&stage, &address.parse().unwrap(), account))
            .count();
        assert!(compared > 0);
    }
    stop().await;
    client.shutdown().await.unwrap();
}

/// Compares the last state of a token account with that of the ledger's end, if it exists there.
fn is_as_recorded(stage: &Stage, address: &Pubkey, told: &UiAccount) -> bool {
    let Some(record) = stage.ledger.accounts.get(address) else {
        return false;
    };
    assert_eq!(told.lamports, record.lamports, "{address}");
    match &told.data {
        UiAccountData::Json(parsed) => {
            let amount = u64::from_le_bytes(record.data[64..72].try_into().unwrap()).to_string();
            assert_eq!(parsed.parsed["info"]["tokenAmount"]["amount"], amount);
        }
        data => assert_eq!(data.decode().unwrap(), record.data, "{address}"),
    }
    true
}

fn bytes(account: &UiAccount) -> Vec<u8> {
    account.data.decode().unwrap()
}

#[tokio::test]
async fn what_a_bot_does_is_told_at_once() {
    let mut stage = Stage::sample().await;
    let client = stage.pubsub().await;
    let bot = Keypair::new_from_array([11; 32]);
    let (mut airdrops, stop) = client.account_subscribe(&bot.pubkey(), Some(base64())).await.unwrap();
    stage.rpc.request_airdrop(&bot.pubkey(), 5_000_000_000).await.unwrap();
    let blockhash = stage.rpc.get_latest_blockhash().await.unwrap();
    let pay = transfer(&bot.pubkey(), &NOBODY, 1_000_000_000);
    let payment = Transaction::new_signed_with_payer(&[pay], Some(&bot.pubkey()), &[&bot], blockhash);
    let signature = payment.signatures[0];
    let received = RpcSignatureSubscribeConfig {
        commitment: Some(CommitmentConfig::finalized()),
        enable_received_notification: Some(true),
    };
    let (outcomes, _) = client.signature_subscribe(&signature, Some(received)).await.unwrap();
    let (processed, _) = client.signature_subscribe(&signature, None).await.unwrap();
    stage.rpc.send_transaction(&payment).await.unwrap();
    let is_processed = RpcSignatureResult::ProcessedSignature(ProcessedSignatureResult { err: None });
    let is_received = RpcSignatureResult::ReceivedSignature(ReceivedSignatureResult::ReceivedSignature);
    let outcomes: Vec<_> = take(outcomes, 2).await.into_iter().map(|told| told.value).collect();
    assert_eq!(outcomes, [is_received, is_processed.clone()]);
    assert_eq!(take(processed, 1).await[0].value, is_processed);
    let (late, _) = client.signature_subscribe(&signature, None).await.unwrap();
    assert_eq!(
        take(late, 1).await[0].value,
        is_processed,
        "it has been executed already"
    );
    // An account is told when its slot is closed, with its last state.
    stage.advance(1).await;
    let told = timeout(PATIENCE, airdrops.next()).await.unwrap().unwrap();
    assert_eq!(
        (told.context.slot, told.value.lamports),
        (stage.ledger.first_slot(), 3_999_995_000)
    );
    stop().await;
    drop(airdrops);
    client.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_the_user_sets_is_told() {
    let mut stage = Stage::sample().await;
    let client = stage.pubsub().await;
    let (mut set, _) = client.account_subscribe(&NOBODY, Some(base64())).await.unwrap();
    let owned = RpcProgramAccountsConfig {
        filters: Some(vec![RpcFilterType::DataSize(2)]),
        account_config: base64(),
        ..RpcProgramAccountsConfig::default()
    };
    let (mut owned, _) = client.program_subscribe(&TOKEN_PROGRAM, Some(owned)).await.unwrap();
    let account = json!({"data": {"data": "AQI=", "encoding": "base64"}, "executable": false, "lamports": 5,
                         "owner": TOKEN_PROGRAM.to_string(), "space": 2});
    let method = RpcRequest::Custom {
        method: "modifyAccounts",
    };
    let set_one: u64 = stage
        .rpc
        .send(method, json!([{NOBODY.to_string(): account}]))
        .await
        .unwrap();
    assert_eq!(set_one, 1);
    stage.advance(1).await;
    let told = timeout(PATIENCE, set.next()).await.unwrap().unwrap();
    assert_eq!((told.value.lamports, bytes(&told.value)), (5, vec![1, 2]));
    let told = timeout(PATIENCE, owned.next()).await.unwrap().unwrap();
    assert_eq!(
        (told.value.pubkey, bytes(&told.value.account)),
        (NOBODY.to_string(), vec![1, 2])
    );
    drop((set, owned));
    client.shutdown().await.unwrap();
}
