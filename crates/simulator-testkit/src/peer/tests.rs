//! The scripted server says what the protocol's specification says.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulator_client::transport::Frame;

use super::*;
use crate::wire::Clock;

/// A server and a clock, spoken to by hand.
struct Dialogue {
    server: PeerServer,
    clock: Clock,
}

impl Dialogue {
    fn new(generation: Generation, script: Script) -> Self {
        Self {
            server: PeerServer::new(generation, script),
            clock: Clock::new(),
        }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn connect(&mut self, path: &str) -> ConnId {
        self.server.connect(path, self.now()).unwrap()
    }

    fn say(&mut self, conn: ConnId, message: &Value) {
        let text = Frame::Text(message.to_string().into());
        self.server.handle(conn, text, self.now());
    }

    fn work(&mut self) {
        while self.server.tick() {}
    }

    /// All that the server has to say, as JSON.
    fn heard(&mut self, conn: ConnId) -> Vec<Value> {
        let frames = std::iter::from_fn(|| self.server.poll_transmit(conn));
        let read = frames.map(|frame| match frame {
            Frame::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("expected a text, got {other:?}"),
        });
        read.collect()
    }

    /// What a session says, in short.
    fn events(&mut self, conn: ConnId) -> Vec<String> {
        self.heard(conn).iter().filter_map(short).collect()
    }

    fn created(&mut self, create: &Value) -> ConnId {
        let conn = self.connect("/backtest");
        self.say(conn, create);
        self.work();
        conn
    }

    fn data(&mut self) -> ConnId {
        let session = self.server.open_sessions()[0];
        self.connect(&format!("/backtest/{session}"))
    }
}

/// `12 slot 100`, `13 ready`, `created`; nothing for a status.
fn short(message: &Value) -> Option<String> {
    let name = match message["method"].as_str()? {
        "status" => return None,
        "slotNotification" => format!("slot {}", message["params"]),
        "readyForContinue" => "ready".into(),
        "paused" => format!(
            "paused {}/{}",
            message["params"]["slot"], message["params"]["batchIndex"]
        ),
        "discoveryBatch" => format!(
            "found {}/{}",
            message["params"]["slot"], message["params"]["batchIndex"]
        ),
        other => other.into(),
    };
    Some(match &message["seqId"] {
        Value::Null => name,
        number => format!("{number} {name}"),
    })
}

fn script() -> Script {
    Script::generate(1, 100..=103)
}

fn create() -> Value {
    json!({"method": "createBacktestSession", "params": {
        "startSlot": 100, "endSlot": 103, "disconnectTimeoutSecs": 60, "createToken": "t", "parallel": false}})
}

fn create_with_filter() -> Value {
    let mut create = create();
    let filter = json!({"kind": "programExecuted", "value": "Stake11111111111111111111111111111111111111"});
    create["params"]["discoveries"] = json!([filter]);
    create
}

fn go_on(count: u64) -> Value {
    json!({"method": "continue", "params": {"advanceCount": count}})
}

fn go_to(slot: u64, batch: Option<u32>) -> Value {
    json!({"method": "continueTo", "params": {"slot": slot, "batchIndex": batch}})
}

fn attach(dialogue: &Dialogue, last: Option<u64>) -> Value {
    let session = dialogue.server.open_sessions()[0].to_string();
    json!({"method": "attachBacktestSession", "params": {"session_id": session, "last_sequence": last}})
}

#[test]
fn a_session_notifies_every_block_once_and_completes() {
    let mut dialogue = Dialogue::new(Generation::ours(), script().skip(102));
    let conn = dialogue.created(&create());
    assert_eq!(dialogue.events(conn), ["sessionCreated", "2 slot 100", "4 ready"]);
    dialogue.say(conn, &go_on(1));
    dialogue.say(conn, &go_on(5));
    dialogue.say(conn, &go_on(5));
    dialogue.work();
    let events = dialogue.events(conn);
    assert_eq!(
        events,
        ["5 error", "7 slot 101", "9 ready", "11 slot 103", "12 completed"]
    );
    assert_eq!(dialogue.server.truth().applied.len(), 2);
}

#[test]
fn a_repeated_request_takes_effect_once() {
    let mut dialogue = Dialogue::new(Generation::ours(), script());
    let conn = dialogue.created(&create());
    let mut request = go_on(1);
    request["params"]["requestId"] = json!("a");
    dialogue.heard(conn);
    dialogue.say(conn, &request);
    dialogue.say(conn, &request);
    dialogue.work();
    let echoes = dialogue.heard(conn);
    assert!(echoes.iter().all(|event| event["requestId"] == "a"), "{echoes:?}");
    dialogue.say(conn, &request);
    assert!(!dialogue.server.tick());
    assert_eq!(dialogue.heard(conn), Vec::<Value>::new());
    let truth = dialogue.server.truth();
    assert_eq!((truth.applied.len(), truth.repeated_requests), (1, 2));
    assert_eq!(truth.violations, Vec::<String>::new());
}

#[test]
fn an_attach_replays_what_was_missed_after_the_resume_and_then_repeats_the_state() {
    let mut dialogue = Dialogue::new(Generation::ours(), script());
    let conn = dialogue.created(&create());
    dialogue.say(conn, &go_on(1));
    dialogue.server.disconnect(conn, dialogue.now());
    dialogue.work();
    let conn = dialogue.connect("/backtest");
    let request = attach(&dialogue, Some(4));
    dialogue.say(conn, &request);
    assert_eq!(dialogue.events(conn), ["sessionAttached"]);
    dialogue.say(conn, &json!({"method": "resumeAttachedSession"}));
    let replayed = dialogue.heard(conn);
    assert!(
        replayed[1..].iter().all(|event| event["replayed"] == true),
        "{replayed:?}"
    );
    let events: Vec<_> = replayed.iter().filter_map(short).collect();
    assert_eq!(events, ["success", "6 slot 101", "8 ready"]);
    assert_eq!(
        dialogue.server.poll_timeout(),
        Some(dialogue.now() + Duration::from_secs(3))
    );
    dialogue.clock.advance_to(dialogue.now() + Duration::from_secs(3));
    dialogue.server.handle_timeout(dialogue.now());
    assert_eq!(dialogue.events(conn), ["9 ready"]);
    assert_eq!(dialogue.server.poll_timeout(), None);
}

#[test]
fn a_create_with_a_known_token_gets_the_same_session_and_all_it_has_said() {
    let mut dialogue = Dialogue::new(Generation::ours(), script());
    let lost = dialogue.created(&create());
    dialogue.server.disconnect(lost, dialogue.now());
    let conn = dialogue.created(&create());
    assert_eq!(dialogue.events(conn), ["sessionCreated", "2 slot 100", "4 ready"]);
    assert_eq!(dialogue.server.truth().sessions, 1);
    let mut published = Dialogue::new(Generation::published_028(), script());
    published.created(&create());
    published.created(&create());
    assert_eq!(published.server.truth().sessions, 2);
}

#[test]
fn matches_are_announced_after_ready_and_held_until_they_are_answered() {
    let script = script().discover(100, 1).discover(102, 0);
    let mut dialogue = Dialogue::new(Generation::ours(), script);
    let conn = dialogue.created(&create_with_filter());
    assert_eq!(dialogue.events(conn), ["sessionCreated", "1 ready", "2 found 100/1"]);
    dialogue.say(conn, &go_on(u64::MAX));
    dialogue.work();
    assert_eq!(dialogue.events(conn), Vec::<String>::new());
    dialogue.say(conn, &go_to(100, Some(1)));
    dialogue.work();
    assert_eq!(dialogue.events(conn), ["6 paused 100/1", "7 found 102/0"]);
    dialogue.say(conn, &go_to(102, Some(0)));
    dialogue.work();
    let events = dialogue.events(conn);
    assert_eq!(events, ["9 slot 100", "10 slot 101", "12 paused 102/0", "13 ready"]);
    dialogue.say(conn, &go_on(u64::MAX));
    dialogue.work();
    assert_eq!(dialogue.events(conn), ["15 slot 102", "16 slot 103", "17 completed"]);
}

#[test]
fn a_restart_closes_with_1012_and_the_session_lives_on() {
    let mut dialogue = Dialogue::new(Generation::ours(), script());
    let conn = dialogue.created(&create());
    dialogue.heard(conn);
    dialogue.server.restart(dialogue.now());
    let Some(Frame::Close(Some(reason))) = dialogue.server.poll_transmit(conn) else {
        panic!("expected a close frame");
    };
    assert_eq!(u16::from(reason.code), 1012);
    assert_eq!(dialogue.server.open_sessions().len(), 1);
    dialogue.clock.advance_to(dialogue.now() + Duration::from_secs(60));
    dialogue.server.handle_timeout(dialogue.now());
    assert_eq!(dialogue.server.open_sessions(), []);
}

#[test]
fn a_subscription_tells_everything_and_its_end() {
    let script = script();
    let program = script.programs[0].to_string();
    let mut dialogue = Dialogue::new(Generation::ours(), script);
    let control = dialogue.created(&create());
    let conn = dialogue.data();
    let subscribe = |options: Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "transactionSubscribe",
        "params": [{"mentions": [program]}, options]})
    };
    dialogue.say(conn, &subscribe(json!({})));
    let early = dialogue.heard(conn);
    assert_eq!(early[0], json!({"jsonrpc": "2.0", "id": 1, "result": 17}));
    assert_eq!(early[1]["params"]["cursor"], json!({"slot": 100, "index": 0}));
    dialogue.say(control, &go_on(9));
    dialogue.work();
    let late = dialogue.heard(conn);
    let end = late.last().unwrap();
    assert_eq!(end["method"], "subscriptionComplete");
    let again = dialogue.data();
    dialogue.say(again, &subscribe(json!({"replayAfter": {"slot": 100, "index": 0}})));
    assert_eq!(dialogue.heard(again)[1..], [&early[2..], &late[..]].concat());
    let again = dialogue.data();
    dialogue.say(again, &subscribe(json!({"replayFromSlot": 100})));
    assert_eq!(dialogue.heard(again)[1..], [&early[1..], &late[..]].concat());
}

#[test]
fn compressed_notifications_are_one_stream_of_flushed_messages() {
    let script = script();
    let program = script.programs[0].to_string();
    let mut dialogue = Dialogue::new(Generation::published_028(), script);
    dialogue.created(&create());
    let conn = dialogue.data();
    let options = json!({"address_type": "program", "compression": "zstd"});
    let subscribe = json!({"jsonrpc": "2.0", "id": 1, "method": "accountDiffSubscribe", "params": [program, options]});
    dialogue.say(conn, &subscribe);
    assert!(matches!(dialogue.server.poll_transmit(conn), Some(Frame::Text(_))));
    let frames: Vec<_> = std::iter::from_fn(|| dialogue.server.poll_transmit(conn)).collect();
    let Frame::Binary(first) = &frames[0] else {
        panic!("expected a binary frame, got {frames:?}");
    };
    assert_eq!(first[..6], [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
    assert!(frames.len() > 1);
    assert!(matches!(&frames[1], Frame::Binary(next) if !next.starts_with(&first[..4])));
}
