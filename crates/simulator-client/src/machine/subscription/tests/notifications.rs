//! What a caller reads in a notification.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::machine::subscription::{
    AccountDiffNotification, AccountStateError, LogsNotification, TransactionNotification,
};

const OWNER: &str = "Sysvar1111111111111111111111111111111111111";
const SIGNATURE: &str = "DPKi42qxxNTBrvvwWtuoSQauM3L5jmLc4Z3GoVS8fGFAyYpqAYhRRjTcsqDpcYEbgLnqAPYrVHRkyDLoaH7w85N";

fn notification(method: &str, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": {"subscription": 11, "result": result}})
}

fn account_diff(result: &Value) -> AccountDiffNotification {
    let mut peer = Peer::up(diffs(&["target"]));
    peer.send(&notification("accountDiffNotification", result));
    match peer.events().pop() {
        Some(SubscriptionNotification::AccountDiff(diff)) => diff,
        other => panic!("{other:?}"),
    }
}

fn transaction(result: &Value) -> TransactionNotification {
    let mut peer = Peer::up(config(SubscriptionKind::Transactions, &["target"]));
    peer.send(&notification("transactionNotification", result));
    match peer.events().pop() {
        Some(SubscriptionNotification::Transaction(transaction)) => transaction,
        other => panic!("{other:?}"),
    }
}

fn logs(value: &Value) -> LogsNotification {
    let mut peer = Peer::up(config(SubscriptionKind::Logs, &["target"]));
    let result = json!({"context": {"slot": 5}, "value": value});
    peer.send(&notification("logsNotification", &result));
    match peer.events().pop() {
        Some(SubscriptionNotification::Logs(logs)) => logs,
        other => panic!("{other:?}"),
    }
}

fn account(data: &Value) -> Value {
    json!({"lamports": 1_169_280, "data": data, "owner": OWNER, "executable": false,
        "rentEpoch": u64::MAX, "space": 4})
}

fn post(account: &Value) -> Result<Option<crate::machine::subscription::AccountState>, AccountStateError> {
    account_diff(&json!({"context": {"slot": 5}, "post": account})).post()
}

#[test]
fn an_account_diff_shows_all_its_fields() {
    let post = account(&json!(["3q2+7w==", "base64"]));
    let diff = account_diff(
        &json!({"context": {"slot": 402_000_045_u64, "apiVersion": "2.0"}, "account": OWNER,
        "signature": SIGNATURE, "tx_index": 12, "block_time": -5, "pre": null, "post": post}),
    );
    assert_eq!(
        (diff.target(), diff.slot(), diff.account(), diff.signature()),
        ("target", 402_000_045, Some(OWNER), Some(SIGNATURE))
    );
    assert_eq!(
        (diff.tx_index(), diff.block_time(), diff.cursor()),
        (Some(12), Some(-5), None)
    );
    assert_eq!(diff.pre_json(), None);
    assert_eq!(diff.pre().unwrap(), None);
    assert_eq!(serde_json::from_str::<Value>(diff.post_json().unwrap()).unwrap(), post);
    let state = diff.post().unwrap().unwrap();
    assert_eq!(state.data, [0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(
        (state.lamports, state.rent_epoch, state.space),
        (1_169_280, u64::MAX, 4)
    );
    assert_eq!((state.owner.to_string().as_str(), state.executable), (OWNER, false));
    assert_eq!(diff.check(), Ok(()));
    assert!(diff.size() > diff.raw().len());
}

#[test]
fn an_account_diff_needs_no_more_than_its_slot() {
    let diff = account_diff(&json!({"context": {"slot": 5}}));
    assert_eq!(
        (diff.account(), diff.signature(), diff.tx_index(), diff.block_time()),
        (None, None, None, None)
    );
    assert_eq!((diff.pre().unwrap(), diff.post().unwrap()), (None, None));
}

#[test]
fn account_data_comes_in_every_binary_encoding() {
    let bytes = b"some data of an account".to_vec();
    let zstd = zstd::encode_all(&bytes[..], 0).unwrap();
    let base58 = bs58::encode(&bytes).into_string();
    let forms = [
        json!([STANDARD.encode(&bytes), "base64"]),
        json!([STANDARD.encode(&zstd), "base64+zstd"]),
        json!([base58, "base58"]),
        json!(base58),
    ];
    for form in forms {
        let state = post(&account(&form)).unwrap().unwrap();
        assert_eq!(state.data, bytes, "{form}");
    }
}

#[test]
fn space_is_optional() {
    let mut account = account(&json!(["AAAA", "base64"]));
    account.as_object_mut().unwrap().remove("space");
    assert_eq!(post(&account).unwrap().unwrap().space, 3);
}

#[test]
fn account_data_that_cannot_be_decoded_says_why() {
    let error = |data: Value| post(&account(&data)).unwrap_err();
    assert!(matches!(error(json!(["?", "base64"])), AccountStateError::Base64(_)));
    assert!(matches!(error(json!(["0", "base58"])), AccountStateError::Base58(_)));
    assert!(matches!(
        error(json!(["AAAA", "base64+zstd"])),
        AccountStateError::Zstd(_)
    ));
    assert!(matches!(error(json!(["AAAA", "base32"])), AccountStateError::Encoding(name) if name == "base32"));
    assert!(matches!(
        error(json!({"parsed": {}, "program": "spl-token"})),
        AccountStateError::Json(_)
    ));
    assert!(matches!(error(json!("1".repeat(5000))), AccountStateError::TooLarge));
    let bomb = zstd::encode_all(&vec![0; 11 << 20][..], 0).unwrap();
    assert!(matches!(
        error(json!([STANDARD.encode(bomb), "base64+zstd"])),
        AccountStateError::TooLarge
    ));
    let mut foreign = account(&json!(["", "base64"]));
    foreign["owner"] = json!("nobody");
    assert!(matches!(post(&foreign).unwrap_err(), AccountStateError::Owner(_)));
    assert!(matches!(post(&json!(5)).unwrap_err(), AccountStateError::Json(_)));
}

#[test]
fn a_transaction_shows_its_fields_and_decodes_into_any_type() {
    let result = json!({"slot": 5, "blockTime": 1_771_668_000, "version": 0, "transactionIndex": 4,
        "transaction": {"signatures": [SIGNATURE], "message": {"accountKeys": []}}, "meta": {"fee": 5000}});
    let one = transaction(&result);
    assert_eq!(
        (one.target(), one.slot(), one.transaction_index(), one.block_time()),
        ("target", 5, Some(4), Some(1_771_668_000))
    );
    assert_eq!(one.signature().as_deref(), Some(SIGNATURE));
    assert_eq!(one.decode::<Value>().unwrap(), result);
    assert_eq!(serde_json::from_str::<Value>(one.json()).unwrap(), result);
    assert!(one.decode::<Vec<u8>>().is_err());
    assert_eq!(one.check(), Ok(()));
}

#[test]
fn a_signature_is_found_in_every_encoding() {
    let mut wire = vec![2];
    wire.extend(bs58::decode(SIGNATURE).into_vec().unwrap());
    wire.extend([7; 300]);
    let of = |encoded: Value| {
        let one = transaction(&json!({"slot": 5, "transaction": encoded}));
        one.signature().map(String::from)
    };
    let signed = Some(SIGNATURE.to_owned());
    assert_eq!(of(json!([STANDARD.encode(&wire), "base64"])), signed);
    assert_eq!(of(json!([bs58::encode(&wire).into_string(), "base58"])), signed);
    assert_eq!(of(json!(bs58::encode(&wire).into_string())), signed);
    assert_eq!(of(json!({"signatures": [SIGNATURE, "other"]})), signed);
    assert_eq!(of(json!({"accountKeys": [], "signatures": []})), None);
    assert_eq!(of(json!(["AQAB", "base64"])), None);
    assert_eq!(of(json!([STANDARD.encode([0; 200]), "base64"])), None);
    assert_eq!(of(json!([STANDARD.encode([0xff; 200]), "base64"])), None);
    assert_eq!(of(json!("1".repeat(100_000))), None);
    assert_eq!(of(json!(["?", "base64"])), None);
    assert_eq!(of(json!(["", "hex"])), None);
    assert_eq!(of(json!(5)), None);
}

#[test]
fn logs_show_whether_the_transaction_succeeded() {
    let good = logs(&json!({"signature": SIGNATURE, "err": null, "logs": ["Program log: \"hi\"", "b"]}));
    assert_eq!((good.target(), good.slot(), good.signature()), ("target", 5, SIGNATURE));
    assert!(good.succeeded());
    assert_eq!(good.logs().unwrap(), ["Program log: \"hi\"", "b"]);
    let bad = logs(&json!({"signature": SIGNATURE, "err": {"InstructionError": [0, "X"]}, "logs": [1]}));
    assert_eq!(bad.err_json(), Some(r#"{"InstructionError":[0,"X"]}"#));
    assert!(!bad.succeeded() && bad.logs().is_err());
    assert!(logs(&json!({"signature": SIGNATURE})).logs().unwrap().is_empty());
}

#[test]
fn what_identifies_a_notification_is_mandatory() {
    let mut peer = Peer::up(config(SubscriptionKind::Transactions, &["a"]));
    peer.send(&notification("transactionNotification", &json!({"slot": 5})));
    peer.send(&notification("transactionNotification", &json!({"transaction": []})));
    assert_eq!(
        peer.delivered(),
        ["fault: the transaction is missing", "fault: the slot is missing"]
    );
    let mut peer = Peer::up(config(SubscriptionKind::Logs, &["a"]));
    peer.send(&notification(
        "logsNotification",
        &json!({"context": {"slot": 5}, "value": {}}),
    ));
    peer.send(&notification("logsNotification", &json!({"value": {"signature": "s"}})));
    assert_eq!(
        peer.delivered(),
        ["fault: the signature is missing", "fault: the slot is missing"]
    );
}

#[test]
fn clones_share_the_text() {
    let diff = account_diff(&json!({"context": {"slot": 5}, "account": "x"}));
    let clone = diff.clone();
    assert_eq!(diff.raw().as_ptr(), clone.raw().as_ptr());
    assert_eq!(clone.account(), Some("x"));
}

#[test]
fn an_event_is_small_enough_to_be_moved_around() {
    assert!(
        size_of::<SubscriptionNotification>() <= 128,
        "{}",
        size_of::<SubscriptionNotification>()
    );
}
