//! HTTP endpoints and JSON-RPC over the loopback interface.

#![expect(clippy::unwrap_used, reason = "a test that fails should panic")]

use std::time::Duration;

use serde_json::json;
use simulator_api::replay::GetReplayOutcomesParams;
use simulator_api::{AccountData, AccountModifications};
use simulator_client::rpc::{RpcCallError, RpcEndpoint, modify_accounts};
use simulator_client::{
    BacktestClient, BacktestClientError, HttpError, Limits, ProgramModError, modify_program_via_rpc,
};
use solana_address::Address;
use tokio::net::TcpListener;

mod support;

const PROGRAM: Address = Address::new_from_array([9; 32]);
const UPGRADEABLE_LOADER: &str = "BPFLoaderUpgradeab1e11111111111111111111111";
const SECOND_LOADER: &str = "BPFLoader2111111111111111111111111111111111";

/// The answer to the call with number `id`.
fn result(id: u64, result: &serde_json::Value) -> (u16, String) {
    (200, json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
}

fn account(data: &str, owner: &str, lamports: u64) -> serde_json::Value {
    json!({"context": {"slot": 8}, "value": {"lamports": lamports, "data": [data, "base64"], "owner": owner,
        "executable": true, "rentEpoch": u64::MAX, "space": 36}})
}

fn modifications() -> AccountModifications {
    AccountModifications::from_iter([(PROGRAM, AccountData::default())])
}

async fn endpoint(answers: Vec<(u16, String)>) -> (RpcEndpoint, tokio::task::JoinHandle<Vec<support::Seen>>) {
    let (address, server) = support::serve(answers).await;
    (
        RpcEndpoint::new(&format!("http://{address}/backtest/s1")).unwrap(),
        server,
    )
}

#[tokio::test]
async fn available_ranges_and_usage_are_read_with_key_and_agent() {
    let usage = r#"{"api_key_name": "desk-1", "since": "2026-03-01T00:00:00Z", "until": "2026-03-04T09:30:00Z",
        "sessions": {"started": 12, "completed": 10, "failed": 1},
        "compute": {"executed_slot_count": 48211, "session_duration_ms": 9120044}}"#;
    let (address, server) =
        support::serve(vec![(200, r#"[{"bundle_start_slot": 7}]"#.into()), (200, usage.into())]).await;
    let client = BacktestClient::builder()
        .url(format!("ws://{address}/sim/backtest"))
        .api_key("k1")
        .user_agent("mine/1")
        .build();
    assert_eq!(client.available_ranges().await.unwrap()[0].bundle_start_slot, 7);
    let since = "2026-03-01T00:00:00.5Z".parse().unwrap();
    assert_eq!(client.usage(Some(since), None).await.unwrap().sessions.started, 12);

    let seen = server.await.unwrap();
    assert_eq!(seen[0].line, "GET /sim/available-ranges HTTP/1.1");
    assert_eq!(seen[1].line, "GET /sim/usage?since=2026-03-01T00%3A00%3A00Z HTTP/1.1");
    assert_eq!(
        (seen[1].header("x-api-key"), seen[1].header("user-agent")),
        (Some("k1"), Some("mine/1"))
    );
}

#[tokio::test]
async fn a_failed_http_call_keeps_status_and_body() {
    let (address, server) = support::serve(vec![(403, "unknown key".into())]).await;
    let client = BacktestClient::builder().url(format!("ws://{address}")).build();
    let error = client.usage(None, None).await.unwrap_err();
    assert!(!error.is_retryable());
    let BacktestClientError::Http {
        source: HttpError::Status { status, body },
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((status.as_u16(), body.as_str()), (403, "unknown key"));
    server.await.unwrap();
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (address, server) = support::serve(vec![(307, String::new())]).await;
    let client = BacktestClient::builder().url(format!("ws://{address}")).build();
    let error = client.available_ranges().await.unwrap_err();
    assert!(
        matches!(
            error,
            BacktestClientError::Http {
                source: HttpError::Status { .. },
                ..
            }
        ),
        "{error:?}"
    );
    server.await.unwrap();
}

/// The clock is paused, so the limits pass as soon as nothing else can happen.
#[tokio::test(start_paused = true)]
async fn w43_http_calls_are_bounded() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let client = BacktestClient::builder().url(format!("ws://{address}")).build();
    let error = client.available_ranges().await.unwrap_err();
    let limit = Limits::default().http_timeout;
    assert!(
        matches!(&error, BacktestClientError::Http { source: HttpError::Timeout { limit: hit }, .. } if *hit == limit),
        "{error:?}"
    );

    let rpc = RpcEndpoint::new(&format!("http://{address}/")).unwrap();
    let params = GetReplayOutcomesParams {
        wait_millis: 5_000,
        ..GetReplayOutcomesParams::default()
    };
    let error = rpc.get_replay_outcomes(&params).await.unwrap_err();
    let patient = limit + Duration::from_secs(5);
    let RpcCallError::Http {
        source: HttpError::Timeout { limit },
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(limit, patient);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_refused() {
    let (address, server) = support::serve(vec![result(1, &json!(vec![0; 1000]))]).await;
    let limits = Limits {
        http_body_bytes: 100,
        ..Limits::default()
    };
    let rpc = RpcEndpoint::with_limits(&format!("http://{address}/"), limits).unwrap();
    let error = rpc.get_slot().await.unwrap_err();
    assert!(
        matches!(
            error,
            RpcCallError::Http {
                source: HttpError::TooLong { limit: 100 },
                ..
            }
        ),
        "{error:?}"
    );
    server.await.unwrap();
}

#[tokio::test]
async fn w33_modify_accounts_reads_the_answer() {
    let null_error = (
        200,
        r#"{"jsonrpc": "2.0", "id": 1, "error": null, "result": 3}"#.to_owned(),
    );
    let (address, server) = support::serve(vec![null_error, result(1, &json!("ok"))]).await;
    let url = format!("http://{address}/backtest/s1");
    assert_eq!(modify_accounts(&url, &modifications()).await.unwrap(), 3);
    // A server that does not count has replaced what was sent.
    assert_eq!(modify_accounts(&url, &modifications()).await.unwrap(), 1);

    let seen = server.await.unwrap();
    assert_eq!(seen[0].line, "POST /backtest/s1 HTTP/1.1");
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("x-api-key"), None);
    let call = seen[0].json();
    assert_eq!(
        (&call["jsonrpc"], &call["id"], &call["method"]),
        (&json!("2.0"), &json!(1), &json!("modifyAccounts"))
    );
    assert_eq!(call["params"][0][PROGRAM.to_string()]["lamports"], 0);
}

#[tokio::test]
async fn w33_a_failed_call_is_a_typed_error() {
    let refused = json!({"id": 1, "error": {"code": -32602, "message": "no", "data": [1]}}).to_string();
    let (rpc, server) = endpoint(vec![(200, refused), (502, "bad gateway".into())]).await;
    let error = rpc.modify_accounts(&modifications()).await.unwrap_err();
    let remote = error.remote().unwrap();
    assert_eq!(
        (remote.code, remote.message.as_str(), &remote.data),
        (-32602, "no", &Some(json!([1])))
    );
    let error = rpc.modify_accounts(&modifications()).await.unwrap_err();
    assert!(
        matches!(
            &error,
            RpcCallError::Http {
                source: HttpError::Status { .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.is_retryable());
    server.await.unwrap();
}

#[tokio::test]
async fn accounts_are_read_as_base64() {
    let absent = json!({"context": {"slot": 8}, "value": null});
    let (rpc, server) = endpoint(vec![result(1, &account("AQID", SECOND_LOADER, 5)), result(2, &absent)]).await;
    let found = rpc.get_account_info(&PROGRAM).await.unwrap().unwrap();
    assert_eq!(
        (found.data, found.lamports, found.rent_epoch),
        (vec![1, 2, 3], 5, u64::MAX)
    );
    assert_eq!(found.owner.to_string(), SECOND_LOADER);
    assert_eq!(rpc.get_account_info(&PROGRAM).await.unwrap(), None);
    let params = &server.await.unwrap()[0].json()["params"];
    assert_eq!(params[0], PROGRAM.to_string());
    assert_eq!(params[1]["encoding"], "base64");
}

/// The least that has the form of a program: a header and one segment, which is empty.
fn new_code() -> Vec<u8> {
    let mut elf = vec![0; 120];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    // A shared object for SBPF, with its segments behind the header.
    elf[16..20].copy_from_slice(&[3, 0, 7, 1]);
    elf[32] = 64;
    elf[56] = 1;
    elf
}

#[tokio::test]
async fn a_program_keeps_its_authority_and_never_loses_lamports() {
    let programdata = Address::new_from_array([3; 32]);
    let program = [&[2, 0, 0, 0][..], programdata.as_ref()].concat();
    let authority = Address::new_from_array([4; 32]);
    let data = [&[3, 0, 0, 0][..], &[0; 8], &[1], authority.as_ref(), b"old"].concat();
    let encode = |bytes: &[u8]| simulator_api::BinaryEncoding::Base64.encode(bytes);
    let (rpc, server) = endpoint(vec![
        result(1, &account(&encode(&program), UPGRADEABLE_LOADER, 1)),
        result(2, &account(&encode(&data), UPGRADEABLE_LOADER, 900)),
        result(3, &json!(800)),
        result(4, &json!(50)),
    ])
    .await;
    let accounts = modify_program_via_rpc(&rpc, &PROGRAM.to_string(), &new_code())
        .await
        .unwrap();
    let (address, account) = accounts.iter().next().unwrap();
    assert_eq!((accounts.len(), *address, account.lamports), (1, programdata, 900));
    let expected = [
        &[3, 0, 0, 0][..],
        &49u64.to_le_bytes(),
        &[1],
        authority.as_ref(),
        &new_code(),
    ]
    .concat();
    assert_eq!(account.data.decode().unwrap(), expected);
    let seen = server.await.unwrap();
    assert_eq!(seen[2].json()["params"], json!([45 + new_code().len()]));
}

#[tokio::test]
async fn a_program_of_an_older_loader_is_replaced_in_place() {
    let (rpc, server) = endpoint(vec![
        result(1, &account("AQID", SECOND_LOADER, 1)),
        result(2, &json!(70)),
    ])
    .await;
    let accounts = modify_program_via_rpc(&rpc, &PROGRAM.to_string(), &new_code())
        .await
        .unwrap();
    let (address, account) = accounts.iter().next().unwrap();
    assert_eq!(
        (accounts.len(), *address, account.lamports, account.executable),
        (1, PROGRAM, 70, true)
    );
    assert_eq!(account.data.decode().unwrap(), new_code());
    server.await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_is_made() {
    let absent = json!({"context": {"slot": 8}, "value": null});
    let (rpc, server) = endpoint(vec![
        result(1, &absent),
        result(2, &absent),
        result(3, &json!(80)),
        result(4, &json!(0)),
        result(5, &json!(70)),
    ])
    .await;
    let accounts = modify_program_via_rpc(&rpc, &PROGRAM.to_string(), &new_code())
        .await
        .unwrap();
    let program = &accounts.0[&PROGRAM];
    assert_eq!(
        (accounts.len(), program.executable, program.lamports, program.space),
        (2, true, 70, 36)
    );
    let pointer = program.data.decode().unwrap();
    let programdata = Address::try_from(&pointer[4..]).unwrap();
    assert_eq!(accounts.0[&programdata].lamports, 80);
    server.await.unwrap();
}

#[tokio::test]
async fn what_is_not_a_program_is_not_replaced() {
    let wallet = account("", "11111111111111111111111111111111", 1);
    let (rpc, server) = endpoint(vec![result(1, &wallet)]).await;
    let error = modify_program_via_rpc(&rpc, &PROGRAM.to_string(), &new_code())
        .await
        .unwrap_err();
    assert!(
        matches!(error, ProgramModError::NotAProgram { address, .. } if address == PROGRAM),
        "{error:?}"
    );
    let error = modify_program_via_rpc(&rpc, "nonsense", &new_code()).await.unwrap_err();
    assert!(matches!(error, ProgramModError::InvalidProgramId { .. }), "{error:?}");
    let cut = &new_code()[..100];
    let error = modify_program_via_rpc(&rpc, &PROGRAM.to_string(), cut)
        .await
        .unwrap_err();
    let ProgramModError::InvalidElf { source } = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        source.to_string(),
        "it was cut off: its program header table ends at byte 120, and the file has 100"
    );
    server.await.unwrap();
}
