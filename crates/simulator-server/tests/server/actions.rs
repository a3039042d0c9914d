//! Scheduled actions, black box: what they tell, and what they leave behind.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use simulator_api::{ActionAnchor, ContinueParams, DiscoveryFilter, ScheduledAction};
use simulator_archive::import::ScopeChoice;
use simulator_client::{ActionNotification, CreateSession, ManagedBacktestSession, ManagedEvent, subscribe_actions};
use solana_message::{Message, VersionedMessage};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_system_interface::instruction::transfer;
use solana_transaction::versioned::VersionedTransaction;
use tokio::time::timeout;

use crate::conversation::{RICH, TOKEN, recorded_block};
use crate::data::cursor;
use crate::support::{Control, PATIENCE, Rpc, Running, SampleArchive, shorten};

const SOL: u64 = 1_000_000_000;
const MEMO: &str = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr";
const MISSING: &str = "Missing111111111111111111111111111111111111";
const SYSTEM: &str = "11111111111111111111111111111111";
/// The slots of the sample that have a block.
const BLOCKS: [u64; 21] = [
    36, 37, 38, 39, 40, 41, 42, 43, 44, 46, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59,
];

/// A payment in base64 with a blockhash that the chain never had.
pub(crate) fn payment(from: &str, to: &str, lamports: u64) -> String {
    let from: Pubkey = from.parse().unwrap();
    let message = Message::new(&[transfer(&from, &to.parse().unwrap(), lamports)], Some(&from));
    let transaction = VersionedTransaction {
        signatures: vec![Signature::from([9; 64])],
        message: VersionedMessage::Legacy(message),
    };
    let wire = wincode::serialize(&transaction).unwrap();
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, wire)
}

fn lamports(lamports: u64) -> Value {
    json!({"data": {"data": "", "encoding": "base64"}, "executable": false, "lamports": lamports,
           "owner": SYSTEM, "space": 0})
}

fn memo() -> DiscoveryFilter {
    DiscoveryFilter::ProgramExecuted(MEMO.parse().unwrap())
}

/// An action with some of its fields set.
fn with(action: &ScheduledAction, fields: &Value) -> ScheduledAction {
    let mut all = serde_json::to_value(action).unwrap();
    let fields = fields.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(fields);
    serde_json::from_value(all).unwrap()
}

/// A server over the sample, and a session with actions on it.
struct Stage {
    server: Running,
    control: Control,
    rpc: Rpc,
    _sample: SampleArchive,
}

impl Stage {
    async fn set(actions: &[ScheduledAction], more: &Value) -> Self {
        Self::of(ScopeChoice::Auto, actions, more).await
    }

    async fn of(scope: ScopeChoice, actions: &[ScheduledAction], more: &Value) -> Self {
        let sample = SampleArchive::import(scope).await;
        let mut config = sample.config();
        config.times.subscribe_pause = Duration::ZERO;
        let server = Running::start(config).await;
        let mut control = server.connect().await;
        let mut params = json!({"startSlot": 36, "endSlot": 59, "actions": ScheduledAction::pack_all(actions)});
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let (rpc, _) = control.create(params).await;
        control.run().await;
        Self {
            server,
            control,
            rpc,
            _sample: sample,
        }
    }

    /// Executes everything there is; what the actions told, one connection being there from the start and one late.
    async fn finish(&mut self) -> Vec<Value> {
        let mut early = self.rpc.data().await;
        early.subscribe("actionSubscribe", json!([null, {}])).await;
        self.control.send("continue", json!({"advanceCount": u64::MAX})).await;
        let told = early.rest().await;
        assert_eq!(self.control.run().await.last().unwrap()["method"], "completed");
        let mut late = self.rpc.data().await;
        late.subscribe("actionSubscribe", json!([null, {"compression": "zstd"}]))
            .await;
        assert_eq!(late.rest().await, told);
        let slots: Vec<_> = told.iter().map(|message| cursor(message).0).collect();
        assert!(slots.is_sorted());
        assert!(told.iter().all(|message| message["method"] == "actionNotification"));
        told.iter().map(|message| message["params"]["result"].clone()).collect()
    }

    async fn summary(&self) -> Value {
        self.rpc.call("getReplaySummary", json!([])).await
    }

    async fn end(self) {
        drop(self.control);
        self.server.stopped().await;
    }
}

async fn untouched_summary() -> Value {
    let mut stage = Stage::set(&[], &json!({})).await;
    assert!(stage.finish().await.is_empty(), "without actions there is only the end");
    let summary = stage.summary().await;
    stage.end().await;
    summary
}

#[tokio::test]
async fn a_simulation_is_told_in_full_and_leaves_no_trace() {
    let simulate = ScheduledAction::simulate(
        ActionAnchor::after_slots(&[38, 45, 59]),
        &[
            payment(RICH, TOKEN, SOL),
            payment(RICH, TOKEN, SOL),
            payment(MISSING, TOKEN, 1),
        ],
    );
    let simulate = with(&simulate, &json!({"label": "probe", "returnAccounts": [RICH, MISSING]}));
    let mut stage = Stage::set(&[simulate], &json!({"startPaused": true})).await;
    let told = stage.finish().await;
    assert_eq!(told.len(), 3);
    let first = &told[0];
    assert_eq!(first["context"], json!({"slot": 38}));
    assert_eq!(
        (
            &first["slot"],
            &first["actionIndex"],
            &first["label"],
            &first["committed"]
        ),
        (&json!(38), &json!(0), &json!("probe"), &json!(false))
    );
    assert_eq!(
        (&first["batchIndex"], &first["txIndex"], &first["matched"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let outcome = &first["transactionOutcomes"][0];
    assert_eq!(
        (&outcome["err"], &outcome["fee"]),
        (&Value::Null, &json!(5000)),
        "{outcome}"
    );
    assert!(outcome["unitsConsumed"].as_u64().unwrap() > 0 && outcome["logs"].as_array().unwrap().len() == 2);
    assert_eq!(outcome["returnData"], Value::Null);
    assert!(first["accounts"][0]["lamports"].as_u64().unwrap() > SOL);
    assert_eq!(first["accounts"][0]["data"], json!(["", "base64"]));
    assert_eq!(first["accounts"][1], Value::Null, "it does not exist");
    assert_eq!(first["unknownAccounts"], Value::Null, "all accounts are known");
    let missed = &told[1];
    assert_eq!((&missed["slot"], &missed["context"]["slot"]), (&json!(45), &json!(46)));
    assert_eq!(
        (&missed["notRun"], &missed["transactionOutcomes"]),
        (&json!("the slot has no block"), &json!([]))
    );
    assert_eq!(told[2]["transactionOutcomes"][0]["err"], "AccountNotFound");
    assert_eq!(stage.summary().await, untouched_summary().await);
    stage.end().await;
}

#[tokio::test]
async fn every_anchor_has_its_place() {
    let pay = || [payment(RICH, TOKEN, SOL)];
    let shown = json!({"returnAccounts": [RICH]});
    let actions = [
        ActionAnchor::BeforeEverySlot { every_n_slots: 1 },
        ActionAnchor::AfterEverySlot { every_n_slots: 10 },
        ActionAnchor::BeforeMatch { filter: memo() },
        ActionAnchor::AfterMatch { filter: memo() },
        ActionAnchor::before_slots(&[49]),
        ActionAnchor::after_slots(&[49]),
    ];
    let actions = actions.map(|anchor| with(&ScheduledAction::simulate(anchor, &pay()), &shown));
    let mut stage = Stage::set(&actions, &json!({"startPaused": true})).await;
    let told = stage.finish().await;
    let slots_of = |action: usize| -> Vec<u64> {
        let of = told.iter().filter(|result| result["actionIndex"] == action);
        of.map(|result| result["slot"].as_u64().unwrap()).collect()
    };
    assert_eq!(slots_of(0), BLOCKS);
    assert_eq!(slots_of(1), [36, 49, 59], "every tenth block, not slot");
    assert_eq!((slots_of(4), slots_of(5)), (vec![49], vec![49]));
    let in_49: Vec<_> = told.iter().filter(|result| result["slot"] == 49).collect();
    let order: Vec<_> = in_49
        .iter()
        .map(|result| result["actionIndex"].as_u64().unwrap())
        .collect();
    assert_eq!(order[..2], [0, 4], "before everything, in the order of the create");
    assert_eq!(order[order.len() - 2..], [1, 5]);
    check_matches(&told);
    stage.end().await;
}

/// The actions that wait for memos ran around each of the block's, once before and once after.
fn check_matches(told: &[Value]) {
    let mut matches = 0;
    for slot in BLOCKS {
        let of = |action: u64| {
            let of = move |result: &&Value| result["slot"] == slot && result["actionIndex"] == action;
            told.iter().filter(of).collect::<Vec<_>>()
        };
        let block = recorded_block(slot);
        let transactions = block["transactions"].as_array().unwrap();
        let indices: Vec<_> = of(2).iter().map(|result| result["txIndex"].as_u64().unwrap()).collect();
        let after: Vec<_> = of(3).iter().map(|result| result["txIndex"].as_u64().unwrap()).collect();
        assert_eq!(indices, after);
        let expected: Vec<_> = (0..)
            .zip(transactions)
            .filter(|(_, transaction)| calls_memo(transaction))
            .collect();
        assert_eq!(
            indices,
            expected.iter().map(|(index, _)| *index).collect::<Vec<u64>>(),
            "slot {slot}"
        );
        for (before, (_, transaction)) in of(2).iter().zip(expected) {
            let signature = first_signature(transaction);
            assert_eq!(before["matchedSignature"], signature);
            assert!(before["batchIndex"].is_u64());
            matches += 1;
        }
    }
    assert!(matches > 0);
    let places = told
        .iter()
        .filter(|result| [2, 3].contains(&result["actionIndex"].as_u64().unwrap()));
    let places: Vec<_> = places.collect();
    for pair in places.chunks(2) {
        assert_eq!(
            (&pair[0]["actionIndex"], &pair[1]["actionIndex"]),
            (&json!(2), &json!(3)),
            "around the same one"
        );
        assert_eq!(pair[0]["txIndex"], pair[1]["txIndex"]);
    }
}

fn wire_of(transaction: &Value) -> VersionedTransaction {
    let text = transaction["transaction"][0].as_str().unwrap();
    let wire = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
    wincode::deserialize(&wire).unwrap()
}

fn first_signature(transaction: &Value) -> String {
    wire_of(transaction).signatures[0].to_string()
}

fn calls_memo(transaction: &Value) -> bool {
    let transaction = wire_of(transaction);
    let memo: Pubkey = MEMO.parse().unwrap();
    let keys = transaction.message.static_account_keys();
    let mut programs = transaction
        .message
        .instructions()
        .iter()
        .map(|own| own.program_id_index);
    programs.any(|program| keys.get(usize::from(program)) == Some(&memo))
}

#[tokio::test]
async fn a_send_is_part_of_the_slot_and_its_overrides_are_not() {
    let send = ScheduledAction::send(ActionAnchor::after_slots(&[40]), &[payment(MISSING, TOKEN, SOL)]);
    let send = with(
        &send,
        &json!({"accountOverrides": {MISSING: lamports(3 * SOL), MEMO: lamports(1)}, "returnAccounts": [MISSING, MEMO]}),
    );
    let probe = ScheduledAction::simulate(ActionAnchor::before_slots(&[41]), &[payment(MISSING, TOKEN, 1)]);
    let mut stage = Stage::set(&[send, probe], &json!({"outcomes": "divergences"})).await;
    let mut transactions = stage.rpc.data().await;
    transactions
        .subscribe("transactionSubscribe", json!([{"mentions": [MISSING]}]))
        .await;
    stage.control.send("continueTo", json!({"slot": 40})).await;
    assert_eq!(
        shorten(&stage.control.run().await).last().unwrap(),
        r#"paused {"slot":40}"#
    );
    let balance = stage.rpc.call("getBalance", json!([MISSING])).await;
    assert_eq!(balance["value"], 2 * SOL - 5000, "it is there when slot 40 is told");
    let told = stage.finish().await;
    let sent = &told[0];
    assert_eq!(
        (&sent["committed"], &sent["transactionOutcomes"][0]["err"]),
        (&json!(true), &Value::Null),
        "{sent}"
    );
    assert_eq!(sent["accounts"][0]["lamports"], 2 * SOL - 5000);
    assert_eq!(sent["accounts"][1]["executable"], true, "nobody wrote the memo program");
    assert_eq!(
        told[1]["transactionOutcomes"][0]["err"],
        Value::Null,
        "what was sent stays"
    );
    let heard = transactions.rest().await;
    assert_eq!(heard.len(), 1);
    let result = &heard[0]["params"]["result"];
    assert_eq!(
        (&result["slot"], &result["transactionIndex"]),
        (&json!(40), &Value::Null)
    );
    let summary = stage.summary().await;
    assert_eq!(
        (&summary["injected"], &summary["counts"]["total"]),
        (&json!(1), &json!(478)),
        "{summary}"
    );
    assert_ne!(summary["resultDigest"], untouched_summary().await["resultDigest"]);
    stage.end().await;
}

#[tokio::test]
async fn what_follows_from_a_send_is_put_down_to_the_user() {
    // The account pays, and whoever deals with it afterwards sees another balance.
    let block = recorded_block(37);
    let payer = wire_of(&block["transactions"][0]).message.static_account_keys()[0].to_string();
    let send = ScheduledAction::send(ActionAnchor::before_slots(&[37]), &[payment(&payer, TOKEN, 1)]);
    let mut stage = Stage::set(&[send], &json!({"outcomes": "divergences", "startPaused": true})).await;
    let told = stage.finish().await;
    assert_eq!(
        (&told[0]["committed"], &told[0]["slot"]),
        (&json!(true), &json!(37)),
        "{told:?}"
    );
    let read = stage.rpc.call("getReplayOutcomes", json!([{"maxSlots": 100}])).await;
    let slots = read["slots"].as_array().unwrap();
    let divergences: Vec<_> = slots
        .iter()
        .flat_map(|slot| slot["divergences"].as_array().unwrap())
        .collect();
    assert!(!divergences.is_empty());
    assert!(
        divergences.iter().all(|divergence| divergence["class"] == "overridden"),
        "{divergences:?}"
    );
    assert!(
        divergences
            .iter()
            .all(|divergence| divergence["slot"].as_u64().unwrap() >= 37)
    );
    stage.end().await;
}

#[tokio::test]
async fn the_same_session_tells_the_same_and_may_be_resumed() {
    let actions = || {
        let every = ActionAnchor::BeforeEverySlot { every_n_slots: 2 };
        [
            ScheduledAction::send(every, &[payment(RICH, TOKEN, SOL), payment(RICH, TOKEN, SOL)]),
            ScheduledAction::simulate(ActionAnchor::AfterMatch { filter: memo() }, &[payment(RICH, TOKEN, 7)]),
        ]
    };
    let mut first = Stage::set(&actions(), &json!({})).await;
    let mut second = Stage::set(&actions(), &json!({})).await;
    // One of them goes step by step.
    for _ in 0..5 {
        second.control.send("continue", json!({})).await;
        second.control.run().await;
    }
    let told = first.finish().await;
    assert_eq!(told, second.finish().await);
    assert_eq!(first.summary().await, second.summary().await);
    let mut data = first.rpc.data().await;
    data.subscribe("actionSubscribe", json!([null, {"replayFromSlot": 50}]))
        .await;
    let from_50 = data.rest().await;
    let expected: Vec<_> = told
        .iter()
        .filter(|result| result["context"]["slot"].as_u64().unwrap() >= 50)
        .collect();
    assert_eq!(
        from_50
            .iter()
            .map(|message| &message["params"]["result"])
            .collect::<Vec<_>>(),
        expected
    );
    let (slot, index) = cursor(&from_50[0]);
    let after = json!({"replayAfter": {"slot": slot, "index": index}});
    let mut data = first.rpc.data().await;
    let subscription = data.subscribe("actionSubscribe", json!([null, after])).await;
    assert_eq!(data.rest().await.len(), from_50.len() - 1);
    let answer = data.ask("actionUnsubscribe", json!([subscription])).await;
    assert_eq!(answer["error"]["code"], -32602, "it has ended");
    let again = data.subscribe("actionSubscribe", json!([])).await;
    assert!(again > subscription);
    first.end().await;
    second.end().await;
}

#[tokio::test]
async fn an_account_that_the_archive_does_not_hold_is_named() {
    let simulate = ScheduledAction::simulate(ActionAnchor::after_slots(&[36]), &[payment(RICH, MISSING, SOL)]);
    let simulate = with(&simulate, &json!({"returnAccounts": [MISSING]}));
    let known = with(&simulate, &json!({"accountOverrides": {MISSING: lamports(0)}}));
    let mut stage = Stage::of(ScopeChoice::Listed, &[simulate, known], &json!({"startPaused": true})).await;
    let told = stage.finish().await;
    assert_eq!(told[0]["transactionOutcomes"][0]["err"], "AccountNotFound");
    assert_eq!(
        (&told[0]["accounts"], &told[0]["unknownAccounts"]),
        (&json!([null]), &json!([MISSING]))
    );
    assert_eq!(told[1]["transactionOutcomes"][0]["err"], Value::Null, "{}", told[1]);
    assert_eq!(told[1]["accounts"][0]["lamports"], SOL);
    stage.end().await;
}

#[tokio::test]
async fn a_slot_that_no_block_follows_is_told_with_the_last_one() {
    let late = ScheduledAction::simulate(
        ActionAnchor::before_slots(&[46, 48]),
        &[payment(RICH, TOKEN, 1), payment(RICH, TOKEN, 1)],
    );
    let mut stage = Stage::set(&[late], &json!({"endSlot": 48})).await;
    let told = stage.finish().await;
    let places: Vec<_> = told
        .iter()
        .map(|result| (&result["slot"], &result["context"]["slot"]))
        .collect();
    assert_eq!(places, [(&json!(46), &json!(46)), (&json!(48), &json!(46))]);
    assert_eq!(
        (&told[0]["notRun"], &told[1]["notRun"]),
        (&Value::Null, &json!("the slot has no block"))
    );
    stage.end().await;
}

#[tokio::test]
async fn our_client_hears_the_same_by_callback_and_in_its_session() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let every = ActionAnchor::AfterEverySlot { every_n_slots: 5 };
    let probe = ScheduledAction::simulate(every, &[payment(RICH, TOKEN, SOL), payment(MISSING, TOKEN, SOL)]);
    let probe = with(&probe, &json!({"label": "probe", "returnAccounts": [RICH, MISSING]}));
    let create = CreateSession::builder().start_slot(36).end_slot(59).build();
    let request = create.schedule(&[probe]).into_request().unwrap();
    let url = format!("ws://{}/backtest", server.address);
    let mut session = ManagedBacktestSession::start(url, String::new(), request)
        .await
        .unwrap();
    session.subscribe_actions();
    let called_back: Arc<Mutex<Vec<ActionNotification>>> = Arc::default();
    let calls = Arc::clone(&called_back);
    let handle = subscribe_actions(&session.session_info().rpc_endpoint, move |action| {
        calls.lock().unwrap().push(action);
        std::future::ready(())
    })
    .await
    .unwrap();
    let heard = heard_to_the_end(&mut session).await;
    handle.join_handle.await.unwrap().unwrap();
    let texts = |actions: &[ActionNotification]| {
        actions
            .iter()
            .map(|action| action.json().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(&heard), texts(&called_back.lock().unwrap()));
    let slots: Vec<u64> = heard.iter().map(|action| action.result().unwrap().slot).collect();
    assert_eq!(slots, [36, 41, 49, 54, 59]);
    let result = heard[1].result().unwrap();
    assert_eq!(
        (result.action_index, result.label.as_deref(), result.committed),
        (0, Some("probe"), false)
    );
    let [paid, failed] = &result.transaction_outcomes[..] else {
        panic!("{result:?}")
    };
    assert_eq!((&paid.err, paid.fee), (&None, Some(5000)));
    assert_eq!((&failed.err, failed.fee), (&Some(json!("AccountNotFound")), None));
    let accounts = result.accounts().unwrap();
    assert!(accounts[0].as_ref().unwrap().lamports > SOL && accounts[1].is_none());
    session.shutdown().await;
    server.stopped().await;
}

/// Runs a session to its end; what its actions led to.
async fn heard_to_the_end(session: &mut ManagedBacktestSession) -> Vec<ActionNotification> {
    let mut heard = Vec::new();
    loop {
        match timeout(PATIENCE, session.next_event()).await.unwrap().unwrap() {
            ManagedEvent::ReadyForContinue => {
                let all = ContinueParams {
                    advance_count: u64::MAX,
                    ..ContinueParams::default()
                };
                session.send_continue(all).await.unwrap();
            }
            ManagedEvent::Action(action) => heard.push(action),
            ManagedEvent::Completed { .. } => return heard,
            _ => {}
        }
    }
}

#[tokio::test]
async fn garbage_is_refused_by_name() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let mut control = server.connect().await;
    let good = ScheduledAction::simulate(ActionAnchor::after_slots(&[38]), &[payment(RICH, TOKEN, 1)]);
    let foreign = ScheduledAction::simulate(ActionAnchor::after_slots(&[35]), &[payment(RICH, TOKEN, 1)]);
    let broken = with(&good, &json!({"transactions": "KLUv"}));
    for (actions, expected) in [
        (json!("%"), "actions: not valid base64"),
        (json!(7), "params.actions: expected a string, got the number 7"),
        (
            json!(ScheduledAction::pack_all(&[good.clone(), foreign])),
            "actions[1].anchor.slots[0]: slot 35 is not in the session's range, 36 to 59",
        ),
        (
            json!(ScheduledAction::pack_all(&[broken])),
            "actions[0].transactions: not valid zstd",
        ),
    ] {
        let params = json!({"startSlot": 36, "endSlot": 59, "actions": actions});
        let error = control.create_fails(params).await;
        assert!(error.starts_with(expected), "{error}");
    }
    let params = json!({"startSlot": 36, "endSlot": 59, "actions": ScheduledAction::pack_all(&[good])});
    control.create(params).await;
    server.stopped().await;
}
