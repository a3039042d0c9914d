//! What happens to the streams when connections are lost.

use super::*;

#[test]
fn nothing_delivered_yet_means_from_the_beginning_again() {
    let mut peer = Peer::up(diffs(&["a"]));
    assert_eq!(peer.reconnect(), [Value::Null]);
    let mut peer = Peer::up(SubscriptionConfig {
        from_slot: Some(7),
        ..diffs(&["a"])
    });
    assert_eq!(peer.reconnect(), [json!({"replayFromSlot": 7})]);
    peer.send(&diff(11, 9, "s"));
    assert_eq!(peer.reconnect(), [json!({"replayFromSlot": 9})]);
}

#[test]
fn w6_the_boundary_slot_is_delivered_once() {
    let mut peer = Peer::up(diffs(&["a"]));
    for (slot, signature) in [(1, "p"), (2, "q"), (2, "r")] {
        peer.send(&diff(11, slot, signature));
    }
    assert_eq!(peer.delivered(), ["a 1 p", "a 2 q", "a 2 r"]);
    assert_eq!(peer.reconnect(), [json!({"replayFromSlot": 2})]);
    for (slot, signature) in [(2, "q"), (2, "r"), (2, "s"), (3, "q")] {
        peer.send(&diff(11, slot, signature));
    }
    assert_eq!(peer.delivered(), ["a 2 s", "a 3 q"]);
    assert_eq!((peer.duplicates(), peer.machine.counts().replayed), (2, 3));
}

#[test]
fn w6_a_loss_within_the_repeated_slot_loses_nothing_either() {
    let mut peer = Peer::up(diffs(&["a"]));
    peer.send(&diff(11, 2, "q"));
    peer.send(&diff(11, 2, "r"));
    peer.reconnect();
    peer.send(&diff(11, 2, "q"));
    assert_eq!(peer.reconnect(), [json!({"replayFromSlot": 2})]);
    for signature in ["q", "r", "s"] {
        peer.send(&diff(11, 2, signature));
    }
    peer.reconnect();
    for signature in ["q", "r", "s", "t"] {
        peer.send(&diff(11, 2, signature));
    }
    assert_eq!(peer.delivered(), ["a 2 q", "a 2 r", "a 2 s", "a 2 t"]);
}

#[test]
fn w6_identical_notifications_are_counted() {
    let mut peer = Peer::up(diffs(&["a"]));
    peer.send(&diff(11, 2, "q"));
    peer.send(&diff(11, 2, "q"));
    peer.reconnect();
    for _ in 0..3 {
        peer.send(&diff(11, 2, "q"));
    }
    assert_eq!(peer.delivered(), ["a 2 q"; 3]);
    assert_eq!(peer.duplicates(), 2);
}

#[test]
fn the_parts_of_an_identity_are_not_mixed_up() {
    let mut peer = Peer::up(diffs(&["a"]));
    let with = |signature: Value, account: Value, index: Value| {
        let mut notification = diff(11, 2, "");
        let result = &mut notification["params"]["result"];
        (result["signature"], result["account"], result["tx_index"]) = (signature, account, index);
        notification
    };
    let all = [
        with(json!("ab"), json!("c"), json!(1)),
        with(json!("a"), json!("bc"), json!(1)),
        with(json!(""), json!("abc"), json!(1)),
        with(json!(null), json!("abc"), json!(1)),
        with(json!("abc"), json!(null), json!(1)),
        with(json!("ab"), json!("c"), json!(2)),
        with(json!("ab"), json!("c"), json!(null)),
        with(json!("ab"), json!("c"), json!(u32::MAX)),
    ];
    for count in 0..all.len() {
        peer.send(&all[count]);
        assert_eq!(peer.events().len(), 1);
        peer.reconnect();
        let before = peer.duplicates();
        all[..=count].iter().for_each(|notification| peer.send(notification));
        assert_eq!(peer.duplicates() - before, count as u64 + 1);
        assert!(peer.events().is_empty());
        peer.reconnect();
    }
}

#[test]
fn a_server_that_does_not_repeat_what_it_was_asked_to_leaves_a_hole() {
    let mut peer = Peer::up(diffs(&["a"]));
    peer.send(&diff(11, 2, "q"));
    peer.reconnect();
    peer.send(&diff(11, 2, "r"));
    peer.send(&diff(11, 3, "q"));
    assert_eq!(peer.delivered(), ["a 2 q", "a 2 r", "fault: a hole", "a 3 q"]);
    assert_eq!(peer.duplicates(), 0);
    peer.reconnect();
    peer.send(&with_cursor(diff(11, 4, "q"), 0));
    assert_eq!(peer.delivered(), ["fault: a hole", "a 4 q"]);
}

#[test]
fn an_end_instead_of_repeats_is_a_hole_too() {
    let mut peer = Peer::up(diffs(&["a"]));
    peer.send(&diff(11, 2, "q"));
    peer.reconnect();
    peer.send(&complete(11));
    assert_eq!(peer.delivered(), ["a 2 q", "fault: a hole"]);
    assert!(is_finished(&peer.machine));
}

#[test]
fn a_server_that_ignores_the_slot_and_repeats_everything_is_understood() {
    let mut peer = Peer::up(diffs(&["a"]));
    for slot in 1..=3 {
        peer.send(&diff(11, slot, "s"));
    }
    peer.reconnect();
    for slot in 1..=4 {
        peer.send(&diff(11, slot, "s"));
    }
    assert_eq!(peer.delivered(), ["a 1 s", "a 2 s", "a 3 s", "a 4 s"]);
    assert_eq!(peer.duplicates(), 3);
}

#[test]
fn w7_every_subscription_has_its_own_cursor() {
    let mut peer = Peer::up(diffs(&["a", "b", "c"]));
    peer.send(&diff(11, 90, "s"));
    peer.send(&diff(12, 40, "s"));
    assert_eq!(
        peer.reconnect(),
        [
            json!({"replayFromSlot": 90}),
            json!({"replayFromSlot": 40}),
            Value::Null
        ]
    );
    peer.send(&diff(12, 40, "s"));
    peer.send(&diff(12, 41, "s"));
    peer.send(&diff(13, 1, "s"));
    peer.send(&diff(11, 90, "s"));
    assert_eq!(peer.delivered(), ["a 90 s", "b 40 s", "b 41 s", "c 1 s"]);
}

#[test]
fn a_cursor_resumes_behind_it() {
    let mut peer = Peer::up(diffs(&["a"]));
    peer.send(&with_cursor(diff(11, 5, "s"), 0));
    peer.send(&with_cursor(diff(11, 5, "s"), 1));
    assert_eq!(peer.reconnect(), [json!({"replayAfter": {"slot": 5, "index": 1}})]);
    peer.send(&with_cursor(diff(11, 5, "s"), 1));
    peer.send(&with_cursor(diff(11, 4, "s"), 7));
    peer.send(&with_cursor(diff(11, 5, "s"), 2));
    peer.send(&with_cursor(diff(11, 6, "s"), 0));
    assert_eq!(peer.delivered(), ["a 5 s", "a 5 s", "a 5 s", "a 6 s"]);
    assert_eq!(peer.duplicates(), 2);
    assert_eq!(peer.reconnect(), [json!({"replayAfter": {"slot": 6, "index": 0}})]);
}

#[test]
fn a_server_that_learns_to_give_cursors_is_followed() {
    let mut peer = Peer::up(diffs(&["a"]));
    peer.send(&diff(11, 5, "s"));
    peer.reconnect();
    peer.send(&with_cursor(diff(11, 5, "s"), 0));
    peer.send(&with_cursor(diff(11, 5, "t"), 1));
    peer.send(&with_cursor(diff(11, 6, "s"), 0));
    assert_eq!(peer.delivered(), ["a 5 s", "a 5 t", "a 6 s"]);
    assert_eq!(peer.reconnect(), [json!({"replayAfter": {"slot": 6, "index": 0}})]);
    peer.send(&diff(11, 7, "s"));
    assert_eq!(peer.reconnect(), [json!({"replayFromSlot": 7})]);
}

#[test]
fn what_has_completed_is_not_opened_again() {
    let mut peer = Peer::up(diffs(&["a", "b"]));
    peer.send(&complete(11));
    peer.machine.handle_disconnected(peer.now);
    let requests = peer.connect();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (&requests[0]["id"], &requests[0]["params"][0]),
        (&json!(1), &json!("b"))
    );
    peer.send(&json!({"jsonrpc": "2.0", "id": 1, "result": 11}));
    peer.send(&complete(11));
    assert!(is_finished(&peer.machine));
}

#[test]
fn nothing_of_an_old_connection_reaches_the_next_one() {
    let mut peer = Peer::new(diffs(&["a", "b"]));
    peer.machine.handle_connected(peer.now);
    assert!(peer.machine.poll_transmit().is_some());
    peer.machine.handle_disconnected(peer.now);
    assert!(peer.machine.poll_transmit().is_none());
    peer.send(&json!({"jsonrpc": "2.0", "id": 1, "result": 5}));
    peer.send(&diff(5, 1, "s"));
    assert!(peer.delivered().is_empty());
    assert!(matches!(peer.machine.standing(), Standing::Opening));
    assert_eq!(peer.connect().len(), 2);
}

#[test]
fn transactions_and_logs_are_recognised_too() {
    let transaction = |signature: &str| {
        json!({"jsonrpc": "2.0", "method": "transactionNotification", "params": {"subscription": 11, "result":
            {"slot": 2, "transaction": {"signatures": [signature, "x"], "message": {}}, "meta": null}}})
    };
    let logs = |signature: &str| {
        json!({"jsonrpc": "2.0", "method": "logsNotification", "params": {"subscription": 11, "result":
            {"context": {"slot": 2}, "value": {"signature": signature, "err": null, "logs": []}}}})
    };
    let encoded = |bytes: &str| {
        json!({"jsonrpc": "2.0", "method": "transactionNotification", "params": {"subscription": 11, "result":
            {"slot": 2, "transaction": [bytes, "base64"]}}})
    };
    type Make<'a> = &'a dyn Fn(&str) -> Value;
    let cases: [(SubscriptionKind, Make<'_>); 3] = [
        (SubscriptionKind::Transactions, &transaction),
        (SubscriptionKind::Transactions, &encoded),
        (SubscriptionKind::Logs, &logs),
    ];
    for (kind, notification) in cases {
        let mut peer = Peer::up(config(kind, &["a"]));
        peer.send(&notification("AAAA"));
        peer.reconnect();
        peer.send(&notification("AAAA"));
        peer.send(&notification("AAAB"));
        assert_eq!((peer.events().len(), peer.duplicates()), (2, 1), "{kind:?}");
    }
}
