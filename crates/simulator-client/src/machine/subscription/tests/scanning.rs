//! The scanner against a real JSON decoder.

use proptest::prelude::*;
use simulator_api::Cursor;

use super::*;
use crate::machine::subscription::body::{AccountDiffBody, Body};
use crate::machine::subscription::envelope::Envelope;
use crate::machine::subscription::scan::{Scanned, Scanner, Span};

type Diff = Envelope<AccountDiffBody>;

/// Any JSON, as text: with white space, escapes, numbers in all their forms.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        prop::sample::select(vec!["0", "-0", "1.5", "1e9", "-2E-3", "0.0", "18446744073709551616"])
            .prop_map(String::from),
        string(),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec((string(), inner), 0..4).prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key} :\n{value}")).collect();
                format!("{{ {} }}", entries.join(","))
            }),
        ]
    })
}

/// Any string, as JSON text; some of its characters are escaped although they need not be.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[ -~]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap().trim_matches('"').to_owned()),
        1 => prop::sample::select(vec![r"\n", r"\u0041", r"\ud83d\ude00", "\u{e9}", "\u{1f600}", r"\\", r#"\""#, "{", "]"])
            .prop_map(String::from),
    ];
    // A trimmed quote can leave a lone backslash behind; such a piece is dropped.
    prop::collection::vec(piece, 0..8)
        .prop_map(|pieces| format!("\"{}\"", pieces.concat()))
        .prop_filter("a JSON string", |text| serde_json::from_str::<String>(text).is_ok())
}

fn plain() -> impl Strategy<Value = String> {
    "[0-9A-Za-z]{0,90}".prop_map(|text| format!("\"{text}\""))
}

fn or_null(value: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    prop_oneof![4 => value, 1 => Just("null".to_owned())].boxed()
}

fn number<T: ToString + std::fmt::Debug>(value: impl Strategy<Value = T> + 'static) -> BoxedStrategy<String> {
    or_null(value.prop_map(|value| value.to_string()))
}

/// An object with some of the given keys, in any order, and some others between them.
fn object(fields: Vec<(&'static str, BoxedStrategy<String>)>) -> impl Strategy<Value = String> {
    let entries: Vec<_> = fields
        .into_iter()
        .map(|(key, value)| prop::option::weighted(0.85, value.prop_map(move |value| format!("\"{key}\":{value}"))))
        .collect();
    let others = prop::collection::vec(
        ("x[a-z]{0,3}", any_json()).prop_map(|(key, value)| format!("\"{key}\": {value}")),
        0..2,
    );
    let separator = prop::sample::select(vec![",", " ,", ",\n  "]);
    (entries, others, separator).prop_flat_map(|(entries, others, separator)| {
        let entries: Vec<_> = entries.into_iter().flatten().chain(others).collect();
        Just(entries)
            .prop_shuffle()
            .prop_map(move |entries| format!("{{{}}}", entries.join(separator)))
    })
}

fn message() -> impl Strategy<Value = String> {
    let slot = || number(any::<u64>());
    let context = object(vec![("slot", slot())]).boxed();
    let result = object(vec![
        ("context", context),
        ("account", or_null(plain())),
        ("signature", or_null(plain())),
        ("tx_index", number(any::<u32>())),
        ("block_time", number(any::<i64>())),
        ("pre", any_json().boxed()),
        ("post", any_json().boxed()),
    ]);
    let cursor = object(vec![
        ("slot", any::<u64>().prop_map(|slot| slot.to_string()).boxed()),
        ("index", any::<u64>().prop_map(|index| index.to_string()).boxed()),
    ]);
    let params = object(vec![
        ("subscription", slot()),
        ("cursor", or_null(cursor)),
        ("result", result.boxed()),
    ]);
    let methods = vec!["\"accountDiffNotification\"", "\"subscriptionComplete\"", "\"other\""];
    object(vec![
        ("jsonrpc", Just("\"2.0\"".to_owned()).boxed()),
        ("method", prop::sample::select(methods).prop_map(String::from).boxed()),
        ("id", any_json().boxed()),
        ("params", params.boxed()),
    ])
}

/// What the scanner is to find, by way of a real decoder.
fn compare(text: &str, read: &Diff) -> Result<(), TestCaseError> {
    let value: Value = serde_json::from_str(text).unwrap();
    let params = &value["params"];
    let found = |span: Option<Span>| span.map(|span| span.of(text).to_owned());
    let json = |span: Option<Span>| span.map(|span| serde_json::from_str::<Value>(span.of(text)).unwrap());
    let given = |value: &Value| Some(value.clone()).filter(|value| !value.is_null());
    let string = |value: &Value| value.as_str().map(str::to_owned);
    prop_assert_eq!(read.method.is_some(), value["method"].is_string());
    prop_assert_eq!(json(read.id), given(&value["id"]));
    prop_assert_eq!(
        read.params.subscription.map(|number| number.value),
        params["subscription"].as_u64()
    );
    let cursor = &params["cursor"];
    let cursor = cursor["slot"].as_u64().zip(cursor["index"].as_u64());
    prop_assert_eq!(read.params.cursor, cursor.map(|(slot, index)| Cursor { slot, index }));
    let Some((whole, body)) = &read.params.result else {
        prop_assert!(!params["result"].is_object());
        return Ok(());
    };
    let result = &params["result"];
    prop_assert_eq!(json(Some(*whole)), Some(result.clone()));
    prop_assert_eq!(body.slot, result["context"]["slot"].as_u64());
    prop_assert_eq!(found(body.account), string(&result["account"]));
    prop_assert_eq!(found(body.signature), string(&result["signature"]));
    prop_assert_eq!(body.tx_index.map(u64::from), result["tx_index"].as_u64());
    prop_assert_eq!(body.block_time, result["block_time"].as_i64());
    prop_assert_eq!(json(body.pre), given(&result["pre"]));
    prop_assert_eq!(json(body.post), given(&result["post"]));
    Ok(())
}

/// Every byte of JSON that carries structure, and some that do not belong.
const MARKS: &[u8] = b"\"\\{}[]:, \n019-.eEtfn/u\x00\x1f";

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_finds_what_a_decoder_finds(text in message()) {
        let read = Diff::scan(&text).map_err(|unreadable| TestCaseError::fail(unreadable.0))?;
        compare(&text, &read)?;
    }

    #[test]
    fn whatever_is_cut_off_is_refused(text in message(), at in any::<prop::sample::Index>()) {
        prop_assert!(Diff::scan(&text[..text.floor_char_boundary(at.index(text.len()))]).is_err());
    }

    /// Inside of what is skipped anything may be wrong that leaves strings and brackets whole; then the parts are no
    /// JSON either, and whoever reads them sees it. Everything else that is accepted is JSON, and says the same.
    #[test]
    fn what_it_accepts_is_json_but_for_what_it_skips(
        text in message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(MARKS.to_vec())), 1..4),
    ) {
        let mut bytes = text.into_bytes();
        for (at, mark) in changes {
            let at = at.index(bytes.len());
            bytes[at] = mark;
        }
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let Ok(read) = Diff::scan(&text) else { return Ok(()) };
        if serde_json::from_str::<Value>(&text).is_ok() {
            compare(&text, &read)?;
        } else {
            prop_assert!(has_broken_container(&text), "{}", text);
        }
    }

    #[test]
    fn anything_at_all_is_survived(text in "\\PC{0,60}", marks in prop::collection::vec(prop::sample::select(MARKS.to_vec()), 0..40)) {
        let _survived = Diff::scan(&text);
        let marks = String::from_utf8(marks).unwrap();
        if Diff::scan(&marks).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&marks).is_ok() || has_broken_container(&marks), "{}", marks);
        }
    }

    #[test]
    fn reading_the_identity_alone_finds_the_same(text in message()) {
        let read = Diff::scan(&text).map_err(|unreadable| TestCaseError::fail(unreadable.0))?;
        if let Some((span, whole)) = read.params.result {
            let part = AccountDiffBody::scan_identity(&mut Scanner::within(&text, span));
            let part = part.map_err(|unreadable| TestCaseError::fail(unreadable.0))?;
            prop_assert_eq!(
                (part.slot, part.account, part.signature, part.tx_index),
                (whole.slot, whole.account, whole.signature, whole.tx_index)
            );
        }
    }
}

/// Whether the text is JSON once its skipped containers are replaced, and one of them is not JSON.
fn has_broken_container(text: &str) -> bool {
    let mut spans = Vec::new();
    collect_skipped(text, &mut spans);
    let mut repaired = text.to_owned();
    let mut any_broken = false;
    for span in spans.into_iter().rev() {
        if serde_json::from_str::<Value>(span.of(text)).is_err() {
            any_broken = true;
            repaired.replace_range(span.start()..span.end(), "null");
        }
    }
    any_broken && serde_json::from_str::<Value>(&repaired).is_ok()
}

/// The containers that the scanner skips in an envelope of an account diff, in order.
fn collect_skipped(text: &str, spans: &mut Vec<Span>) {
    let mut scanner = Scanner::new(text).unwrap();
    collect(&mut scanner, Level::Envelope, spans).unwrap();
}

#[derive(Clone, Copy)]
enum Level {
    Envelope,
    Params,
    Result,
    Small,
}

fn collect(scanner: &mut Scanner<'_>, level: Level, spans: &mut Vec<Span>) -> Scanned<()> {
    scanner.object(|scanner, key| {
        let inner = match (level, key) {
            (Level::Envelope, b"params") => Some(Level::Params),
            (Level::Params, b"result") => Some(Level::Result),
            (Level::Params, b"cursor") | (Level::Result, b"context") => Some(Level::Small),
            _ => None,
        };
        match inner.filter(|_| scanner.at_object()) {
            Some(inner) => collect(scanner, inner, spans),
            None => scanner.value().map(|span| spans.push(span)),
        }
    })
}

#[test]
fn keys_are_compared_without_their_escapes() {
    let text = r#"{"m\u0065thod":"accountDiffNotification","params":{"subscription":1}}"#;
    assert!(Diff::scan(text).unwrap().method.is_some());
    assert!(Diff::scan(r#"{"a\x":1}"#).is_err());
    assert!(Diff::scan(r#"{"a\ud800":1}"#).is_err());
    assert!(Diff::scan("{\"a\tb\":1}").is_err());
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let text =
        r#"{"params":{"subscription":1,"result":{"context":{"slot":1},"context":{},"account":"a","account":null}}}"#;
    let (_, body) = Diff::scan(text).unwrap().params.result.unwrap();
    assert_eq!((body.slot, body.account), (None, None));
}

#[test]
fn numbers_have_to_fit() {
    let scan = |name: &str, value: &str| {
        Diff::scan(&format!(r#"{{"params":{{"result":{{"{name}":{value}}}}}}}"#))
            .map(|read| read.params.result.unwrap().1)
    };
    assert_eq!(scan("tx_index", "4294967295").unwrap().tx_index, Some(u32::MAX));
    assert!(scan("tx_index", "4294967296").is_err());
    assert_eq!(
        scan("block_time", "-9223372036854775808").unwrap().block_time,
        Some(i64::MIN)
    );
    for bad in [
        "-9223372036854775809",
        "9223372036854775808",
        "-",
        "-0",
        "1.0",
        "1e3",
        "\"1\"",
        "01",
        "+1",
        "true",
    ] {
        assert!(scan("block_time", bad).is_err(), "{bad}");
    }
    assert!(scan("context", r#"{"slot":18446744073709551615}"#).is_ok());
    assert!(scan("context", r#"{"slot":18446744073709551616}"#).is_err());
}

#[test]
fn deep_nesting_is_bounded() {
    let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(Diff::scan(&nested(120)).is_ok());
    assert!(Diff::scan(&nested(121)).is_err());
    assert!(Diff::scan(&nested(1_000_000)).is_err());
}

#[test]
fn strings_end_where_they_end() {
    for length in 0..200 {
        for special in ["", r#"\""#, r"\\", "\u{e9}", "}"] {
            for at in [0, length / 2, length] {
                let mut inside = "x".repeat(length);
                inside.insert_str(at, special);
                let text = format!(r#"{{"params":{{"result":{{"pre":["{inside}"],"account":"a"}}}}}}"#);
                let (_, body) = Diff::scan(&text).unwrap().params.result.unwrap();
                assert_eq!(body.account.map(|span| span.of(&text)), Some("a"), "{text}");
                assert_eq!(body.pre.unwrap().of(&text), format!(r#"["{inside}"]"#));
            }
        }
    }
}
