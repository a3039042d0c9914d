//! What is refused, as Solana's client sees it.

use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use simulator_testkit::paths;
use solana_account_decoder::UiAccountEncoding;
use solana_pubkey::Pubkey;
use solana_rpc_client_api::client_error::{Error as ClientError, ErrorKind};
use solana_rpc_client_api::config::{RpcAccountInfoConfig, RpcContextConfig, RpcTransactionConfig};
use solana_rpc_client_api::request::{RpcError, RpcRequest};

use crate::stage::Stage;

/// The archive holds some accounts only, and this one not.
const ACCOUNT_NOT_IN_ARCHIVE: i64 = -32099;
const SEARCH_INCOMPLETE: i64 = -32096;
const NOBODY: Pubkey = Pubkey::new_from_array([7; 32]);

/// What the client makes of an error of `getAccountInfo` is a text, which begins with `AccountNotFound` whatever the reason.
fn code(error: &ClientError) -> i64 {
    match error.kind() {
        ErrorKind::RpcError(RpcError::RpcResponseError { code, .. }) => *code,
        ErrorKind::RpcError(RpcError::ForUser(text)) => {
            let code = text
                .split("RPC response error ")
                .nth(1)
                .and_then(|rest| rest.split(':').next());
            code.and_then(|code| code.parse().ok())
                .unwrap_or_else(|| panic!("{text}"))
        }
        _ => panic!("{error}"),
    }
}

async fn code_of<T: std::fmt::Debug>(call: impl Future<Output = Result<T, ClientError>>) -> i64 {
    code(&call.await.unwrap_err())
}

#[tokio::test]
async fn what_is_not_served_and_what_is_not_there_have_solana_s_codes() {
    let mut stage = Stage::sample().await;
    stage.advance(9).await;
    let Stage { rpc, .. } = &stage;
    let slot = rpc.get_slot().await.unwrap();
    assert_eq!(code_of(rpc.supply()).await, -32601);
    assert_eq!(code_of(rpc.get_cluster_nodes()).await, -32601);
    assert_eq!(code_of(rpc.get_vote_accounts()).await, -32601);
    assert_eq!(code_of(rpc.get_block(1)).await, -32001, "before the session");
    assert_eq!(code_of(rpc.get_block(slot)).await, -32004, "still open");
    assert_eq!(code_of(rpc.get_block(slot + 1000)).await, -32004, "to come");
    assert_eq!(code_of(rpc.get_block(45)).await, -32007, "skipped");
    let later = RpcContextConfig {
        commitment: None,
        min_context_slot: Some(slot + 1),
    };
    assert_eq!(
        code_of(rpc.send::<u64>(RpcRequest::GetSlot, json!([later]))).await,
        -32016
    );
    let later = RpcAccountInfoConfig {
        min_context_slot: Some(slot + 1),
        ..RpcAccountInfoConfig::default()
    };
    assert_eq!(code_of(rpc.get_ui_account_with_config(&NOBODY, later)).await, -32016);
    let version_0 = stage
        .ledger
        .transactions()
        .find(|recorded| recorded.transaction.version() != solana_transaction::versioned::TransactionVersion::LEGACY);
    let version_0 = version_0.unwrap();
    assert!(version_0.slot < slot);
    let legacy_only = RpcTransactionConfig::default();
    let signature = version_0.signature();
    let shown = rpc.get_transaction_with_config(&signature, legacy_only);
    assert_eq!(code_of(shown).await, -32015);
    assert_eq!(code_of(rpc.get_multiple_accounts(&[NOBODY; 101])).await, -32602);
    assert_eq!(code_of(rpc.get_token_account_balance(&NOBODY)).await, -32602);
    assert_eq!(code_of(rpc.get_token_supply(&NOBODY)).await, -32602);
    let long = RpcAccountInfoConfig {
        encoding: Some(UiAccountEncoding::Base58),
        ..RpcAccountInfoConfig::default()
    };
    let (address, _) = stage
        .ledger
        .accounts
        .iter()
        .find(|(_, record)| record.data.len() > 1000)
        .unwrap();
    assert_eq!(code_of(rpc.get_ui_account_with_config(address, long)).await, -32600);
}

#[tokio::test]
async fn what_is_not_in_the_archive_is_an_error_and_never_a_missing_account() {
    let stage = Stage::of(&paths::sample("agave-small"), ScopeChoice::Listed).await;
    let Stage { rpc, .. } = &stage;
    assert_eq!(code_of(rpc.get_balance(&NOBODY)).await, ACCOUNT_NOT_IN_ARCHIVE);
    let info = rpc.get_ui_account_with_config(&NOBODY, RpcAccountInfoConfig::default());
    assert_eq!(code_of(info).await, ACCOUNT_NOT_IN_ARCHIVE);
    assert_eq!(
        code_of(rpc.get_multiple_accounts(&[NOBODY])).await,
        ACCOUNT_NOT_IN_ARCHIVE
    );
    assert_eq!(code_of(rpc.get_program_accounts(&NOBODY)).await, SEARCH_INCOMPLETE);
}

#[tokio::test]
async fn several_calls_go_in_one_request() {
    let stage = Stage::sample().await;
    let call = |id: Value, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let batch = json!([
        call(json!(1), "getSlot", json!([])),
        call(json!("two"), "getNothing", json!([])),
        {"jsonrpc": "2.0", "method": "getSlot"},
        call(json!(3), "getHealth", Value::Null),
    ]);
    let request = reqwest::Client::new()
        .post(stage.session.rpc_endpoint())
        .body(batch.to_string());
    let answers: Value = request
        .header("Content-Type", "application/json")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let answers = answers.as_array().unwrap();
    let ids: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, [json!(1), json!("two"), json!(3)], "what has no id has no answer");
    assert_eq!(answers[0]["result"], stage.ledger.first_slot());
    assert_eq!(answers[1]["error"]["code"], -32601);
    assert_eq!(answers[2]["result"], "ok");
}
