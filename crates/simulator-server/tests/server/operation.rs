//! Keys, limits, and what an operator sees.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use simulator_server::{ApiKey, BindError, KeyLimits, Server, ServerConfig};
use tokio_tungstenite::tungstenite::Error;

use crate::support::{Control, Running, SampleArchive};

const WHOLE: (u64, u64) = (36, 59);

fn whole() -> Value {
    json!({"startSlot": WHOLE.0, "endSlot": WHOLE.1, "disconnectTimeoutSecs": 0})
}

async fn get(address: SocketAddr, path: &str, key: &str) -> (u16, String) {
    let client = reqwest::Client::new();
    let request = client.get(format!("http://{address}{path}")).header("X-API-Key", key);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn usage(address: SocketAddr, key: &str) -> Value {
    let (status, text) = get(address, "/usage", key).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Metrics by name and labels.
async fn metrics(server: &Running) -> BTreeMap<String, f64> {
    let (status, text) = get(server.address, "/metrics", "secret").await;
    assert_eq!(status, 200, "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Runs a session to the end of its range.
pub(crate) async fn run_to_the_end(control: &mut Control) {
    control.create(whole()).await;
    control.run().await;
    control.send("continue", json!({"advanceCount": 1000})).await;
    let last = control.run().await.pop().unwrap();
    assert_eq!(last["method"], "completed");
}

async fn with_key(server: &Running, key: &str) -> Control {
    Control::connect(server.address, Some(key)).await.unwrap()
}

fn refused(connected: Result<Control, Error>) -> u16 {
    match connected {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[tokio::test]
async fn counts_what_each_key_uses_and_keeps_it_over_a_restart() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let state_dir = tempfile::tempdir().unwrap();
    let config = || ServerConfig {
        keys: vec![ApiKey::new("a", "secret"), ApiKey::new("b", "other")],
        state_dir: Some(state_dir.path().to_owned()),
        ..sample.config()
    };
    let server = Running::start(config()).await;
    let mut control = with_key(&server, "secret").await;
    run_to_the_end(&mut control).await;
    control.close().await;
    let used = usage(server.address, "secret").await;
    assert_eq!(used["api_key_name"], "a");
    assert_eq!(used["sessions"], json!({"started": 1, "completed": 1, "failed": 0}));
    assert_eq!(used["compute"]["executed_slot_count"], 21);
    assert_eq!(used["activity"]["transactions"], 478);
    assert_eq!(used["activity"]["survives_restart"], true);
    assert_eq!(used["activity"]["control_connections"], 1);
    assert!(used["activity"]["bytes_sent"].as_u64().unwrap() > 1000, "{used}");
    let other = usage(server.address, "other").await;
    assert_eq!(other["api_key_name"], "b");
    assert_eq!(other["sessions"], json!({"started": 0, "completed": 0, "failed": 0}));
    assert_eq!(get(server.address, "/usage", "wrong").await.0, 401);
    server.stopped().await;
    let again = Running::start(config()).await;
    let after = usage(again.address, "secret").await;
    assert_eq!(after["sessions"], used["sessions"]);
    assert_eq!(after["compute"]["executed_slot_count"], 21);
    assert_eq!(after["activity"]["counted_since"], used["activity"]["counted_since"]);
    again.stopped().await;
}

#[tokio::test]
async fn says_when_usage_does_not_outlive_the_server_and_refuses_a_wrong_span() {
    let server = Running::start(ServerConfig::local(Vec::new())).await;
    let used = usage(server.address, "").await;
    assert_eq!(used["activity"]["survives_restart"], false);
    assert_eq!(used["api_key_name"], "anyone");
    let (status, text) = server
        .get("/usage?since=2026-03-01T00%3A00%3A00Z&until=2026-03-02T00:00:00Z")
        .await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(server.get("/usage?since=yesterday").await.0, 400);
    server.stopped().await;
}

#[tokio::test]
async fn a_damaged_usage_file_is_not_overwritten() {
    let state_dir = tempfile::tempdir().unwrap();
    std::fs::write(state_dir.path().join("usage.json"), "?").unwrap();
    let config = ServerConfig {
        state_dir: Some(state_dir.path().to_owned()),
        ..ServerConfig::local(Vec::new())
    };
    assert!(matches!(Server::bind(config).await.err(), Some(BindError::Usage(_))));
}

#[tokio::test]
async fn a_key_has_limits_of_its_own() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let small = KeyLimits {
        sessions: Some(1),
        connections: Some(2),
        message_bytes: Some(1000),
    };
    let server = Running::start(ServerConfig {
        keys: vec![
            ApiKey::new("small", "small").with_limits(small),
            ApiKey::new("b", "other"),
        ],
        ..sample.config()
    })
    .await;
    let mut first = with_key(&server, "small").await;
    let (rpc, _) = first.create(whole()).await;
    first.run().await;
    let mut second = with_key(&server, "small").await;
    let error = second.create_fails(whole()).await;
    assert!(error.contains("all 1 sessions of this API key"), "{error}");
    assert_eq!(refused(Control::connect(server.address, Some("small")).await), 429);
    assert_eq!(rpc.data_refused().await, 429);
    assert_eq!(rpc.post("x".repeat(1001)).await.0, 413);
    let mut other = with_key(&server, "other").await;
    other.create(whole()).await;
    let mut waiting = whole();
    waiting["capacityWaitTimeoutSecs"] = json!(600);
    second.send("createBacktestSession", waiting).await;
    assert_eq!(second.next().await["method"], "status");
    first.close().await;
    assert_eq!(second.next().await["method"], "sessionCreated");
    second
        .raw(tokio_tungstenite::tungstenite::Message::text("x".repeat(1001)))
        .await;
    assert_eq!(second.closed().await.map(u16::from), Some(1009));
    server.stopped().await;
}

#[tokio::test]
async fn metrics_count_and_name_nobody() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(ServerConfig {
        keys: vec![ApiKey::new("a-very-secret-name", "secret")],
        ..sample.config()
    })
    .await;
    let mut control = with_key(&server, "secret").await;
    run_to_the_end(&mut control).await;
    let mut living = with_key(&server, "secret").await;
    let (rpc, _) = living.create(whole()).await;
    rpc.call("getSlot", json!([])).await;
    for name in ["one", "two", "three"] {
        rpc.error(name, json!([])).await;
    }
    let _data = rpc.data().await;
    assert_eq!(get(server.address, "/metrics", "wrong").await.0, 401);
    let told = metrics(&server).await;
    for (name, value) in [
        ("sim_sessions_started_total", 2.0),
        (r#"sim_sessions_ended_total{reason="completed"}"#, 1.0),
        ("sim_sessions", 2.0),
        (r#"sim_connections{kind="control"}"#, 2.0),
        (r#"sim_connections{kind="data"}"#, 1.0),
        (r#"sim_rpc_seconds_count{method="getSlot"}"#, 1.0),
        (r#"sim_rpc_seconds_count{method="unknown"}"#, 3.0),
        (r#"sim_rpc_errors_total{method="unknown"}"#, 3.0),
        (r#"sim_refused_total{reason="unknown_key"}"#, 1.0),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name} in {told:#?}");
    }
    assert!(told["sim_slots_total"] >= 21.0 && told["sim_transactions_total"] >= 478.0);
    assert!(told["sim_event_log_bytes"] > 0.0 && told["sim_data_log_bytes"] > 0.0);
    let (_, text) = get(server.address, "/metrics", "secret").await;
    for secret in ["very-secret", "secret", &rpc.id(), "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let bearer = reqwest::Client::new()
        .get(format!("http://{}/metrics", server.address))
        .bearer_auth("secret");
    assert_eq!(bearer.send().await.unwrap().status().as_u16(), 200);
    server.stopped().await;
}

#[tokio::test]
async fn is_ready_until_it_stops() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    assert_eq!(server.get("/ready").await, (200, "ready\n".to_owned()));
    assert_eq!(server.get("/health").await, (200, "ok".to_owned()));
    // A client that does not shake hands holds the end up for a while.
    let mut control = server.connect().await;
    control.create(whole()).await;
    server.stop();
    assert_eq!(server.get("/ready").await, (503, "draining\n".to_owned()));
    assert_eq!(server.get("/health").await, (200, "ok".to_owned()));
    assert_eq!(refused(Control::connect(server.address, None).await), 503);
    drop(control);
    server.stopped().await;
}
