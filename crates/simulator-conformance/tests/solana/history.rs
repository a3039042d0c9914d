//! Blocks, transactions and signatures, as they were recorded.

use std::collections::BTreeMap;

use simulator_archive::import::ScopeChoice;
use simulator_testkit::paths;
use solana_commitment_config::CommitmentConfig;
use solana_pubkey::Pubkey;
use solana_rpc_client::rpc_client::GetConfirmedSignaturesForAddress2Config;
use solana_rpc_client_api::config::{RpcBlockConfig, RpcTransactionConfig};
use solana_signature::Signature;
use solana_transaction_status::{
    EncodedTransaction, TransactionConfirmationStatus, TransactionDetails, UiTransactionEncoding,
};

use crate::recorded::{Recorded, comparable};
use crate::stage::Stage;

/// As many as one answer of `getSignatureStatuses` may have.
const STATUSES: usize = 256;

/// A few slots after the first one of an epoch, in which rewards are paid.
const PAST_BOUNDARY: u64 = 70;

const ENCODINGS: [UiTransactionEncoding; 4] = [
    UiTransactionEncoding::Base58,
    UiTransactionEncoding::Base64,
    UiTransactionEncoding::Json,
    UiTransactionEncoding::JsonParsed,
];

#[tokio::test]
async fn the_history_of_the_sample_is_the_recorded_one() {
    let mut stage = Stage::sample().await;
    stage.finish().await;
    check_blocks(&stage).await;
    check_transactions(&stage, 7).await;
    check_statuses(&stage).await;
    check_addresses(&stage).await;
}

#[tokio::test]
async fn the_history_over_an_epoch_boundary_is_the_recorded_one() {
    let Some(directory) = paths::shared_ledger_or_skip("agave-full") else {
        return;
    };
    let mut stage = Stage::until(&directory, ScopeChoice::Auto, PAST_BOUNDARY).await;
    stage.finish().await;
    check_blocks(&stage).await;
    check_transactions(&stage, 50).await;
    check_statuses(&stage).await;
}

async fn check_blocks(stage: &Stage) {
    let Stage { rpc, ledger, .. } = stage;
    let (first, last, slots) = (ledger.first_slot(), ledger.last_slot(), ledger.slots());
    assert_eq!(rpc.get_first_available_block().await.unwrap(), first);
    assert_eq!(rpc.minimum_ledger_slot().await.unwrap(), first);
    assert_eq!(rpc.get_blocks(0, None).await.unwrap(), slots);
    assert_eq!(rpc.get_blocks(first, Some(last)).await.unwrap(), slots);
    let finalized = CommitmentConfig::finalized();
    let some = rpc
        .get_blocks_with_commitment(slots[2], Some(slots[4]), finalized)
        .await;
    assert_eq!(some.unwrap(), slots[2..=4]);
    assert_eq!(rpc.get_blocks_with_limit(slots[3], 5).await.unwrap(), slots[3..8]);
    let limited = rpc.get_blocks_with_limit_and_commitment(slots[3], 1, finalized).await;
    assert_eq!(limited.unwrap(), slots[3..4]);
    for block in &ledger.blocks {
        let config = block_config(UiTransactionEncoding::Base64, TransactionDetails::Full);
        let shown = rpc.get_block_with_config(block.slot, config).await.unwrap();
        assert_eq!(comparable(&shown), comparable(&block.shown), "slot {}", block.slot);
        assert_eq!(rpc.get_block_time(block.slot).await.ok(), block.shown.block_time);
    }
    check_forms(stage).await;
}

fn block_config(encoding: UiTransactionEncoding, details: TransactionDetails) -> RpcBlockConfig {
    RpcBlockConfig {
        encoding: Some(encoding),
        transaction_details: Some(details),
        rewards: Some(true),
        commitment: Some(CommitmentConfig::confirmed()),
        max_supported_transaction_version: Some(0),
    }
}

/// One block in every form.
async fn check_forms(stage: &Stage) {
    let block = &stage.ledger.blocks[5];
    for encoding in ENCODINGS {
        let config = block_config(encoding, TransactionDetails::Full);
        let shown = stage.rpc.get_block_with_config(block.slot, config).await.unwrap();
        let shown = shown.transactions.unwrap();
        assert_eq!(shown.len(), block.transactions().count());
        for (shown, recorded) in shown.iter().zip(block.transactions()) {
            check_form(&shown.transaction, encoding, &recorded);
            let (ours, theirs) = (shown.meta.as_ref().unwrap(), recorded.meta());
            assert_eq!(
                (&ours.err, ours.fee, &ours.log_messages),
                (&theirs.err, theirs.fee, &theirs.log_messages)
            );
        }
    }
    let signatures = block_config(UiTransactionEncoding::Json, TransactionDetails::Signatures);
    let shown = stage.rpc.get_block_with_config(block.slot, signatures).await.unwrap();
    let expected: Vec<_> = block
        .transactions()
        .map(|recorded| recorded.signature().to_string())
        .collect();
    assert_eq!(shown.signatures, Some(expected));
    let accounts = block_config(UiTransactionEncoding::Json, TransactionDetails::Accounts);
    let shown = stage.rpc.get_block_with_config(block.slot, accounts).await.unwrap();
    for (shown, recorded) in shown.transactions.unwrap().iter().zip(block.transactions()) {
        let EncodedTransaction::Accounts(list) = &shown.transaction else {
            panic!("{shown:?}")
        };
        let keys: Vec<_> = list
            .account_keys
            .iter()
            .map(|key| key.pubkey.parse::<Pubkey>().unwrap())
            .collect();
        assert_eq!(keys, recorded.keys());
    }
    let none = RpcBlockConfig {
        rewards: Some(false),
        ..block_config(UiTransactionEncoding::Json, TransactionDetails::None)
    };
    let shown = stage.rpc.get_block_with_config(block.slot, none).await.unwrap();
    assert!(shown.transactions.is_none() && shown.signatures.is_none() && shown.rewards.is_none());
    assert_eq!(
        (shown.blockhash, shown.parent_slot),
        (block.shown.blockhash.clone(), block.shown.parent_slot)
    );
}

/// A transaction in any encoding is the recorded one.
fn check_form(shown: &EncodedTransaction, encoding: UiTransactionEncoding, recorded: &Recorded<'_>) {
    match shown {
        EncodedTransaction::LegacyBinary(_) | EncodedTransaction::Binary(..) => {
            assert_eq!(shown.decode().as_ref(), Some(&recorded.transaction), "{encoding}");
        }
        EncodedTransaction::Json(shown) => {
            let signatures: Vec<_> = recorded
                .transaction
                .signatures
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(shown.signatures, signatures, "{encoding}");
            let message = serde_json::to_value(&shown.message).unwrap();
            let blockhash = recorded.transaction.message.recent_blockhash().to_string();
            assert_eq!(message["recentBlockhash"], blockhash, "{encoding}");
            let instructions = message["instructions"].as_array().unwrap().len();
            assert_eq!(
                instructions,
                recorded.transaction.message.instructions().len(),
                "{encoding}"
            );
            let is_parsed = message["accountKeys"][0].is_object();
            assert_eq!(is_parsed, encoding == UiTransactionEncoding::JsonParsed);
        }
        EncodedTransaction::Accounts(_) => panic!("{encoding}: nobody asked for accounts"),
    }
}

/// Every transaction, and one in `step` in every encoding.
async fn check_transactions(stage: &Stage, step: usize) {
    for (index, recorded) in stage.ledger.transactions().enumerate() {
        let signature = recorded.signature();
        let encodings = if index.is_multiple_of(step) {
            &ENCODINGS[..]
        } else {
            &[]
        };
        for encoding in encodings.iter().copied() {
            let config = RpcTransactionConfig {
                encoding: Some(encoding),
                commitment: Some(CommitmentConfig::confirmed()),
                max_supported_transaction_version: Some(0),
            };
            let shown = stage.rpc.get_transaction_with_config(&signature, config).await.unwrap();
            assert_eq!((shown.slot, shown.block_time), (recorded.slot, recorded.block_time));
            assert_eq!(shown.transaction.version, recorded.shown.version);
            check_form(&shown.transaction.transaction, encoding, &recorded);
            if encoding != UiTransactionEncoding::JsonParsed {
                assert_eq!(comparable(&shown.transaction.meta), comparable(&recorded.shown.meta));
            }
        }
    }
}

async fn check_statuses(stage: &Stage) {
    let all: Vec<_> = stage.ledger.transactions().collect();
    for recorded in all.chunks(STATUSES) {
        let signatures: Vec<_> = recorded.iter().map(Recorded::signature).collect();
        let statuses = stage.rpc.get_signature_statuses(&signatures).await.unwrap().value;
        for (status, recorded) in statuses.into_iter().zip(recorded) {
            let status = status.unwrap_or_else(|| panic!("{} is not known", recorded.signature()));
            let err = recorded.meta().err.clone().map(Into::into);
            assert_eq!(
                (status.slot, status.err, status.confirmations),
                (recorded.slot, err, None)
            );
            assert_eq!(
                status.confirmation_status,
                Some(TransactionConfirmationStatus::Finalized)
            );
        }
    }
    let known = &all[0];
    let history = stage
        .rpc
        .get_signature_statuses_with_history(&[known.signature()])
        .await;
    assert!(history.unwrap().value[0].is_some());
    let succeeded = known.meta().err.is_none();
    assert_eq!(
        stage.rpc.confirm_transaction(&known.signature()).await.unwrap(),
        succeeded
    );
    assert_eq!(
        stage
            .rpc
            .get_signature_status(&known.signature())
            .await
            .unwrap()
            .unwrap()
            .is_ok(),
        succeeded
    );
    let nobody = Signature::from([7; 64]);
    assert_eq!(stage.rpc.get_signature_status(&nobody).await.unwrap(), None);
}

/// The transactions of every address, newest first, and in pages.
async fn check_addresses(stage: &Stage) {
    let mut by_address: BTreeMap<Pubkey, Vec<Recorded<'_>>> = BTreeMap::new();
    for recorded in stage.ledger.transactions().rev() {
        for key in recorded.keys() {
            let transaction = Recorded {
                transaction: recorded.transaction.clone(),
                ..recorded
            };
            by_address.entry(key).or_default().push(transaction);
        }
    }
    for (address, recorded) in by_address.iter().step_by(9) {
        let found = stage.rpc.get_signatures_for_address(address).await.unwrap();
        assert_eq!(found.len(), recorded.len(), "{address}");
        for (found, recorded) in found.iter().zip(recorded) {
            assert_eq!(found.signature, recorded.signature().to_string());
            assert_eq!((found.slot, found.block_time), (recorded.slot, recorded.block_time));
            assert_eq!(found.err, recorded.meta().err);
        }
    }
    let (address, recorded) = by_address.iter().max_by_key(|(_, recorded)| recorded.len()).unwrap();
    let config = GetConfirmedSignaturesForAddress2Config {
        before: Some(recorded[3].signature()),
        until: Some(recorded[9].signature()),
        limit: Some(4),
        commitment: Some(CommitmentConfig::finalized()),
    };
    let page = stage
        .rpc
        .get_signatures_for_address_with_config(address, config)
        .await
        .unwrap();
    let page: Vec<_> = page.into_iter().map(|found| found.signature).collect();
    let expected: Vec<_> = recorded[4..8]
        .iter()
        .map(|recorded| recorded.signature().to_string())
        .collect();
    assert_eq!(page, expected);
}
