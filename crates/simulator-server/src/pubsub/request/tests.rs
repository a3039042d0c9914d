use proptest::prelude::*;
use serde_json::{Value, json};
use simulator_api::{Compression, Cursor};

use solana_transaction_status::TransactionDetails;

use super::*;

const PROGRAM: &str = "Stake11111111111111111111111111111111111111";

fn read(method: &str, params: &Value) -> Result<Call, RpcError> {
    Request::from_json(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()).call
}

fn subscribe(method: &str, params: &Value) -> (Subject, Start) {
    match read(method, params) {
        Ok(Call::Subscribe(subject, start)) => (subject, start),
        other => panic!("{other:?}"),
    }
}

fn error(method: &str, params: &Value) -> (i64, String) {
    let error = read(method, params).unwrap_err();
    (error.code, error.message)
}

fn program() -> Pubkey {
    PROGRAM.parse().unwrap()
}

#[test]
fn reads_what_the_published_clients_send() {
    let mentioning = Which::Mentioning(vec![program()]);
    let commitment = json!({"commitment": "confirmed"});
    let (transactions, start) = subscribe("transactionSubscribe", &json!([{"mentions": [PROGRAM]}, commitment]));
    let expected = Topic::Transactions(mentioning.clone(), UiTransactionEncoding::Json);
    assert_eq!((transactions.topic, start), (expected, Start::Oldest));
    let (logs, start) = subscribe("logsSubscribe", &json!([{"mentions": [PROGRAM]}, commitment]));
    assert_eq!((logs.topic, start), (Topic::Logs(mentioning), Start::Now));
    let (one, _) = subscribe("accountDiffSubscribe", &json!([PROGRAM]));
    assert_eq!(one.topic, Topic::Diffs(Whose::Account(program())));
    let options = json!({"address_type": "program", "compression": "zstd"});
    let (all, _) = subscribe("accountDiffSubscribe", &json!([PROGRAM, options]));
    assert_eq!(all.topic, Topic::Diffs(Whose::Program(program())));
    assert_eq!(all.compression, Some(Compression::Zstd));
    let options = json!({"encoding": "base64", "commitment": "confirmed", "intraSlotUpdates": true});
    let (account, _) = subscribe("accountSubscribe", &json!([PROGRAM, options]));
    let expected = AccountTopic {
        whose: Whose::Account(program()),
        filters: Filters::default(),
        encoding: UiAccountEncoding::Base64,
        slice: None,
        is_intra_slot: true,
    };
    assert_eq!(account.topic, Topic::Accounts(expected));
    for params in [Value::Null, json!([])] {
        assert_eq!(subscribe("slotSubscribe", &params).0.topic, Topic::Slots);
    }
    let unsubscribe = read("logsUnsubscribe", &json!([3])).unwrap();
    assert_eq!(unsubscribe, Call::Unsubscribe(Kind::Logs, 3));
}

#[test]
fn reads_how_a_block_is_shown() {
    let (blocks, start) = subscribe("blockSubscribe", &json!(["all"]));
    let expected = Topic::Blocks(Which::All, BlockForm::default());
    assert_eq!((blocks.topic, start), (expected, Start::Now));
    let options = json!({"encoding": "json", "transactionDetails": "signatures", "showRewards": false,
                         "maxSupportedTransactionVersion": 0});
    let (blocks, _) = subscribe(
        "blockSubscribe",
        &json!([{"mentionsAccountOrProgram": PROGRAM}, options]),
    );
    let form = BlockForm {
        encoding: UiTransactionEncoding::Json,
        details: TransactionDetails::Signatures,
        show_rewards: false,
        max_version: Some(0),
    };
    assert_eq!(blocks.topic, Topic::Blocks(Which::Mentioning(vec![program()]), form));
}

#[test]
fn reads_where_to_resume() {
    let cursor = json!({"slot": 9, "index": 2});
    for (options, expected) in [
        (json!({"replayFromSlot": 7}), Start::From(7)),
        (json!({"replayFromSlot": -7}), Start::From(0)),
        (json!({"replayFromSlot": 7, "compression": "gzip"}), Start::From(7)),
        (
            json!({"replayFromSlot": 7, "replayAfter": cursor}),
            Start::After(Cursor { slot: 9, index: 2 }),
        ),
    ] {
        let (subject, start) = subscribe("accountDiffSubscribe", &json!([PROGRAM, options]));
        assert_eq!((subject.compression, start), (None, expected), "{options}");
    }
    assert_eq!(
        subscribe("slotSubscribe", &json!([{"replayFromSlot": 3}])).1,
        Start::From(3)
    );
    for options in [json!({"replayAfter": 7}), json!({"replayFromSlot": "7"})] {
        let (code, message) = error("accountDiffSubscribe", &json!([PROGRAM, options]));
        assert!(code == -32602 && message.contains("replay"), "{message}");
    }
}

#[test]
fn refuses_by_name() {
    for method in [
        "diagnosticSubscribe",
        "voteSubscribe",
        "getSlot",
        "diagnosticUnsubscribe",
    ] {
        let (code, message) = error(method, &json!([null, {}]));
        assert!(code == -32601 && message.contains(method), "{message}");
    }
    assert_eq!(error("logsSubscribe", &json!([{"mentions": []}])).0, -32602);
    assert_eq!(error("logsSubscribe", &json!([{"mentions": ["zzz"]}])).0, -32602);
    assert_eq!(error("logsSubscribe", &json!(["everything"])).0, -32602);
    assert_eq!(error("accountDiffSubscribe", &json!([])).0, -32602);
    assert_eq!(error("slotUnsubscribe", &json!(["x"])).0, -32602);
    for filters in [
        json!([{"size": 165}]),
        json!({}),
        json!([{"memcmp": {"offset": 0, "bytes": "0"}}]),
    ] {
        let (code, message) = error("programSubscribe", &json!([PROGRAM, {"filters": filters}]));
        assert_eq!(code, -32602, "{message}");
    }
}

#[test]
fn reads_the_filters_of_a_program() {
    let filters = json!([{"dataSize": 165}, {"memcmp": {"offset": 4, "bytes": "3s", "encoding": "base58"}}]);
    let (told, start) = subscribe(
        "programSubscribe",
        &json!([PROGRAM, {"encoding": "base64", "filters": filters}]),
    );
    let Topic::Accounts(topic) = told.topic else {
        panic!("{told:?}")
    };
    let expected = Filters::read(serde_json::from_value(filters).unwrap()).unwrap();
    assert_eq!(
        (topic.whose, topic.filters, start),
        (Whose::Program(program()), expected, Start::Now)
    );
    let (all, _) = subscribe("programSubscribe", &json!([PROGRAM, {"filters": null}]));
    assert!(matches!(all.topic, Topic::Accounts(topic) if topic.filters == Filters::default()));
}

#[test]
fn reads_whether_an_arrival_is_told() {
    let signature = "1111111111111111111111111111111111111111111111111111111111111111";
    for (options, expected) in [
        (Value::Null, Arrival::Untold),
        (json!({"commitment": "finalized"}), Arrival::Untold),
        (json!({"enableReceivedNotification": true}), Arrival::Told),
    ] {
        let (told, _) = subscribe("signatureSubscribe", &json!([signature, options]));
        assert!(
            matches!(told.topic, Topic::Signature(_, arrival) if arrival == expected),
            "{options}"
        );
    }
}

#[test]
fn answers_no_notification() {
    let read = |text: &str| Request::from_json(text).id.map(|id| id.get().to_owned());
    assert_eq!(read(r#"{"jsonrpc": "2.0", "method": "ping"}"#), None);
    assert_eq!(read(r#"{"method": "ping", "id": null}"#).as_deref(), Some("null"));
    assert_eq!(read("nothing").as_deref(), Some("null"));
}

proptest! {
    #[test]
    fn answers_whatever_comes(text in ".{0,200}", params in r#"\[[\]\[{}",:a-z0-9]{0,60}"#, kind in 0..Kind::ALL.len()) {
        let name = Kind::ALL[kind].name();
        let call = format!(r#"{{"id": 1, "method": "{name}Subscribe", "params": {params}}}"#);
        for text in [text, call] {
            let request = Request::from_json(&text);
            if let Err(error) = request.call {
                prop_assert!([-32700, -32600, -32601, -32602].contains(&error.code), "{text}: {error:?}");
            }
        }
    }
}

#[test]
fn answers_garbage() {
    let code = |text: &str| Request::from_json(text).call.unwrap_err().code;
    assert_eq!(code("{"), -32700);
    assert_eq!(code("7"), -32600);
    assert_eq!(code("[]"), -32600);
    assert_eq!(code(r#"{"id": 1}"#), -32600);
}
