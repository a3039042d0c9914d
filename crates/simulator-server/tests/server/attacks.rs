//! What a server does with clients that make mistakes, or mean harm.

use std::time::Duration;

use crate::support::{Control, Running, SampleArchive, shorten};
use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use simulator_server::{ApiKey, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};

const UNKNOWN: &str = "backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011";

#[tokio::test]
async fn answers_mistakes_and_goes_on() {
    let server = Running::start(ServerConfig::local(Vec::new())).await;
    let mut control = server.connect().await;
    let mut expect = async |message: Message, expected: &str| {
        control.raw(message).await;
        let answer = control.next().await;
        assert!(
            shorten(std::slice::from_ref(&answer))[0].contains(expected),
            "{answer} should contain {expected}"
        );
    };
    expect(Message::text("\u{0}{{{"), "not valid JSON").await;
    expect(Message::binary(vec![0xff, 0xfe]), "UTF-8").await;
    expect(Message::binary(&b"[]"[..]), "invalidRequest").await;
    expect(
        Message::text(r#"{"method": "explode", "params": {}}"#),
        r#"unknown method \"explode\""#,
    )
    .await;
    expect(Message::text(r#"{"method": "continue"}"#), "params").await;
    expect(
        Message::text(r#"{"method": "continue", "params": {}}"#),
        "there is no session yet",
    )
    .await;
    expect(
        Message::text(r#"{"method": "continueTo", "params": {"slot": "4"}}"#),
        "params.slot",
    )
    .await;
    expect(
        Message::text(r#"{"method": "resumeAttachedSession"}"#),
        "no session was attached",
    )
    .await;
    let attach = json!({"method": "attachBacktestSession", "params": {"session_id": UNKNOWN}});
    expect(Message::text(attach.to_string()), r#"{"sessionNotFound":{"session_id""#).await;
    assert!(
        control
            .create_fails(json!({"startSlot": 5, "endSlot": 4}))
            .await
            .contains("before startSlot")
    );
    assert!(
        control
            .create_fails(json!({"startSlot": 5, "endSlot": 9}))
            .await
            .contains("no archive holds slots 5 to 9")
    );
    control.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn refuses_what_is_too_large() {
    let mut config = ServerConfig::local(Vec::new());
    config.limits.message_bytes = 1000;
    config.limits.frame_bytes = 1000;
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    control.raw(Message::text("x".repeat(1001))).await;
    assert_eq!(control.closed().await.map(u16::from), Some(1009));
    let mut leaving = server.connect().await;
    leaving.raw(Message::Close(None)).await;
    leaving.closed().await;
    server.stopped().await;
}

#[tokio::test]
async fn cuts_off_who_asks_and_does_not_read() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.limits.unread_events = 1;
    config.times.close_limit = Duration::from_millis(500);
    let server = Running::start(config).await;
    let mut control = Control::connect_narrow(server.address).await;
    let (rpc, _) = control
        .create(json!({"startSlot": 36, "endSlot": 59, "disconnectTimeoutSecs": 0}))
        .await;
    // More refusals than the buffers of both sockets hold.
    let refused = (0..200_000).map(|id| {
        let params = json!({"requestId": id.to_string(), "advanceCount": "many"});
        json!({"method": "continue", "params": params}).to_string()
    });
    assert!(control.flood(refused).await);
    rpc.gone().await;
    server.stopped().await;
}

#[tokio::test]
async fn asks_for_a_key_and_hides_sessions() {
    let mut config = ServerConfig::local(Vec::new());
    config.keys = vec![ApiKey::new("desk", "secret")];
    let server = Running::start(config).await;
    for key in [None, Some("wrong")] {
        match Control::connect(server.address, key).await {
            Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), 401),
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
    Control::connect(server.address, Some("secret")).await.unwrap();
    assert_eq!(server.get("/health").await, (200, "ok".to_owned()));
    assert_eq!(server.get("/available-ranges").await, (200, "[]".to_owned()));
    for id in [UNKNOWN, "nonsense", "parallel_0192f0c4a7d87c13b6f1a3b5c7d9e011"] {
        assert_eq!(
            server.get(&format!("/backtest/{id}")).await,
            (404, "no such session\n".to_owned())
        );
    }
    assert_eq!(server.get("/usage").await.0, 401);
    server.stopped().await;
}

#[tokio::test]
async fn looks_a_session_up_before_it_reads_the_body() {
    let server = Running::start(ServerConfig::local(Vec::new())).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST /backtest/{UNKNOWN} HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 404");
    drop(stream);
    server.stopped().await;
}

#[tokio::test]
async fn limits_the_data_in_all_answers_to_one_request() {
    /// A token account of the sample: 165 bytes at least.
    const TOKEN: &str = "13rZ8pGoaMaKe2hr2dVHfoC6FdiFpYW4pt4BKSfheexM";
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.limits.request_answer_bytes = 200;
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let (rpc, _) = control
        .create(json!({"startSlot": 36, "endSlot": 36, "startPaused": true}))
        .await;
    let (code, message) = rpc.error("getMultipleAccounts", json!([[TOKEN, TOKEN]])).await;
    assert!(code == -32600 && message.contains("200 bytes"), "{message}");
    let sliced = json!([[TOKEN, TOKEN], {"dataSlice": {"offset": 0, "length": 32}}]);
    rpc.call("getMultipleAccounts", sliced).await;
    let params = json!([TOKEN, {"encoding": "base64"}]);
    let call = |id: u8| json!({"jsonrpc": "2.0", "id": id, "method": "getAccountInfo", "params": params});
    let (_, batch) = rpc.post(json!([call(1), call(2)]).to_string()).await;
    let batch: Vec<Value> = serde_json::from_str(&batch).unwrap();
    assert!(batch[0]["result"].is_object(), "{batch:?}");
    assert_eq!(batch[1]["error"]["code"], -32600, "{batch:?}");
    drop(control);
    server.stopped().await;
}
