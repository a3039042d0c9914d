//! What a create may ask for, one option after the other.

use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use simulator_server::ApiKey;

use crate::conversation::recorded_block;
use crate::support::{Control, Rpc, Running, SampleArchive};

/// Runs a session over the whole sample; what `completed` says, the totals, and every divergence.
async fn run_all(server: &Running, options: Value) -> (Value, Value, Vec<Value>) {
    let mut control = server.connect().await;
    let mut params = json!({"startSlot": 36, "endSlot": 59, "outcomes": "divergences"});
    params
        .as_object_mut()
        .unwrap()
        .extend(options.as_object().unwrap().clone());
    let (rpc, _) = control.create(params).await;
    control.run().await;
    control.send("continue", json!({"advanceCount": u64::MAX})).await;
    let completed = control.run().await.pop().unwrap();
    assert_eq!(completed["method"], "completed");
    let summary = rpc.call("getReplaySummary", json!([])).await;
    (completed["params"].clone(), summary, divergences(&rpc).await)
}

async fn divergences(rpc: &Rpc) -> Vec<Value> {
    let read = rpc.call("getReplayOutcomes", json!([{"maxSlots": 100}])).await;
    assert_eq!(read["complete"], true);
    let slots = read["slots"].as_array().unwrap();
    let of = |slot: &Value| slot["divergences"].as_array().unwrap().clone();
    slots.iter().flat_map(of).collect()
}

/// Who paid for the first transaction of a block.
fn payer(slot: u64) -> String {
    let block = recorded_block(slot);
    let wire = block["transactions"][0]["transaction"][0].as_str().unwrap();
    let wire = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, wire).unwrap();
    let transaction: solana_transaction::versioned::VersionedTransaction = wincode::deserialize(&wire).unwrap();
    transaction.message.static_account_keys()[0].to_string()
}

#[tokio::test]
async fn a_filtered_signer_is_left_out_and_what_follows_is_put_down_to_the_user() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let signer = payer(40);
    let (completed, summary, divergences) =
        run_all(&server, json!({"signerFilter": [signer], "sendSummary": true})).await;
    let counts = &summary["counts"];
    let left_out = counts["unverifiable"].as_u64().unwrap();
    assert!(left_out > 0, "{summary}");
    assert_eq!(counts["total"], 478, "they count as failed and unverifiable: {summary}");
    let executed = counts["matched"].as_u64().unwrap() + counts["diverged"].as_u64().unwrap();
    assert_eq!(executed, 478 - left_out);
    let told = &completed["summary"];
    let correct = told["correctSimulation"].as_u64().unwrap() + told["incorrectSimulation"].as_u64().unwrap();
    assert_eq!(
        correct + told["executionErrors"].as_u64().unwrap(),
        executed,
        "{completed}"
    );
    assert!(
        divergences.iter().all(|divergence| divergence["class"] == "overridden"),
        "{divergences:?}"
    );
    let (completed, summary, divergences) = run_all(&server, json!({"signerFilter": []})).await;
    assert_eq!(
        (completed, divergences),
        (json!({}), Vec::new()),
        "without sendSummary there is none"
    );
    assert_eq!(summary["counts"]["matched"], 478);
    server.stopped().await;
}

#[tokio::test]
async fn more_compute_units_are_seen_by_those_who_set_a_limit_and_change_no_fee() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let (_, plain, none) = run_all(&server, json!({"extraComputeUnits": 0})).await;
    assert_eq!((plain["counts"]["matched"].as_u64(), none.len()), (Some(478), 0));
    let (_, more, divergences) = run_all(&server, json!({"extraComputeUnits": 1000})).await;
    assert!(!divergences.is_empty(), "limits are part of logs: {more}");
    for divergence in &divergences {
        assert_eq!(divergence["class"], "overridden", "{divergence}");
        assert_ne!(divergence["field"], "fee", "{divergence}");
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_name_is_shown_and_given_once() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.keys = vec![ApiKey::new("desk", "alpha"), ApiKey::new("other", "beta")];
    let server = Running::start(config).await;
    let connect = async |key| Control::connect(server.address, Some(key)).await.unwrap();
    let named = |token: &str| json!({"startSlot": 36, "endSlot": 36, "name": "Nightly-7", "createToken": token});
    let mut failed = named("a");
    failed["endSlot"] = json!(99);
    let mut control = connect("alpha").await;
    assert!(
        control.create_fails(failed).await.contains("no archive holds"),
        "the name is free again"
    );
    let (rpc, created) = control.create(named("a")).await;
    assert_eq!(created.last().unwrap()["params"]["session_name"], "nightly-7");

    let mut other = connect("alpha").await;
    other.send("createBacktestSession", named("b")).await;
    assert_eq!(
        refusal(&mut other).await,
        json!({"sessionNameTaken": {"session_name": "nightly-7"}})
    );
    let (_, created) = connect("beta").await.create(named("c")).await;
    assert_eq!(
        created.last().unwrap()["params"]["session_name"],
        "nightly-7",
        "each key has its names"
    );

    control.run().await;
    control.close().await;
    rpc.gone().await;
    other.send("createBacktestSession", named("b")).await;
    assert_eq!(
        refusal(&mut other).await,
        json!({"sessionNameTaken": {"session_name": "nightly-7"}})
    );
    let (again, _) = other.create(named("a")).await;
    assert_ne!(again.id(), rpc.id(), "the same create may have its name again");
    let mut bad = named("d");
    bad["name"] = json!("-x");
    let error = connect("alpha").await.create_fails(bad).await;
    assert!(error.starts_with("params.name: expected a session name"), "{error}");
    drop((control, other));
    server.stopped().await;
}

async fn refusal(control: &mut Control) -> Value {
    loop {
        let message = control.next().await;
        if message["method"] != "status" {
            return message["params"].clone();
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_by_name() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let mut control = server.connect().await;
    let agent = json!({"agentType": "arb", "wallet": null, "keypair": null, "seedSolLamports": null, "arbRoutes": []});
    let probe = json!({"anchor": {"at": "afterEverySlot"}, "markets": [], "usdValues": [], "label": null});
    for (field, value) in [
        ("agents", json!([agent])),
        ("reroute", json!({})),
        ("diagnosticProbes", json!([probe])),
    ] {
        let params = json!({"startSlot": 36, "endSlot": 59, field: value});
        assert_eq!(
            control.create_fails(params).await,
            format!("{field} is not supported by this server")
        );
    }
    drop(control);
    server.stopped().await;
}
