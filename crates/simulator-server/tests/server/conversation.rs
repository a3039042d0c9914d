//! Whole conversations with a server over real sockets, on the sample ledger.

use std::io::Read as _;
use std::path::Path;

use crate::support::{Control, Rpc, Running, SampleArchive, shorten};
use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use solana_message::{Message, VersionedMessage};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;

/// An account of the sample with more than 100 SOL.
pub(crate) const RICH: &str = "71PvmEchigwUJsygzTBs94sL47872v1XD98V75SvFor";
/// A token account of the sample.
pub(crate) const TOKEN: &str = "13rZ8pGoaMaKe2hr2dVHfoC6FdiFpYW4pt4BKSfheexM";
const MISSING: &str = "Missing111111111111111111111111111111111111";

#[tokio::test]
async fn replays_the_sample_from_end_to_end() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    check_ranges(&server).await;
    let mut control = server.connect().await;
    let params = json!({"startSlot": 36, "endSlot": 59, "sendSummary": true, "outcomes": "transactions"});
    let (rpc, created) = control.create(params).await;
    check_created(&created);
    let first = control.run().await;
    assert_eq!(shorten(&first), ["slotNotification 36", "readyForContinue"]);
    assert_eq!(
        (first[0]["seqId"].as_u64(), first[1]["seqId"].as_u64()),
        (Some(1), Some(2))
    );
    assert_eq!(rpc.call("getSlot", json!([])).await, 36);
    check_steps(&mut control, &rpc).await;
    check_end(&mut control).await;
    check_summary(&rpc.call("getReplaySummary", json!([])).await);
    check_accounts(&rpc).await;
    read_outcomes(&rpc).await;
    control.close().await;
    rpc.gone().await;
    server.stopped().await;
}

#[tokio::test]
async fn changes_what_happens_and_keeps_sessions_apart() {
    let sample = SampleArchive::import(ScopeChoice::Listed).await;
    let server = Running::start(sample.config()).await;
    let (mut changed, mut other) = (server.connect().await, server.connect().await);
    let (rpc, _) = changed
        .create(json!({"startSlot": 38, "endSlot": 59, "startPaused": true}))
        .await;
    assert_eq!(shorten(&changed.run().await), [r#"paused {"batchIndex":0,"slot":38}"#]);
    let (other_rpc, _) = other.create(json!({"startSlot": 36, "endSlot": 36})).await;
    assert_eq!(shorten(&other.run().await), ["slotNotification 36", "readyForContinue"]);
    other.send("continue", json!({})).await;
    assert_eq!(shorten(&other.run().await), ["completed {}"]);

    check_account_encodings(&rpc).await;
    check_refusals(&rpc).await;
    check_sending(&rpc).await;
    assert_eq!(
        rpc.call("modifyAccounts", json!([{MISSING: account(5, "AQID")}])).await,
        1
    );
    assert_eq!(rpc.call("getBalance", json!([MISSING])).await["value"], 5);
    assert_eq!(other_rpc.error("getBalance", json!([MISSING])).await.0, -32099);
    check_changes(&mut changed, &rpc).await;

    server.stop();
    assert_eq!(changed.closed().await.map(u16::from), Some(1012));
    assert_eq!(other.closed().await.map(u16::from), Some(1012));
    server.stopped().await;
}

/// From slot 36 to slot 44, in every way there is.
async fn check_steps(control: &mut Control, rpc: &Rpc) {
    control
        .send("continue", json!({"advanceCount": 2, "requestId": "a"}))
        .await;
    let events = control.run().await;
    assert_eq!(
        shorten(&events),
        ["slotNotification 37", "slotNotification 38", "readyForContinue"]
    );
    assert!(events.iter().all(|event| event["requestId"] == "a"), "{events:?}");
    check_transactions(rpc, 38).await;
    control
        .send("continue", json!({"advanceCount": 2, "requestId": "a"}))
        .await;

    control.send("continueTo", json!({"slot": 40, "batchIndex": 1})).await;
    let events = control.run().await;
    assert_eq!(
        shorten(&events),
        ["slotNotification 39", r#"paused {"batchIndex":1,"slot":40}"#]
    );
    control
        .send("continueTo", json!({"slot": 40, "batchIndex": 0, "requestId": "b"}))
        .await;
    let refused = control.next().await;
    let why = refused["params"]["invalidRequest"]["error"].as_str().unwrap();
    assert!(why.contains("behind"), "{refused}");
    let last = events.last().and_then(|event| event["seqId"].as_u64()).unwrap();
    assert_eq!(
        (refused["requestId"].as_str(), refused["seqId"].as_u64()),
        (Some("b"), Some(last + 1))
    );
    control.send("continueTo", json!({"slot": 45})).await;
    assert_eq!(shorten(&control.run().await).last().unwrap(), r#"paused {"slot":44}"#);
}

async fn check_end(control: &mut Control) {
    control.send("continue", json!({"advanceCount": u64::MAX})).await;
    let events = control.run().await;
    let completed = events.last().unwrap();
    assert_eq!(completed["method"], "completed");
    let summary = &completed["params"]["summary"];
    assert_eq!(
        (&summary["correctSimulation"], &summary["incorrectSimulation"]),
        (&json!(478), &json!(0))
    );
    control.send("continue", json!({})).await;
    assert_eq!(shorten(&control.run().await), [r#"error "noMoreBlocks""#]);
}

async fn check_sending(rpc: &Rpc) {
    let before = rpc.call("getBalance", json!([RICH])).await["value"].as_u64().unwrap();
    let transfer = transfer_to(TOKEN, rpc).await;
    let config = json!({"encoding": "base64"});
    let nowhere = json!([transfer_to(MISSING, rpc).await, config]);
    assert_eq!(rpc.error("simulateTransaction", nowhere.clone()).await.0, -32099);
    assert_eq!(rpc.error("sendTransaction", nowhere).await.0, -32099);
    check_simulation(rpc, &transfer).await;
    let signature = rpc
        .call("sendTransaction", json!([transfer, {"encoding": "base64"}]))
        .await;
    let balance = rpc.call("getBalance", json!([RICH])).await;
    assert_eq!(balance["value"], before - 1_000_005_000);
    assert_eq!(balance["context"]["slot"], 38);
    let shown = rpc.call("getTransaction", json!([signature, "jsonParsed"])).await;
    assert_eq!(
        shown["transaction"]["message"]["instructions"][0]["parsed"]["type"],
        "transfer"
    );
    assert_eq!(shown["transactionIndex"], Value::Null);
    let statuses = rpc
        .call(
            "getSignatureStatuses",
            json!([[signature, Signature::default().to_string()]]),
        )
        .await;
    assert_eq!(statuses["value"][0]["confirmationStatus"], "finalized");
    assert_eq!(statuses["value"][1], Value::Null);
    let (code, message) = rpc
        .error("sendTransaction", json!([transfer, {"encoding": "base64"}]))
        .await;
    assert_eq!(code, -32002, "{message}");
    assert!(message.contains("already been processed"), "{message}");
}

async fn check_changes(control: &mut Control, rpc: &Rpc) {
    let removal = json!({MISSING: account(0, "")});
    control
        .send(
            "continue",
            json!({"advanceCount": 1, "modifyAccountStates": removal, "transactions": []}),
        )
        .await;
    assert_eq!(
        shorten(&control.run().await),
        ["slotNotification 38", "readyForContinue"]
    );
    assert_eq!(rpc.call("getAccountInfo", json!([MISSING])).await["value"], Value::Null);
    control
        .send("continue", json!({"transactions": ["AAAA"], "requestId": "bad"}))
        .await;
    let refused = control.next().await;
    assert_eq!(refused["params"]["invalidTransactionFormat"]["index"], 0, "{refused}");
    assert_eq!(refused["requestId"], "bad");
}

fn account(lamports: u64, data: &str) -> Value {
    json!({"data": {"data": data, "encoding": "base64"}, "executable": false, "lamports": lamports,
           "owner": "11111111111111111111111111111111", "space": 3})
}

async fn check_ranges(server: &Running) {
    let (status, text) = server.get("/available-ranges?include_account_state=false").await;
    let ranges: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 200);
    assert_eq!(ranges[0]["bundle_start_slot"], 36);
    assert_eq!(ranges[0]["max_bundle_end_slot"], 59);
    assert_eq!(ranges[0]["bundle_start_slot_utc"], "2026-05-28T20:26:53Z");
}

fn check_created(created: &[Value]) {
    assert_eq!(
        created[0],
        json!({"method": "status", "params": {"status": "startingRuntime"}})
    );
    let created = created.last().unwrap();
    assert_eq!(created.get("seqId"), None);
    let capabilities = json!([
        "requestId",
        "createToken",
        "cursor",
        "startPaused",
        "features",
        "outcomes"
    ]);
    assert_eq!(created["params"]["capabilities"], capabilities);
}

/// What `getTransaction` shows of a block is what the validator recorded of it, field by field.
async fn check_transactions(rpc: &Rpc, slot: u64) {
    let block = recorded_block(slot);
    for (index, recorded) in block["transactions"].as_array().unwrap().iter().enumerate() {
        let wire = recorded["transaction"][0].as_str().unwrap();
        let config = json!({"encoding": "base64", "maxSupportedTransactionVersion": 0});
        let mut shown = rpc.call("getTransaction", json!([signature_of(wire), config])).await;
        let mut meta = recorded["meta"].clone();
        for meta in [&mut meta, &mut shown["meta"]] {
            // The cost in the block is not computed.
            meta.as_object_mut().unwrap().remove("costUnits");
        }
        let expected = json!({"slot": slot, "blockTime": block["blockTime"], "transaction": recorded["transaction"],
                              "meta": meta, "version": recorded["version"], "transactionIndex": index});
        assert_eq!(shown, expected, "transaction {index}");
    }
}

pub(crate) fn recorded_block(slot: u64) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/agave-small/blocks.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let mut blocks = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    blocks.find(|block| block["slot"] == slot).unwrap()
}

fn signature_of(wire: &str) -> String {
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, wire).unwrap();
    bs58::encode(&bytes[1..65]).into_string()
}

fn check_summary(summary: &Value) {
    let counts = &summary["counts"];
    assert_eq!(
        (counts["total"].as_u64(), counts["matched"].as_u64()),
        (Some(478), Some(478)),
        "{summary}"
    );
    assert_eq!(
        (summary["slots"].as_u64(), summary["complete"].as_bool()),
        (Some(21), Some(true)),
        "{summary}"
    );
    assert_eq!(summary["bankHashes"]["differed"], 0, "{summary}");
    assert_eq!(summary["resultDigest"].as_str().unwrap().len(), 64);
}

async fn check_accounts(rpc: &Rpc) {
    let (mut after, mut addresses) = (Value::Null, Vec::new());
    loop {
        let page = rpc
            .call("getReplayAccounts", json!([{"after": after, "limit": 200}]))
            .await;
        let accounts = page["accounts"].as_array().unwrap();
        addresses.extend(
            accounts
                .iter()
                .map(|entry| entry["pubkey"].as_str().unwrap().parse::<Pubkey>().unwrap()),
        );
        if page["complete"] == true {
            break;
        }
        after = accounts.last().unwrap()["pubkey"].clone();
    }
    assert_eq!(addresses.len(), 617);
    assert!(addresses.is_sorted());
}

async fn read_outcomes(rpc: &Rpc) {
    let (mut after, mut slots, mut transactions) = (Value::Null, Vec::new(), 0);
    loop {
        let request = json!([{"after": after, "maxSlots": 5, "waitMillis": 1000}]);
        let page = rpc.call("getReplayOutcomes", request.clone()).await;
        assert_eq!(
            page,
            rpc.call("getReplayOutcomes", request).await,
            "what is not acknowledged can be read again"
        );
        for slot in page["slots"].as_array().unwrap() {
            slots.push(slot["slot"].as_u64().unwrap());
            transactions += slot["transactions"].as_array().unwrap().len();
            after = slot["slot"].clone();
        }
        if page["complete"] == true {
            break;
        }
    }
    let last = rpc.call("getReplayOutcomes", json!([{"after": 59}])).await;
    assert_eq!(last, json!({"slots": [], "complete": true}));
    assert_eq!((slots.len(), transactions), (21, 478));
    assert!(slots.is_sorted());
}

async fn check_account_encodings(rpc: &Rpc) {
    let info = async |encoding: &str| {
        rpc.call("getAccountInfo", json!([TOKEN, {"encoding": encoding}])).await["value"].clone()
    };
    let parsed = info("jsonParsed").await;
    assert_eq!(parsed["data"]["program"], "spl-token");
    assert_eq!(parsed["data"]["parsed"]["type"], "account");
    assert!(
        parsed["data"]["parsed"]["info"]["tokenAmount"]["decimals"].is_u64(),
        "{parsed}"
    );
    let base64 = info("base64").await;
    assert_eq!(
        (base64["data"][1].as_str(), base64["space"].as_u64()),
        (Some("base64"), Some(165))
    );
    let zstd = info("base64+zstd").await;
    let packed = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        zstd["data"][0].as_str().unwrap(),
    );
    let unpacked = zstd::decode_all(packed.unwrap().as_slice()).unwrap();
    assert_eq!(
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, unpacked),
        base64["data"][0].as_str().unwrap()
    );
    let (code, message) = rpc
        .error("getAccountInfo", json!([TOKEN, {"encoding": "base58"}]))
        .await;
    assert_eq!(code, -32600, "{message}");
    let slice = json!([TOKEN, {"encoding": "base58", "dataSlice": {"offset": 0, "length": 32}}]);
    assert_eq!(rpc.call("getAccountInfo", slice).await["value"]["data"][1], "base58");
    let rich = rpc.call("getMultipleAccounts", json!([[RICH, TOKEN]])).await;
    assert_eq!(rich["value"][0]["data"], json!(["", "base64"]));
    assert_eq!(rich["value"][0]["rentEpoch"], u64::MAX);
}

async fn check_refusals(rpc: &Rpc) {
    let (code, message) = rpc.error("getAccountInfo", json!([MISSING])).await;
    assert_eq!(code, -32099, "{message}");
    assert_eq!(
        rpc.error("getMultipleAccounts", json!([[RICH, MISSING]])).await.0,
        -32099
    );
    assert_eq!(rpc.error("getAccountInfo", json!(["zzz"])).await.0, -32602);
    assert_eq!(rpc.error("getAccountInfo", json!([])).await.0, -32602);
    assert_eq!(rpc.error("getSlot", json!([{"minContextSlot": 99}])).await.0, -32016);
    assert_eq!(rpc.error("getReplayOutcomes", json!([])).await.0, -32600);
    let (code, message) = rpc.error("getEverything", json!([])).await;
    assert_eq!(code, -32601);
    assert!(message.contains("getEverything"));
    let (code, message) = rpc.error("sendTransaction", json!(["z".repeat(1_000_000)])).await;
    assert!(code == -32602 && message.contains("(max 5595)"), "{message}");
    let too_long = json!(["A".repeat(5468), {"encoding": "base64"}]);
    let (code, message) = rpc.error("simulateTransaction", too_long).await;
    assert!(code == -32602 && message.contains("(max 5464)"), "{message}");
    assert_eq!(rpc.call("getHealth", json!([])).await, "ok");
    assert!(
        rpc.call("getVersion", json!([])).await["solana-core"]
            .as_str()
            .unwrap()
            .starts_with("4.2")
    );
    assert_eq!(rpc.call("getMinimumBalanceForRentExemption", json!([0])).await, 890_880);
    assert_eq!(rpc.call("getBlockHeight", json!([])).await, 38);
}

/// One SOL from the rich account.
pub(crate) async fn transfer_to(to: &str, rpc: &Rpc) -> String {
    let latest = rpc.call("getLatestBlockhash", json!([])).await;
    let blockhash = latest["value"]["blockhash"].as_str().unwrap();
    assert_eq!(rpc.call("isBlockhashValid", json!([blockhash])).await["value"], true);
    let from: Pubkey = RICH.parse().unwrap();
    let instruction = solana_system_interface::instruction::transfer(&from, &to.parse().unwrap(), 1_000_000_000);
    let message = Message::new_with_blockhash(&[instruction], Some(&from), &blockhash.parse().unwrap());
    let signatures = vec![Signature::from([7; 64])];
    let transaction = VersionedTransaction {
        signatures,
        message: VersionedMessage::Legacy(message),
    };
    let wire = wincode::serialize(&transaction).unwrap();
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, wire)
}

async fn check_simulation(rpc: &Rpc, transfer: &str) {
    let accounts = json!({"encoding": "base64", "addresses": [RICH]});
    let config = json!({"encoding": "base64", "accounts": accounts, "innerInstructions": true});
    let simulated = rpc.call("simulateTransaction", json!([transfer, config])).await;
    assert_eq!(simulated["value"]["err"], Value::Null, "{simulated}");
    assert_eq!(simulated["value"]["fee"], 5000);
    let before = rpc.call("getBalance", json!([RICH])).await["value"].as_u64().unwrap();
    assert_eq!(
        simulated["value"]["accounts"][0]["lamports"],
        before - 1_000_005_000,
        "nothing was committed"
    );
    let replaced = json!([transfer, {"encoding": "base64", "replaceRecentBlockhash": true}]);
    let replaced = rpc.call("simulateTransaction", replaced).await;
    assert!(
        replaced["value"]["replacementBlockhash"]["blockhash"].is_string(),
        "{replaced}"
    );
    assert_eq!(
        rpc.error(
            "simulateTransaction",
            json!([transfer, {"encoding": "base64", "sigVerify": true}])
        )
        .await
        .0,
        -32003
    );
    assert_eq!(
        rpc.error("simulateTransaction", json!([transfer])).await.0,
        -32602,
        "base58 is the default"
    );
}
