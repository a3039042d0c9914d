//! Requests and a server that does not know ids.

use std::time::Duration;

use simulator_api::{BacktestRequest, BacktestResponse, BacktestStatus, ContinueParams, DiscoveryBatchEvent};

use super::support::*;

const BEGUN: BacktestStatus = BacktestStatus::ExecutingBlockTransactions;

fn requests(asked: impl IntoIterator<Item = ControlRequest>) -> Vec<BacktestRequest> {
    asked.into_iter().map(Into::into).collect()
}

/// A session that waits and was asked for this, of which nothing was seen.
fn asked(request: ControlRequest) -> Player {
    let mut player = Player::ready();
    player.ask(request.clone());
    assert_eq!(player.sent(), requests([request]));
    player
}

#[track_caller]
fn assert_sends_after_silence(player: &mut Player, expected: impl IntoIterator<Item = ControlRequest>) {
    player.wait(SETTLE - Duration::from_millis(1));
    assert_eq!(player.sent(), [], "sent before the server had its say");
    player.wait(Duration::from_millis(1));
    assert_eq!(player.sent(), requests(expected));
    assert_eq!(player.machine.poll_timeout(), None);
}

#[track_caller]
fn assert_sends_nothing(player: &mut Player) {
    player.wait(SETTLE * 100);
    assert_eq!(player.sent(), []);
}

#[test]
fn w2_a_lost_request_is_sent_again_when_the_session_is_seen_to_wait() {
    for request in [advance(3), advance(0), go_to(5)] {
        let mut player = asked(request.clone());
        player.reattach();
        assert_sends_after_silence(&mut player, [request]);
        assert!(player.events().is_empty());
    }
}

#[test]
fn w2_it_is_sent_again_as_often_as_it_takes() {
    let mut player = asked(advance(3));
    for _ in 0..3 {
        player.reattach();
        assert_sends_after_silence(&mut player, [advance(3)]);
    }
    player.hear(numbered(2, slot(2)));
    player.reattach();
    assert_sends_nothing(&mut player);
}

#[test]
fn silence_counts_from_the_last_message() {
    let mut player = asked(advance(3));
    player.reattach();
    player.wait(SETTLE / 2);
    player.hear_text(r#"{"method": "heartbeat"}"#);
    player.wait(SETTLE / 2);
    player.hear(BacktestResponse::Success);
    assert_sends_after_silence(&mut player, [advance(3)]);
}

#[test]
fn time_in_which_nobody_listened_is_no_silence() {
    let mut player = asked(advance(3));
    player.reattach();
    player.now += SETTLE * 3;
    player.machine.handle_listening(SETTLE * 3);
    assert_sends_after_silence(&mut player, [advance(3)]);
}

#[test]
fn signs_of_life_are_no_messages() {
    let mut player = asked(advance(3));
    player.reattach();
    player.wait(SETTLE / 2);
    player.machine.handle_sign_of_life(player.now);
    player.wait(SETTLE - SETTLE / 2);
    assert_eq!(player.sent(), requests([advance(3)]));
}

#[test]
fn w2_the_replay_shows_what_was_taken() {
    let evidence: [(ControlRequest, BacktestResponse); 6] = [
        (advance(3), slot(2)),
        (advance(3), BEGUN.into()),
        (advance(3), BacktestStatus::DecodedTransactions.into()),
        (advance(0), BacktestStatus::AppliedAccountModifications.into()),
        (go_to(5), paused(4)),
        (go_to(5), invalid_request().into()),
    ];
    for (request, event) in evidence {
        let mut player = asked(request.clone());
        player.reattach();
        player.hear(numbered(2, event.clone()));
        player.hear(numbered(3, READY));
        assert_sends_nothing(&mut player);
        // The same, if it comes before the loss.
        let mut player = asked(request);
        player.hear(numbered(2, event));
        player.reattach();
        player.hear(numbered(3, READY));
        assert_sends_nothing(&mut player);
    }
}

#[test]
fn reports_that_may_be_about_what_was_before_show_nothing() {
    for status in [
        BacktestStatus::ExecutedBlockTransactions,
        BacktestStatus::ReadyToExecuteUserTransactions,
        BacktestStatus::StartingRuntime,
        BacktestStatus::ProgramAccountsLoaded,
    ] {
        let mut player = asked(advance(3));
        player.reattach();
        player.hear(numbered(2, status));
        assert_sends_after_silence(&mut player, [advance(3)]);
    }
}

#[test]
fn a_late_report_is_not_the_beginning_of_the_next_request() {
    let mut player = Player::ready();
    player.hear(numbered(2, BEGUN));
    player.ask(advance(3));
    player.sent();
    player.reattach();
    assert_sends_after_silence(&mut player, [advance(3)]);
}

#[test]
fn a_simulation_error_is_a_sign_of_a_request_with_transactions_only() {
    let with_transaction = ControlRequest::Continue(ContinueParams {
        transactions: vec!["AA==".into()],
        ..ContinueParams::default()
    });
    for (request, is_sign) in [(with_transaction, true), (advance(1), false)] {
        let mut player = asked(request.clone());
        player.reattach();
        player.hear(numbered(2, simulation_error()));
        if is_sign {
            assert_sends_nothing(&mut player);
        } else {
            assert_sends_after_silence(&mut player, [request]);
        }
    }
}

#[test]
fn without_a_loss_ready_answers_whatever_was_asked() {
    for request in [advance(0), advance(3), go_to(5)] {
        let mut player = asked(request);
        player.hear(numbered(2, READY));
        player.reattach();
        assert_sends_nothing(&mut player);
    }
}

#[test]
fn a_hint_after_a_reattach_shows_that_nothing_moved() {
    let mut player = asked(advance(3));
    player.reattach();
    player.wait(Duration::from_secs(3));
    player.hear(numbered(2, READY));
    assert_sends_after_silence(&mut player, [advance(3)]);
    assert_eq!(player.events(), Vec::<String>::new());
    // So does one that an earlier connection did not deliver.
    player.reattach();
    player.hear(numbered(3, READY));
    player.hear(numbered(4, READY));
    assert_sends_after_silence(&mut player, [advance(3)]);
}

#[test]
fn a_hint_may_be_the_answer_to_what_moves_nothing() {
    let mut player = asked(advance(0));
    player.reattach();
    player.hear(numbered(2, READY));
    assert_sends_nothing(&mut player);
    assert_eq!(player.events(), ["ready", "uncertain"]);
    assert!(player.machine.accepts_request());
    // The next request is not affected.
    player.ask(advance(0));
    player.ask(advance(1));
    assert_eq!(player.sent(), requests([advance(0), advance(1)]));
}

#[test]
fn another_stop_than_the_last_is_no_hint() {
    let mut player = asked(advance(0));
    player.reattach();
    player.hear(numbered(2, paused(5)));
    assert_sends_nothing(&mut player);
    assert_eq!(player.events(), ["paused 5"]);
}

#[test]
fn ready_after_a_pause_may_say_that_no_match_is_ahead() {
    for (request, is_known) in [(advance(3), true), (go_to(7), true), (advance(0), false)] {
        let mut player = Player::ready();
        player.hear(numbered(2, paused(5)));
        player.ask(request.clone());
        player.sent();
        player.hear(numbered(3, READY));
        player.events();
        player.reattach();
        if is_known {
            assert_sends_after_silence(&mut player, [request]);
            assert!(player.events().is_empty());
        } else {
            assert_sends_nothing(&mut player);
            assert_eq!(player.events(), ["uncertain"]);
        }
    }
    // The next one is an answer.
    let mut player = Player::ready();
    player.hear(numbered(2, paused(5)));
    player.ask(advance(0));
    player.sent();
    player.hear(numbered(3, READY));
    player.hear(numbered(4, READY));
    player.reattach();
    assert_sends_nothing(&mut player);
}

#[test]
fn a_repeated_pause_is_no_answer_to_what_moves_nothing() {
    let mut player = Player::ready();
    player.hear(numbered(2, paused(5)));
    player.ask(advance(0));
    player.sent();
    player.events();
    player.reattach();
    player.hear(numbered(3, paused(5)));
    assert_sends_after_silence(&mut player, [advance(0)]);
    assert_eq!(player.events(), Vec::<String>::new());
}

/// A session without bounds that has announced a match, and may hold before it.
fn held() -> Player {
    let mut player = asked(advance(u64::MAX));
    player.hear(numbered(2, BEGUN));
    player.hear(numbered(
        3,
        BacktestResponse::DiscoveryBatch(DiscoveryBatchEvent {
            slot: 3,
            batch_index: 0,
            matched: vec![],
            transactions: vec![],
            transaction_indices: vec![],
        }),
    ));
    player.events();
    player
}

#[test]
fn a_target_is_asked_for_again_even_while_the_session_runs_or_is_held() {
    let mut player = held();
    player.ask(go_to(3));
    player.ask(advance(1));
    player.sent();
    player.reattach();
    player.wait(SETTLE);
    assert_eq!(player.events(), ["uncertain"], "about the continue");
    assert_eq!(player.sent(), requests([go_to(3)]));

    let mut player = asked(advance(9));
    player.hear(numbered(2, slot(2)));
    player.ask(go_to(4));
    player.ask(advance(1));
    player.sent();
    player.reattach();
    assert_sends_after_silence(&mut player, [go_to(4)]);
    assert_sends_nothing(&mut player);
    player.hear(numbered(3, paused(4)));
    assert_sends_after_silence(&mut player, [advance(1)]);
}

#[test]
fn whether_a_held_session_has_heard_a_continue_cannot_be_told() {
    let mut player = held();
    player.ask(advance(1));
    player.sent();
    player.reattach();
    assert_sends_nothing(&mut player);
    assert_eq!(player.events(), ["uncertain"]);
}

#[test]
fn a_target_that_is_reached_needs_no_other_request() {
    let mut player = asked(go_to(5));
    player.hear(numbered(2, slot(5)));
    player.hear(numbered(3, paused(5)));
    player.ask(go_to(5));
    player.sent();
    player.reattach();
    player.hear(numbered(4, paused(5)));
    assert_sends_nothing(&mut player);
    player.ask(go_to(7));
    player.sent();
    player.reattach();
    player.hear(numbered(5, paused(5)));
    assert_sends_after_silence(&mut player, [go_to(7)]);
}

#[test]
fn a_request_behind_one_that_runs_is_not_shown_by_its_events() {
    let mut player = asked(advance(3));
    player.hear(numbered(2, slot(2)));
    player.ask(advance(4));
    assert_eq!(player.sent(), requests([advance(4)]));
    player.hear(numbered(3, slot(3)));
    player.hear(numbered(4, BEGUN));
    player.reattach();
    assert_sends_nothing(&mut player);
    player.hear(numbered(5, slot(4)));
    assert_sends_nothing(&mut player);
    player.hear(numbered(6, READY));
    assert_sends_after_silence(&mut player, [advance(4)]);
    player.hear(numbered(7, slot(5)));
    player.reattach();
    assert_sends_nothing(&mut player);
}

#[test]
fn two_lost_requests_are_sent_again_in_order() {
    let mut player = asked(advance(3));
    player.ask(go_to(7));
    assert_eq!(player.sent(), requests([go_to(7)]));
    player.reattach();
    assert_sends_after_silence(&mut player, [advance(3), go_to(7)]);
    player.hear(numbered(2, slot(2)));
    player.reattach();
    player.hear(numbered(3, READY));
    assert_sends_after_silence(&mut player, [go_to(7)]);
}

#[test]
fn a_new_request_does_not_overtake_a_lost_one() {
    let mut player = asked(advance(3));
    player.disconnect();
    player.ask(advance(4));
    player.reattach();
    assert_sends_after_silence(&mut player, [advance(3), advance(4)]);
}

#[test]
fn a_pause_shows_that_a_running_request_was_redirected() {
    let mut player = asked(advance(9));
    player.hear(numbered(2, slot(2)));
    player.ask(go_to(4));
    player.sent();
    player.reattach();
    player.hear(numbered(3, slot(3)));
    player.hear(numbered(4, paused(4)));
    assert_sends_nothing(&mut player);
}

#[test]
fn a_pause_where_the_running_request_wanted_to_be_does_not() {
    for (position, is_redirected) in [(4, false), (7, true), (6, true)] {
        let mut player = asked(go_to(4));
        player.hear(numbered(2, slot(2)));
        player.ask(go_to(7));
        player.sent();
        player.reattach();
        player.hear(numbered(3, paused(position)));
        if is_redirected {
            assert_sends_nothing(&mut player);
        } else {
            assert_sends_after_silence(&mut player, [go_to(7)]);
        }
    }
}

#[test]
fn a_pause_is_not_the_answer_to_a_continue_before_the_redirection() {
    let mut player = asked(advance(9));
    player.ask(go_to(1));
    player.sent();
    player.reattach();
    player.hear(numbered(2, paused(1)));
    assert_sends_nothing(&mut player);
    assert!(player.machine.accepts_request());
}

#[test]
fn a_slot_shows_what_moves_and_everything_before_it() {
    let mut player = asked(advance(0));
    player.ask(advance(3));
    player.sent();
    player.hear(numbered(2, slot(2)));
    player.reattach();
    player.hear(numbered(3, READY));
    assert_sends_nothing(&mut player);
}

#[test]
fn a_request_that_was_sent_while_the_session_starts_is_shown_by_what_follows_the_start() {
    let mut player = Player::created(config(), &[]);
    player.ask(advance(3));
    player.sent();
    player.hear(numbered(1, slot(1)));
    player.reattach();
    player.hear(numbered(2, READY));
    assert_sends_after_silence(&mut player, [advance(3)]);
}

#[test]
fn a_rejection_concerns_the_oldest_request() {
    let mut player = asked(advance(3));
    player.ask(advance(4));
    player.sent();
    player.hear(numbered(2, invalid_request()));
    // Whether `ready` follows a rejection is left open by the protocol: it is not the answer to the next request.
    player.hear(numbered(3, READY));
    player.reattach();
    assert_sends_after_silence(&mut player, [advance(4)]);
}

#[test]
fn w25_after_a_gap_nothing_is_applied_twice() {
    let mut player = asked(advance(3));
    player.reattach();
    player.hear(numbered(5, READY));
    assert_sends_nothing(&mut player);
    assert_eq!(player.events(), ["gap 2 5", "ready", "uncertain"]);
    // A target is safe to ask for again: it is refused if it was passed.
    player.ask(go_to(5));
    player.sent();
    player.reattach();
    assert_sends_after_silence(&mut player, [go_to(5)]);
    player.hear(numbered(6, slot(5)));
    player.hear(numbered(7, paused(5)));
    player.ask(advance(1));
    player.sent();
    player.events();
    player.reattach();
    assert_sends_nothing(&mut player);
    assert_eq!(player.events(), ["uncertain"]);
}

#[test]
fn w21_what_cannot_be_decoded_may_have_been_the_evidence() {
    let mut player = asked(advance(3));
    player.hear_text(r#"{"method": "slotNotification", "params": "x", "seqId": 2}"#);
    player.events();
    player.reattach();
    player.hear(numbered(3, READY));
    assert_sends_nothing(&mut player);
    assert_eq!(player.events(), ["ready", "uncertain"]);
}

#[test]
fn without_numbers_nothing_can_be_known() {
    let mut player = Player::created(config(), &[]);
    player.hear(READY);
    player.ask(advance(3));
    player.ask(advance(1));
    player.sent();
    player.events();
    player.reattach();
    assert_eq!(player.events(), ["unnumbered", "uncertain"]);
    assert_sends_nothing(&mut player);
    assert!(player.machine.accepts_request());
}

#[test]
fn without_numbers_a_target_is_asked_for_again() {
    let mut player = Player::created(config(), &[]);
    player.hear(READY);
    player.ask(go_to(3));
    player.sent();
    player.events();
    player.reattach();
    assert_eq!(player.events(), ["unnumbered"]);
    assert_eq!(player.sent(), requests([go_to(3)]));
}

#[test]
fn without_numbers_what_was_not_sent_is_sent() {
    let mut player = Player::created(config(), &[]);
    player.hear(READY);
    player.disconnect();
    player.ask(advance(3));
    player.events();
    player.reattach();
    assert_eq!(player.events(), ["unnumbered"]);
    assert_eq!(player.sent(), requests([advance(3)]));
}
