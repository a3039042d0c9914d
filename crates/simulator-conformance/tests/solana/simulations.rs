//! Simulations: of what a bot would send, and of what the chain is about to execute.

use std::collections::BTreeSet;

use solana_account_decoder::UiAccountEncoding;
use solana_commitment_config::CommitmentConfig;
use solana_keypair::Signer as _;
use solana_rpc_client::rpc_client::SerializableTransaction;
use solana_rpc_client_api::client_error::Error as ClientError;
use solana_rpc_client_api::config::{
    RpcSimulateTransactionAccountsConfig, RpcSimulateTransactionConfig, RpcTransactionConfig,
};
use solana_rpc_client_api::response::RpcSimulateTransactionResult;
use solana_sdk_ids::{address_lookup_table, system_program};
use solana_signature::Signature;
use solana_transaction_status::{UiInnerInstructions, UiTransactionEncoding, UiTransactionStatusMeta};

use crate::bot::{SOL, funded, payment};
use crate::recorded::{Block, Recorded};
use crate::stage::Stage;

#[tokio::test]
async fn what_would_be_sent() {
    let stage = Stage::sample().await;
    let (bot, to) = funded(&stage).await;
    let pays = payment(&stage, &bot, &to, SOL).await;
    let simulated = stage.rpc.simulate_transaction(&pays).await.unwrap().value;
    assert_eq!(
        (simulated.err, simulated.fee, simulated.accounts),
        (None, Some(5000), None)
    );
    assert_eq!(simulated.units_consumed, Some(150));
    // 64 bytes for each account that exists, and the name of the program; nobody has been paid before.
    let program = stage.rpc.get_account(&system_program::ID).await.unwrap();
    let expected = 2 * 64 + u32::try_from(program.data.len()).unwrap();
    assert_eq!(simulated.loaded_accounts_data_size, Some(expected));
    let everything = RpcSimulateTransactionConfig {
        sig_verify: true,
        inner_instructions: true,
        accounts: Some(RpcSimulateTransactionAccountsConfig {
            encoding: Some(UiAccountEncoding::Base64Zstd),
            addresses: vec![to.to_string(), bot.pubkey().to_string()],
        }),
        commitment: Some(CommitmentConfig::processed()),
        ..RpcSimulateTransactionConfig::default()
    };
    let simulated = simulate(&stage, &pays, everything).await.unwrap();
    let accounts = simulated.accounts.unwrap();
    assert_eq!(accounts[0].as_ref().unwrap().lamports, SOL);
    assert_eq!(accounts[1].as_ref().unwrap().lamports, 9 * SOL - 5000);
    assert!(simulated.inner_instructions.is_some_and(|inner| inner.is_empty()));
    assert_eq!(stage.rpc.get_balance(&to).await.unwrap(), 0, "nothing has happened");
}

#[tokio::test]
async fn what_has_an_old_blockhash() {
    let stage = Stage::sample().await;
    let (bot, to) = funded(&stage).await;
    let mut old = payment(&stage, &bot, &to, SOL).await;
    old.message.recent_blockhash = [7; 32].into();
    let simulated = stage.rpc.simulate_transaction(&old).await.unwrap().value;
    assert!(simulated.err.is_some(), "its blockhash is not valid");
    let replaced = RpcSimulateTransactionConfig {
        replace_recent_blockhash: true,
        ..RpcSimulateTransactionConfig::default()
    };
    let simulated = simulate(&stage, &old, replaced).await.unwrap();
    let latest = stage.rpc.get_latest_blockhash().await.unwrap().to_string();
    assert_eq!(
        simulated.replacement_blockhash.map(|replaced| replaced.blockhash),
        Some(latest)
    );
    assert_eq!(simulated.err, None);
    let verified = RpcSimulateTransactionConfig {
        sig_verify: true,
        ..RpcSimulateTransactionConfig::default()
    };
    let refused = simulate(&stage, &old, verified).await.unwrap_err().to_string();
    assert!(refused.contains("signature verification failure"), "{refused}");
}

async fn simulate(
    stage: &Stage,
    transaction: &impl SerializableTransaction,
    config: RpcSimulateTransactionConfig,
) -> Result<RpcSimulateTransactionResult, ClientError> {
    let simulated = stage.rpc.simulate_transaction_with_config(transaction, config).await?;
    Ok(simulated.value)
}

/// A transaction that the next block has, and that nothing before it in its block can change, does in a simulation what
/// it did on the chain.
#[tokio::test]
async fn what_is_about_to_be_executed() {
    let mut stage = Stage::sample().await;
    let mut compared = 0;
    for next in 1..7 {
        let foretold = foretell(&stage, &stage.ledger.blocks[next]).await;
        stage.advance(1).await;
        for (signature, simulated) in &foretold {
            check_foretold(&stage, signature, simulated).await;
        }
        compared += foretold.len();
    }
    assert!(compared > 4, "only {compared} transactions with inner instructions");
}

/// The simulations of a block's transactions that have inner instructions and depend on no other of the block.
async fn foretell(stage: &Stage, block: &Block) -> Vec<(Signature, RpcSimulateTransactionResult)> {
    // A transaction may name the hash of the block that is open now, which nobody knows yet.
    let config = RpcSimulateTransactionConfig {
        replace_recent_blockhash: true,
        inner_instructions: true,
        ..RpcSimulateTransactionConfig::default()
    };
    let (mut foretold, mut written) = (Vec::new(), BTreeSet::new());
    for recorded in block.transactions() {
        let keys = recorded.keys();
        // A lookup table is made for the block that is open now, which has to be over.
        let is_table = keys.contains(&address_lookup_table::ID);
        let is_alone = written.is_disjoint(&keys.iter().copied().collect());
        if !inner(recorded.meta()).is_empty() && is_alone && !is_table {
            let simulated = simulate(stage, &recorded.transaction, config.clone()).await.unwrap();
            check_simulated(&simulated, &recorded);
            foretold.push((recorded.signature(), simulated));
        }
        let is_written = |index: &usize| recorded.transaction.message.is_maybe_writable(*index, None);
        written.extend((0..keys.len()).filter(is_written).map(|index| keys[index]));
    }
    foretold
}

fn inner(meta: &UiTransactionStatusMeta) -> Vec<UiInnerInstructions> {
    Option::from(meta.inner_instructions.clone()).unwrap_or_default()
}

fn check_simulated(simulated: &RpcSimulateTransactionResult, recorded: &Recorded<'_>) {
    let meta = recorded.meta();
    assert_eq!((&simulated.err, simulated.fee), (&meta.err, Some(meta.fee)));
    assert_eq!(simulated.logs, Some(recorded.logs()));
    assert_eq!(simulated.units_consumed, meta.compute_units_consumed.clone().into());
    assert_eq!(simulated.pre_balances.as_ref(), Some(&meta.pre_balances));
    assert_eq!(simulated.post_balances.as_ref(), Some(&meta.post_balances));
}

/// What has been simulated is shown in the form in which `getTransaction` shows it afterwards.
async fn check_foretold(stage: &Stage, signature: &Signature, simulated: &RpcSimulateTransactionResult) {
    let config = RpcTransactionConfig {
        encoding: Some(UiTransactionEncoding::JsonParsed),
        commitment: Some(CommitmentConfig::confirmed()),
        max_supported_transaction_version: Some(0),
    };
    let shown = stage.rpc.get_transaction_with_config(signature, config).await.unwrap();
    let executed = shown.transaction.meta.unwrap();
    assert_eq!(simulated.inner_instructions, Some(inner(&executed)));
    assert_eq!(simulated.post_token_balances, executed.post_token_balances.into());
}
