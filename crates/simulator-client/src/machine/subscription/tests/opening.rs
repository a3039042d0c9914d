//! Requests, answers, the handshake's time, and the end.

use simulator_api::Compression;

use super::*;

#[test]
fn each_kind_asks_in_its_own_way() {
    let request = |kind| Peer::new(config(kind, &["x"])).connect().remove(0);
    let subscribe =
        |method: &str, params: Value| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mentions = json!([{"mentions": ["x"]}, {"commitment": "confirmed"}]);
    assert_eq!(
        request(SubscriptionKind::Transactions),
        subscribe("transactionSubscribe", mentions.clone())
    );
    assert_eq!(request(SubscriptionKind::Logs), subscribe("logsSubscribe", mentions));
    assert_eq!(
        request(SubscriptionKind::ProgramAccountDiffs),
        subscribe("accountDiffSubscribe", json!(["x", {"address_type": "program"}]))
    );
    assert_eq!(
        request(SubscriptionKind::AccountDiffs),
        subscribe("accountDiffSubscribe", json!(["x"]))
    );
    assert_eq!(
        request(SubscriptionKind::Actions),
        subscribe("actionSubscribe", json!([null, {}]))
    );
}

#[test]
fn options_are_merged_into_the_second_parameter() {
    let with_options = |kind| {
        let mut config = config(kind, &["x"]);
        config.from_slot = Some(44);
        config.compression = Some(Compression::Zstd);
        Peer::new(config).connect()[0]["params"][1].clone()
    };
    assert_eq!(
        with_options(SubscriptionKind::Transactions),
        json!({"commitment": "confirmed", "compression": "zstd", "replayFromSlot": 44})
    );
    assert_eq!(
        with_options(SubscriptionKind::ProgramAccountDiffs),
        json!({"address_type": "program", "compression": "zstd", "replayFromSlot": 44})
    );
    assert_eq!(
        with_options(SubscriptionKind::AccountDiffs),
        json!({"compression": "zstd", "replayFromSlot": 44})
    );
}

#[test]
fn all_requests_are_sent_at_once_with_ids_from_1_on_every_connection() {
    let mut peer = Peer::new(diffs(&["a", "b", "a", "c"]));
    for _ in 0..2 {
        let requests = peer.connect();
        let sent: Vec<_> = requests
            .iter()
            .map(|one| (one["id"].clone(), one["params"][0].clone()))
            .collect();
        assert_eq!(
            sent,
            [(json!(1), json!("a")), (json!(2), json!("b")), (json!(3), json!("c"))]
        );
        peer.machine.handle_disconnected(peer.now);
    }
}

#[test]
fn it_is_up_once_every_request_is_granted_in_whatever_order() {
    let mut peer = Peer::new(diffs(&["a", "b"]));
    assert!(matches!(peer.machine.standing(), Standing::Opening));
    peer.connect();
    peer.send(&json!({"jsonrpc": "2.0", "id": 2, "result": 7}));
    assert!(matches!(peer.machine.standing(), Standing::Opening));
    peer.send(&json!({"result": 9, "id": 1, "error": null}));
    assert!(matches!(peer.machine.standing(), Standing::Up));
    peer.send(&diff(7, 1, "s"));
    peer.send(&diff(9, 1, "s"));
    assert_eq!(peer.delivered(), ["b 1 s", "a 1 s"]);
}

#[test]
fn w28_no_addresses_are_told_completely_at_once() {
    assert!(is_finished(&SubscriptionMachine::new(diffs(&[]))));
}

#[test]
fn w29_notifications_and_ends_between_answers_are_kept() {
    let mut peer = Peer::new(diffs(&["a", "b"]));
    peer.connect();
    peer.send(&json!({"jsonrpc": "2.0", "id": 1, "result": 5}));
    peer.send(&diff(5, 1, "s"));
    peer.send(&complete(5));
    assert_eq!(peer.delivered(), ["a 1 s"]);
    peer.send(&json!({"jsonrpc": "2.0", "id": 2, "result": 6}));
    assert!(matches!(peer.machine.standing(), Standing::Up));
    peer.send(&complete(6));
    assert!(is_finished(&peer.machine));
}

#[test]
fn w29_what_comes_before_its_own_answer_is_delivered_after_it() {
    let mut peer = Peer::new(diffs(&["a", "b"]));
    peer.connect();
    peer.send(&diff(6, 1, "s"));
    peer.send(&diff(5, 1, "t"));
    peer.send(&complete(6));
    assert!(peer.delivered().is_empty());
    peer.send(&json!({"jsonrpc": "2.0", "id": 1, "result": 5}));
    assert_eq!(peer.delivered(), ["a 1 t"]);
    peer.send(&json!({"jsonrpc": "2.0", "id": 2, "result": 6}));
    assert_eq!(peer.delivered(), ["b 1 s"]);
    peer.send(&complete(5));
    assert!(is_finished(&peer.machine));
}

#[test]
fn what_came_early_and_belongs_to_nothing_is_a_fault_in_the_end() {
    let mut peer = Peer::new(diffs(&["a"]));
    peer.connect();
    peer.send(&diff(99, 1, "s"));
    assert!(peer.delivered().is_empty());
    peer.send(&json!({"jsonrpc": "2.0", "id": 1, "result": 5}));
    assert_eq!(peer.delivered(), ["fault: its subscription is unknown"]);
}

#[test]
fn what_comes_early_is_kept_within_bounds() {
    let mut peer = Peer::new(SubscriptionConfig {
        max_message_bytes: diff(6, 1, "s").to_string().len(),
        ..diffs(&["a"])
    });
    peer.connect();
    peer.send(&diff(6, 1, "s"));
    peer.send(&diff(6, 1, "t"));
    assert_eq!(peer.delivered(), ["fault: its subscription is unknown"]);
    peer.send(&json!({"jsonrpc": "2.0", "id": 1, "result": 6}));
    assert_eq!(peer.delivered(), ["a 1 s"]);
}

#[test]
fn w20_a_refusal_that_would_come_again_is_final() {
    for code in [-32600, -32601, -32602, -32603, -32000, -32098, 1] {
        let mut peer = Peer::new(diffs(&["a", "b"]));
        peer.connect();
        peer.send(&json!({"jsonrpc": "2.0", "id": 2, "error": {"code": code, "message": "no such account"}}));
        let ConnectionError::SubscriptionRefused {
            target,
            code: told,
            message,
        } = permanent(&peer.machine)
        else {
            panic!("not a refusal");
        };
        assert_eq!(
            (target.as_str(), told, message.as_str()),
            ("b", code, "no such account")
        );
    }
}

#[test]
fn w20_a_refusal_for_now_is_worth_another_try() {
    for code in [-32004, -32005, -32014, -32016, -32429, 429, 503] {
        let mut peer = Peer::new(diffs(&["a"]));
        peer.connect();
        peer.send(&json!({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "node is behind"}}));
        assert!(matches!(
            retry(&peer.machine),
            ConnectionError::SubscriptionRefused { .. }
        ));
        peer.reconnect();
    }
}

#[test]
fn a_refusal_without_an_id_is_meant_for_the_first_that_waits() {
    let mut peer = Peer::new(diffs(&["a"]));
    peer.connect();
    peer.send(&json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "parse error"}}));
    assert!(matches!(
        permanent(&peer.machine),
        ConnectionError::SubscriptionRefused { .. }
    ));
    let mut peer = Peer::up(diffs(&["a"]));
    peer.send(&json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "parse error"}}));
    assert_eq!(peer.delivered(), ["fault: it answers nothing that was asked"]);
}

#[test]
fn an_answer_that_is_no_number_or_one_in_use_is_unexpected() {
    for answer in [json!(null), json!("5"), json!(-1), json!(true)] {
        let mut peer = Peer::new(diffs(&["a"]));
        peer.connect();
        peer.send(&json!({"jsonrpc": "2.0", "id": 1, "result": answer}));
        assert!(matches!(
            permanent(&peer.machine),
            ConnectionError::UnexpectedAnswer { .. }
        ));
    }
    let mut peer = Peer::new(diffs(&["a", "b"]));
    peer.connect();
    peer.send(&json!({"jsonrpc": "2.0", "id": 1, "result": 5}));
    peer.send(&json!({"jsonrpc": "2.0", "id": 2, "result": 5}));
    assert!(matches!(
        permanent(&peer.machine),
        ConnectionError::UnexpectedAnswer { .. }
    ));
}

#[test]
fn an_answer_to_nothing_is_a_fault() {
    let mut peer = Peer::up(diffs(&["a"]));
    for answer in [
        json!({"id": 1, "result": 5}),
        json!({"id": 8, "result": 5}),
        json!({"id": "x", "result": 5}),
        json!({}),
    ] {
        peer.send(&answer);
        assert_eq!(
            peer.delivered(),
            ["fault: it answers nothing that was asked"],
            "{answer}"
        );
    }
}

#[test]
fn silence_in_the_handshake_is_given_up() {
    let mut peer = Peer::new(diffs(&["a"]));
    assert_eq!(peer.machine.poll_timeout(), None);
    peer.connect();
    let began = peer.now;
    assert_eq!(peer.machine.poll_timeout(), Some(began + RESPONSE));
    peer.machine.handle_timeout(began + RESPONSE / 2);
    assert!(matches!(peer.machine.standing(), Standing::Opening));
    peer.machine.handle_timeout(began + RESPONSE);
    let ConnectionError::Unanswered { after, .. } = retry(&peer.machine) else {
        panic!("not unanswered");
    };
    assert_eq!(after, RESPONSE);
    assert_eq!(peer.machine.poll_timeout(), None);
}

#[test]
fn any_traffic_restarts_the_silence_but_not_the_whole() {
    let mut peer = Peer::new(diffs(&["a"]));
    peer.connect();
    let began = peer.now;
    let step = RESPONSE - Duration::from_secs(1);
    for n in 1..=6 {
        peer.now = began + step * n;
        peer.machine.handle_timeout(peer.now);
        peer.machine.handle_sign_of_life(peer.now);
        assert_eq!(peer.machine.poll_timeout(), Some(peer.now + RESPONSE));
    }
    peer.now = began + step * 7;
    peer.send(&diff(1, 1, "s"));
    assert_eq!(peer.machine.poll_timeout(), Some(began + TOTAL));
    peer.machine.handle_timeout(began + TOTAL);
    assert!(matches!(
        retry(&peer.machine),
        ConnectionError::Unanswered { after: TOTAL, .. }
    ));
}

#[test]
fn an_established_connection_has_no_deadline() {
    let mut peer = Peer::up(diffs(&["a"]));
    assert_eq!(peer.machine.poll_timeout(), None);
    peer.machine.handle_timeout(peer.now + TOTAL * 2);
    assert!(matches!(peer.machine.standing(), Standing::Up));
}

#[test]
fn w32_it_is_over_once_every_subscription_has_told_everything() {
    let mut peer = Peer::up(diffs(&["a", "b"]));
    peer.send(&complete(11));
    peer.send(&diff(11, 1, "late"));
    assert_eq!(peer.delivered(), ["fault: its subscription is unknown"]);
    peer.send(&diff(12, 1, "s"));
    peer.send(&complete(12));
    assert!(is_finished(&peer.machine));
    assert_eq!(peer.delivered(), ["b 1 s"]);
    peer.machine.handle_disconnected(peer.now);
    assert!(peer.connect().is_empty() && is_finished(&peer.machine));
}

#[test]
fn a_close_needs_nothing() {
    let mut peer = Peer::up(diffs(&["a"]));
    assert!(!peer.machine.needs_connection_to_close());
    peer.machine.handle_close(peer.now);
    assert!(is_finished(&peer.machine));
    peer.send(&diff(11, 1, "s"));
    assert!(peer.delivered().is_empty() && peer.machine.poll_transmit().is_none());
}

#[test]
fn w21_what_cannot_be_read_is_told_and_the_stream_goes_on() {
    let mut peer = Peer::up(diffs(&["a"]));
    let faults = [
        ("{", "a string is expected"),
        ("[]", "an object is expected"),
        ("", "an object is expected"),
        (
            r#"{"method":"slotNotification","params":{"subscription":11}}"#,
            "its method is unknown",
        ),
        (
            r#"{"method":"transactionNotification","params":{"subscription":11}}"#,
            "its method is unknown",
        ),
        (
            r#"{"method":"accountDiffNotification","params":{}}"#,
            "the subscription is missing",
        ),
        (r#"{"method":"accountDiffNotification"}"#, "the subscription is missing"),
        (
            r#"{"method":"accountDiffNotification","params":{"subscription":4,"result":{}}}"#,
            "its subscription is unknown",
        ),
        (
            r#"{"method":"accountDiffNotification","params":{"subscription":11}}"#,
            "the result is missing",
        ),
        (
            r#"{"method":"accountDiffNotification","params":{"subscription":11,"result":{}}}"#,
            "the slot is missing",
        ),
    ];
    for (text, reason) in faults {
        peer.send_text(text);
        let events = peer.events();
        let [SubscriptionNotification::Fault(StreamFault::UnreadableNotification { raw, reason: told })] = &events[..]
        else {
            panic!("{text}: {events:?}");
        };
        assert_eq!((raw.as_str(), *told), (text, reason));
    }
    peer.send(&diff(11, 1, "s"));
    assert_eq!(peer.delivered(), ["a 1 s"]);
}
