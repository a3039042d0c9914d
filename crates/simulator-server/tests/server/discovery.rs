//! Sessions with discovery filters, driven as the published clients drive them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;

use crate::support::{Control, Rpc, Running, SampleArchive, shorten};

const STAKE: &str = "Stake11111111111111111111111111111111111111";
const SYSTEM: &str = "11111111111111111111111111111111";
const VOTE: &str = "Vote111111111111111111111111111111111111111";
const MEMO: &str = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr";

/// Transactions of the sample that name or call the stake program, by slot.
const STAKE_TRANSACTIONS: &[(u64, &[u64])] = &[
    (37, &[19]),
    (39, &[4]),
    (39, &[8]),
    (41, &[10]),
    (42, &[3]),
    (44, &[7]),
    (44, &[18]),
    (44, &[20]),
];

fn program(address: &str) -> Value {
    json!({"kind": "programExecuted", "value": address})
}

/// Two transcripts of the same conversation, one with a server that hardly reads ahead.
#[tokio::test]
async fn a_stepping_client_stops_before_every_match() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut transcripts = Vec::new();
    for blocks_ahead in [1, 8] {
        let mut config = sample.config();
        config.limits.blocks_ahead = blocks_ahead;
        let server = Running::start(config).await;
        transcripts.push(step_through(&server, false).await);
        transcripts.push(step_through(&server, true).await);
        server.stopped().await;
    }
    assert!(transcripts.iter().all(|transcript| *transcript == transcripts[0]));
}

/// Steps to every match of the stake program, as the published helper does. Returns the events, without statuses.
async fn step_through(server: &Running, ensures_ready: bool) -> Vec<String> {
    let mut control = server.connect().await;
    let params = json!({"startSlot": 36, "endSlot": 44, "discoveries": [program(STAKE)]});
    let (rpc, _) = control.create(params).await;
    let mut helper = Helper {
        control,
        kept: VecDeque::new(),
        events: Vec::new(),
    };
    if ensures_ready {
        while helper.hear().await["method"] != "readyForContinue" {}
    }
    let mut found = Vec::new();
    while let Some(batch) = helper.advance_to_discovery().await {
        assert_eq!(batch["matched"], json!([program(STAKE)]));
        assert_eq!(helper.events.last().unwrap()["method"], "paused");
        check_position(&rpc, &batch).await;
        found.push((batch["slot"].as_u64().unwrap(), indices(&batch)));
    }
    let expected: Vec<_> = STAKE_TRANSACTIONS
        .iter()
        .map(|(slot, indices)| (*slot, indices.to_vec()))
        .collect();
    assert_eq!(found, expected);
    let slots = helper
        .events
        .iter()
        .filter(|event| event["method"] == "slotNotification");
    assert_eq!(slots.count(), 9, "every block once");
    shorten(&helper.events)
}

/// Nothing of the batch is applied, and everything before it is.
async fn check_position(rpc: &Rpc, batch: &Value) {
    let slot = batch["slot"].as_u64().unwrap();
    assert_eq!(rpc.call("getSlot", json!([])).await, slot);
    let signatures: Vec<String> = batch["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(signature)
        .collect();
    let statuses = rpc.call("getSignatureStatuses", json!([signatures])).await;
    assert!(
        statuses["value"].as_array().unwrap().iter().all(Value::is_null),
        "{statuses}"
    );
}

fn indices(batch: &Value) -> Vec<u64> {
    let indices = batch["transactionIndices"].as_array().unwrap();
    indices.iter().map(|index| index.as_u64().unwrap()).collect()
}

/// The first signature: a record begins with the transaction as it is on the wire.
fn signature(record: &Value) -> String {
    assert_eq!(record["encoding"], "base64");
    let bytes = STANDARD.decode(record["data"].as_str().unwrap()).unwrap();
    bs58::encode(&bytes[1..65]).into_string()
}

/// The stepping helper of the published clients.
struct Helper {
    control: Control,
    kept: VecDeque<Value>,
    events: Vec<Value>,
}

impl Helper {
    async fn hear(&mut self) -> Value {
        let event = self.control.next().await;
        self.events.push(event.clone());
        event
    }

    /// Goes to the next match and returns it, or `None` at the end.
    async fn advance_to_discovery(&mut self) -> Option<Value> {
        let batch = match self.kept.pop_front() {
            Some(batch) => batch,
            None => self.find().await?,
        };
        let target = json!({"slot": batch["slot"], "batchIndex": batch["batchIndex"]});
        self.control.send("continueTo", target.clone()).await;
        loop {
            let event = self.hear().await;
            match event["method"].as_str().unwrap() {
                "paused" => {
                    assert_eq!(event["params"], target);
                    return Some(batch);
                }
                "discoveryBatch" => self.kept.push_back(event["params"].clone()),
                "slotNotification" | "status" | "readyForContinue" => {}
                _ => panic!("unexpected {event}"),
            }
        }
    }

    async fn find(&mut self) -> Option<Value> {
        loop {
            let event = self.hear().await;
            match event["method"].as_str().unwrap() {
                "discoveryBatch" => return Some(event["params"].clone()),
                "completed" => return None,
                "readyForContinue" => self.control.send("continue", json!({"advanceCount": u64::MAX})).await,
                "slotNotification" | "status" => {}
                _ => panic!("unexpected {event}"),
            }
        }
    }
}

/// What filters find is what the replay then shows to be so.
#[tokio::test]
async fn finds_what_the_replay_then_executes() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let mut control = server.connect().await;
    let oracle = json!({"kind": "oracleUpdate", "value": {"programs": [MEMO]}});
    let params = json!({"startSlot": 36, "endSlot": 59, "outcomes": "transactions",
        "discoveries": [program(SYSTEM), oracle, program(SYSTEM)]});
    let (rpc, _) = control.create(params).await;
    // By filter and slot; the numbers of blocks are not asked for all at once, so that nothing is held.
    let mut found: BTreeMap<(bool, u64), Vec<u64>> = BTreeMap::new();
    control.send("continue", json!({"advanceCount": 1000})).await;
    loop {
        let event = control.next().await;
        match event["method"].as_str().unwrap() {
            "completed" => break,
            "discoveryBatch" => {
                let batch = &event["params"];
                let matched = batch["matched"].as_array().unwrap();
                assert!((1..=2).contains(&matched.len()), "each filter once: {batch}");
                assert_eq!(indices(batch).len(), batch["transactions"].as_array().unwrap().len());
                for filter in matched {
                    let key = (*filter == oracle, batch["slot"].as_u64().unwrap());
                    found.entry(key).or_default().extend(indices(batch));
                }
            }
            "slotNotification" | "status" | "readyForContinue" => {}
            _ => panic!("unexpected {event}"),
        }
    }
    let outcomes = rpc.call("getReplayOutcomes", json!([])).await;
    let mut executed = 0;
    for slot in outcomes["slots"].as_array().unwrap() {
        let number = slot["slot"].as_u64().unwrap();
        for transaction in slot["transactions"].as_array().unwrap() {
            let index = transaction["index"].as_u64().unwrap();
            let calls = |program: &str| transaction["programs"].as_array().unwrap().contains(&json!(program));
            let is_found = |oracle| found.get(&(oracle, number)).is_some_and(|found| found.contains(&index));
            let changes_tokens = transaction["tokenChanges"]
                .as_object()
                .is_some_and(|changes| !changes.is_empty());
            if calls(SYSTEM) {
                executed += 1;
                assert!(is_found(false), "slot {number}, transaction {index}");
            }
            if calls(MEMO) && !changes_tokens {
                assert!(is_found(true), "slot {number}, transaction {index}");
            }
        }
    }
    assert!(executed > 100, "{executed}");
    assert!(found[&(false, 36)].contains(&10), "by another program only");
    server.stopped().await;
}

#[tokio::test]
async fn a_close_is_answered_next_and_too_many_filters_are_refused() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let mut control = server.connect().await;
    let many: Vec<Value> = (0..1025).map(|_| program(STAKE)).collect();
    let error = control
        .create_fails(json!({"startSlot": 36, "endSlot": 59, "discoveries": many}))
        .await;
    assert_eq!(error, "discoveries name 1025 addresses, of which there may be 1024");
    let params = json!({"startSlot": 40, "endSlot": 59, "startPaused": true, "discoveries": [program(STAKE)]});
    control.create(params).await;
    let mut events = control.run().await;
    events.extend(control.run().await);
    let found = events.pop().unwrap();
    assert_eq!(shorten(&events), [r#"paused {"batchIndex":0,"slot":40}"#]);
    assert_eq!(
        (found["method"].as_str(), found["params"]["slot"].as_u64()),
        (Some("discoveryBatch"), Some(41))
    );
    control.send("continue", json!({"advanceCount": u64::MAX})).await;
    while control.next().await["method"] != "slotNotification" {}
    let close = tokio_tungstenite::tungstenite::Message::text(r#"{"method": "closeBacktestSession"}"#);
    control.raw(close).await;
    assert_eq!(
        control.next().await,
        json!({"method": "success"}),
        "held before the match, and silent"
    );
    assert_eq!(control.closed().await.map(u16::from), Some(1000));
    server.stopped().await;
}

#[tokio::test]
async fn a_client_that_comes_back_gets_the_announcement_and_learns_that_the_session_waits() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.times.reminder_delay = Duration::from_millis(5);
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let params = json!({"startSlot": 36, "endSlot": 44, "discoveries": [program(VOTE)]});
    let (rpc, _) = control.create(params).await;
    assert_eq!(shorten(&control.run().await), ["readyForContinue"]);
    let found = control.next().await;
    assert_eq!(
        (found["params"]["slot"].as_u64(), found["params"]["batchIndex"].as_u64()),
        (Some(36), Some(0))
    );
    control.send("continue", json!({"advanceCount": u64::MAX})).await;
    // The answer to this says that the continue has arrived. It is held before the first batch.
    control.send("continueTo", json!({"slot": 1})).await;
    let refused = control.next().await;
    assert!(refused["params"]["invalidRequest"].is_object(), "{refused}");
    drop(control);

    let mut control = server.connect().await;
    control.take_over(&rpc.id(), Some(2)).await;
    let again = control.next().await;
    assert_eq!((&again["params"], &again["replayed"]), (&found["params"], &json!(true)));
    assert_eq!(control.next().await["seqId"], refused["seqId"]);
    let reminder = control.next().await;
    assert_eq!(reminder, json!({"method": "readyForContinue", "seqId": 5}));
    control.send("continueTo", json!({"slot": 36, "batchIndex": 0})).await;
    assert_eq!(shorten(&control.run().await), [r#"paused {"batchIndex":0,"slot":36}"#]);
    assert_eq!(control.next().await["method"], "discoveryBatch");
    drop(control);
    server.stopped().await;
}
