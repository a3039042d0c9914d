//! How sessions end, and what is left of them.

use std::time::Duration;

use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Rpc, Running, SampleArchive, shorten};

#[tokio::test]
async fn ends_with_its_connection_if_told_so_or_else_when_its_time_is_over() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.times.default_disconnect = Duration::from_millis(5);
    let server = Running::start(config).await;
    for timeout in [json!(0), Value::Null] {
        let mut lost = server.connect().await;
        let params = json!({"startSlot": 36, "endSlot": 59, "disconnectTimeoutSecs": timeout});
        let (rpc, _) = lost.create(params).await;
        drop(lost);
        rpc.gone().await;
        let mut late = server.connect().await;
        let answer = late.attach(&rpc.id(), None).await;
        assert_eq!(answer["params"], json!({"sessionNotFound": {"session_id": rpc.id()}}));
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_connection_has_one_session() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let mut control = server.connect().await;
    let params = json!({"startSlot": 36, "endSlot": 59, "startPaused": true});
    let (rpc, _) = control.create(params.clone()).await;
    control.run().await;
    assert!(control.create_fails(params).await.contains("has a session already"));
    let answer = control.attach(&rpc.id(), None).await;
    let error = answer["params"]["invalidRequest"]["error"].as_str().unwrap();
    assert!(error.contains("has a session already"), "{answer}");
    drop(control);
    server.stopped().await;
}

#[tokio::test]
async fn keeps_outcomes_for_their_reader_after_the_connection() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let mut control = server.connect().await;
    let params = json!({"startSlot": 37, "endSlot": 39, "outcomes": "divergences", "disconnectTimeoutSecs": 900});
    let (rpc, _) = control.create(params).await;
    assert_eq!(
        shorten(&control.run().await),
        ["slotNotification 37", "readyForContinue"]
    );
    control.send("continue", json!({"advanceCount": 1})).await;
    control.run().await;
    control.close().await;
    let slots = read_all(&rpc).await;
    assert_eq!(slots, [37], "slot 38 was still open");
    rpc.gone().await;
    server.stopped().await;
}

#[tokio::test]
async fn waits_for_a_place() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.limits.sessions = 1;
    let server = Running::start(config).await;
    let params = json!({"startSlot": 36, "endSlot": 36, "startPaused": true, "disconnectTimeoutSecs": 0});
    let mut first = server.connect().await;
    first.create(params.clone()).await;
    let mut second = server.connect().await;
    assert!(second.create_fails(params.clone()).await.contains("all 1 sessions"));
    let mut waiting = params.clone();
    waiting["capacityWaitTimeoutSecs"] = json!(600);
    second.send("createBacktestSession", waiting).await;
    assert_eq!(second.next().await["method"], "status");
    drop(first);
    assert_eq!(second.next().await["method"], "sessionCreated");
    assert_eq!(shorten(&second.run().await), [r#"paused {"batchIndex":0,"slot":36}"#]);
    drop(second);
    server.stopped().await;
}

#[tokio::test]
async fn refuses_a_range_without_blocks() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.times.ping_interval = Duration::from_millis(1);
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let error = control.create_fails(json!({"startSlot": 47, "endSlot": 48})).await;
    assert_eq!(error, "no block was produced in slots 47 to 48");
    let error = control.create_fails(json!({"startSlot": 36, "endSlot": 60})).await;
    assert_eq!(error, "no archive holds slots 36 to 60; available: 36 to 59");
    let (rpc, _) = control.create(json!({"startSlot": 47, "endSlot": 50})).await;
    assert_eq!(
        shorten(&control.run().await),
        ["slotNotification 49", "readyForContinue"]
    );
    let summary = rpc.call("getReplaySummary", json!([])).await;
    assert_eq!(
        summary["counts"]["total"], 30,
        "what was executed before slot 47 does not count: {summary}"
    );
    drop(control);
    server.stopped().await;
}

async fn read_all(rpc: &Rpc) -> Vec<u64> {
    let (mut after, mut slots) = (Value::Null, Vec::new());
    loop {
        let page = rpc
            .call("getReplayOutcomes", json!([{"after": after, "waitMillis": 30_000}]))
            .await;
        for slot in page["slots"].as_array().unwrap() {
            slots.extend(slot["slot"].as_u64());
            after = slot["slot"].clone();
        }
        if page["complete"] == true {
            // Acknowledges the last ones. If that has happened already, the session may be gone.
            let acknowledge =
                json!({"jsonrpc": "2.0", "id": 1, "method": "getReplayOutcomes", "params": [{"after": after}]});
            rpc.post(acknowledge.to_string()).await;
            return slots;
        }
    }
}

#[tokio::test]
async fn a_close_that_follows_an_attach_at_once_ends_the_session() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.times.probe_limit = Duration::from_millis(50);
    let server = Running::start(config).await;
    // It does not read, so that it does not answer when it is asked for its session.
    let mut dead = server.connect().await;
    let (rpc, _) = dead.create(json!({"startSlot": 36, "endSlot": 59})).await;
    let mut hasty = server.connect().await;
    hasty
        .send("attachBacktestSession", json!({"session_id": rpc.id()}))
        .await;
    hasty.close().await;
    rpc.gone().await;
    server.stopped().await;
}

#[tokio::test]
async fn a_close_that_follows_a_refused_attach_says_so_and_ends_nothing() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let mut living = server.connect().await;
    let (rpc, _) = living
        .create(json!({"startSlot": 36, "endSlot": 59, "startPaused": true}))
        .await;
    living.run().await;
    let answering = tokio::spawn(async move {
        living.closed().await;
    });
    let mut hasty = server.connect().await;
    hasty
        .send("attachBacktestSession", json!({"session_id": rpc.id()}))
        .await;
    hasty.raw(Message::text(r#"{"method": "closeBacktestSession"}"#)).await;
    let busy = hasty.next().await;
    assert!(busy["params"]["sessionOwnershipBusy"].is_object(), "{busy}");
    assert_eq!(hasty.next().await, json!({"method": "success"}));
    assert_eq!(rpc.call("getHealth", json!([])).await, "ok");
    server.stop();
    answering.await.unwrap();
    server.stopped().await;
}
