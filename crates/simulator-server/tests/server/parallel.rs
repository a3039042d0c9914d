//! Parallel sessions: several sessions that share a range over several archives, driven over one connection.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use simulator_archive::import::{ImportOptions, ledger};
use simulator_client::{BacktestClient, CreateSession};
use simulator_server::{ApiKey, KeyLimits, ServerConfig};
use simulator_testkit::ledger::{LedgerOptions, generate};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Control, Running, shorten};

/// Blocks in each archive; the first one begins with slot 1000, and each begins where the one before ends.
const BLOCKS: u64 = 6;

/// Archives of neighbouring ranges.
pub(crate) struct Neighbours {
    directory: TempDir,
    count: u64,
}

/// A parallel session as its client knows it.
pub(crate) struct Parallel {
    pub(crate) control: Control,
    pub(crate) id: String,
    /// In slot order.
    pub(crate) ids: Vec<String>,
    /// Everything that was told of each session, without `replayed`.
    pub(crate) told: BTreeMap<String, Vec<Value>>,
}

impl Neighbours {
    pub(crate) async fn import(count: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..count {
            let ledger_directory = directory.path().join(format!("ledger-{number}"));
            let options = LedgerOptions {
                start_slot: 1000 + number * BLOCKS,
                slots: BLOCKS,
                ..LedgerOptions::default()
            };
            generate(&ledger_directory, &options).unwrap();
            let location = location(directory.path(), number);
            ledger::import(&ledger_directory, &location, ImportOptions::default(), |_| {})
                .await
                .unwrap();
        }
        Self { directory, count }
    }

    pub(crate) fn config(&self) -> ServerConfig {
        let locations = (0..self.count).map(|number| location(self.directory.path(), number));
        let mut config = ServerConfig::local(locations.collect());
        // A reminder is an event that a slow machine would see and a fast one would not.
        config.times.reminder_delay = Duration::from_secs(3600);
        config
    }
}

fn location(directory: &Path, number: u64) -> String {
    directory.join(format!("archive-{number}")).to_str().unwrap().to_owned()
}

/// The whole of two archives.
pub(crate) fn both() -> Value {
    json!({"startSlot": 1000, "endSlot": 1011, "parallel": true})
}

pub(crate) fn with(mut params: Value, more: &Value) -> Value {
    params
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    params
}

/// The session and the number of an event in an envelope.
fn named(message: &Value) -> Option<(String, u64)> {
    let params = &message["params"];
    (message["method"] == "sessionEventV2").then(|| {
        assert_eq!(message.get("seqId"), None, "{message}");
        let id = params["session_id"].as_str().unwrap().to_owned();
        (id, params["seq_id"].as_u64().unwrap())
    })
}

impl Parallel {
    /// Has sessions made. Every announcement comes before what it announces, the list comes at the end, and it agrees
    /// with them.
    pub(crate) async fn create(control: Control, params: Value) -> Self {
        Self::create_called(control, params, None).await
    }

    /// The same, under a name.
    pub(crate) async fn create_called(mut control: Control, params: Value, name: Option<&str>) -> Self {
        control.send("createBacktestSession", params).await;
        let (mut announced, mut told) = (Vec::new(), BTreeMap::<String, Vec<Value>>::new());
        let created = loop {
            let message = control.next().await;
            match message["method"].as_str().unwrap() {
                "status" => assert_eq!(message["params"]["status"], "startingRuntime"),
                "sessionCreated" => {
                    let id = message["params"]["session_id"].as_str().unwrap().to_owned();
                    assert_eq!(message["params"]["rpc_endpoint"], format!("/backtest/{id}"));
                    told.insert(id.clone(), Vec::new());
                    announced.push(id);
                }
                "sessionEventV2" => {
                    let (id, _) = named(&message).unwrap();
                    told.get_mut(&id).expect("it was announced").push(message);
                }
                "sessionsCreatedV2" => break message["params"].clone(),
                _ => panic!("unexpected {message}"),
            }
        };
        let ids: Vec<String> = serde_json::from_value(created["session_ids"].clone()).unwrap();
        announced.sort();
        let mut listed = ids.clone();
        listed.sort();
        assert_eq!(announced, listed);
        for list in ["task_ids", "start_slots", "end_slots"] {
            assert_eq!(created[list].as_array().unwrap().len(), ids.len(), "{created}");
        }
        assert!(
            created["capabilities"]
                .as_array()
                .unwrap()
                .contains(&json!("requestId"))
        );
        let called = created.get("control_session_name").and_then(Value::as_str);
        assert_eq!(called, name, "{created}");
        let id = created["control_session_id"].as_str().unwrap().to_owned();
        Self { control, id, ids, told }
    }

    /// A connection that takes over, and has what this one has.
    pub(crate) async fn again(self, server: &Running) -> Self {
        let Self { id, ids, told, control } = self;
        drop(control);
        let control = server.connect().await;
        let mut again = Self { control, id, ids, told };
        let attached = loop {
            let answer = again.attach().await;
            // It may still be on its way, after a restart.
            if !answer["params"]["sessionOwnershipBusy"].is_object() {
                break answer;
            }
        };
        assert_eq!(attached["method"], "parallelSessionAttachedV2", "{attached}");
        assert_eq!(attached["params"]["control_session_id"], again.id);
        assert_eq!(attached["params"]["session_ids"], json!(again.ids));
        again
    }

    pub(crate) async fn attach(&mut self) -> Value {
        let last = |events: &Vec<Value>| events.last().and_then(named).map(|(_, number)| number);
        let cursors: BTreeMap<&String, u64> = self
            .told
            .iter()
            .filter_map(|(id, events)| Some((id, last(events)?)))
            .collect();
        let params = json!({"control_session_id": self.id, "last_sequences": cursors});
        self.control.send("attachParallelControlSessionV2", params).await;
        self.control.next().await
    }

    pub(crate) async fn go_on(&mut self, session: usize, request: Value) {
        let params = json!({"sessionId": self.ids[session], "request": request});
        self.control.send("continueSessionV1", params).await;
    }

    async fn go_to(&mut self, session: usize, request: Value) {
        let params = json!({"sessionId": self.ids[session], "request": request});
        self.control.send("continueToSessionV1", params).await;
    }

    /// Takes the next event of any session.
    pub(crate) async fn next(&mut self) -> (usize, Value) {
        let mut message = self.control.next().await;
        let (id, number) = named(&message).unwrap_or_else(|| panic!("unexpected {message}"));
        // Whether an event is sent for the second time depends on when a cut was noticed.
        message.as_object_mut().unwrap().remove("replayed");
        let events = self.told.get_mut(&id).unwrap();
        let before = events.last().and_then(named).map_or(0, |(_, number)| number);
        assert_eq!(
            number,
            before + 1,
            "no event is missing and none comes twice: {message}"
        );
        events.push(message.clone());
        (self.ids.iter().position(|known| *known == id).unwrap(), message)
    }

    /// Reads until so many sessions have stopped or ended.
    pub(crate) async fn stops(&mut self, mut count: usize) {
        while count > 0 {
            let (_, message) = self.next().await;
            count -= usize::from(is_stop(&message));
        }
    }

    /// Reads until every session has stopped for the first time, which some may have done before they were listed.
    pub(crate) async fn ready(&mut self) {
        while self.moving() > 0 {
            self.next().await;
        }
    }

    /// Sessions that have not stopped yet.
    fn moving(&self) -> usize {
        let moves = |id: &&String| !self.told[*id].iter().any(is_stop);
        self.ids.iter().filter(moves).count()
    }

    /// Everything that a session was told, in short.
    pub(crate) fn story(&self, session: usize) -> Vec<String> {
        let events = self.told[&self.ids[session]].iter();
        let events: Vec<Value> = events.map(|message| message["params"]["event"].clone()).collect();
        shorten(&events)
    }

    pub(crate) async fn close(mut self) {
        self.control.close().await;
    }
}

pub(crate) fn is_stop(message: &Value) -> bool {
    let method = message["params"]["event"]["method"].as_str().unwrap();
    !matches!(method, "slotNotification" | "status")
}

#[tokio::test]
async fn shares_a_range_out_among_archives() {
    let archives = Neighbours::import(3).await;
    let server = Running::start(archives.config()).await;
    let params = json!({"startSlot": 1003, "endSlot": 1013, "parallel": true, "sendSummary": true});
    let mut parallel = Parallel::create(server.connect().await, params).await;
    assert_eq!(parallel.ids.len(), 3);
    parallel.ready().await;
    for (session, first) in [1003, 1006, 1012].into_iter().enumerate() {
        assert_eq!(
            parallel.story(session),
            [format!("slotNotification {first}"), "readyForContinue".to_owned()]
        );
        parallel
            .go_on(session, json!({"advanceCount": u64::MAX, "requestId": "rest"}))
            .await;
    }
    parallel.stops(3).await;
    for (session, slots) in [1003..=1005, 1006..=1011, 1012..=1013].into_iter().enumerate() {
        let story = parallel.story(session);
        let notified: Vec<String> = slots.clone().map(|slot| format!("slotNotification {slot}")).collect();
        let mut expected = notified;
        expected.insert(1, "readyForContinue".to_owned());
        let transactions = 4 * slots.count();
        assert_eq!(story[..story.len() - 1], expected);
        assert!(
            story.last().unwrap().starts_with("completed"),
            "{story:?} after {transactions}"
        );
        let last = parallel.told[&parallel.ids[session]].last().unwrap();
        assert_eq!(last["requestId"], "rest", "{last}");
    }
    parallel.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn a_range_in_one_archive_is_one_session() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let params = json!({"startSlot": 1001, "endSlot": 1003, "parallel": true, "startPaused": true});
    let mut parallel = Parallel::create(server.connect().await, params).await;
    parallel.ready().await;
    assert_eq!(parallel.story(0), [r#"paused {"batchIndex":0,"slot":1001}"#]);
    parallel.close().await;
    let mut control = server.connect().await;
    let error = control
        .create_fails(json!({"startSlot": 1001, "endSlot": 1012, "parallel": true}))
        .await;
    assert_eq!(
        error,
        "no archive holds slots 1001 to 1012; available: 1000 to 1005, 1006 to 1011"
    );
    drop(control);
    server.stopped().await;
}

#[tokio::test]
async fn requests_reach_the_session_that_they_name() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let mut parallel = Parallel::create(server.connect().await, both()).await;
    parallel.ready().await;
    parallel.go_to(1, json!({"slot": 1008, "requestId": "to"})).await;
    parallel.stops(1).await;
    assert_eq!(
        parallel.story(1)[2..],
        [
            "slotNotification 1007",
            "slotNotification 1008",
            r#"paused {"slot":1008}"#
        ]
    );
    assert_eq!(parallel.story(0).len(), 2, "the other one waits");

    parallel
        .go_on(0, json!({"transactions": ["%"], "requestId": "bad"}))
        .await;
    let (session, rejected) = parallel.next().await;
    assert_eq!((session, &rejected["requestId"]), (0, &json!("bad")));
    assert_eq!(rejected["params"]["event"]["method"], "error", "{rejected}");
    assert!(rejected["params"]["event"]["params"]["invalidTransactionEncoding"].is_object());

    // What cannot be read is answered by the session, too, if it can be made out.
    parallel
        .go_on(0, json!({"advanceCount": "1", "requestId": "text"}))
        .await;
    let (session, rejected) = parallel.next().await;
    assert_eq!((session, &rejected["requestId"]), (0, &json!("text")));
    assert!(
        rejected["params"]["event"]["params"]["invalidRequest"].is_object(),
        "{rejected}"
    );

    for (method, params) in [
        ("continue", json!({})),
        (
            "continueSessionV1",
            json!({"sessionId": "backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011", "request": {}}),
        ),
        ("createBacktestSession", both()),
    ] {
        parallel.control.send(method, params).await;
        let refused = parallel.control.next().await;
        assert!(refused["params"]["invalidRequest"].is_object(), "{method}: {refused}");
    }
    parallel.control.resume().await;
    parallel.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn one_session_is_closed_and_the_other_goes_on() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let mut parallel = Parallel::create(server.connect().await, both()).await;
    parallel.ready().await;
    let rpc = parallel.control.rpc(&parallel.ids[0]);
    let close = json!({"sessionId": parallel.ids[0]});
    parallel.control.send("closeSessionV1", close.clone()).await;
    let (session, closed) = parallel.next().await;
    assert_eq!(
        (session, &closed["params"]["event"]),
        (0, &json!({"method": "success"}))
    );
    rpc.gone().await;
    parallel.control.send("closeSessionV1", close).await;
    assert!(parallel.control.next().await["params"]["invalidRequest"].is_object());
    parallel.go_on(1, json!({"advanceCount": 1})).await;
    parallel.stops(1).await;

    parallel.ids.remove(0);
    let mut parallel = parallel.again(&server).await;
    parallel.go_on(0, json!({"advanceCount": 99})).await;
    parallel.stops(1).await;
    assert_eq!(parallel.story(0).last().unwrap(), "completed {}");
    parallel.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn a_parallel_session_that_is_cut_after_every_event_is_the_same() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let requests = |session: usize| {
        let last = 1005 + 6 * session;
        [
            json!({"advanceCount": 2, "requestId": format!("a{session}")}),
            json!({"slot": last - 1, "batchIndex": 0, "requestId": format!("b{session}")}),
            json!({"advanceCount": 99, "requestId": format!("c{session}")}),
        ]
    };
    let mut whole = Parallel::create(server.connect().await, both()).await;
    let mut cut = Parallel::create(server.connect().await, both()).await;
    whole.ready().await;
    let moving = cut.moving();
    cut = cut_until(cut, &server, moving, &[]).await;
    for step in 0..3 {
        let wanted: Vec<(usize, Value)> = (0..2)
            .map(|session| (session, requests(session)[step].clone()))
            .collect();
        for (session, request) in &wanted {
            ask(&mut whole, *session, request.clone()).await;
            ask(&mut cut, *session, request.clone()).await;
        }
        whole.stops(2).await;
        cut = cut_until(cut, &server, 2, &wanted).await;
    }
    for session in 0..2 {
        let events = |parallel: &Parallel| -> Vec<Value> {
            let events = parallel.told[&parallel.ids[session]].iter();
            events
                .map(|message| {
                    json!([
                        message["requestId"],
                        message["params"]["seq_id"],
                        message["params"]["event"]
                    ])
                })
                .collect()
        };
        assert_eq!(events(&cut), events(&whole));
        assert_eq!(whole.story(session).last().unwrap(), "completed {}");
    }
    whole.close().await;
    cut.close().await;
    server.stopped().await;
}

pub(crate) async fn ask(parallel: &mut Parallel, session: usize, request: Value) {
    match request.get("slot") {
        Some(_) => parallel.go_to(session, request).await,
        None => parallel.go_on(session, request).await,
    }
}

/// Reads until so many sessions have stopped, over a connection that is lost after every event. What was asked for is
/// asked for again on each.
async fn cut_until(mut parallel: Parallel, server: &Running, mut count: usize, wanted: &[(usize, Value)]) -> Parallel {
    while count > 0 {
        let (_, message) = parallel.next().await;
        count -= usize::from(is_stop(&message));
        parallel = parallel.again(server).await;
        for (session, request) in wanted {
            ask(&mut parallel, *session, request.clone()).await;
        }
    }
    parallel
}

#[tokio::test]
async fn a_session_can_be_driven_alone_and_comes_back() {
    let archives = Neighbours::import(2).await;
    let mut config = archives.config();
    config.times.probe_limit = Duration::from_secs(3600);
    let server = Running::start(config).await;
    let mut parallel = Parallel::create(server.connect().await, both()).await;
    parallel.ready().await;

    // The connection that drives all of them is not asked: it would answer.
    let mut alone = server.connect().await;
    alone.take_over(&parallel.ids[0], None).await;
    assert_eq!(
        shorten(&alone.run().await),
        ["slotNotification 1000", "readyForContinue"]
    );
    alone.send("continue", json!({"advanceCount": 2})).await;
    assert_eq!(shorten(&alone.run().await).len(), 3);
    parallel.go_on(1, json!({"advanceCount": 1})).await;
    parallel.stops(1).await;
    assert_eq!(parallel.story(0).len(), 2, "its events go to the other connection");
    parallel.go_on(0, json!({})).await;
    assert!(parallel.control.next().await["params"]["invalidRequest"].is_object());

    drop(alone);
    parallel.stops(1).await;
    assert_eq!(
        parallel.story(0)[2..],
        ["slotNotification 1001", "slotNotification 1002", "readyForContinue"]
    );
    parallel.go_on(0, json!({"advanceCount": 1})).await;
    parallel.stops(1).await;
    assert_eq!(parallel.story(0)[5..], ["slotNotification 1003", "readyForContinue"]);
    parallel.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn a_session_that_another_connection_closes_is_said_to_be_gone() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let mut parallel = Parallel::create(server.connect().await, both()).await;
    parallel.ready().await;
    let mut alone = server.connect().await;
    alone.take_over(&parallel.ids[1], None).await;
    alone.run().await;
    alone.close().await;
    let (session, gone) = parallel.next().await;
    let not_found = json!({"sessionNotFound": {"session_id": parallel.ids[1]}});
    assert_eq!((session, &gone["params"]["event"]["params"]), (1, &not_found));

    // Closing the whole ends what others drive.
    let mut alone = server.connect().await;
    alone.take_over(&parallel.ids[0], None).await;
    alone.run().await;
    parallel.close().await;
    assert_eq!(alone.closed().await.map(u16::from), Some(1008));
    server.stopped().await;
}

#[tokio::test]
async fn sessions_outlive_the_connection_that_made_them_and_are_driven_alone() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let mut parallel = Parallel::create(server.connect().await, both()).await;
    parallel.ready().await;
    let Parallel { control, ids, id, .. } = parallel;
    drop(control);
    for (session, id) in ids.iter().enumerate() {
        let mut alone = server.connect().await;
        alone.take_over(id, None).await;
        let first = 1000 + 6 * session;
        assert_eq!(
            shorten(&alone.run().await),
            [format!("slotNotification {first}"), "readyForContinue".to_owned()]
        );
        alone.send("continue", json!({"advanceCount": 99})).await;
        assert_eq!(shorten(&alone.run().await).last().unwrap(), "completed {}");
        alone.close().await;
    }
    let mut control = server.connect().await;
    let params = json!({"control_session_id": id, "last_sequences": {}});
    control.send("attachParallelControlSessionV2", params).await;
    let attached = control.next().await;
    assert_eq!(attached["params"]["session_ids"], json!([]), "{attached}");
    drop(control);
    server.stopped().await;
}

#[tokio::test]
async fn all_end_when_nobody_comes_back() {
    let archives = Neighbours::import(2).await;
    let mut config = archives.config();
    config.times.default_parallel_disconnect = Duration::from_millis(5);
    let server = Running::start(config).await;
    for window in [Value::Null, json!(0)] {
        let params = with(both(), &json!({"disconnectTimeoutSecs": window}));
        let mut parallel = Parallel::create(server.connect().await, params).await;
        let rpcs: Vec<_> = parallel.ids.iter().map(|id| parallel.control.rpc(id)).collect();
        parallel.control = server.connect().await;
        for rpc in rpcs {
            rpc.gone().await;
        }
        let answer = parallel.attach().await;
        assert_eq!(
            answer["params"],
            json!({"sessionNotFound": {"session_id": parallel.id}})
        );
    }
    server.stopped().await;
}

#[tokio::test]
async fn places_are_had_for_all_or_for_none() {
    let archives = Neighbours::import(2).await;
    let mut config = archives.config();
    config.limits.sessions = 2;
    let server = Running::start(config).await;
    let single = json!({"startSlot": 1000, "endSlot": 1005, "disconnectTimeoutSecs": 0});
    let mut other = server.connect().await;
    other.create(single.clone()).await;
    let mut control = server.connect().await;
    let refused = control.create_fails(both()).await;
    assert!(
        refused.contains("of the 2 sessions of this server fewer than 2 are free"),
        "{refused}"
    );
    // Nothing is held by what was refused.
    let mut third = server.connect().await;
    third.create(single.clone()).await;
    drop(third);

    control
        .send(
            "createBacktestSession",
            with(both(), &json!({"capacityWaitTimeoutSecs": 600})),
        )
        .await;
    assert_eq!(control.next().await["method"], "status");
    drop(other);
    assert_eq!(control.next().await["method"], "sessionCreated");
    drop(control);
    server.stopped().await;

    let mut config = archives.config();
    config.limits.sessions = 1;
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let patient = with(both(), &json!({"capacityWaitTimeoutSecs": 600}));
    let error = control.create_fails(patient).await;
    assert!(
        error.contains("in 2 archives") && error.contains("at most 1 sessions"),
        "{error}"
    );
    drop(control);
    server.stopped().await;
}

#[tokio::test]
async fn places_among_those_of_the_key_are_had_for_all_or_for_none() {
    let archives = Neighbours::import(2).await;
    let key = |name: &str, sessions| {
        let limits = KeyLimits {
            sessions: Some(sessions),
            ..KeyLimits::default()
        };
        ApiKey::new(name, name).with_limits(limits)
    };
    let config = ServerConfig {
        keys: vec![key("one", 1), key("two", 2)],
        ..archives.config()
    };
    let server = Running::start(config).await;
    let connect = async |key| Control::connect(server.address, Some(key)).await.unwrap();
    let mut control = connect("one").await;
    let error = control.create_fails(both()).await;
    assert!(error.contains("this API key has at most 1 sessions"), "{error}");
    drop(control);

    let mut control = connect("two").await;
    let mut other = connect("two").await;
    let single = json!({"startSlot": 1000, "endSlot": 1005, "disconnectTimeoutSecs": 0});
    other.create(single.clone()).await;
    let error = control.create_fails(both()).await;
    assert!(
        error.contains("of the 2 sessions of this API key fewer than 2 are free"),
        "{error}"
    );
    // No part was made, and nothing is held.
    assert_eq!(started(&server, "two").await, 1);
    let mut third = connect("two").await;
    third.create(single).await;
    drop(third);
    let patient = with(both(), &json!({"capacityWaitTimeoutSecs": 600}));
    control.send("createBacktestSession", patient).await;
    assert_eq!(control.next().await["method"], "status");
    drop(other);
    assert_eq!(control.next().await["method"], "sessionCreated");
    drop(control);
    server.stopped().await;
}

/// How many sessions of a key have begun.
async fn started(server: &Running, key: &str) -> u64 {
    let request = reqwest::Client::new().get(format!("http://{}/usage", server.address));
    let usage = request.header("X-API-Key", key).send().await.unwrap();
    let usage: Value = serde_json::from_str(&usage.text().await.unwrap()).unwrap();
    usage["sessions"]["started"].as_u64().unwrap()
}

#[tokio::test]
async fn w35_a_repeated_create_gets_the_same_sessions_from_their_first_events() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let params = with(both(), &json!({"createToken": "token"}));
    let mut first = server.connect().await;
    first.send("createBacktestSession", params.clone()).await;
    while first.next().await["method"] != "sessionCreated" {}
    drop(first);
    let mut again = Parallel::create(server.connect().await, params.clone()).await;
    again.ready().await;
    let (ids, id) = (again.ids.clone(), again.id.clone());
    drop(again);
    let mut once_more = Parallel::create(server.connect().await, params.clone()).await;
    once_more.ready().await;
    assert_eq!((&once_more.ids, &once_more.id), (&ids, &id));
    assert_eq!(once_more.story(1), ["slotNotification 1006", "readyForContinue"]);
    let mut other = server.connect().await;
    let single = json!({"startSlot": 1000, "endSlot": 1005, "createToken": "token"});
    assert!(other.create_fails(single).await.contains("another create"));
    once_more.close().await;
    let mut fresh = Parallel::create(other, params).await;
    fresh.ready().await;
    assert_ne!(fresh.id, id, "the token is free when the session has ended");
    fresh.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn w35_sessions_that_were_not_listed_end_with_their_connection() {
    let archives = Neighbours::import(2).await;
    let mut config = archives.config();
    config.limits.sessions = 2;
    let server = Running::start(config).await;
    let single = json!({"startSlot": 1000, "endSlot": 1005, "disconnectTimeoutSecs": 0});
    let patient = with(both(), &json!({"capacityWaitTimeoutSecs": 600}));
    // Those of the round before may still be about to end.
    let single = with(single, &json!({"capacityWaitTimeoutSecs": 600}));
    for _ in 0..3 {
        let mut other = server.connect().await;
        other.create(single.clone()).await;
        let mut waiting = server.connect().await;
        waiting.send("createBacktestSession", patient.clone()).await;
        assert_eq!(waiting.next().await["method"], "status");
        drop(waiting);
        drop(other);
        let mut parallel = Parallel::create(server.connect().await, patient.clone()).await;
        parallel.ready().await;
        parallel.close().await;
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_name_is_that_of_the_whole() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let named = with(both(), &json!({"name": "nightly-7"}));
    let mut control = server.connect().await;
    let too_far = with(named.clone(), &json!({"endSlot": 1012}));
    assert!(control.create_fails(too_far).await.contains("no archive holds"));
    control.send("createBacktestSession", named.clone()).await;
    while control.next().await["method"] != "sessionsCreatedV2" {}
    drop(control);
    let mut control = server.connect().await;
    control.send("createBacktestSession", named).await;
    let refusal = loop {
        let message = control.next().await;
        if message["method"] != "status" {
            break message;
        }
    };
    assert_eq!(refusal["method"], "error", "the name was given: {refusal}");
    drop(control);
    server.stopped().await;
}

#[tokio::test]
async fn a_slow_reader_of_several_sessions_loses_nothing() {
    let archives = Neighbours::import(3).await;
    let mut config = archives.config();
    (config.limits.unread_events, config.limits.retained_events) = (4, 4);
    let server = Running::start(config).await;
    let params = json!({"startSlot": 1000, "endSlot": 1017, "parallel": true});
    let mut parallel = Parallel::create(server.connect().await, params).await;
    parallel.ready().await;
    for session in 0..3 {
        parallel.go_on(session, json!({"advanceCount": u64::MAX})).await;
    }
    // Each call is answered between two steps, so that the sessions would be at their ends after so many.
    for id in parallel.ids.clone() {
        let rpc = parallel.control.rpc(&id);
        for _ in 0..100 {
            rpc.call("getSlot", json!([])).await;
        }
    }
    parallel.stops(3).await;
    for session in 0..3 {
        assert_eq!(parallel.story(session).len(), 8, "6 blocks, a stop and the end");
    }
    parallel.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn reminds_each_session_that_was_asked_for_nothing() {
    let archives = Neighbours::import(2).await;
    let mut config = archives.config();
    config.times.reminder_delay = Duration::from_millis(20);
    let server = Running::start(config).await;
    let mut parallel = Parallel::create(server.connect().await, both()).await;
    parallel.ready().await;
    let mut parallel = parallel.again(&server).await;
    parallel.stops(2).await;
    for session in 0..2 {
        assert_eq!(parallel.story(session)[2..], ["readyForContinue"]);
    }
    parallel.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn is_taken_over_by_its_owner_only_and_from_a_dead_connection_only() {
    let archives = Neighbours::import(2).await;
    let mut config = archives.config();
    config.keys = vec![ApiKey::new("desk", "secret"), ApiKey::new("other", "hidden")];
    config.times.probe_limit = Duration::from_millis(5);
    let server = Running::start(config).await;
    let owner = Control::connect(server.address, Some("secret")).await.unwrap();
    let mut parallel = Parallel::create(owner, both()).await;
    parallel.ready().await;
    let mut dead = std::mem::replace(
        &mut parallel.control,
        Control::connect(server.address, Some("hidden")).await.unwrap(),
    );
    let answer = parallel.attach().await;
    assert_eq!(
        answer["params"],
        json!({"sessionNotFound": {"session_id": parallel.id}})
    );

    parallel.control = Control::connect(server.address, Some("secret")).await.unwrap();
    let first = parallel.ids[0].clone();
    let known = std::mem::take(&mut parallel.told);
    let too_far = json!({"control_session_id": parallel.id, "last_sequences": {first: 999}});
    parallel.control.send("attachParallelControlSessionV2", too_far).await;
    let refused = parallel.control.next().await;
    let error = refused["params"]["invalidRequest"]["error"].as_str().unwrap();
    assert!(error.contains("there is no event 999"), "{error}");
    parallel.told = known;

    assert_eq!(parallel.attach().await["method"], "parallelSessionAttachedV2");
    assert_eq!(dead.closed().await.map(u16::from), Some(1008));
    parallel.go_on(1, json!({})).await;
    parallel.stops(1).await;
    assert_eq!(parallel.story(1)[2..], ["slotNotification 1007", "readyForContinue"]);
    parallel.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn the_hand_driven_client_makes_and_drives_them() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let client = BacktestClient::builder()
        .url(format!("ws://{}", server.address))
        .build();
    let create = CreateSession::builder()
        .start_slot(1002)
        .end_slot(1009)
        .parallel(true)
        .build();
    let mut created = client.create_sessions(create).await.unwrap();
    let slots: Vec<_> = created.sessions().iter().map(|session| session.slots.clone()).collect();
    assert_eq!(slots, [Some(1002..=1005), Some(1006..=1009)]);
    for part in created.sessions() {
        let mut session = client.attach_session(part.session_id, None).await.unwrap();
        session.resume_attached_session().await.unwrap();
        assert!(!session.ensure_ready(None).await.unwrap().is_completed());
        let all = simulator_client::Continue::builder().advance_count(99).build();
        let result = session.advance(all, None, |_| ()).await.unwrap();
        assert!(result.completed);
        session.close(None).await.unwrap();
    }
    created.close(None).await.unwrap();
    server.stopped().await;
}

#[tokio::test]
async fn a_stop_of_the_server_is_a_handover() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let mut parallel = Parallel::create(server.connect().await, both()).await;
    server.stop();
    let (code, reason) = parallel.control.close_frame().await.unwrap();
    assert_eq!((u16::from(code), reason.as_str()), (1012, "management handoff"));
    server.stopped().await;
}

#[tokio::test]
async fn a_closing_client_hears_nothing_but_success() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let mut parallel = Parallel::create(server.connect().await, both()).await;
    parallel.ready().await;
    parallel.go_on(0, json!({"advanceCount": 0})).await;
    parallel.stops(1).await;
    let rpcs: Vec<_> = parallel.ids.iter().map(|id| parallel.control.rpc(id)).collect();
    parallel
        .control
        .raw(Message::text(r#"{"method": "closeBacktestSession"}"#))
        .await;
    assert_eq!(parallel.control.next().await, json!({"method": "success"}));
    assert_eq!(parallel.control.closed().await.map(u16::from), Some(1000));
    for rpc in rpcs {
        rpc.gone().await;
    }
    server.stopped().await;
}
