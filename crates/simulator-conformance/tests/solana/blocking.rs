//! The same by Solana's blocking clients. That of PubSub opens a connection for each subscription, takes the first
//! message on it for the answer, and stops to read at the first message that is no notification.

use solana_account_decoder::UiAccountEncoding;
use solana_pubsub_client::pubsub_client::PubsubClient;
use solana_rpc_client::rpc_client::RpcClient;
use solana_rpc_client_api::config::{
    RpcAccountInfoConfig, RpcBlockSubscribeConfig, RpcBlockSubscribeFilter, RpcProgramAccountsConfig,
    RpcTransactionLogsConfig, RpcTransactionLogsFilter,
};
use solana_rpc_client_api::filter::RpcFilterType;
use solana_rpc_client_api::response::{ProcessedSignatureResult, RpcSignatureResult};
use solana_sdk_ids::sysvar;
use solana_transaction_status::TransactionDetails;
use std::collections::BTreeSet;
use tokio::runtime::{Builder, Runtime};

use crate::pubsub::TOKEN_PROGRAM;
use crate::recorded::Recorded;
use crate::stage::Stage;

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn blocks_config() -> RpcBlockSubscribeConfig {
    RpcBlockSubscribeConfig {
        transaction_details: Some(TransactionDetails::Signatures),
        ..RpcBlockSubscribeConfig::default()
    }
}

fn tokens_config() -> RpcProgramAccountsConfig {
    RpcProgramAccountsConfig {
        filters: Some(vec![RpcFilterType::DataSize(165)]),
        account_config: RpcAccountInfoConfig {
            encoding: Some(UiAccountEncoding::Base64),
            ..RpcAccountInfoConfig::default()
        },
        ..RpcProgramAccountsConfig::default()
    }
}

#[test]
fn every_subscription_is_read_to_its_end() {
    let runtime = runtime();
    let mut stage = runtime.block_on(Stage::sample());
    let url = stage.pubsub_url();
    let url = url.as_str();
    let recorded: Vec<_> = stage
        .ledger
        .transactions()
        .map(|recorded| recorded.signature())
        .collect();
    let logs_config = RpcTransactionLogsConfig { commitment: None };
    let slots = PubsubClient::slot_subscribe(url).unwrap();
    let roots = PubsubClient::root_subscribe(url).unwrap();
    let updates = PubsubClient::slot_updates_subscribe(url, |_| {}).unwrap();
    let logs = PubsubClient::logs_subscribe(url, RpcTransactionLogsFilter::AllWithVotes, logs_config).unwrap();
    let clocks = PubsubClient::account_subscribe(url, &sysvar::clock::ID, None).unwrap();
    let tokens = PubsubClient::program_subscribe(url, &TOKEN_PROGRAM, Some(tokens_config())).unwrap();
    let signature = PubsubClient::signature_subscribe(url, &recorded[9], None).unwrap();
    let blocks = PubsubClient::block_subscribe(url, RpcBlockSubscribeFilter::All, Some(blocks_config())).unwrap();
    runtime.block_on(stage.finish());
    let Stage { ledger, .. } = &stage;
    assert!(
        slots
            .1
            .iter()
            .map(|info| info.slot)
            .eq(ledger.slots()[1..].iter().copied())
    );
    assert!(roots.1.iter().eq(ledger.slots()));
    let first = ledger.first_slot();
    let later = ledger.transactions().filter(|recorded| recorded.slot > first);
    let later: Vec<_> = later
        .map(|recorded: Recorded<'_>| recorded.signature().to_string())
        .collect();
    assert!(logs.1.iter().map(|logs| logs.value.signature).eq(later));
    assert!(clocks.1.iter().map(|clock| clock.context.slot).eq(ledger.slots()));
    let spaces: BTreeSet<_> = tokens.1.iter().map(|token| token.value.account.space).collect();
    assert_eq!(spaces, BTreeSet::from([Some(165)]));
    let outcomes: Vec<_> = signature.1.iter().map(|outcome| outcome.value).collect();
    let err = ledger.transactions().nth(9).unwrap().meta().err.clone();
    assert_eq!(
        outcomes,
        [RpcSignatureResult::ProcessedSignature(ProcessedSignatureResult { err })]
    );
    let told = blocks
        .1
        .iter()
        .flat_map(|told| told.value.block.unwrap().signatures.unwrap());
    assert!(told.eq(recorded.iter().map(ToString::to_string)));
    drop((
        slots.0,
        roots.0,
        updates,
        logs.0,
        clocks.0,
        tokens.0,
        signature.0,
        blocks.0,
    ));
}

#[test]
fn the_blocking_client_of_json_rpc_works_too() {
    let runtime = runtime();
    let mut stage = runtime.block_on(Stage::sample());
    runtime.block_on(stage.finish());
    let rpc = RpcClient::new(stage.session.rpc_endpoint().to_owned());
    assert_eq!(rpc.get_slot().unwrap(), stage.ledger.last_slot());
    assert_eq!(rpc.get_blocks(0, None).unwrap(), stage.ledger.slots());
    let (address, record) = stage.ledger.accounts.iter().nth(100).unwrap();
    assert_eq!(rpc.get_account(address).unwrap().data, record.data);
}
