//! Sessions that take on recorded account states and execute nothing.

use std::time::Duration;

use serde_json::{Value, json};
use simulator_api::{ActionAnchor, ScheduledAction};
use simulator_archive::import::ScopeChoice;
use simulator_server::ServerConfig;

use crate::actions::payment;
use crate::conversation::{RICH, TOKEN, recorded_block, transfer_to};
use crate::pubsub::{TOKEN_PROGRAM, all_of};
use crate::support::{Control, Rpc, Running, SampleArchive, shorten};

const SOMEBODY: &str = "Somebody11111111111111111111111111111111111";
const REFUSED: &str =
    "this session takes on recorded account states and executes no transactions; simulate them instead";

/// The sample with what each slot changed, and a server over it.
async fn indexed() -> (SampleArchive, ServerConfig) {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    sample.index(5).await;
    let mut config = sample.config();
    config.times.subscribe_pause = Duration::ZERO;
    (sample, config)
}

/// A session that executes, and one that does not.
struct Pair {
    executed: (Control, Rpc),
    taken: (Control, Rpc),
}

impl Pair {
    async fn create(server: &Running, options: Value) -> Self {
        let create = async |state_only: bool| {
            let mut params = json!({"replayAccountState": state_only});
            let options = options.as_object().unwrap().clone();
            params.as_object_mut().unwrap().extend(options);
            let mut control = server.connect().await;
            let (rpc, _) = control.create(params).await;
            (control, rpc)
        };
        Self {
            executed: create(false).await,
            taken: create(true).await,
        }
    }

    /// Reads what ends a run of both; they are told the same.
    async fn run(&mut self) -> Vec<String> {
        let events = run(&mut self.executed.0).await;
        assert_eq!(run(&mut self.taken.0).await, events);
        shorten(&events)
    }

    async fn ask(&mut self, method: &str, params: Value) -> Vec<String> {
        self.executed.0.send(method, params.clone()).await;
        self.taken.0.send(method, params).await;
        self.run().await
    }

    /// Asks both, and compares the answers.
    async fn same(&self, method: &str, params: Value) -> Value {
        let answer = self.executed.1.call(method, params.clone()).await;
        assert_eq!(self.taken.1.call(method, params).await, answer, "{method}");
        answer
    }

    /// Every account is the same in both, and so is what transactions would do.
    async fn stand_at_the_same(&self) {
        let accounts = self.same("getReplayAccounts", json!([{"limit": 10_000}])).await;
        assert_eq!(accounts["complete"], true);
        self.same("getReplayStateDigest", json!([])).await;
        self.same("getLatestBlockhash", json!([])).await;
        let transfer = transfer_to(TOKEN, &self.taken.1).await;
        let config = json!({"encoding": "base64", "accounts": {"encoding": "base64", "addresses": [RICH]}});
        let simulated = self.same("simulateTransaction", json!([transfer, config])).await;
        assert_eq!(simulated["value"]["err"], Value::Null);
    }

    async fn close(mut self) {
        self.executed.0.close().await;
        self.taken.0.close().await;
    }
}

/// The events of a run. Some of them may have been there before they were asked for.
async fn run(control: &mut Control) -> Vec<Value> {
    let mut events = control.run().await;
    for event in &mut events {
        event.as_object_mut().unwrap().remove("replayed");
    }
    events
}

/// Of the session that begins at slot 49 only the blocks from the keyframe before it on are gone through.
#[tokio::test]
async fn accounts_are_those_of_a_session_that_executes() {
    let (_sample, config) = indexed().await;
    let server = Running::start(config).await;
    for start in [36, 49] {
        let params = json!({"startSlot": start, "endSlot": 59, "extraComputeUnits": 0});
        let mut pair = Pair::create(&server, params).await;
        pair.run().await;
        pair.stand_at_the_same().await;
        let paused = pair.ask("continueTo", json!({"slot": 50, "batchIndex": 2})).await;
        assert_eq!(paused.last().unwrap(), r#"paused {"batchIndex":2,"slot":50}"#);
        pair.stand_at_the_same().await;
        pair.ask("continue", json!({"advanceCount": 3})).await;
        pair.stand_at_the_same().await;
        pair.ask("continue", json!({"advanceCount": u64::MAX})).await;
        pair.same("getReplayStateDigest", json!([])).await;
        pair.close().await;
    }
    server.stopped().await;
}

#[tokio::test]
async fn nothing_is_executed_and_nothing_is_said_to_have_been() {
    let (_sample, config) = indexed().await;
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let params = json!({"startSlot": 36, "endSlot": 44, "replayAccountState": true, "sendSummary": true});
    let (rpc, _) = control.create(params).await;
    control.run().await;
    check_refusals(&rpc).await;

    let sent = json!({"advanceCount": 1, "transactions": [transfer_to(TOKEN, &rpc).await]});
    control.send("continue", sent).await;
    let refused = control.run().await.pop().unwrap();
    let error = refused["params"]["simulationError"]["error"].as_str().unwrap();
    assert!(
        error.starts_with("transaction 0 was not executed: ") && error.ends_with(REFUSED),
        "{error}"
    );
    assert_eq!(
        shorten(&control.run().await),
        ["slotNotification 37", "readyForContinue"]
    );

    control.send("continue", json!({"advanceCount": u64::MAX})).await;
    let completed = control.run().await.pop().unwrap();
    let counts = completed["params"]["summary"].as_object().unwrap();
    assert!(counts.values().all(|count| count == 0), "{completed}");
    let summary = rpc.call("getReplaySummary", json!([])).await;
    assert_eq!((&summary["stateOnly"], &summary["slots"]), (&json!(true), &json!(9)));
    for count in ["total", "successes", "failures", "matched", "diverged", "unverifiable"] {
        assert_eq!(summary["counts"][count], 0, "{summary}");
    }
    assert_eq!((&summary["injected"], &summary["computeUnits"]), (&json!(0), &json!(0)));
    assert_eq!(summary["bankHashes"]["agreed"], 8, "the states are right: {summary}");
    control.close().await;
    server.stopped().await;
}

async fn check_refusals(rpc: &Rpc) {
    let signature = recorded_block(36)["transactions"][0]["transaction"][0].clone();
    let wire = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, signature.as_str().unwrap());
    let executed: solana_transaction::versioned::VersionedTransaction = wincode::deserialize(&wire.unwrap()).unwrap();
    let signature = executed.signatures[0].to_string();
    assert_eq!(rpc.call("getTransaction", json!([signature])).await, Value::Null);
    let statuses = rpc.call("getSignatureStatuses", json!([[signature]])).await;
    assert_eq!(statuses["value"], json!([null]));
    assert_eq!(rpc.call("getTransactionCount", json!([])).await, 0);
    let transfer = transfer_to(SOMEBODY, rpc).await;
    for more in [json!({"skipPreflight": true}), json!({})] {
        let mut config = json!({"encoding": "base64"});
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let refused = rpc.error("sendTransaction", json!([transfer, config])).await;
        assert_eq!(refused, (-32098, REFUSED.to_owned()));
    }
    let airdrop = rpc.error("requestAirdrop", json!([SOMEBODY, 5_000_000])).await;
    assert_eq!(airdrop, (-32098, REFUSED.to_owned()));
    let read = rpc.error("getReplayOutcomes", json!([])).await;
    assert_eq!(read.0, -32600, "it was created without outcomes: {}", read.1);
    assert_eq!(rpc.call("getReplaySummary", json!([])).await["injected"], 0);
}

/// What is told of accounts and slots is what a session tells that executes; of transactions there is nothing to tell.
#[tokio::test]
async fn subscribers_are_told_of_accounts_and_slots() {
    let (_sample, config) = indexed().await;
    let server = Running::start(config).await;
    let mut pair = Pair::create(&server, json!({"startSlot": 36, "endSlot": 44, "startPaused": true})).await;
    pair.run().await;
    pair.ask("continue", json!({"advanceCount": u64::MAX})).await;
    let from = json!(36);
    for (method, params) in [
        ("accountDiffSubscribe", json!([RICH, {"replayFromSlot": from}])),
        (
            "accountDiffSubscribe",
            json!([TOKEN_PROGRAM, {"address_type": "program", "replayFromSlot": from}]),
        ),
        (
            "accountSubscribe",
            json!([RICH, {"encoding": "base64", "replayFromSlot": from}]),
        ),
        (
            "accountSubscribe",
            json!([RICH, {"encoding": "base64", "intraSlotUpdates": true, "replayFromSlot": from}]),
        ),
        (
            "programSubscribe",
            json!([TOKEN_PROGRAM, {"encoding": "jsonParsed", "replayFromSlot": from}]),
        ),
        ("slotSubscribe", json!([{"replayFromSlot": from}])),
        ("rootSubscribe", json!([{"replayFromSlot": from}])),
    ] {
        let told = all_of(&pair.executed.1, method, params.clone()).await;
        assert_eq!(all_of(&pair.taken.1, method, params).await, told, "{method}");
        assert!(told.len() > 3, "{method}: {}", told.len());
    }
    for method in ["transactionSubscribe", "logsSubscribe"] {
        let params = json!(["allWithVotes", {"replayFromSlot": from}]);
        assert!(!all_of(&pair.executed.1, method, params.clone()).await.is_empty());
        assert!(all_of(&pair.taken.1, method, params).await.is_empty(), "{method}");
    }
    pair.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn what_the_user_sets_stays_until_the_chain_writes_it() {
    let (_sample, config) = indexed().await;
    let server = Running::start(config).await;
    let mut pair = Pair::create(&server, json!({"startSlot": 36, "endSlot": 59})).await;
    pair.run().await;
    let balance = async |rpc: &Rpc, address: &str| rpc.call("getBalance", json!([address])).await["value"].clone();
    let account = json!({"data": {"data": "", "encoding": "base64"}, "executable": false, "lamports": 7_000_000,
                         "owner": "11111111111111111111111111111111", "space": 0});
    let taken = &pair.taken.1;
    taken
        .call("modifyAccounts", json!([{SOMEBODY: account, RICH: account}]))
        .await;
    assert_eq!(
        (balance(taken, SOMEBODY).await, balance(taken, RICH).await),
        (json!(7_000_000), json!(7_000_000))
    );
    pair.ask("continue", json!({"advanceCount": u64::MAX})).await;
    let (executed, taken) = (&pair.executed.1, &pair.taken.1);
    assert_eq!(balance(taken, SOMEBODY).await, 7_000_000);
    assert_eq!(
        balance(taken, RICH).await,
        balance(executed, RICH).await,
        "the chain has written it since"
    );
    let summary = taken.call("getReplaySummary", json!([])).await;
    assert_eq!(
        summary["bankHashes"]["unavailable"],
        "accounts were changed or transactions added"
    );
    pair.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn an_archive_without_deltas_is_refused_and_another_one_taken() {
    let plain = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(plain.config()).await;
    let mut control = server.connect().await;
    let params = json!({"startSlot": 36, "endSlot": 59, "replayAccountState": true});
    assert_eq!(
        control.create_fails(params.clone()).await,
        "replayAccountState needs an archive that records what each slot changed, and that of slots 36 to 59 does not; \
         run `sim archive index` on it, or leave the field out to have the transactions executed"
    );
    drop(control);
    server.stopped().await;

    let (indexed, _) = indexed().await;
    for locations in [[&plain, &indexed], [&indexed, &plain]] {
        let locations = locations.map(|sample| sample.location().to_owned());
        let server = Running::start(ServerConfig::local(locations.to_vec())).await;
        let mut control = server.connect().await;
        control.create(params.clone()).await;
        control.run().await;
        control.close().await;
        server.stopped().await;
    }
}

#[tokio::test]
async fn fields_about_execution_are_refused() {
    let (_sample, config) = indexed().await;
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let send = ScheduledAction::send(ActionAnchor::after_slots(&[40]), &[payment(RICH, SOMEBODY, 1)]);
    for (field, value, name) in [
        ("signerFilter", json!([RICH]), "signerFilter"),
        ("outcomes", json!("transactions"), "outcomes"),
        (
            "actions",
            json!(ScheduledAction::pack_all(&[send])),
            "an action of kind send",
        ),
    ] {
        let params = json!({"startSlot": 36, "endSlot": 59, "replayAccountState": true, field: value});
        assert_eq!(
            control.create_fails(params).await,
            format!(
                "{name} is about transactions that are executed, and with replayAccountState none is; leave one of \
                 them out"
            )
        );
    }
    let simulate = ScheduledAction::simulate(ActionAnchor::after_slots(&[40]), &[payment(RICH, SOMEBODY, 5_000_000)]);
    let actions = ScheduledAction::pack_all(&[simulate]);
    let mut pair = Pair::create(&server, json!({"startSlot": 36, "endSlot": 41, "actions": actions})).await;
    pair.run().await;
    pair.ask("continue", json!({"advanceCount": u64::MAX})).await;
    let everything = json!([null, {"replayFromSlot": 36}]);
    let told = all_of(&pair.executed.1, "actionSubscribe", everything.clone()).await;
    assert_eq!(all_of(&pair.taken.1, "actionSubscribe", everything).await, told);
    assert_eq!(
        told[0]["params"]["result"]["transactionOutcomes"][0]["err"],
        Value::Null
    );
    drop(control);
    pair.close().await;
    server.stopped().await;
}
