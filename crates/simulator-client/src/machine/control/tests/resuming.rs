//! From a lost connection to the next one.

use simulator_api::{
    AttachBacktestSessionRequest, BacktestError, BacktestRequest, BacktestResponse, BacktestStatus, Capability,
    SequencedResponse,
};

use super::support::*;
use crate::machine::control::ControlRequest;

fn attach(last_sequence: Option<u64>) -> BacktestRequest {
    BacktestRequest::AttachBacktestSession(AttachBacktestSessionRequest {
        session_id: session_id(),
        last_sequence,
    })
}

fn attached() -> BacktestResponse {
    BacktestResponse::SessionAttached(opened(&[]))
}

/// A session that waits and has lost its connection; the next one has asked to attach.
fn attaching() -> Player {
    let mut player = Player::ready();
    player.disconnect();
    player.connect();
    assert_eq!(player.sent(), [attach(Some(1))]);
    player
}

/// As [`attaching`], one answer later.
fn resuming() -> Player {
    let mut player = attaching();
    player.hear(attached());
    assert_eq!(player.sent(), [BacktestRequest::ResumeAttachedSession]);
    player
}

#[test]
fn a_lost_connection_is_replaced_behind_the_last_event() {
    let mut player = Player::ready();
    player.hear(numbered(2, slot(2)));
    player.disconnect();
    assert!(player.is_opening() && player.sent().is_empty());
    player.connect();
    assert_eq!(player.sent(), [attach(Some(2))]);
    player.hear(attached());
    assert!(player.is_opening());
    assert_eq!(player.sent(), [BacktestRequest::ResumeAttachedSession]);
    player.hear(BacktestResponse::Success);
    assert!(player.is_up());
    player.hear(numbered(2, slot(2)));
    player.hear(numbered(3, slot(3)));
    assert_eq!(player.events(), ["slot 2", "slot 3"]);
}

#[test]
fn w4_events_that_arrive_in_a_handshake_are_told_in_order() {
    let mut player = attaching();
    player.hear(numbered(2, BacktestStatus::ExecutingBlockTransactions));
    player.hear(numbered(3, slot(3)));
    player.hear(attached());
    player.hear(numbered(4, READY));
    player.hear_text("nonsense");
    player.hear(BacktestResponse::Success);
    player.hear(numbered(5, slot(5)));
    assert_eq!(
        player.events(),
        [
            "executingBlockTransactions",
            "slot 3",
            "ready",
            "undecodable nonsense",
            "slot 5"
        ]
    );
    assert!(player.is_up());
}

#[test]
fn w4_a_handshake_that_is_cut_goes_on_behind_what_it_brought() {
    let mut player = attaching();
    player.hear(numbered(2, slot(2)));
    player.disconnect();
    player.connect();
    assert_eq!(player.sent(), [attach(Some(2))]);
    player.hear(attached());
    player.hear(numbered(3, slot(3)));
    player.disconnect();
    player.connect();
    assert_eq!(player.sent(), [attach(Some(3))]);
    assert_eq!(player.events(), ["slot 2", "slot 3"]);
}

#[test]
fn w3_errors_with_a_number_are_events_even_in_a_handshake() {
    for mut player in [attaching(), resuming()] {
        player.hear(numbered(2, invalid_request()));
        player.hear(numbered(3, not_found()));
        assert!(player.is_opening());
        assert_eq!(player.events().len(), 2);
    }
}

#[test]
fn w3_errors_without_a_number_are_judged_by_what_they_say() {
    for mut player in [attaching(), resuming()] {
        player.hear(BacktestResponse::Error(BacktestError::ClerkError { error: "x".into() }));
        assert!(player.is_opening());
        assert_eq!(player.events().len(), 1);
        player.hear(BacktestResponse::Error(busy()));
        assert!(matches!(player.retry(), ConnectionError::Refused { error, .. } if error == busy()));
    }
    for error in [not_found(), BacktestError::SessionOwnerMismatch, invalid_request()] {
        for mut player in [attaching(), resuming()] {
            player.hear(BacktestResponse::Error(error.clone()));
            let failure = player.failure();
            assert!(
                matches!(&failure, ManagedFailure::Permanent(ConnectionError::Refused { error: told, .. }) if *told == error),
                "{failure:?}"
            );
            assert!(player.outputs().is_empty());
        }
    }
}

#[test]
fn w41_only_the_answer_that_is_awaited_counts() {
    let mut player = attaching();
    player.hear(BacktestResponse::Success);
    assert!(player.is_opening() && player.sent().is_empty());
    player.hear(attached());
    assert!(player.is_opening());
    player.hear(BacktestResponse::Success);
    assert!(player.is_up());
}

#[test]
fn a_busy_session_is_tried_again() {
    let mut player = attaching();
    player.hear(BacktestResponse::Error(busy()));
    player.hear(numbered(2, slot(2)));
    assert!(
        player.outputs().is_empty(),
        "nothing is read from a connection that is of no use"
    );
    player.disconnect();
    player.connect();
    assert_eq!(player.sent(), [attach(Some(1))]);
}

#[test]
fn w26_each_answer_may_take_its_time_but_not_for_ever() {
    for mut player in [attaching(), resuming()] {
        player.wait(RESPONSE / 2);
        player.hear(numbered(2, slot(2)));
        player.wait(RESPONSE - RESPONSE / 10);
        assert!(player.is_opening());
        player.wait(RESPONSE / 10);
        assert!(matches!(player.retry(), ConnectionError::Unanswered { after, .. } if after == RESPONSE));
        assert_eq!(player.machine.poll_timeout(), None);
        player.disconnect();
        assert!(player.is_opening());
    }
    // The limit for the handshake is one for both answers.
    let mut player = attaching();
    for _ in 0..10 {
        player.machine.handle_sign_of_life(player.now);
        player.wait(TOTAL / 20);
    }
    player.hear(attached());
    for _ in 0..9 {
        player.machine.handle_sign_of_life(player.now);
        player.wait(TOTAL / 20);
        assert!(player.is_opening());
    }
    player.machine.handle_sign_of_life(player.now);
    player.wait(TOTAL / 20);
    assert!(matches!(player.retry(), ConnectionError::Unanswered { after, .. } if after == TOTAL));
}

#[test]
fn a_connection_that_is_up_has_no_timeout() {
    let mut player = Player::ready();
    assert_eq!(player.machine.poll_timeout(), None);
    player.reattach();
    assert_eq!(player.machine.poll_timeout(), None);
}

#[test]
fn nothing_is_told_twice_by_a_server_without_numbers_if_nothing_had_been_told() {
    let mut player = Player::created(config(), &[]);
    player.hear(BacktestResponse::Error(simulation_error()));
    player.hear(BacktestResponse::from(BacktestStatus::StartingRuntime));
    player.events();
    player.reattach();
    assert!(player.events().is_empty());
}

#[test]
fn without_numbers_every_reattach_is_told_once() {
    let mut player = Player::created(config(), &[]);
    player.hear(slot(1));
    player.hear(READY);
    player.events();
    for _ in 0..2 {
        player.disconnect();
        player.connect();
        assert_eq!(player.sent(), [attach(None)]);
        assert!(player.events().is_empty());
        player.hear(attached());
        player.hear(BacktestResponse::Success);
        player.hear(READY);
        assert_eq!(player.events(), ["unnumbered", "ready"]);
    }
}

#[test]
fn a_server_may_turn_out_not_to_number_only_after_a_reattach() {
    let mut player = Player::created(config(), &[]);
    player.ask(advance(1));
    player.sent();
    player.reattach();
    assert!(player.events().is_empty());
    player.hear(READY);
    player.hear(slot(2));
    assert_eq!(player.events(), ["unnumbered", "uncertain", "ready", "slot 2"]);
}

#[test]
fn a_gap_after_a_reattach_is_told_before_what_comes_next() {
    let mut player = Player::ready();
    player.reattach();
    player.hear(numbered(4, slot(4)));
    assert_eq!(player.events(), ["gap 2 4", "slot 4"]);
}

#[test]
fn an_answer_with_a_number_counts_as_the_next_event() {
    let mut player = attaching();
    player.hear(numbered(2, attached()));
    player.hear(numbered(3, BacktestResponse::Success));
    assert!(player.is_up());
    player.hear(numbered(4, slot(4)));
    assert_eq!(player.events(), ["slot 4"]);
}

#[test]
fn a_driver_that_forgets_to_tell_of_a_loss_is_forgiven() {
    let mut player = Player::ready();
    player.connect();
    player.connect();
    assert_eq!(player.sent(), [attach(Some(1))]);
}

#[test]
fn a_caller_who_knows_that_the_session_waits_is_not_told_again() {
    for capabilities in [&[][..], &[Capability::RequestId]] {
        let mut player = Player::created(config(), capabilities);
        player.hear(numbered(1, READY));
        player.reattach();
        player.hear(numbered(2, READY));
        player.reattach();
        player.hear(numbered(3, READY));
        assert_eq!(player.events(), ["ready"]);
        assert_eq!(player.machine.counts().duplicates, 2);
        player.hear(numbered(4, paused(5)));
        player.hear(numbered(5, slot(6)));
        player.hear(numbered(6, paused(5)));
        assert_eq!(player.events(), ["paused 5", "slot 6", "paused 5"]);
    }
}

#[test]
fn what_may_be_an_answer_or_another_stop_is_told() {
    let told = |request: ControlRequest, event: SequencedResponse| {
        let mut player = Player::ready();
        player.ask(request);
        player.sent();
        player.reattach();
        player.hear(event);
        player.events()
    };
    assert_eq!(told(advance(3), numbered(2, READY)), Vec::<String>::new());
    assert_eq!(told(advance(0), numbered(2, READY)), ["ready"]);
    assert_eq!(told(advance(3), numbered(3, READY)), ["gap 2 3", "ready"]);
    let mut player = Player::ready_with_ids();
    player.ask(advance(0));
    player.sent();
    player.reattach();
    player.hear(echoing(2, "p-1", READY));
    assert_eq!(player.events(), ["ready"]);
}
