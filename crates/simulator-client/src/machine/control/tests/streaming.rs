//! The events of a session that is up.

use bytes::Bytes;
use simulator_api::{
    AgentStatsReport, BacktestError, BacktestResponse, BacktestStatus, DiscoveryBatchEvent, SequencedResponse,
    SessionSummary,
};

use super::support::*;

#[test]
fn every_kind_of_event_is_told_in_order() {
    let mut player = Player::created(config(), &[]);
    let batch = DiscoveryBatchEvent {
        slot: 5,
        batch_index: 1,
        matched: vec![],
        transactions: vec![],
        transaction_indices: vec![],
    };
    player.hear(numbered(1, BacktestStatus::ExecutingBlockTransactions));
    player.hear(numbered(2, slot(1)));
    player.hear(numbered(3, READY));
    player.hear(numbered(4, paused(2)));
    player.hear(numbered(5, BacktestResponse::DiscoveryBatch(batch.clone())));
    player.hear(numbered(6, simulation_error()));
    assert_eq!(
        player.events(),
        [
            "executingBlockTransactions",
            "slot 1",
            "ready",
            "paused 2",
            &format!("{:?}", ControlEvent::DiscoveryBatch(batch)),
            "simulation error"
        ]
    );
    assert!(player.is_up());
}

#[test]
fn w25_duplicates_are_dropped_and_gaps_are_told_once() {
    let mut player = Player::ready();
    for number in [2, 2, 1, 5, 4, 6] {
        player.hear(numbered(number, slot(number)));
    }
    assert_eq!(player.events(), ["slot 2", "gap 3 5", "slot 5", "slot 6"]);
    assert_eq!(player.machine.counts().duplicates, 3);
    assert!(player.is_up());
}

#[test]
fn what_the_server_says_again_is_counted() {
    let mut player = Player::ready();
    for number in 1..=3 {
        player.hear(SequencedResponse {
            replayed: true,
            ..numbered(number, slot(number))
        });
    }
    let counts = player.machine.counts();
    assert_eq!((counts.replayed, counts.duplicates), (3, 1));
    assert_eq!(player.events(), ["slot 2", "slot 3"]);
}

#[test]
fn w21_what_cannot_be_decoded_is_told_and_the_stream_goes_on() {
    let mut player = Player::ready();
    player.hear_text("{");
    for _ in 0..2 {
        player.hear_text(r#"{"method": "slotNotification", "params": "x", "seqId": 2}"#);
    }
    player.hear_text(r#"{"method": "newThing", "params": {"a": 1}, "seqId": 3}"#);
    player.hear(numbered(4, slot(4)));
    let events = player.events();
    assert_eq!(events[0], "undecodable {");
    assert!(events[1].starts_with("undecodable {\"method\": \"slotNotification\""));
    assert_eq!(events[2..], ["unknown newThing", "slot 4"]);
    assert!(player.is_up());
}

#[test]
fn binary_messages_hold_json_too() {
    let mut player = Player::ready();
    let text = serde_json::to_string(&numbered(2, slot(2))).unwrap();
    player
        .machine
        .handle_message(Message::Binary(Bytes::from(text.into_bytes())), player.now);
    player
        .machine
        .handle_message(Message::Binary(Bytes::from_static(b"\xff")), player.now);
    assert_eq!(player.events(), ["slot 2", "undecodable \u{fffd}"]);
}

#[test]
fn answers_that_nobody_asked_for_are_shown_as_they_came() {
    let mut player = Player::ready();
    player.hear(BacktestResponse::Success);
    player.hear(BacktestResponse::SessionCreated(opened(&[])));
    assert_eq!(player.events(), ["unknown sessionCreated"]);
    assert!(player.is_up());
}

#[test]
fn w24_a_simulation_error_is_an_event_whatever_the_phase() {
    let mut player = Player::new(config());
    player.connect();
    player.hear(BacktestResponse::Error(simulation_error()));
    player.hear(BacktestResponse::SessionCreated(opened(&[])));
    player.hear(BacktestResponse::Error(simulation_error()));
    player.disconnect();
    player.connect();
    player.hear(BacktestResponse::Error(simulation_error()));
    player.hear(BacktestResponse::SessionAttached(opened(&[])));
    player.hear(BacktestResponse::Error(simulation_error()));
    player.hear(BacktestResponse::Success);
    let expected = [
        "simulation error",
        "opened",
        "simulation error",
        "simulation error",
        "simulation error",
    ];
    assert_eq!(player.events(), expected);
    assert!(player.is_up());
}

#[test]
fn w30_the_end_comes_with_its_totals() {
    let mut player = Player::ready();
    let summary = SessionSummary {
        correct_simulation: 3,
        ..SessionSummary::default()
    };
    let agent_stats: Option<Vec<AgentStatsReport>> = Some(Vec::new());
    player.hear(numbered(
        2,
        BacktestResponse::Completed {
            summary: Some(summary.clone()),
            agent_stats: agent_stats.clone(),
        },
    ));
    let outputs = player.outputs();
    assert!(
        matches!(
            &outputs[..],
            [ControlOutput::Event(ControlEvent::Completed { summary: Some(told), agent_stats: stats })]
                if *told == summary && *stats == agent_stats
        ),
        "{outputs:?}"
    );
}

#[test]
fn errors_that_do_not_end_the_session_are_events() {
    let mut player = Player::ready();
    for (number, error) in [
        invalid_request(),
        BacktestError::ClerkError { error: "x".into() },
        busy(),
    ]
    .into_iter()
    .enumerate()
    {
        player.hear(numbered(number as u64 + 2, error));
    }
    assert_eq!(player.events().len(), 3);
    assert!(player.is_up());
}
