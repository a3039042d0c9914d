//! Sessions that outlive their server.
//!
//! A crash is what another server finds: a copy of the state directory, made while the first one runs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use simulator_api::{ActionAnchor, DiscoveryFilter, ScheduledAction};
use simulator_archive::import::ScopeChoice;
use simulator_server::{ApiKey, ServerConfig};
use tempfile::TempDir;

use crate::actions::payment;
use crate::conversation::{RICH, transfer_to};
use crate::pubsub::TOKEN_PROGRAM;
use crate::support::{Control, Rpc, Running, SampleArchive};

const STAKE: &str = "Stake11111111111111111111111111111111111111";
const SOMEBODY: &str = "Somebody11111111111111111111111111111111111";

/// What a client does.
#[derive(Clone, Debug)]
enum Act {
    /// Sends a request over the control channel. It may be repeated: it has an id.
    Ask(&'static str, Value),
    /// Calls a method of the data channel, which changes something.
    Call(&'static str, Value),
    /// Sends lamports.
    Transfer,
}

/// One of the things that a client does, and the number of the last event after it.
#[derive(Clone, Debug)]
struct Scene {
    act: Act,
    reached: u64,
}

/// A server's sample, and the changes that the tests need. Some sessions take on recorded states.
async fn config(state: &Path) -> (SampleArchive, ServerConfig) {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    sample.index(1000).await;
    let mut config = sample.config();
    // A reminder is an event of its own, which a slow machine would see and a fast one would not.
    config.times.reminder_delay = Duration::from_secs(3_600);
    config.times.subscribe_pause = Duration::ZERO;
    config.state_dir = Some(state.to_owned());
    (sample, config)
}

/// What a crash at this moment would leave behind.
pub(crate) fn crash(state: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_directory(state, copy.path());
    copy
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &to);
        } else if let Ok(bytes) = fs::read(entry.path()) {
            // A mark may come and go.
            fs::write(to, bytes).unwrap();
        }
    }
}

/// The only session in a state directory.
fn session_directory(state: &Path) -> std::path::PathBuf {
    let mut entries = fs::read_dir(state.join("sessions")).unwrap();
    entries.next().unwrap().unwrap().path()
}

fn number(event: &Value) -> u64 {
    event["seqId"]
        .as_u64()
        .unwrap_or_else(|| panic!("{event} has no number"))
}

/// Events up to the one with this number.
async fn read_to(control: &mut Control, seen: &mut Vec<Value>, last: u64) {
    while seen.last().map_or(0, number) < last {
        let mut event = control.next().await;
        // Whether an event is sent for the second time depends on what the client had.
        event.as_object_mut().unwrap().remove("replayed");
        assert_eq!(number(&event), seen.last().map_or(0, number) + 1, "{event}");
        seen.push(event);
    }
}

/// Some are large: only the first that differs is shown.
#[track_caller]
fn assert_same(found: &[Value], expected: &[Value], when: &str) {
    let differs = found
        .iter()
        .zip(expected)
        .position(|(found, expected)| found != expected);
    if let Some(index) = differs {
        let show = |value: &Value| value.to_string().chars().take(500).collect::<String>();
        panic!(
            "{when}, {index}: {} instead of {}",
            show(&found[index]),
            show(&expected[index])
        );
    }
    assert_eq!(found.len(), expected.len(), "{when}");
}

async fn perform(act: &Act, control: &mut Control, rpc: &Rpc) {
    match act {
        Act::Ask(method, params) => control.send(method, params.clone()).await,
        Act::Call(method, params) => {
            rpc.call(method, params.clone()).await;
        }
        Act::Transfer => {
            let transfer = transfer_to(SOMEBODY, rpc).await;
            let config = json!({"encoding": "base64"});
            rpc.call("sendTransaction", json!([transfer, config])).await;
        }
    }
}

/// Everything that can be seen of a session that is completed.
async fn result_of(rpc: &Rpc) -> Vec<Value> {
    let mut data = rpc.data().await;
    let everything = json!(["allWithVotes", {"replayFromSlot": 36}]);
    data.subscribe("transactionSubscribe", everything).await;
    let mut result: Vec<Value> = data.rest().await;
    data.subscribe("actionSubscribe", json!([null, {}])).await;
    result.extend(data.rest().await);
    let changes = json!([TOKEN_PROGRAM, {"address_type": "program", "replayFromSlot": 36}]);
    data.subscribe("accountDiffSubscribe", changes).await;
    result.extend(data.rest().await);
    for method in ["getReplaySummary", "getReplayStateDigest"] {
        result.push(rpc.call(method, json!([])).await);
    }
    result.push(rpc.reply("getReplayOutcomes", json!([])).await);
    for address in [RICH, SOMEBODY] {
        result.push(rpc.reply("getBalance", json!([address])).await);
    }
    result
}

/// A script without filters: everything that changes a session, and everything that is refused.
fn changes() -> Vec<Scene> {
    let ask = |method, params, reached| Scene {
        act: Act::Ask(method, params),
        reached,
    };
    let account = |lamports: u64| {
        let data = json!({"data": "", "encoding": "base64"});
        json!({"data": data, "executable": false, "lamports": lamports,
            "owner": "11111111111111111111111111111111", "space": 0})
    };
    let call = |method, params| Scene {
        act: Act::Call(method, params),
        reached: 0,
    };
    vec![
        ask("continue", json!({"advanceCount": 2, "requestId": "a"}), 1),
        call("modifyAccounts", json!([{SOMEBODY: account(2_000_000)}])),
        call("requestAirdrop", json!([SOMEBODY, 7_000_000])),
        Scene {
            act: Act::Transfer,
            reached: 0,
        },
        ask("continueTo", json!({"slot": 41, "batchIndex": 1, "requestId": "b"}), 1),
        ask("continue", json!({"transactions": ["!"], "requestId": "c"}), 1),
        ask("continueTo", json!({"slot": 38, "requestId": "d"}), 1),
        ask(
            "continue",
            json!({"advanceCount": 3, "requestId": "e", "modifyAccountStates": {SOMEBODY: account(5_000_000)}}),
            1,
        ),
        ask("continue", json!({"advanceCount": 1000, "requestId": "f"}), 1),
        ask("continue", json!({"requestId": "g"}), 1),
    ]
}

/// Plays a script to learn where each scene ends: after so many events that are neither slots nor statuses.
async fn rehearse(control: &mut Control, rpc: &Rpc, script: &mut [Scene], mut seen: Vec<Value>) -> Vec<Value> {
    for scene in script {
        perform(&scene.act, control, rpc).await;
        for _ in 0..scene.reached {
            seen.extend(control.run().await);
        }
        scene.reached = number(seen.last().unwrap());
    }
    // Those that were there before `sessionCreated` are told as if for the second time.
    for event in &mut seen {
        event.as_object_mut().unwrap().remove("replayed");
    }
    seen
}

/// What is known of a session when its server goes.
struct Loss {
    id: String,
    state: TempDir,
    /// The events that its client has.
    seen: Vec<Value>,
    /// How many scenes have begun.
    begun: usize,
}

#[tokio::test]
async fn a_session_that_is_restored_after_every_command_is_the_same_session() {
    let params = json!({"startSlot": 36, "endSlot": 46, "sendSummary": true, "outcomes": "divergences",
        "disconnectTimeoutSecs": 900, "createToken": "t"});
    is_the_same_after_every_crash(params, 1, changes()).await;
}

#[tokio::test]
async fn a_session_with_actions_is_the_same_session() {
    let every = ActionAnchor::BeforeEverySlot { every_n_slots: 2 };
    let filter = DiscoveryFilter::ProgramExecuted(STAKE.parse().unwrap());
    let actions = [
        ScheduledAction::send(every, &[payment(RICH, SOMEBODY, 3_000_000)]),
        ScheduledAction::simulate(
            ActionAnchor::AfterMatch { filter },
            &[payment(SOMEBODY, RICH, 1_000_000)],
        ),
        ScheduledAction::simulate(ActionAnchor::after_slots(&[41]), &[payment(SOMEBODY, RICH, 1_000_000)]),
    ];
    let params = json!({"startSlot": 36, "endSlot": 44, "outcomes": "divergences", "disconnectTimeoutSecs": 900,
        "name": "nightly", "actions": ScheduledAction::pack_all(&actions)});
    let ask = |params| Scene {
        act: Act::Ask("continue", params),
        reached: 1,
    };
    let script = vec![
        ask(json!({"advanceCount": 4, "requestId": "a"})),
        ask(json!({"advanceCount": 1, "requestId": "b"})),
        ask(json!({"advanceCount": 1000, "requestId": "c"})),
    ];
    is_the_same_after_every_crash(params, 1, script).await;
}

#[tokio::test]
async fn a_session_that_takes_on_recorded_states_is_the_same_session() {
    let params = json!({"startSlot": 36, "endSlot": 44, "replayAccountState": true, "disconnectTimeoutSecs": 900,
        "sendSummary": true});
    let ask = |method, params, reached| Scene {
        act: Act::Ask(method, params),
        reached,
    };
    let account = json!({"data": {"data": "", "encoding": "base64"}, "executable": false, "lamports": 5_000_000,
        "owner": "11111111111111111111111111111111", "space": 0});
    let refused = payment(RICH, SOMEBODY, 1_000_000);
    let script = vec![
        ask("continue", json!({"advanceCount": 2, "requestId": "a"}), 1),
        Scene {
            act: Act::Call("modifyAccounts", json!([{RICH: account, SOMEBODY: account}])),
            reached: 0,
        },
        ask("continueTo", json!({"slot": 41, "batchIndex": 1, "requestId": "b"}), 1),
        ask("continue", json!({"transactions": [refused], "requestId": "c"}), 2),
        ask("continue", json!({"advanceCount": 1000, "requestId": "d"}), 1),
    ];
    is_the_same_after_every_crash(params, 1, script).await;
}

#[tokio::test]
async fn a_session_with_filters_is_the_same_session() {
    let filter = json!({"kind": "programExecuted", "value": STAKE});
    let params = json!({"startSlot": 36, "endSlot": 44, "discoveries": [filter], "disconnectTimeoutSecs": 900,
        "outcomes": "divergences"});
    let ask = |method, params, reached| Scene {
        act: Act::Ask(method, params),
        reached,
    };
    // Each stop is followed by what is announced after it; runs announce what they pass.
    let script = vec![
        ask("continue", json!({"advanceCount": 1, "requestId": "a"}), 1),
        ask("continueTo", json!({"slot": 38, "requestId": "b"}), 2),
        ask("continueTo", json!({"slot": 43, "batchIndex": 0, "requestId": "c"}), 5),
        ask("continueTo", json!({"slot": 38, "requestId": "d"}), 1),
        ask("continueTo", json!({"slot": 44, "requestId": "e"}), 4),
        ask("continue", json!({"advanceCount": u64::MAX, "requestId": "f"}), 1),
    ];
    is_the_same_after_every_crash(params, 2, script).await;
}

/// Plays a script, and plays it on from every crash at and within each of its scenes.
async fn is_the_same_after_every_crash(params: Value, first_stops: usize, mut script: Vec<Scene>) {
    let state = tempfile::tempdir().unwrap();
    let (_sample, config) = config(state.path()).await;
    let server = Running::start(config.clone()).await;
    let mut control = server.connect().await;
    let (rpc, _) = control.create(params.clone()).await;
    let mut seen = Vec::new();
    for _ in 0..first_stops {
        seen.extend(control.run().await);
    }
    let start = number(seen.last().unwrap());
    let expected = rehearse(&mut control, &rpc, &mut script, seen).await;
    let result = result_of(&rpc).await;
    control.close().await;
    server.stopped().await;

    let server = Running::start(config.clone()).await;
    let losses = play_and_lose(&server, state.path(), another(params), start, &script, &expected).await;
    server.stopped().await;
    assert!(losses.len() > script.len() * 3 / 2, "{}", losses.len());
    for loss in losses {
        play_on(&config, loss, &script, &expected, &result).await;
    }
}

/// A second session of the same client is another one, and so is its name.
fn another(mut params: Value) -> Value {
    let fields = params.as_object_mut().unwrap();
    fields.remove("createToken");
    if let Some(name) = fields.get_mut("name") {
        *name = json!("another");
    }
    params
}

/// Plays a script, and makes copies of what a crash would leave.
async fn play_and_lose(
    server: &Running,
    state: &Path,
    params: Value,
    start: u64,
    script: &[Scene],
    expected: &[Value],
) -> Vec<Loss> {
    let mut control = server.connect().await;
    let (rpc, _) = control.create(params).await;
    let (mut seen, mut losses) = (Vec::new(), Vec::new());
    read_to(&mut control, &mut seen, start).await;
    let mut lose = |seen: &[Value], begun| {
        losses.push(Loss {
            id: rpc.id(),
            state: crash(state),
            seen: seen.to_vec(),
            begun,
        });
    };
    lose(&seen, 0);
    for (begun, scene) in (1..).zip(script) {
        perform(&scene.act, &mut control, &rpc).await;
        if let Act::Ask(..) = scene.act {
            lose(&seen, begun);
        }
        read_to(&mut control, &mut seen, scene.reached).await;
        lose(&seen, begun);
    }
    assert_same(&seen, expected, "a second time");
    control.close().await;
    losses
}

/// Goes on with a session where another server lost it.
async fn play_on(config: &ServerConfig, loss: Loss, script: &[Scene], expected: &[Value], result: &[Value]) {
    let Loss {
        id,
        state,
        mut seen,
        begun,
    } = loss;
    let server = Running::start(over(config, &state)).await;
    let last = seen.last().map(number);
    let mut control = come_back(&server, &id, last).await;
    let rpc = control.rpc(&id);
    // What was asked for last may have been lost with the server; calls were answered.
    let again = script.iter().take(begun).skip(begun.saturating_sub(1));
    for scene in again.filter(|scene| matches!(scene.act, Act::Ask(..))) {
        perform(&scene.act, &mut control, &rpc).await;
    }
    let reached = begun.checked_sub(1).map_or(0, |index| script[index].reached);
    read_to(&mut control, &mut seen, reached).await;
    for scene in script.iter().skip(begun) {
        perform(&scene.act, &mut control, &rpc).await;
        read_to(&mut control, &mut seen, scene.reached).await;
    }
    let when = format!("lost after {last:?} in scene {begun}");
    assert_same(&seen, expected, &when);
    assert_same(&result_of(&rpc).await, result, &when);
    control.close().await;
    server.stopped().await;
}

/// The same server over what a crash left.
fn over(config: &ServerConfig, state: &TempDir) -> ServerConfig {
    ServerConfig {
        state_dir: Some(state.path().to_owned()),
        ..config.clone()
    }
}

/// Attaches a session that may still be on its way.
async fn come_back(server: &Running, id: &str, last: Option<u64>) -> Control {
    let mut control = server.connect().await;
    loop {
        let answer = control.attach(id, last).await;
        if answer["method"] == "sessionAttached" {
            control.resume().await;
            return control;
        }
        assert!(answer["params"]["sessionOwnershipBusy"].is_object(), "{answer}");
    }
}

/// A session that has executed two blocks, and the number of its last event.
async fn begun(control: &mut Control, more: Value) -> (Rpc, u64) {
    let mut params = json!({"startSlot": 36, "endSlot": 59, "disconnectTimeoutSecs": 900});
    let more = more.as_object().unwrap().clone();
    params.as_object_mut().unwrap().extend(more);
    let (rpc, _) = control.create(params).await;
    control.run().await;
    control.send("continue", json!({})).await;
    let last = number(control.run().await.last().unwrap());
    (rpc, last)
}

#[tokio::test]
async fn a_server_that_stops_hands_its_sessions_to_the_next() {
    let state = tempfile::tempdir().unwrap();
    let (_sample, config) = config(state.path()).await;
    let server = Running::start(config.clone()).await;
    let mut control = server.connect().await;
    let (rpc, last) = begun(&mut control, json!({"createToken": "t"})).await;
    let everything = json!({"advanceCount": u64::MAX, "requestId": "all"});
    control.send("continue", everything.clone()).await;
    server.stop();
    let (code, reason) = control.close_frame().await.unwrap();
    assert_eq!((u16::from(code), reason.as_str()), (1012, "management handoff"));
    server.stopped().await;

    let server = Running::start(config.clone()).await;
    let mut control = come_back(&server, &rpc.id(), Some(last)).await;
    control.send("continue", everything).await;
    let events = control.run().await;
    assert_eq!(events.last().unwrap()["method"], "completed");
    let numbers: Vec<u64> = events.iter().map(number).collect();
    assert_eq!(numbers, (last + 1..=last + events.len() as u64).collect::<Vec<_>>());
    drop(control);
    server.stopped().await;

    // A create that is repeated finds it, too; a session that was closed does not come back.
    let server = Running::start(config.clone()).await;
    let mut control = server.connect().await;
    let params = json!({"startSlot": 36, "endSlot": 59, "disconnectTimeoutSecs": 900, "createToken": "t"});
    let (again, _) = control.create(params).await;
    assert_eq!(again.id(), rpc.id());
    assert_eq!(number(&control.next().await), 1);
    let first = control.run().await;
    assert_eq!(first.last().unwrap()["method"], "readyForContinue");
    let mut other = server.connect().await;
    let refused = other.attach(&rpc.id(), Some(9_999)).await;
    assert!(refused["params"]["invalidRequest"].is_object(), "{refused}");
    while control.next().await["method"] != "completed" {}
    control.close().await;
    server.stopped().await;
    assert_eq!(fs::read_dir(state.path().join("sessions")).unwrap().count(), 0);
}

#[tokio::test]
async fn two_servers_over_one_directory_never_run_the_same_session() {
    let state = tempfile::tempdir().unwrap();
    let (_sample, mut config) = config(state.path()).await;
    config.keys = vec![ApiKey::new("desk", "secret"), ApiKey::new("other", "hidden")];
    config.times.adoption = Duration::from_millis(10);
    let (first, second) = (Running::start(config.clone()).await, Running::start(config).await);
    let mut control = Control::connect(first.address, Some("secret")).await.unwrap();
    let (rpc, last) = begun(&mut control, json!({})).await;
    let mut foreign = Control::connect(second.address, Some("hidden")).await.unwrap();
    let answer = foreign.attach(&rpc.id(), None).await;
    assert!(answer["params"]["sessionNotFound"].is_object(), "{answer}");
    let mut waiting = Control::connect(second.address, Some("secret")).await.unwrap();
    let answer = waiting.attach(&rpc.id(), Some(last)).await;
    assert!(answer["params"]["sessionOwnershipBusy"].is_object(), "{answer}");
    control.send("continue", json!({})).await;
    let last = number(control.run().await.last().unwrap());
    drop(control);
    first.stopped().await;
    // The second one finds it by itself.
    while waiting.attach(&rpc.id(), Some(last)).await["method"] != "sessionAttached" {}
    waiting.resume().await;
    waiting.send("continue", json!({})).await;
    assert_eq!(number(&waiting.run().await[0]), last + 1);
    let answer = foreign.attach(&rpc.id(), None).await;
    assert!(answer["params"]["sessionNotFound"].is_object(), "{answer}");
    drop((waiting, foreign));
    second.stopped().await;
}

#[tokio::test]
async fn a_session_to_which_nobody_can_come_back_is_not_restored() {
    let state = tempfile::tempdir().unwrap();
    let (_sample, config) = config(state.path()).await;
    let server = Running::start(config.clone()).await;
    let mut control = server.connect().await;
    let (rpc, last) = begun(&mut control, json!({"disconnectTimeoutSecs": 0})).await;
    let crashed = crash(state.path());
    let next = Running::start(over(&config, &crashed)).await;
    let answer = next.connect().await.attach(&rpc.id(), Some(last)).await;
    assert!(answer["params"]["sessionNotFound"].is_object(), "{answer}");
    assert_eq!(fs::read_dir(crashed.path().join("sessions")).unwrap().count(), 0);
    next.stopped().await;
    drop(control);
    server.stopped().await;
}

#[tokio::test]
async fn a_name_stays_taken_when_its_session_has_ended_and_the_server_too() {
    let state = tempfile::tempdir().unwrap();
    let (_sample, config) = config(state.path()).await;
    let server = Running::start(config.clone()).await;
    let mut control = server.connect().await;
    let named = json!({"name": "nightly", "createToken": "t"});
    begun(&mut control, named.clone()).await;
    control.close().await;
    server.stopped().await;

    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let params = json!({"startSlot": 36, "endSlot": 59, "name": "nightly", "createToken": "u"});
    control.send("createBacktestSession", params).await;
    assert_eq!(control.next().await["method"], "status");
    let refused = control.next().await;
    assert_eq!(
        refused["params"],
        json!({"sessionNameTaken": {"session_name": "nightly"}})
    );
    begun(&mut control, named).await;
    control.close().await;
    server.stopped().await;
    let text = fs::read_to_string(state.path().join("names.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[tokio::test]
async fn a_damaged_session_is_set_aside_and_the_others_live() {
    let state = tempfile::tempdir().unwrap();
    let (_sample, config) = config(state.path()).await;
    let server = Running::start(config.clone()).await;
    let mut control = server.connect().await;
    let (damaged, last) = begun(&mut control, json!({})).await;
    let log = session_directory(state.path()).join("commands");
    let mut other = server.connect().await;
    let (whole, _) = begun(&mut other, json!({})).await;
    let crashed = crash(state.path());
    let log = crashed.path().join(log.strip_prefix(state.path()).unwrap());
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).unwrap();
    let next = Running::start(over(&config, &crashed)).await;
    let answer = next.connect().await.attach(&damaged.id(), Some(last)).await;
    assert!(answer["params"]["sessionNotFound"].is_object(), "{answer}");
    let mut control = come_back(&next, &whole.id(), Some(last)).await;
    control.send("continue", json!({})).await;
    assert_eq!(number(&control.run().await[0]), last + 1);
    assert_eq!(fs::read_dir(crashed.path().join("set-aside")).unwrap().count(), 1);
    drop(control);
    next.stopped().await;
    drop(other);
    server.stopped().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_written_down_changes_nothing_and_may_be_repeated() {
    let state = tempfile::tempdir().unwrap();
    let (_sample, mut config) = config(state.path()).await;
    config.limits.command_log_bytes = 4_000;
    let server = Running::start(config.clone()).await;
    let mut control = server.connect().await;
    let (rpc, last) = begun(&mut control, json!({})).await;
    let large = "A".repeat(8_000);
    let account = json!({"data": {"data": large, "encoding": "base64"}, "executable": false, "lamports": 9,
        "owner": "11111111111111111111111111111111", "space": 6000});
    let request = json!({"advanceCount": 1, "requestId": "x", "modifyAccountStates": {SOMEBODY: account.clone()}});
    control.send("continue", request).await;
    let refused = control.next().await;
    let error = refused["params"]["invalidRequest"]["error"].as_str().unwrap();
    assert!(error.contains("command log is full (4000 bytes)"), "{refused}");
    assert_eq!((&refused["seqId"], &refused["requestId"]), (&Value::Null, &json!("x")));
    let (code, message) = rpc.error("modifyAccounts", json!([{SOMEBODY: account}])).await;
    assert!(code == -32098 && message.contains("is full"), "{code} {message}");
    control
        .send("continue", json!({"advanceCount": 1, "requestId": "x"}))
        .await;
    let events = control.run().await;
    assert_eq!((number(&events[0]), &events[0]["requestId"]), (last + 1, &json!("x")));

    let crashed = crash(state.path());
    let next = Running::start(over(&config, &crashed)).await;
    let mut again = come_back(&next, &rpc.id(), Some(last)).await;
    let replayed = again.run().await;
    assert_eq!(
        replayed.iter().map(number).collect::<Vec<_>>(),
        events.iter().map(number).collect::<Vec<_>>()
    );
    drop(again);
    next.stopped().await;
    drop(control);
    server.stopped().await;
}
