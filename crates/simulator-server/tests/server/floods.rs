//! Many clients at once, and those that mean harm. Small here; `examples/load.rs` does the same with large numbers.

use std::time::Duration;

use serde_json::json;
use simulator_archive::import::ScopeChoice;
use simulator_server::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::data::{Data, cursor};
use crate::support::{Control, PATIENCE, Rpc, Running, SampleArchive};

/// Transactions of the sample that are executed.
const TRANSACTIONS: usize = 478;

fn whole() -> serde_json::Value {
    json!({"startSlot": 36, "endSlot": 59, "startPaused": true})
}

/// Waits until the server closes a connection, and returns what it said before.
async fn closed(mut socket: TcpStream) -> String {
    let mut said = Vec::new();
    // A connection that is reset is closed as well.
    drop(timeout(PATIENCE, socket.read_to_end(&mut said)).await.unwrap());
    String::from_utf8(said).unwrap()
}

async fn open(server: &Running) -> TcpStream {
    TcpStream::connect(server.address).await.unwrap()
}

#[tokio::test]
async fn closes_connections_that_do_nothing_or_take_too_long() {
    let mut config = ServerConfig::local(Vec::new());
    config.times.head_limit = Duration::from_millis(100);
    config.times.idle_limit = Duration::from_millis(150);
    let server = Running::start(config).await;
    let silent = open(&server).await;
    let mut slow = open(&server).await;
    slow.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let mut idle = open(&server).await;
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(closed(silent).await, "");
    assert_eq!(closed(slow).await, "");
    assert!(closed(idle).await.ends_with("\r\n\r\nok"), "it was answered first");
    let (_, metrics) = server.get("/metrics").await;
    assert!(metrics.contains(r#"sim_refused_total{reason="slow"} 2"#), "{metrics}");
    assert!(metrics.contains(r#"sim_refused_total{reason="idle"} 1"#), "{metrics}");
    server.stopped().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.times.body_limit = Duration::from_millis(50);
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let (rpc, _) = control.create(whole()).await;
    let mut slow = open(&server).await;
    let head = format!(
        "POST /backtest/{} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{{",
        rpc.id()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = timeout(PATIENCE, slow.read(&mut answer)).await.unwrap().unwrap();
    assert!(
        answer[..read].starts_with(b"HTTP/1.1 408"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    server.stopped().await;
}

#[tokio::test]
async fn half_open_connections_give_way_to_others() {
    let mut config = ServerConfig::local(Vec::new());
    config.limits.connections = 10;
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let mut half_open = Vec::new();
    for _ in 0..100 {
        half_open.push(open(&server).await);
    }
    assert_eq!(server.get("/health").await, (200, "ok".to_owned()));
    // The first of them have made room; a WebSocket never does.
    assert_eq!(closed(half_open.swap_remove(0)).await, "");
    control.send("continue", json!({})).await;
    assert_eq!(control.next().await["method"], "error");
    server.stopped().await;
}

#[tokio::test]
async fn a_full_server_says_so_and_has_room_again() {
    let mut config = ServerConfig::local(Vec::new());
    config.limits.connections = 2;
    let server = Running::start(config).await;
    let first = server.connect().await;
    let _second = server.connect().await;
    assert!(closed(open(&server).await).await.starts_with("HTTP/1.1 503"));
    drop(first);
    let mut tries = 0;
    while let Err(error) = Control::connect(server.address, None).await {
        tries += 1;
        assert!(tries < 10_000, "{error}");
        tokio::task::yield_now().await;
    }
    server.stopped().await;
}

/// All that subscribers were told of a session, as its cursors.
async fn all_of(mut data: Data) -> Vec<(u64, u64)> {
    data.rest().await.iter().map(cursor).collect()
}

async fn subscribed(rpc: &Rpc) -> Data {
    let mut data = rpc.data().await;
    data.subscribe("transactionSubscribe", json!(["allWithVotes"])).await;
    data
}

#[tokio::test]
async fn nothing_is_lost_while_others_make_trouble() {
    const SESSIONS: usize = 12;
    const SUBSCRIBERS: usize = 10;
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.limits.message_bytes = 1 << 20;
    config.limits.frame_bytes = 1 << 20;
    config.times.completed_hold = Duration::from_millis(300);
    let server = Running::start(config).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let mut control = server.connect().await;
        let (rpc, _) = control.create(whole()).await;
        control.run().await;
        sessions.push((control, rpc));
    }
    let rpc = &sessions[0].1;
    let mut readers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        readers.push(tokio::spawn(all_of(subscribed(rpc).await)));
    }
    let mut never_reads = rpc.narrow_data().await;
    never_reads
        .subscribe("transactionSubscribe", json!(["allWithVotes"]))
        .await;
    for (control, _) in &mut sessions {
        control.send("continue", json!({"advanceCount": 1000})).await;
    }
    trouble(&server).await;
    for (control, _) in &mut sessions {
        assert_eq!(control.run().await.pop().unwrap()["method"], "completed");
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap().len(), TRANSACTIONS);
    }
    // What it did not read was kept for it.
    assert_eq!(all_of(never_reads).await.len(), TRANSACTIONS);
    for (mut control, _) in sessions {
        control.close().await;
    }
    let (_, metrics) = server.get("/metrics").await;
    for refused in ["too_large", "unknown_session", "violation"] {
        assert!(
            metrics.contains(&format!("sim_refused_total{{reason=\"{refused}\"}}")),
            "{refused}: {metrics}"
        );
    }
    server.stopped().await;
}

/// Garbage, oversized messages, guessed ids, half-open connections.
async fn trouble(server: &Running) {
    let mut held = Vec::new();
    for round in 0..20_u8 {
        let mut garbage = open(server).await;
        garbage.write_all(&[round; 300]).await.unwrap();
        held.push(garbage);
        let mut control = server.connect().await;
        control.raw(Message::text("x".repeat((1 << 20) + 1))).await;
        assert_eq!(control.closed().await.map(u16::from), Some(1009));
        let mut frames = server.connect().await;
        frames.raw(Message::binary(vec![0xff; 1000])).await;
        assert_eq!(frames.next().await["method"], "error");
        let id = format!("/backtest/backtest_{:032x}", u128::from(round));
        assert_eq!(server.get(&id).await.0, 404);
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_nothing_else() {
    let server = Running::start(ServerConfig {
        keys: vec![simulator_server::ApiKey::new("desk", "secret")],
        ..ServerConfig::local(Vec::new())
    })
    .await;
    for key in ["", "s", "secre", "secrets", "SECRET"] {
        match Control::connect(server.address, Some(key)).await {
            Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), 401),
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
    server.stopped().await;
}
