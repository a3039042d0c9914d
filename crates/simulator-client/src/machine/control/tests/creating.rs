//! From nothing to a session.

use simulator_api::replay::OutcomeDetail;
use simulator_api::{BacktestError, BacktestRequest, BacktestResponse, BacktestStatus, Capability, SessionsCreated};

use super::support::*;

fn status() -> BacktestResponse {
    BacktestStatus::StartingRuntime.into()
}

#[test]
fn a_session_is_created_and_told_once() {
    let mut player = Player::new(config());
    assert!(player.is_opening() && !player.machine.accepts_request());
    player.connect();
    assert_eq!(player.sent(), [config().create.into()]);
    player.hear(BacktestResponse::SessionCreated(opened(&[Capability::RequestId])));
    let outputs = player.outputs();
    let [ControlOutput::Opened(info)] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(info.session_id, session_id().to_string());
    assert_eq!(info.rpc_endpoint, format!("https://h:8900/backtest/{}", session_id()));
    assert_eq!(info.capabilities, [Capability::RequestId]);
    assert!(player.is_up() && player.machine.accepts_request());
    player.reattach();
    assert!(player.outputs().is_empty());
}

#[test]
fn w1_the_create_is_kept_until_the_session_exists() {
    let mut player = Player::new(config());
    for _ in 0..3 {
        player.connect();
        assert_eq!(player.sent(), [config().create.into()]);
        player.hear(status());
        player.disconnect();
        assert!(player.is_opening());
    }
    player.connect();
    player.sent();
    player.hear(BacktestResponse::SessionCreated(opened(&[])));
    assert_eq!(
        player.events(),
        ["startingRuntime", "startingRuntime", "startingRuntime", "opened"]
    );
}

#[test]
fn w1_a_create_that_was_not_written_is_written_once_on_the_next_connection() {
    let mut player = Player::new(config());
    player.connect();
    player.disconnect();
    player.connect();
    assert_eq!(player.sent(), [config().create.into()]);
}

#[test]
fn w1_a_repeated_create_may_make_another_session_with_numbers_of_its_own() {
    let mut player = Player::new(config());
    for _ in 0..2 {
        player.connect();
        player.hear(numbered(1, status()));
        player.disconnect();
    }
    assert_eq!(player.events(), ["startingRuntime", "startingRuntime"]);
}

#[test]
fn w3_a_passing_trouble_is_worth_another_create() {
    for error in [busy(), BacktestError::ClerkError { error: "x".into() }] {
        let mut player = Player::new(config());
        player.connect();
        player.hear(simulation_error_event());
        assert!(player.is_opening());
        player.hear(BacktestResponse::Error(error.clone()));
        assert!(matches!(player.retry(), ConnectionError::Refused { error: refusal, .. } if refusal == error));
        player.disconnect();
        player.connect();
        assert!(matches!(
            player.sent().last(),
            Some(BacktestRequest::CreateBacktestSession(_))
        ));
        assert_eq!(player.events(), ["simulation error"]);
    }
}

fn simulation_error_event() -> BacktestResponse {
    simulation_error().into()
}

#[test]
fn other_refusals_of_a_create_are_final() {
    for error in [invalid_request(), BacktestError::NoMoreBlocks] {
        let mut player = Player::new(config());
        player.connect();
        player.hear(BacktestResponse::Error(error.clone()));
        let failure = player.failure();
        assert!(
            matches!(&failure, ManagedFailure::Permanent(ConnectionError::Refused { error: refusal, .. }) if *refusal == error),
            "{failure:?}"
        );
    }
}

#[test]
fn several_sessions_were_not_asked_for() {
    let mut player = Player::new(config());
    player.connect();
    player.sent();
    let session_ids = vec![session_id()];
    player.hear(BacktestResponse::SessionsCreated(SessionsCreated { session_ids }));
    assert_eq!(player.sent(), [BacktestRequest::CloseBacktestSession]);
    assert!(player.is_opening());
    player.hear(BacktestResponse::Success);
    let failure = player.failure();
    assert!(
        matches!(
            &failure,
            ManagedFailure::Permanent(ConnectionError::UnexpectedAnswer { .. })
        ),
        "{failure:?}"
    );
    assert!(player.outputs().is_empty());
}

#[test]
fn a_session_that_is_not_what_was_asked_for_is_closed() {
    let mut wanted = config();
    wanted.create.request.start_paused = true;
    wanted.create.request.outcomes = Some(OutcomeDetail::Divergences);
    let mut player = Player::new(wanted);
    player.connect();
    player.sent();
    player.hear(BacktestResponse::SessionCreated(opened(&[Capability::StartPaused])));
    assert_eq!(player.sent(), [BacktestRequest::CloseBacktestSession]);
    // The server may close the connection without an answer.
    player.disconnect();
    let failure = player.failure();
    assert!(
        matches!(
            &failure,
            ManagedFailure::Permanent(ConnectionError::MissingCapability(Capability::Outcomes))
        ),
        "{failure:?}"
    );
    assert!(player.outputs().is_empty());
}

#[test]
fn an_address_that_cannot_be_used_ends_the_session() {
    let mut player = Player::new(config());
    player.connect();
    player.sent();
    let mut answer = opened(&[]);
    answer.rpc_endpoint = "file:///x".into();
    player.hear(BacktestResponse::SessionCreated(answer));
    assert_eq!(player.sent(), [BacktestRequest::CloseBacktestSession]);
    player.hear(BacktestResponse::Success);
    assert!(matches!(
        player.failure(),
        ManagedFailure::Permanent(ConnectionError::Url(_))
    ));
}

#[test]
fn w26_anything_that_arrives_restarts_the_clock_of_silence() {
    let mut player = Player::new(config());
    player.connect();
    let almost = RESPONSE - std::time::Duration::from_secs(1);
    player.wait(almost);
    player.hear(status());
    player.wait(almost);
    player.machine.handle_sign_of_life(player.now);
    player.wait(almost);
    player.hear_text("nonsense");
    player.wait(almost);
    assert!(player.is_opening());
    player.wait(RESPONSE - almost);
    assert!(matches!(player.retry(), ConnectionError::Unanswered { after, .. } if after == RESPONSE));
    player.disconnect();
    assert!(player.is_opening());
}

#[test]
fn w26_a_handshake_does_not_take_for_ever() {
    let mut waiting = config();
    waiting.create.request.capacity_wait_timeout_secs = Some(600);
    let capacity = std::time::Duration::from_secs(600);
    for (config, total) in [(config(), TOTAL), (waiting, TOTAL + capacity)] {
        let mut player = Player::new(config);
        player.connect();
        let mut waited = std::time::Duration::ZERO;
        while player.is_opening() {
            player.machine.handle_sign_of_life(player.now);
            player.wait(RESPONSE / 2);
            waited += RESPONSE / 2;
            assert!(waited < total * 2);
        }
        assert!(matches!(player.retry(), ConnectionError::Unanswered { after, .. } if after == total));
        assert!(waited >= total);
    }
}

#[test]
fn limits_that_are_longer_than_the_clock_are_never_reached() {
    let forever = std::time::Duration::MAX;
    let mut player = Player::new(ControlConfig {
        handshake_response_timeout: forever,
        handshake_total_timeout: forever,
        resend_settle_time: forever,
        ..config()
    });
    player.connect();
    assert_eq!(player.machine.poll_timeout(), None);
    player.hear(BacktestResponse::SessionCreated(opened(&[])));
    player.hear(numbered(1, READY));
    player.ask(advance(1));
    player.sent();
    player.reattach();
    assert_eq!(player.machine.poll_timeout(), None);
}

#[test]
fn w23_a_session_that_ends_before_it_has_a_name_has_ended() {
    let mut player = Player::new(config());
    player.connect();
    player.hear(numbered(3, BacktestError::NoMoreBlocks));
    assert!(matches!(
        player.failure(),
        ManagedFailure::Session(BacktestError::NoMoreBlocks)
    ));
    assert_eq!(player.events().len(), 1);
}
