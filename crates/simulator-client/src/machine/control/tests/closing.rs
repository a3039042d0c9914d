//! The end, however it comes.

use simulator_api::{BacktestError, BacktestRequest, BacktestResponse};

use super::support::*;

const CLOSE: BacktestRequest = BacktestRequest::CloseBacktestSession;

fn waiting_for_the_caller() -> ControlConfig {
    ControlConfig {
        after_completion: AfterCompletion::Wait,
        ..config()
    }
}

fn attached() -> BacktestResponse {
    BacktestResponse::SessionAttached(opened(&[]))
}

#[test]
fn a_completed_session_is_closed() {
    let mut player = Player::ready();
    player.hear(numbered(2, COMPLETED));
    assert_eq!(player.events(), ["completed"]);
    assert_eq!(player.sent(), [CLOSE]);
    assert!(player.is_up() && !player.machine.accepts_request());
    player.hear(numbered(3, slot(3)));
    player.hear(BacktestResponse::Success);
    assert!(player.is_finished());
    assert!(player.events().is_empty());
}

#[test]
fn a_completed_session_needs_no_answer_to_the_close() {
    for forget in [Player::disconnect as fn(&mut Player), |player| player.wait(RESPONSE)] {
        let mut player = Player::ready();
        player.hear(numbered(2, COMPLETED));
        forget(&mut player);
        assert!(player.is_finished());
        assert_eq!(player.events(), ["completed"]);
    }
}

#[test]
fn a_completed_session_waits_for_its_caller_if_it_is_to() {
    let mut player = Player::created(waiting_for_the_caller(), &[]);
    player.hear(numbered(1, COMPLETED));
    assert_eq!(player.events(), ["opened", "completed"][1..]);
    assert!(player.is_up() && player.sent().is_empty() && !player.machine.accepts_request());
    player.close();
    assert_eq!(player.sent(), [CLOSE]);
    player.hear(BacktestResponse::Success);
    assert!(player.is_finished());
}

#[test]
fn a_completed_session_that_waits_needs_a_connection_only_to_close() {
    let mut player = Player::created(waiting_for_the_caller(), &[]);
    player.hear(numbered(1, COMPLETED));
    player.events();
    player.disconnect();
    assert!(!player.machine.wants_connection() && !player.machine.needs_connection_to_close());
    player.close();
    assert!(player.machine.needs_connection_to_close());
    player.connect();
    player.sent();
    player.hear(attached());
    assert_eq!(player.sent(), [CLOSE]);
    player.hear(BacktestResponse::Success);
    assert!(player.is_finished());
}

#[test]
fn a_completed_session_that_waits_may_be_gone_in_the_meantime() {
    let mut player = Player::created(waiting_for_the_caller(), &[]);
    player.hear(numbered(1, COMPLETED));
    player.disconnect();
    player.connect();
    player.hear(BacktestResponse::Error(not_found()));
    assert!(player.is_finished());
}

#[test]
fn the_end_is_told_once_even_without_numbers() {
    let mut player = Player::created(waiting_for_the_caller(), &[]);
    player.hear(COMPLETED);
    player.events();
    player.reattach();
    player.hear(COMPLETED);
    assert!(player.events().is_empty());
}

#[test]
fn w22_a_session_that_fails_tells_why_and_is_closed() {
    for end in [
        (|player| player.hear(BacktestResponse::Success)) as fn(&mut Player),
        Player::disconnect,
    ] {
        let mut player = Player::ready();
        player.hear(numbered(2, BacktestError::Internal { error: "x".into() }));
        assert_eq!(player.sent(), [CLOSE]);
        assert!(player.is_up());
        let outputs = player.outputs();
        assert!(
            matches!(
                &outputs[..],
                [ControlOutput::Event(ControlEvent::Error(
                    BacktestError::Internal { .. }
                ))]
            ),
            "{outputs:?}"
        );
        end(&mut player);
        assert!(matches!(
            player.failure(),
            ManagedFailure::Session(BacktestError::Internal { .. })
        ));
    }
}

#[test]
fn w23_a_session_that_ends_in_a_handshake_has_ended() {
    for (end, is_failure) in [(COMPLETED, false), (BacktestError::NoMoreBlocks.into(), true)] {
        for answers in 0..2 {
            let mut player = Player::ready();
            player.disconnect();
            player.connect();
            if answers == 1 {
                player.hear(attached());
            }
            player.sent();
            player.hear(numbered(2, end.clone()));
            assert_eq!(player.events().len(), 1);
            // The connection has to own the session before it can close it.
            assert!(player.is_opening() && player.sent().is_empty());
            player.hear(if answers == 1 {
                BacktestResponse::Success
            } else {
                attached()
            });
            assert_eq!(player.sent(), [CLOSE]);
            player.hear(BacktestResponse::Success);
            assert_eq!(player.is_finished(), !is_failure);
        }
    }
}

#[test]
fn w23_a_session_that_has_ended_is_not_attached_to_again() {
    for lose in [
        Player::disconnect as fn(&mut Player),
        |player| player.wait(RESPONSE),
        |player| {
            player.hear(BacktestResponse::Error(busy()));
        },
    ] {
        let mut player = Player::ready();
        player.disconnect();
        player.connect();
        player.hear(numbered(2, COMPLETED));
        lose(&mut player);
        assert!(player.is_finished());
    }
}

#[test]
fn w19_a_session_that_is_up_is_closed() {
    let mut player = Player::ready();
    player.ask(advance(1));
    player.close();
    assert_eq!(player.sent(), [CLOSE], "what was not sent is not sent any more");
    assert!(player.machine.needs_connection_to_close() && !player.machine.accepts_request());
    player.hear(numbered(2, slot(2)));
    player.hear(numbered(9, slot(9)));
    player.hear_text("nonsense");
    player.hear(BacktestResponse::Success);
    assert!(player.is_finished() && !player.machine.needs_connection_to_close());
    assert!(player.events().is_empty());
}

#[test]
fn w19_a_session_without_a_connection_is_closed_on_the_next_one() {
    let mut player = Player::ready();
    player.disconnect();
    assert!(!player.machine.needs_connection_to_close());
    player.close();
    assert!(player.machine.needs_connection_to_close() && player.is_opening());
    player.connect();
    assert!(matches!(player.sent()[..], [BacktestRequest::AttachBacktestSession(_)]));
    player.hear(numbered(2, slot(2)));
    player.hear(attached());
    assert_eq!(player.sent(), [CLOSE]);
    player.hear(BacktestResponse::Success);
    assert!(player.is_finished());
    assert!(player.events().is_empty());
}

#[test]
fn w19_a_close_that_got_lost_is_repeated() {
    let mut player = Player::ready();
    player.close();
    player.disconnect();
    assert!(player.machine.needs_connection_to_close());
    player.connect();
    player.sent();
    // It had arrived.
    player.hear(BacktestResponse::Error(not_found()));
    assert!(player.is_finished());
}

#[test]
fn w19_a_close_waits_for_the_end_of_a_handshake() {
    let mut player = Player::ready();
    player.disconnect();
    player.connect();
    player.hear(attached());
    player.sent();
    player.close();
    assert!(player.sent().is_empty());
    player.hear(BacktestResponse::Success);
    assert_eq!(player.sent(), [CLOSE]);
}

#[test]
fn w19_a_session_that_is_being_created_is_closed_when_its_id_is_known() {
    let mut player = Player::new(config());
    player.connect();
    player.sent();
    player.close();
    assert!(player.is_opening() && player.machine.needs_connection_to_close());
    player.hear(numbered(1, slot(1)));
    player.hear(BacktestResponse::SessionCreated(opened(&[])));
    assert_eq!(player.sent(), [CLOSE]);
    player.hear(BacktestResponse::Success);
    assert!(player.is_finished());
    assert!(player.events().is_empty());
}

#[test]
fn w18_a_session_of_which_nothing_is_known_is_over_at_once() {
    let connected = |lose: fn(&mut Player)| {
        let mut player = Player::new(config());
        player.connect();
        lose(&mut player);
        player
    };
    let mut refused = Player::new(config());
    refused.connect();
    refused.hear(BacktestResponse::Error(busy()));
    for mut player in [Player::new(config()), connected(Player::disconnect), refused] {
        player.close();
        assert!(player.is_finished() && !player.machine.needs_connection_to_close());
        player.connect();
        assert!(player.sent().is_empty() && player.is_finished());
    }
    for lose in [
        Player::disconnect as fn(&mut Player),
        |player| player.wait(RESPONSE),
        |player| {
            player.hear(BacktestResponse::Error(invalid_request()));
        },
    ] {
        let mut player = Player::new(config());
        player.connect();
        player.close();
        lose(&mut player);
        assert!(player.is_finished());
    }
}

#[test]
fn w13_events_do_not_answer_a_close() {
    let mut player = Player::ready();
    player.close();
    for number in 2..500 {
        player.hear(numbered(number, slot(number)));
    }
    player.hear(numbered(500, invalid_request()));
    player.hear(BacktestResponse::Error(invalid_request()));
    assert!(player.is_up());
    assert_eq!(player.machine.output.len(), 1, "the close itself");
    player.hear(BacktestResponse::Success);
    assert!(player.is_finished());
}

#[test]
fn what_is_over_stays_over() {
    let mut player = Player::ready();
    player.close();
    player.hear(BacktestResponse::Success);
    player.sent();
    player.connect();
    player.hear(numbered(2, slot(2)));
    player.close();
    player.disconnect();
    player.wait(TOTAL * 2);
    assert!(player.is_finished() && player.sent().is_empty() && player.events().is_empty());
}
