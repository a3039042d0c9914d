//! Notifications that are recognised by what stands around their results.

use super::*;
use crate::machine::subscription::AccountDiffNotification;

fn text(subscription: u64, result: &str, tail: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"accountDiffNotification","params":{{"subscription":{subscription},"result":{result}{tail}}}}}"#
    )
}

fn cursor(slot: u64, index: u64) -> String {
    format!(r#","cursor":{{"slot":{slot},"index":{index}}}"#)
}

fn result(slot: u64, signature: &str) -> String {
    format!(
        r#"{{"context":{{"slot":{slot}}},"account":"acc","signature":"{signature}","tx_index":1,"post":{{"a":[]}}}}"#
    )
}

fn sent(peer: &mut Peer, text: &str) -> AccountDiffNotification {
    peer.send_text(text);
    match peer.events().pop() {
        Some(SubscriptionNotification::AccountDiff(diff)) => diff,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn with_a_cursor_the_result_is_not_looked_at() {
    let mut peer = Peer::up(diffs(&["a", "b"]));
    let unreadable = r#"{"account":7,"post":{[}"#;
    sent(&mut peer, &text(11, &result(5, "s"), &cursor(5, 0)));
    let diff = sent(&mut peer, &text(12, &result(5, "t"), &cursor(5, 3)));
    assert_eq!((diff.target(), diff.slot(), diff.signature()), ("b", 5, Some("t")));
    assert_eq!(diff.cursor(), Some(simulator_api::Cursor { slot: 5, index: 3 }));
    let diff = sent(&mut peer, &text(11, unreadable, &cursor(6, 0)));
    assert_eq!((diff.slot(), diff.account(), diff.post_json()), (6, None, None));
    assert_eq!(
        diff.check().unwrap_err().to_string(),
        "the notification cannot be read: a string is expected"
    );
    assert!(diff.pre().is_err() && diff.post().is_err());
}

#[test]
fn without_a_cursor_no_more_than_the_slot_is_read_until_the_identity_is_needed() {
    let long = "x".repeat(5000);
    let broken_behind = r#"{"context":{"slot":6},"account":"x","signature":"s","tx_index":1,"post":{[}"#.to_owned();
    let broken_before = r#"{"context":{"slot":6},"account":"x","post":{[},"signature":"s","tx_index":1}"#.to_owned();
    let long_before = broken_before.replace("{[}", &format!(r#"["{long}"}}"#));
    let no_account = r#"{"context":{"slot":6},"account":7}"#.to_owned();
    let repeated = [broken_behind, broken_before, long_before, no_account];
    let mut peer = Peer::up(diffs(&["a"]));
    sent(&mut peer, &text(11, &result(5, "s"), ""));
    for result in &repeated {
        let diff = sent(&mut peer, &text(11, result, ""));
        assert_eq!(diff.slot(), 6);
        diff.check().unwrap_err();
    }
    peer.reconnect();
    sent(&mut peer, &text(11, &result(6, "u"), ""));
    for (result, duplicates) in repeated.iter().zip(1..) {
        peer.send_text(&text(11, result, ""));
        assert_eq!(
            (peer.delivered(), peer.duplicates()),
            (Vec::<String>::new(), duplicates)
        );
    }
}

#[test]
fn the_identity_is_the_same_in_whatever_form_it_was_remembered() {
    let (account, signature) = ("A".repeat(44), "B".repeat(87));
    let head = format!(r#""account":"{account}","signature":"{signature}","tx_index":12"#);
    for data in ["short".to_owned(), "x".repeat(5000)] {
        let usual = format!(r#"{{"context":{{"slot":6}},{head},"post":"{data}"}}"#);
        let other_order = format!(r#"{{"post":"{data}","context":{{"slot":6}},{head}}}"#);
        for (first, again) in [(&usual, &other_order), (&other_order, &usual)] {
            let mut peer = Peer::up(diffs(&["a"]));
            sent(&mut peer, &text(11, &result(5, "s"), ""));
            sent(&mut peer, &text(11, first, ""));
            sent(&mut peer, &text(11, &first.replace(":12", ":123"), ""));
            peer.reconnect();
            peer.send_text(&text(11, again, ""));
            peer.send_text(&text(11, &again.replace(":12", ":123"), ""));
            assert_eq!((peer.delivered().len(), peer.duplicates()), (0, 2));
            sent(&mut peer, &text(11, &again.replace(":12", ":124"), ""));
        }
    }
}

#[test]
fn recognised_and_read_notifications_are_the_same_ones() {
    for tail in [String::new(), cursor(9, 4)] {
        let mut peer = Peer::up(diffs(&["a", "b"]));
        sent(&mut peer, &text(11, &result(8, "s"), &tail.replace('9', "8")));
        let recognised = sent(&mut peer, &text(12, &result(9, "t"), &tail));
        let mut peer = Peer::up(diffs(&["a", "b"]));
        let read = sent(&mut peer, &text(12, &result(9, "t"), &tail));
        let all = |diff: &AccountDiffNotification| {
            let fields = (
                diff.account().map(str::to_owned),
                diff.signature().map(str::to_owned),
                diff.tx_index(),
            );
            let places = (diff.slot(), diff.cursor(), diff.target().to_owned());
            (
                fields,
                places,
                diff.post_json().map(str::to_owned),
                diff.raw().to_owned(),
            )
        };
        assert_eq!(all(&recognised), all(&read));
    }
}

#[test]
fn other_shapes_are_read_and_learnt_anew() {
    let mut peer = Peer::up(diffs(&["a"]));
    sent(&mut peer, &text(11, &result(5, "s"), ""));
    let other = |slot: u64, index: u64| {
        format!(
            r#"{{"method":"accountDiffNotification","params":{{"subscription":11, "result": {}{}}}}}"#,
            result(slot, "s"),
            cursor(slot, index)
        )
    };
    for n in 6..9 {
        let diff = sent(&mut peer, &other(n, n));
        assert_eq!((diff.slot(), diff.cursor().unwrap().index), (n, n));
        assert_eq!(diff.signature(), Some("s"));
    }
}

#[test]
fn a_cursor_in_another_place_or_form_is_not_overlooked() {
    let mut peer = Peer::up(diffs(&["a"]));
    sent(&mut peer, &text(11, &result(5, "s"), &cursor(5, 0)));
    let forms = [
        r#","cursor":{"index":1,"slot":6}"#,
        r#","cursor":{"slot":6,"index":2 }"#,
        r#", "cursor":{"slot":6,"index":3}"#,
        r#","cursor":{"slot":6,"index":4},"more":{"a":1}"#,
    ];
    for (index, form) in (1..).zip(forms) {
        let diff = sent(&mut peer, &text(11, &result(6, "s"), form));
        assert_eq!(diff.cursor(), Some(simulator_api::Cursor { slot: 6, index }), "{form}");
        assert_eq!(diff.check(), Ok(()));
    }
    let diff = sent(&mut peer, &text(11, &result(7, "s"), ""));
    assert_eq!((diff.slot(), diff.cursor()), (7, None));
    let inside = format!(r#"{{"context":{{"slot":8}}{}}}"#, cursor(1, 1));
    let diff = sent(&mut peer, &text(11, &inside, ""));
    assert_eq!((diff.slot(), diff.cursor()), (8, None));
    let first = r#"{"method":"accountDiffNotification","params":{"cursor":{"slot":9,"index":0},"subscription":11,"result":{"context":{"slot":9}}}}"#;
    for index in [0, 1] {
        let first = first.replace(r#""index":0"#, &format!(r#""index":{index}"#));
        assert_eq!(sent(&mut peer, &first).cursor().unwrap().index, index);
    }
}

#[test]
fn numbers_are_no_others_than_json_has() {
    let mut peer = Peer::up(diffs(&["a"]));
    sent(&mut peer, &text(11, &result(5, "s"), &cursor(5, 0)));
    let good = text(11, &result(6, "s"), &cursor(6, 0));
    for (from, to) in [
        (r#""index":0"#, r#""index":00"#),
        (r#""index":0"#, r#""index":"#),
        (r#""index":0"#, r#""index":99999999999999999999"#),
        (r#":{"slot":6,"i"#, r#":{"slot":06,"i"#),
        (r#""subscription":11"#, r#""subscription":011"#),
        (r#""subscription":11"#, r#""subscription":"#),
        (r#""subscription":11"#, r#""subscription":1.1e1"#),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good);
        assert!(
            serde_json::from_str::<Value>(&bad).is_err() || bad.contains("99") || bad.contains("1.1"),
            "{bad}"
        );
        peer.send_text(&bad);
        let delivered = peer.delivered();
        assert!(
            delivered.len() == 1 && delivered[0].starts_with("fault"),
            "{bad}: {delivered:?}"
        );
    }
    assert_eq!(sent(&mut peer, &good).slot(), 6);
}

#[test]
fn the_end_and_other_messages_are_still_seen() {
    let mut peer = Peer::up(diffs(&["a", "b"]));
    sent(&mut peer, &text(11, &result(5, "s"), &cursor(5, 0)));
    peer.send(&complete(11));
    peer.send_text(&text(11, &result(6, "s"), &cursor(6, 0)));
    peer.send_text(&text(99, &result(6, "s"), &cursor(6, 0)));
    assert_eq!(peer.delivered(), ["fault: its subscription is unknown"; 2]);
    peer.send(&complete(12));
    assert!(is_finished(&peer.machine));
}

#[test]
fn resuming_works_on_recognised_notifications() {
    for with_cursor in [true, false] {
        let tail = |slot, index| {
            if with_cursor {
                cursor(slot, index)
            } else {
                String::new()
            }
        };
        let mut peer = Peer::up(diffs(&["a"]));
        for (index, signature) in ["p", "q", "r"].iter().enumerate() {
            sent(&mut peer, &text(11, &result(5, signature), &tail(5, index as u64)));
        }
        peer.reconnect();
        for (index, signature) in ["p", "q", "r", "s"].iter().enumerate() {
            peer.send_text(&text(11, &result(5, signature), &tail(5, index as u64)));
        }
        assert_eq!(peer.delivered(), ["a 5 s"]);
        assert_eq!(peer.duplicates(), 3);
    }
}
