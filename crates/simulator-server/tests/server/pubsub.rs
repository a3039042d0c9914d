//! The PubSub of a session, over real sockets, on the sample ledger.

use std::time::Duration;

use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use simulator_server::ServerConfig;
use tokio_tungstenite::tungstenite::Message;

use crate::conversation::{RICH, TOKEN, recorded_block, transfer_to};
use crate::data::{Data, cursor, is_end};
use crate::support::{Control, Rpc, Running, SampleArchive, shorten};

/// The program of token accounts.
pub(crate) const TOKEN_PROGRAM: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
/// Each is told about 2 MB of the sample.
const SLOW_SUBSCRIPTIONS: usize = 4;
const VOTES: &str = "Vote111111111111111111111111111111111111111";

/// A server over the sample that does not wait for further subscribes, and a session that stands before its first batch.
pub(crate) struct Stage {
    pub(crate) server: Running,
    pub(crate) control: Control,
    pub(crate) rpc: Rpc,
    _sample: SampleArchive,
}

impl Stage {
    pub(crate) async fn set(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let sample = SampleArchive::import(ScopeChoice::Auto).await;
        let mut config = sample.config();
        config.times.subscribe_pause = Duration::ZERO;
        change(&mut config);
        let server = Running::start(config).await;
        let mut control = server.connect().await;
        let rpc = paused(&mut control).await;
        Self {
            server,
            control,
            rpc,
            _sample: sample,
        }
    }

    /// Executes everything there is.
    pub(crate) async fn finish(&mut self) {
        go_on(&mut self.control).await;
        self.completed().await;
    }

    /// Drops all connections, so that nobody has to be waited for, and stops the server.
    pub(crate) async fn end(self, connections: impl Sized) {
        drop((connections, self.control));
        self.server.stopped().await;
    }

    async fn completed(&mut self) {
        assert_eq!(self.control.run().await.last().unwrap()["method"], "completed");
    }
}

async fn paused(control: &mut Control) -> Rpc {
    let params = json!({"startSlot": 36, "endSlot": 59, "startPaused": true});
    let (rpc, _) = control.create(params).await;
    assert_eq!(shorten(&control.run().await), [r#"paused {"batchIndex":0,"slot":36}"#]);
    rpc
}

async fn go_on(control: &mut Control) {
    control.send("continue", json!({"advanceCount": u64::MAX})).await;
}

/// Every notification of one subscription, with a connection of its own.
pub(crate) async fn all_of(rpc: &Rpc, method: &str, params: Value) -> Vec<Value> {
    let mut data = rpc.data().await;
    data.subscribe(method, params).await;
    data.rest().await
}

/// More than the buffers of both sockets hold has to be told to it, and it does not read.
async fn slow(rpc: &Rpc) -> Data {
    let mut slow = rpc.narrow_data().await;
    for _ in 0..SLOW_SUBSCRIPTIONS {
        slow.subscribe("transactionSubscribe", json!(["allWithVotes"])).await;
    }
    slow
}

async fn check_all_arrives(slow: &mut Data) {
    let heard = slow.until_ends(SLOW_SUBSCRIPTIONS).await;
    assert_eq!(heard.len(), SLOW_SUBSCRIPTIONS * (478 + 1));
}

/// Cursors go up by one within a slot and begin at 0 in the next.
fn check_cursors(messages: &[Value]) {
    let mut last = (0, 0);
    for message in messages {
        let (slot, index) = cursor(message);
        let expected = if slot == last.0 { last.1 + 1 } else { 0 };
        assert!(slot >= last.0 && index == expected, "{slot} {index} after {last:?}");
        last = (slot, index);
    }
}

#[tokio::test]
async fn tells_every_transaction_as_get_transaction_shows_it() {
    let mut stage = Stage::set(|_| {}).await;
    let mut data = stage.rpc.data().await;
    let subscription = data.subscribe("transactionSubscribe", json!(["allWithVotes"])).await;
    go_on(&mut stage.control).await;
    let told = data.rest().await;
    stage.completed().await;
    assert_eq!(told.len(), 478);
    check_cursors(&told);
    for message in told.iter().step_by(40) {
        assert_eq!(message["method"], "transactionNotification");
        assert_eq!(message["params"]["subscription"], subscription);
        let result = &message["params"]["result"];
        let signature = &result["transaction"]["signatures"][0];
        let params = json!([signature, {"maxSupportedTransactionVersion": 0}]);
        assert_eq!(*result, stage.rpc.call("getTransaction", params).await);
        assert_eq!(result["slot"], cursor(message).0);
    }
    let filter = json!([{"mentions": [VOTES]}, {"encoding": "base64"}]);
    let votes = all_of(&stage.rpc, "transactionSubscribe", filter).await;
    let mentions = |message: &&Value| message["params"]["result"]["transaction"].to_string().contains(VOTES);
    assert_eq!(votes.len(), told.iter().filter(mentions).count());
    assert_eq!(votes[0]["params"]["result"]["transaction"][1], "base64");
    stage.end(data).await;
}

#[tokio::test]
async fn keeps_the_order_of_slots_on_one_socket_compressed_or_not() {
    let mut stage = Stage::set(|config| config.times.subscribe_pause = Duration::from_secs(1)).await;
    let mut data = stage.rpc.data().await;
    go_on(&mut stage.control).await;
    // The session runs already: nothing is told until the last subscribe has been answered.
    let zstd = json!({"compression": "zstd", "address_type": "program"});
    let diffs = data
        .subscribe("accountDiffSubscribe", json!([TOKEN_PROGRAM, zstd]))
        .await;
    let transactions = data
        .subscribe("transactionSubscribe", json!(["all", {"compression": "zstd"}]))
        .await;
    let account = data.subscribe("accountDiffSubscribe", json!([TOKEN])).await;
    let heard = data.until_ends(3).await;
    stage.completed().await;
    let slots = heard
        .iter()
        .filter(|heard| !is_end(&heard.message))
        .map(|heard| cursor(&heard.message).0);
    assert!(slots.is_sorted());
    for (subscription, is_compressed) in [(diffs, true), (transactions, true), (account, false)] {
        let mut own: Vec<_> = heard
            .iter()
            .filter(|heard| heard.message["params"]["subscription"] == subscription)
            .collect();
        assert!(own.iter().all(|heard| heard.is_compressed == is_compressed));
        assert!(is_end(&own.pop().unwrap().message), "the end comes last");
        let own: Vec<_> = own.into_iter().map(|heard| heard.message.clone()).collect();
        assert!(!own.is_empty());
        check_cursors(&own);
        check_diffs(&own);
    }
    stage.end(data).await;
}

/// Every change begins where the one before it of the same account ended.
fn check_diffs(messages: &[Value]) {
    let mut states = std::collections::BTreeMap::new();
    for message in messages
        .iter()
        .filter(|message| message["method"] == "accountDiffNotification")
    {
        let result = &message["params"]["result"];
        let (pre, post) = (&result["pre"], &result["post"]);
        assert!(result["signature"].is_string() && result["tx_index"].is_u64() && result["block_time"].is_i64());
        assert_eq!(result["context"]["slot"], cursor(message).0);
        assert_ne!(pre, post);
        for account in [pre, post].into_iter().filter(|account| !account.is_null()) {
            assert!(account["rentEpoch"].is_u64() && account["space"].is_u64() && account["data"][1] == "base64");
        }
        if let Some(state) = states.insert(result["account"].to_string(), post.clone()) {
            assert_eq!(state, *pre, "{result}");
        }
    }
}

#[tokio::test]
async fn resumes_from_a_slot_and_after_a_cursor_with_the_same_notifications() {
    let mut stage = Stage::set(|_| {}).await;
    stage.finish().await;
    let program = |mut options: Value| {
        options["address_type"] = json!("program");
        json!([TOKEN_PROGRAM, options])
    };
    let all = all_of(&stage.rpc, "accountDiffSubscribe", program(json!({}))).await;
    let middle = all.len() / 2;
    let (slot, index) = cursor(&all[middle]);
    let from = all_of(
        &stage.rpc,
        "accountDiffSubscribe",
        program(json!({"replayFromSlot": slot})),
    )
    .await;
    let first = all.iter().position(|message| cursor(message).0 == slot).unwrap();
    assert_eq!(from, all[first..]);
    let after = json!({"replayAfter": {"slot": slot, "index": index}, "replayFromSlot": 0});
    let after = all_of(&stage.rpc, "accountDiffSubscribe", program(after)).await;
    assert_eq!(after, all[middle + 1..]);
    let end = json!({"replayAfter": {"slot": 59, "index": 999}});
    assert_eq!(
        all_of(&stage.rpc, "accountDiffSubscribe", program(end)).await,
        [] as [Value; 0]
    );
    stage.end(()).await;
}

#[tokio::test]
async fn refuses_what_is_not_retained_and_names_the_oldest() {
    let mut stage = Stage::set(|config| config.limits.data_bytes = 1).await;
    stage.finish().await;
    let mut data = stage.rpc.data().await;
    let options = json!({"replayAfter": {"slot": 36, "index": 0}});
    let error = data.refused("transactionSubscribe", json!(["all", options])).await;
    assert_eq!(error["code"], -32097, "{error}");
    assert_eq!(error["data"]["oldest"], json!({"slot": 59, "index": 0}));
    let options = json!({"replayFromSlot": 59});
    data.subscribe("transactionSubscribe", json!(["all", options])).await;
    assert!(data.rest().await.iter().all(|message| cursor(message).0 == 59));
    stage.end(data).await;
}

#[tokio::test]
async fn a_reader_that_is_slow_holds_up_its_own_session_only() {
    let mut stage = Stage::set(|config| config.limits.data_bytes = 1).await;
    let mut slow = slow(&stage.rpc).await;
    go_on(&mut stage.control).await;
    let mut other = stage.server.connect().await;
    let other_rpc = paused(&mut other).await;
    go_on(&mut other).await;
    assert_eq!(other.run().await.last().unwrap()["method"], "completed");
    assert_eq!(other_rpc.call("getSlot", json!([])).await, 59);
    // The buffers of the sockets hold a part of what there is to tell, and then the session stands still.
    let mut last = 0;
    for _ in 0..200 {
        last = stage.rpc.call("getSlot", json!([])).await.as_u64().unwrap();
    }
    assert!(last < 59, "the session went on to {last}");
    check_all_arrives(&mut slow).await;
    stage.completed().await;
    stage.end((slow, other)).await;
}

#[tokio::test]
async fn a_reader_that_disappears_holds_nobody_up_for_long() {
    let mut stage = Stage::set(|config| {
        config.limits.data_bytes = 1;
        config.times.data_grace = Duration::from_millis(5);
    })
    .await;
    let gone = slow(&stage.rpc).await;
    go_on(&mut stage.control).await;
    drop(gone);
    stage.completed().await;
    stage.end(()).await;
}

#[tokio::test]
async fn completed_waits_for_subscribers() {
    let mut stage = Stage::set(|_| {}).await;
    let mut slow = slow(&stage.rpc).await;
    go_on(&mut stage.control).await;
    while shorten(&[stage.control.next().await]) != ["slotNotification 59"] {}
    while stage.rpc.call("getReplaySummary", json!([])).await["complete"] != true {}
    stage.control.hears_nothing().await;
    check_all_arrives(&mut slow).await;
    assert_eq!(stage.control.next().await["method"], "completed");
    stage.end(slow).await;
}

#[tokio::test]
async fn completed_does_not_wait_for_ever() {
    let mut stage = Stage::set(|config| config.times.completed_hold = Duration::from_millis(200)).await;
    let mut slow = slow(&stage.rpc).await;
    stage.finish().await;
    check_all_arrives(&mut slow).await;
    stage.end(slow).await;
}

#[tokio::test]
async fn what_was_not_told_yet_outlives_a_closed_session() {
    let mut stage = Stage::set(|config| config.times.completed_hold = Duration::from_millis(1)).await;
    let mut slow = slow(&stage.rpc).await;
    stage.finish().await;
    let close = r#"{"method": "closeBacktestSession"}"#;
    stage.control.raw(Message::text(close)).await;
    assert_eq!(stage.control.next().await, json!({"method": "success"}));
    assert_eq!(stage.control.closed().await.map(u16::from), Some(1000));
    stage.rpc.gone().await;
    check_all_arrives(&mut slow).await;
    // A client that subscribes only now, or again after a lost connection, finds everything, and the end.
    let late = all_of(&stage.rpc, "transactionSubscribe", json!(["allWithVotes"])).await;
    assert_eq!(late.len(), 478);
    slow.subscribe("slotSubscribe", json!([])).await;
    assert_eq!(slow.rest().await, [] as [Value; 0]);
    stage.end(slow).await;
}

#[tokio::test]
async fn an_ended_session_is_forgotten_in_the_end() {
    let mut stage = Stage::set(|config| config.times.data_drain = Duration::from_millis(20)).await;
    stage.finish().await;
    stage.control.close().await;
    let mut status = stage.rpc.data_refused_or_open().await;
    while status != 404 {
        status = stage.rpc.data_refused_or_open().await;
    }
    stage.server.stopped().await;
}

#[tokio::test]
async fn tells_the_end_of_a_session_that_is_closed_in_the_middle() {
    let mut stage = Stage::set(|config| config.times.data_drain = Duration::from_millis(200)).await;
    let mut data = stage.rpc.data().await;
    data.subscribe("transactionSubscribe", json!(["all"])).await;
    data.subscribe("slotSubscribe", json!([])).await;
    let close = r#"{"method": "closeBacktestSession"}"#;
    stage.control.raw(Message::text(close)).await;
    data.until_ends(2).await;
    assert_eq!(data.closed().await.map(u16::from), Some(1000), "nothing more can come");
    stage.end(data).await;
}

#[tokio::test]
async fn tells_of_transactions_that_the_user_sends() {
    let stage = Stage::set(|_| {}).await;
    let mut data = stage.rpc.data().await;
    let zstd = json!({"compression": "zstd"});
    data.subscribe("accountDiffSubscribe", json!([TOKEN, zstd])).await;
    data.subscribe("logsSubscribe", json!([{"mentions": [RICH]}])).await;
    let transfer = transfer_to(TOKEN, &stage.rpc).await;
    let sent = stage
        .rpc
        .call("sendTransaction", json!([transfer, {"encoding": "base64"}]))
        .await;
    let diff = data.next().await;
    assert!(diff.is_compressed);
    let result = &diff.message["params"]["result"];
    assert_eq!((&result["tx_index"], &result["signature"]), (&Value::Null, &sent));
    let lamports = |state: &str| result[state]["lamports"].as_u64().unwrap();
    assert_eq!(lamports("post") - lamports("pre"), 1_000_000_000);
    let logs = data.next().await.message;
    let value = &logs["params"]["result"]["value"];
    assert_eq!((&value["signature"], &value["err"]), (&sent, &Value::Null));
    assert_eq!(value["logs"].as_array().unwrap().len(), 2);
    assert_eq!(cursor(&logs), (36, 0));
    stage.end(data).await;
}

#[tokio::test]
async fn takes_no_more_in_one_slot_than_it_can_keep() {
    let mut stage = Stage::set(|config| config.limits.data_bytes = 1).await;
    let transfer = |to: Value| json!([to, {"encoding": "base64"}]);
    let first = transfer(transfer_to(TOKEN, &stage.rpc).await.into());
    stage.rpc.call("sendTransaction", first).await;
    let second = transfer(transfer_to(RICH, &stage.rpc).await.into());
    let (code, message) = stage.rpc.error("sendTransaction", second.clone()).await;
    assert!(code == -32098 && message.contains("go on to the next one"), "{message}");
    stage.control.send("continue", json!({"advanceCount": 2})).await;
    stage.control.run().await;
    stage.rpc.call("sendTransaction", second).await;
    stage.end(()).await;
}

#[tokio::test]
async fn follows_slots_accounts_and_signatures() {
    let mut stage = Stage::set(|_| {}).await;
    let mut data = stage.rpc.data().await;
    let base64 = json!({"encoding": "base64"});
    data.subscribe("slotSubscribe", json!([])).await;
    data.subscribe("rootSubscribe", json!([])).await;
    data.subscribe("slotsUpdatesSubscribe", json!([])).await;
    data.subscribe("accountSubscribe", json!([TOKEN, base64])).await;
    data.subscribe("programSubscribe", json!([TOKEN_PROGRAM, base64])).await;
    go_on(&mut stage.control).await;
    let heard = data.until_ends(5).await;
    stage.completed().await;
    let of = |method: &str| -> Vec<Value> {
        let is_it = |message: &&Value| message["method"] == method;
        heard
            .iter()
            .map(|heard| &heard.message)
            .filter(is_it)
            .cloned()
            .collect()
    };
    let (slots, roots) = (of("slotNotification"), of("rootNotification"));
    assert_eq!((slots.len(), roots.len()), (20, 21), "slot 36 was open already");
    assert_eq!(
        slots[0]["params"]["result"],
        json!({"slot": 37, "parent": 36, "root": 36})
    );
    assert_eq!(roots[20]["params"]["result"], 59);
    check_slots_updates(&of("slotsUpdatesNotification"));
    let accounts = of("accountNotification");
    let last = &accounts.last().unwrap()["params"]["result"]["value"];
    assert_eq!(
        *last,
        stage.rpc.call("getAccountInfo", json!([TOKEN, base64])).await["value"]
    );
    let parsed = json!({"encoding": "jsonParsed"});
    let expected = stage.rpc.call("getAccountInfo", json!([TOKEN, parsed])).await;
    let options = json!({"encoding": "jsonParsed", "replayFromSlot": 0, "intraSlotUpdates": true});
    let every = all_of(&stage.rpc, "accountSubscribe", json!([TOKEN, options])).await;
    assert!(every.len() >= accounts.len());
    assert_eq!(every.last().unwrap()["params"]["result"]["value"], expected["value"]);
    let slots: Vec<_> = accounts.iter().map(|message| cursor(message).0).collect();
    assert!(
        slots.is_sorted_by(|first, second| first < second),
        "one a slot: {slots:?}"
    );
    let of_program = of("programNotification");
    check_cursors(&of_program);
    let is_token = |message: &&Value| message["params"]["result"]["value"]["pubkey"] == TOKEN;
    assert_eq!(of_program.iter().filter(is_token).count(), accounts.len());
    check_signature(&stage.rpc, data).await;
    stage.end(()).await;
}

fn check_slots_updates(updates: &[Value]) {
    let shown: Vec<_> = updates[..4]
        .iter()
        .map(|message| &message["params"]["result"])
        .collect();
    let kinds: Vec<_> = shown.iter().map(|update| update["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["frozen", "root", "createdBank", "frozen"]);
    assert!(
        shown[0]["stats"]["numSuccessfulTransactions"].as_u64() > Some(0),
        "{}",
        shown[0]
    );
    assert!(shown[2]["timestamp"].as_u64() > Some(1_700_000_000_000));
}

async fn check_signature(rpc: &Rpc, mut data: Data) {
    let transactions = all_of(rpc, "transactionSubscribe", json!(["all"])).await;
    let result = &transactions[9]["params"]["result"];
    let signature = &result["transaction"]["signatures"][0];
    data.subscribe("signatureSubscribe", json!([signature])).await;
    let told = data.rest().await;
    assert_eq!(told.len(), 1);
    let expected = json!({"context": {"slot": result["slot"]}, "value": {"err": result["meta"]["err"]}});
    assert_eq!(told[0]["params"]["result"], expected);
}

#[tokio::test]
async fn tells_blocks_as_they_were_recorded() {
    let mut stage = Stage::set(|_| {}).await;
    let mut data = stage.rpc.data().await;
    let options = json!({"showRewards": true, "maxSupportedTransactionVersion": 0});
    data.subscribe("blockSubscribe", json!(["all", options])).await;
    go_on(&mut stage.control).await;
    let blocks = data.rest().await;
    stage.completed().await;
    assert_eq!(blocks.len(), 21);
    for message in blocks.iter().step_by(5) {
        let mut shown = message["params"]["result"]["value"]["block"].clone();
        let mut recorded = recorded_block(cursor(message).0);
        recorded.as_object_mut().unwrap().remove("slot");
        for block in [&mut shown, &mut recorded] {
            for transaction in block["transactions"].as_array_mut().unwrap() {
                // The cost in the block is not computed.
                transaction["meta"].as_object_mut().unwrap().remove("costUnits");
            }
        }
        assert_eq!(shown, recorded);
    }
    let legacy = all_of(&stage.rpc, "blockSubscribe", json!(["all", {"replayFromSlot": 0}])).await;
    check_versions(&legacy);
    let options = json!({"transactionDetails": "signatures", "replayFromSlot": 0});
    let of_token = json!([{"mentionsAccountOrProgram": TOKEN_PROGRAM}, options]);
    let of_token = all_of(&stage.rpc, "blockSubscribe", of_token).await;
    assert!(!of_token.is_empty() && of_token.len() < blocks.len());
    let first = &of_token[0]["params"]["result"]["value"]["block"];
    assert!(!first["signatures"].as_array().unwrap().is_empty() && first["transactions"].is_null());
    stage.end(data).await;
}

/// Who does not say that it understands versions is told of blocks without any.
fn check_versions(blocks: &[Value]) {
    let (shown, refused): (Vec<_>, Vec<_>) = blocks
        .iter()
        .map(|message| &message["params"]["result"]["value"])
        .partition(|value| value["err"].is_null());
    assert!(!shown.is_empty() && !refused.is_empty());
    assert!(shown.iter().all(|value| value["block"]["rewards"].is_null()));
    for value in refused {
        assert!(
            value["block"].is_null() && value["err"]["UnsupportedTransactionVersion"] == 0,
            "{value}"
        );
    }
}

#[tokio::test]
async fn answers_mistakes_and_has_limits() {
    let stage = Stage::set(|config| {
        config.limits.subscriptions = 1;
        config.limits.data_connections = 1;
    })
    .await;
    let mut data = stage.rpc.data().await;
    assert_eq!(stage.rpc.data_refused().await, 429);
    for (garbage, code) in [
        (Message::text("{{{"), -32700),
        (Message::text("[]"), -32600),
        (Message::binary(vec![0xff]), -32600),
    ] {
        data.raw(garbage).await;
        let answer = data.next().await.message;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &Value::Null));
    }
    for method in ["diagnosticSubscribe", "replacementSubscribe", "getSlot"] {
        let error = data.refused(method, json!([null, {}])).await;
        assert_eq!(error["code"], -32601);
        assert!(error["message"].as_str().unwrap().contains(method), "{error}");
    }
    let logs = data.subscribe("logsSubscribe", json!(["all"])).await;
    assert_eq!(data.refused("slotSubscribe", json!([])).await["code"], -32600);
    assert_eq!(data.refused("slotUnsubscribe", json!([logs])).await["code"], -32602);
    assert_eq!(data.ask("logsUnsubscribe", json!([logs])).await["result"], true);
    assert_eq!(data.refused("logsUnsubscribe", json!([logs])).await["code"], -32602);
    let again = data.subscribe("slotSubscribe", json!([])).await;
    assert_ne!(again, logs, "numbers are not used twice");
    stage.server.stop();
    assert_eq!(data.closed().await.map(u16::from), Some(1012));
    stage.end(data).await;
}
