//! Subscribe options are read one by one.

use simulator_api::{Compression, Cursor, SubscribeOptions};

#[test]
fn a_malformed_value_does_not_take_the_others_with_it() {
    let text = r#"{"compression": "gzip", "intraSlotUpdates": null, "replayFromSlot": 7, "encoding": "base64"}"#;
    let parsed = SubscribeOptions::from_json(text).unwrap();
    assert_eq!(
        parsed.options,
        SubscribeOptions {
            replay_from_slot: Some(7),
            ..Default::default()
        }
    );
    let rejected: Vec<String> = parsed.rejected.iter().map(ToString::to_string).collect();
    assert_eq!(
        rejected,
        [
            "compression: expected \"zstd\", got \"gzip\"",
            "intraSlotUpdates: expected a boolean, got null"
        ]
    );
}

#[test]
fn a_malformed_cursor_is_named() {
    let parsed = SubscribeOptions::from_json(r#"{"replayAfter": {"slot": 1}, "compression": "zstd"}"#).unwrap();
    assert_eq!(
        parsed.options,
        SubscribeOptions {
            compression: Some(Compression::Zstd),
            ..Default::default()
        }
    );
    assert_eq!(
        parsed.rejected[0].to_string(),
        "replayAfter.index: required field is missing"
    );
}

#[test]
fn options_that_are_unset_are_not_written() {
    assert_eq!(serde_json::to_string(&SubscribeOptions::default()).unwrap(), "{}");
    let options = SubscribeOptions {
        replay_after: Some(Cursor { slot: 1, index: 2 }),
        ..Default::default()
    };
    assert_eq!(
        serde_json::to_string(&options).unwrap(),
        r#"{"replayAfter":{"slot":1,"index":2}}"#
    );
}

#[test]
fn options_must_be_an_object() {
    assert_eq!(
        SubscribeOptions::from_json("[]").unwrap_err().to_string(),
        "expected an object, got an array"
    );
}
