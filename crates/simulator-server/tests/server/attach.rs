//! Connections that are lost, and clients that come back.

use std::time::Duration;

use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use simulator_server::ApiKey;

use crate::support::{Control, Rpc, Running, SampleArchive, shorten};

const UNKNOWN: &str = "backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011";

#[tokio::test]
async fn a_session_that_is_cut_after_every_event_is_the_same_session() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let params = json!({"startSlot": 36, "endSlot": 44, "sendSummary": true});
    let requests = [
        ("continue", json!({"advanceCount": 3, "requestId": "a"})),
        ("continueTo", json!({"slot": 42, "batchIndex": 1, "requestId": "b"})),
        ("continue", json!({"advanceCount": 99, "requestId": "c"})),
    ];
    let mut whole = server.connect().await;
    whole.create(params.clone()).await;
    let mut expected = whole.run().await;
    for (method, params) in &requests {
        whole.send(method, params.clone()).await;
        expected.extend(whole.run().await);
    }
    let mut control = server.connect().await;
    let (rpc, _) = control.create(params).await;
    let mut cut = Cut {
        server: &server,
        control,
        id: rpc.id(),
        events: Vec::new(),
    };
    cut.run(|_| ()).await;
    for (method, params) in requests {
        cut.control.send(method, params.clone()).await;
        cut.run(|again| *again = Some((method, params.clone()))).await;
    }
    assert_eq!(cut.events, expected);
    let numbers: Vec<u64> = expected.iter().map(number).collect();
    assert_eq!(numbers, (1..=expected.len() as u64).collect::<Vec<_>>());
    drop((whole, cut.control));
    server.stopped().await;
}

/// A client that loses its connection after every event.
struct Cut<'a> {
    server: &'a Running,
    control: Control,
    id: String,
    events: Vec<Value>,
}

impl Cut<'_> {
    /// Reads up to the end of a run; `again` names the request to repeat after every cut.
    async fn run(&mut self, again: impl Fn(&mut Option<(&'static str, Value)>)) {
        loop {
            let mut event = self.control.next().await;
            // Whether an event is sent for the second time depends on when the cut was noticed.
            event.as_object_mut().unwrap().remove("replayed");
            let is_last = event["method"] != "slotNotification" && event["method"] != "status";
            self.events.push(event);
            self.control = self.server.connect().await;
            self.control.take_over(&self.id, self.events.last().map(number)).await;
            let mut request = None;
            again(&mut request);
            if let Some((method, params)) = request {
                self.control.send(method, params).await;
            }
            if is_last {
                return;
            }
        }
    }
}

#[tokio::test]
async fn replays_everything_after_the_cursor_and_marks_it() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let (rpc, events) = lost_after_first_run(&server, json!({})).await;
    let last = number(events.last().unwrap());
    let mut control = server.connect().await;
    let attached = control.attach(&rpc.id(), Some(1)).await;
    assert_eq!(attached["seqId"], Value::Null, "{attached}");
    let capabilities = attached["params"]["capabilities"].as_array().unwrap();
    assert!(capabilities.contains(&json!("createToken")) && capabilities.contains(&json!("requestId")));
    assert_eq!(attached["params"]["rpc_endpoint"], format!("/backtest/{}", rpc.id()));
    control.resume().await;
    let replayed = control.run().await;
    assert_eq!(
        replayed.iter().map(number).collect::<Vec<_>>(),
        (2..=last).collect::<Vec<_>>()
    );
    assert!(replayed.iter().all(|event| event["replayed"] == true), "{replayed:?}");
    control.send("continue", json!({"requestId": "x"})).await;
    let live = control.run().await;
    assert_eq!(number(&live[0]), last + 1);
    assert!(
        live.iter()
            .all(|event| event.get("replayed").is_none() && event["requestId"] == "x"),
        "{live:?}"
    );
    drop(control);
    server.stopped().await;
}

#[tokio::test]
async fn keeps_silent_until_the_client_resumes_or_asks() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.times.resume_grace = Duration::from_secs(3600);
    let server = Running::start(config).await;
    let (rpc, _) = lost_after_first_run(&server, json!({})).await;
    let mut control = server.connect().await;
    assert_eq!(control.attach(&rpc.id(), None).await["method"], "sessionAttached");
    control.hears_nothing().await;
    control.send("continue", json!({})).await;
    let (replayed, live) = (control.run().await, control.run().await);
    assert_eq!(replayed.first().map(number), Some(1));
    assert_eq!(shorten(&live), ["slotNotification 37", "readyForContinue"]);

    let mut closing = server.connect().await;
    drop(control);
    assert_eq!(closing.attach(&rpc.id(), None).await["method"], "sessionAttached");
    closing.close().await;
    rpc.gone().await;
    server.stopped().await;
}

#[tokio::test]
async fn does_not_wait_for_a_resume_for_ever() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.times.resume_grace = Duration::from_millis(5);
    let server = Running::start(config).await;
    let (rpc, _) = lost_after_first_run(&server, json!({})).await;
    let mut control = server.connect().await;
    assert_eq!(control.attach(&rpc.id(), None).await["method"], "sessionAttached");
    assert_eq!(
        shorten(&control.run().await),
        ["slotNotification 36", "readyForContinue"]
    );
    control.resume().await;
    drop(control);
    server.stopped().await;
}

#[tokio::test]
async fn tells_anew_that_the_session_waits() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.times.reminder_delay = Duration::from_millis(5);
    let server = Running::start(config).await;
    for (start, expected) in [
        (json!({}), "readyForContinue"),
        (json!({"startPaused": true}), r#"paused {"batchIndex":0,"slot":36}"#),
    ] {
        let (rpc, events) = lost_after_first_run(&server, start).await;
        let last = number(events.last().unwrap());
        for reminders in 0..2 {
            let mut control = server.connect().await;
            control.take_over(&rpc.id(), Some(last + reminders)).await;
            let reminder = control.next().await;
            assert_eq!(number(&reminder), last + reminders + 1);
            assert_eq!(shorten(std::slice::from_ref(&reminder)), [expected]);
            assert_eq!((reminder.get("requestId"), reminder.get("replayed")), (None, None));
        }
        let mut control = server.connect().await;
        control.take_over(&rpc.id(), Some(last)).await;
        let replayed = [control.next().await, control.next().await];
        assert_eq!(replayed.each_ref().map(number), [last + 1, last + 2]);
        control.send("continue", json!({})).await;
        assert_eq!(
            number(&control.next().await),
            last + 3,
            "what was replayed is reminder enough"
        );
    }
    server.stopped().await;
}

#[tokio::test]
async fn goes_on_alone_as_far_as_events_may_wait() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.limits.unread_events = 8;
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let (rpc, _) = control.create(json!({"startSlot": 36, "endSlot": 59})).await;
    let last = number(control.run().await.last().unwrap());
    control.send("continue", json!({"advanceCount": u64::MAX})).await;
    // Only then has the request surely arrived.
    assert_eq!(number(&control.next().await), last + 1);
    drop(control);
    while rpc.call("getSlot", json!([])).await.as_u64() < Some(39) {
        tokio::task::yield_now().await;
    }
    let mut control = server.connect().await;
    control.take_over(&rpc.id(), Some(last + 1)).await;
    let events = control.run().await;
    assert_eq!(shorten(&events).len(), 21, "20 blocks and the end: {events:?}");
    assert_eq!(events.last().unwrap()["method"], "completed");
    let replayed = events.iter().filter(|event| event["replayed"] == true).count();
    assert!(
        (2..=12).contains(&replayed),
        "{replayed} events came while nobody listened"
    );

    drop(control);
    let mut control = server.connect().await;
    control.take_over(&rpc.id(), events.last().map(number)).await;
    control.send("continue", json!({})).await;
    assert_eq!(shorten(&control.run().await), [r#"error "noMoreBlocks""#]);
    control.close().await;
    rpc.gone().await;
    server.stopped().await;
}

#[tokio::test]
async fn what_was_only_sent_is_not_lost() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    (config.limits.unread_events, config.limits.retained_events) = (4, 4);
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let (rpc, _) = control.create(json!({"startSlot": 36, "endSlot": 59})).await;
    let last = number(control.run().await.last().unwrap());
    control.send("continue", json!({"advanceCount": u64::MAX})).await;
    // From here on the client does not read, and the network takes what the server sends. Each call is answered between
    // two steps, so that the session would be at its end after so many.
    let mut slot = 0;
    for _ in 0..600 {
        slot = rpc.call("getSlot", json!([])).await.as_u64().unwrap();
    }
    assert!(
        (38..42).contains(&slot),
        "it goes on as far as events may wait, not to slot {slot}"
    );
    drop(control);
    let mut control = server.connect().await;
    control.take_over(&rpc.id(), Some(last)).await;
    let events = control.run().await;
    assert_eq!(events.first().map(number), Some(last + 1));
    assert_eq!(shorten(&events).len(), 21, "20 blocks and the end: {events:?}");
    control.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn refuses_a_cursor_that_is_of_no_use() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    (config.limits.unread_events, config.limits.retained_events) = (1, 4);
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let (rpc, _) = control.create(json!({"startSlot": 36, "endSlot": 59})).await;
    control.run().await;
    control.send("continue", json!({"advanceCount": 10})).await;
    let last = number(control.run().await.last().unwrap());
    drop(control);
    let mut control = server.connect().await;
    for (cursor, expected) in [(1, "events after 1 cannot be replayed"), (999, "there is no event 999")] {
        let answer = control.attach(&rpc.id(), Some(cursor)).await;
        let error = answer["params"]["invalidRequest"]["error"].as_str().unwrap();
        assert!(error.contains(expected), "{error}");
    }
    control.take_over(&rpc.id(), Some(last - 1)).await;
    assert_eq!(number(&control.next().await), last);
    drop(control);
    server.stopped().await;
}

#[tokio::test]
async fn a_connection_that_answers_keeps_its_session() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.times.probe_limit = Duration::from_secs(3600);
    let server = Running::start(config).await;
    let mut owner = server.connect().await;
    let (rpc, _) = owner.create(json!({"startSlot": 36, "endSlot": 59})).await;
    owner.run().await;
    let mut newcomer = server.connect().await;
    let id = rpc.id();
    // Reading answers pings.
    let answer = tokio::select! {
        answer = newcomer.attach(&id, None) => answer,
        event = owner.next() => panic!("unexpected {event}"),
    };
    assert!(
        answer["params"]["sessionOwnershipBusy"]["reason"].is_string(),
        "{answer}"
    );
    drop(owner);
    newcomer.take_over(&rpc.id(), None).await;
    assert_eq!(
        shorten(&newcomer.run().await),
        ["slotNotification 36", "readyForContinue"]
    );
    drop(newcomer);
    server.stopped().await;
}

#[tokio::test]
async fn a_connection_that_does_not_answer_loses_its_session() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.times.probe_limit = Duration::from_millis(5);
    let server = Running::start(config).await;
    let mut dead = server.connect().await;
    let (rpc, _) = dead.create(json!({"startSlot": 36, "endSlot": 59})).await;
    let mut newcomer = server.connect().await;
    newcomer.take_over(&rpc.id(), None).await;
    assert_eq!(
        shorten(&newcomer.run().await),
        ["slotNotification 36", "readyForContinue"]
    );
    assert_eq!(dead.closed().await.map(u16::from), Some(1008));
    newcomer.send("continue", json!({})).await;
    assert_eq!(
        shorten(&newcomer.run().await),
        ["slotNotification 37", "readyForContinue"]
    );
    drop(newcomer);
    server.stopped().await;
}

#[tokio::test]
async fn unknown_ended_and_foreign_sessions_look_the_same() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.keys = vec![ApiKey::new("desk", "secret"), ApiKey::new("other", "hidden")];
    let server = Running::start(config).await;
    let mut ended = Control::connect(server.address, Some("hidden")).await.unwrap();
    let params = json!({"startSlot": 36, "endSlot": 59, "startPaused": true});
    let (ended_rpc, _) = ended.create(params.clone()).await;
    ended.run().await;
    ended.close().await;
    ended_rpc.gone().await;
    let mut owner = Control::connect(server.address, Some("secret")).await.unwrap();
    let (rpc, _) = owner.create(params).await;
    drop(owner);
    let mut foreign = Control::connect(server.address, Some("hidden")).await.unwrap();
    for id in [UNKNOWN.to_owned(), ended_rpc.id(), rpc.id()] {
        let answer = foreign.attach(&id, None).await;
        assert_eq!(
            answer,
            json!({"method": "error", "params": {"sessionNotFound": {"session_id": id}}})
        );
    }
    let mut owner = Control::connect(server.address, Some("secret")).await.unwrap();
    owner.take_over(&rpc.id(), None).await;
    drop((owner, foreign));
    server.stopped().await;
}

#[tokio::test]
async fn a_planned_end_hands_over() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let mut control = server.connect().await;
    control.create(json!({"startSlot": 36, "endSlot": 59})).await;
    server.stop();
    let (code, reason) = control.close_frame().await.unwrap();
    assert_eq!((u16::from(code), reason.as_str()), (1012, "management handoff"));
    server.stopped().await;
}

/// A session whose connection was lost when it first waited, and its events until then.
async fn lost_after_first_run(server: &Running, extra: Value) -> (Rpc, Vec<Value>) {
    let mut params = json!({"startSlot": 36, "endSlot": 59});
    params
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    let mut control = server.connect().await;
    let (rpc, _) = control.create(params).await;
    let events = control.run().await;
    (rpc, events)
}

fn number(event: &Value) -> u64 {
    event["seqId"]
        .as_u64()
        .unwrap_or_else(|| panic!("{event} has no number"))
}
