//! Requests and a server that echoes their ids.

use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, BacktestStatus, Capability, ContinueParams, RequestId,
};

use super::support::*;

/// The ids of the requests that were sent.
fn ids(player: &mut Player) -> Vec<String> {
    let id = |request: BacktestRequest| match request {
        BacktestRequest::Continue(params) => params.request_id.map(|id| id.to_string()),
        BacktestRequest::ContinueTo(params) => params.request_id.map(|id| id.to_string()),
        other => panic!("{other:?}"),
    };
    player.sent().into_iter().filter_map(id).collect()
}

#[test]
fn every_request_has_an_id_where_the_server_knows_them() {
    let mut player = Player::ready_with_ids();
    player.ask(advance(1));
    player.ask(ControlRequest::Continue(ContinueParams {
        request_id: Some(id("mine")),
        ..ContinueParams::default()
    }));
    assert_eq!(ids(&mut player), ["p-1", "mine"]);
    assert!(!player.machine.accepts_request());
}

#[test]
fn no_request_has_an_id_where_the_server_does_not() {
    let mut player = Player::ready();
    player.ask(ControlRequest::Continue(ContinueParams {
        request_id: Some(id("mine")),
        ..ContinueParams::default()
    }));
    assert_eq!(player.sent(), [BacktestRequest::Continue(ContinueParams::default())]);
}

#[test]
fn a_prefix_that_is_too_long_is_cut() {
    let long = ControlConfig {
        request_id_prefix: "x".repeat(500),
        ..config()
    };
    let mut player = Player::created(long, &[Capability::RequestId]);
    player.ask(advance(1));
    let sent = ids(&mut player);
    assert!(sent[0].ends_with("-1") && sent[0].len() <= RequestId::MAX_CHARS);
}

#[test]
fn requests_need_a_session() {
    let mut player = Player::new(config());
    assert!(!player.machine.accepts_request());
    player.connect();
    assert!(!player.machine.accepts_request());
    player.hear(BacktestResponse::SessionCreated(opened(&[])));
    assert!(player.machine.accepts_request());
}

#[test]
fn w2_a_request_is_sent_again_until_an_event_names_it() {
    let mut player = Player::ready_with_ids();
    player.ask(advance(3));
    for _ in 0..3 {
        assert_eq!(ids(&mut player), ["p-1"]);
        player.hear(numbered(1, BacktestStatus::ExecutingBlockTransactions));
        player.reattach();
    }
    assert_eq!(ids(&mut player), ["p-1"]);
    player.hear(echoing(2, "p-1", slot(2)));
    player.reattach();
    assert!(ids(&mut player).is_empty());
    assert!(player.machine.accepts_request());
}

#[test]
fn w2_a_request_that_was_not_written_is_written_on_the_next_connection() {
    let mut player = Player::ready_with_ids();
    player.ask(advance(3));
    player.disconnect();
    // Nor does it matter when it comes.
    player.ask(advance(4));
    assert!(!player.machine.accepts_request());
    player.connect();
    player.sent();
    player.hear(BacktestResponse::SessionAttached(opened(&[])));
    assert_eq!(player.sent(), [BacktestRequest::ResumeAttachedSession]);
    player.hear(BacktestResponse::Success);
    assert_eq!(ids(&mut player), ["p-1", "p-2"]);
}

#[test]
fn w2_the_replay_of_a_handshake_shows_what_was_taken() {
    let mut player = Player::ready_with_ids();
    player.ask(advance(1));
    player.ask(advance(1));
    player.sent();
    player.disconnect();
    player.connect();
    player.hear(BacktestResponse::SessionAttached(opened(&[])));
    player.hear(echoing(2, "p-1", slot(2)));
    player.sent();
    player.hear(BacktestResponse::Success);
    assert_eq!(ids(&mut player), ["p-2"]);
}

#[test]
fn a_sign_of_a_request_is_one_of_those_before_it() {
    let mut player = Player::ready_with_ids();
    player.ask(advance(5));
    player.ask(go_to(3));
    assert_eq!(ids(&mut player), ["p-1", "p-2"]);
    player.hear(echoing(2, "p-2", slot(2)));
    player.reattach();
    assert!(ids(&mut player).is_empty());
}

#[test]
fn a_rejected_request_was_taken() {
    let mut player = Player::ready_with_ids();
    player.ask(advance(1));
    player.sent();
    player.hear(echoing(2, "p-1", invalid_request()));
    player.reattach();
    assert!(ids(&mut player).is_empty());
    // One that could not be decoded is rejected without its id.
    player.ask(advance(1));
    assert_eq!(ids(&mut player), ["p-2"]);
    player.hear(BacktestResponse::Error(invalid_request()));
    player.reattach();
    assert!(ids(&mut player).is_empty());
    assert_eq!(player.events(), ["invalid request", "invalid request"]);
}

#[test]
fn an_error_that_names_nothing_does_not_concern_what_was_not_sent() {
    let mut player = Player::ready_with_ids();
    player.disconnect();
    player.ask(advance(1));
    player.connect();
    player.hear(BacktestResponse::SessionAttached(opened(&[])));
    player.hear(numbered(2, invalid_request()));
    player.sent();
    player.hear(BacktestResponse::Success);
    assert_eq!(ids(&mut player), ["p-1"]);
}

#[test]
fn with_ids_neither_gaps_nor_missing_numbers_leave_doubts() {
    let mut player = Player::created(config(), &[Capability::RequestId]);
    player.hear(READY);
    player.ask(advance(1));
    player.sent();
    player.events();
    player.reattach();
    assert_eq!(ids(&mut player), ["p-1"]);
    assert_eq!(player.events(), ["unnumbered"]);
    player.hear(numbered(7, slot(1)));
    player.hear(numbered(9, slot(2)));
    player.reattach();
    assert_eq!(ids(&mut player), ["p-1"]);
    assert_eq!(player.events(), ["slot 1", "gap 8 9", "slot 2"]);
}

#[test]
fn nothing_is_sent_to_a_session_that_has_ended() {
    let mut player = Player::ready_with_ids();
    player.ask(advance(1));
    player.ask(advance(1));
    player.sent();
    player.disconnect();
    player.connect();
    player.hear(BacktestResponse::SessionAttached(opened(&[])));
    player.sent();
    player.hear(BacktestResponse::Success);
    player.hear(numbered(2, BacktestError::NoMoreBlocks));
    assert_eq!(player.sent(), [BacktestRequest::CloseBacktestSession]);
}
