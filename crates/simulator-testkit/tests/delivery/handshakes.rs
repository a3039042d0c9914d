//! Cuts and errors within handshakes, and how conversations end.

use simulator_api::BacktestError;
use simulator_client::machine::Ending;
use simulator_client::managed::{ConnectionError, ManagedFailure};
use simulator_testkit::peer::Generation;
use simulator_testkit::wire::{Cut, Direction, LineEnd, Plan, Side};

use super::callers::Patience;
use super::every_cut::{assert_exactly_once, cuts_of, ended_well};
use super::scene::Scene;

/// `startingRuntime`, then `sessionCreated`.
const CREATED: usize = 1;

fn busy() -> BacktestError {
    BacktestError::SessionOwnershipBusy {
        reason: "previous manager still draining".to_owned(),
    }
}

fn lost_answer() -> Plan {
    Plan::cuts([Cut {
        direction: Direction::ToClient,
        frame: CREATED,
        side: Side::Before,
    }])
}

#[test]
fn a_create_whose_answer_is_lost_makes_one_session_where_the_server_knows_tokens() {
    let scene = Scene::with_discoveries(Generation::ours());
    let uncut = scene.play(&Plan::none());
    let report = scene.play(&lost_answer());
    assert_exactly_once(&report, &uncut, &"lost answer");
    assert_eq!((report.truth.sessions, report.truth.repeated_creates), (1, 1));
    assert_eq!(report.open_sessions, 0);
}

#[test]
fn a_create_whose_answer_is_lost_is_sent_again_to_any_server() {
    let scene = Scene::with_discoveries(Generation::published_028());
    let uncut = scene.play(&Plan::none());
    let report = scene.play(&lost_answer());
    assert_exactly_once(&report, &uncut, &"lost answer");
    // Nobody knows the first one: the server gives it up when its time is over.
    assert_eq!((report.truth.sessions, report.open_sessions), (2, 1));
}

#[test]
fn an_error_that_may_pass_does_not_end_a_create() {
    let clerk = BacktestError::ClerkError {
        error: "store unavailable".to_owned(),
    };
    let scene = Scene::with_discoveries(Generation::published_028());
    let uncut = scene.play(&Plan::none());
    let scene = Scene {
        create_errors: vec![clerk.clone(), clerk],
        ..scene
    };
    let report = scene.play(&Plan::none());
    assert_exactly_once(&report, &uncut, &"clerk errors");
    assert_eq!(report.connections, 3);
}

#[test]
fn a_refused_create_ends_at_once_with_its_cause() {
    let error = BacktestError::InvalidRequest {
        error: "endSlot before startSlot".to_owned(),
    };
    let scene = Scene {
        create_errors: vec![error.clone()],
        ..Scene::with_discoveries(Generation::ours())
    };
    let report = scene.play_control_only(&Plan::none());
    assert_eq!(report.connections, 1);
    assert!(report.driver.opened.is_empty());
    assert_eq!(refusal(&report.control_end), Some(&error), "{:?}", report.control_end);
}

#[test]
fn a_session_that_is_busy_is_tried_again() {
    for generation in [Generation::ours(), Generation::published_028()] {
        let scene = Scene::with_discoveries(generation);
        let uncut = scene.play(&Plan::none());
        let scene = Scene {
            attach_errors: vec![busy(); 3],
            ..scene
        };
        for frame in (4..uncut.finished.to_client).step_by(3) {
            let side = Side::Before;
            let direction = Direction::ToClient;
            let plan = Plan::cuts([Cut { direction, frame, side }]);
            assert_exactly_once(&scene.play(&plan), &uncut, &plan);
        }
    }
}

#[test]
fn a_session_that_is_gone_ends_at_once_with_its_cause() {
    let gone = BacktestError::SessionNotFound {
        session_id: "backtest_01010101010141018101010101010101".to_owned(),
    };
    let scene = Scene {
        attach_errors: vec![gone.clone()],
        ..Scene::with_discoveries(Generation::ours())
    };
    let plan = Plan::cuts([Cut {
        direction: Direction::ToClient,
        frame: 2,
        side: Side::After,
    }]);
    let report = scene.play_control_only(&plan);
    assert_eq!(report.connections, 2);
    assert_eq!(refusal(&report.control_end), Some(&gone), "{:?}", report.control_end);
}

#[test]
fn a_session_that_fails_says_why_whatever_is_cut() {
    let error = BacktestError::AdvanceSlotFailed {
        slot: 104,
        error: "parent missing".to_owned(),
    };
    for generation in [Generation::ours(), Generation::published_028()] {
        let mut scene = Scene::with_discoveries(generation);
        scene.script = scene.script.fail(104, error.clone());
        let uncut = scene.play(&Plan::none());
        assert!(
            uncut
                .driver
                .told()
                .last()
                .is_some_and(|last| last.starts_with("Error(AdvanceSlotFailed"))
        );
        for cut in cuts_of(&uncut) {
            let report = scene.play(&Plan::cuts([cut]));
            assert_eq!(report.driver.told(), uncut.driver.told(), "{cut:?}");
            assert_eq!(report.truth.applied, uncut.truth.applied, "{cut:?}");
            let LineEnd::Machine(Ending::Failed(ManagedFailure::Session(told))) = &report.control_end else {
                panic!("{cut:?}: {:?}", report.control_end);
            };
            assert_eq!(told, &error);
            assert_eq!(report.notifications(), uncut.notifications(), "{cut:?}");
            assert!(report.readers.iter().all(|(_, end)| ended_well(end)), "{cut:?}");
        }
    }
}

#[test]
fn a_session_that_is_known_is_closed_whatever_is_cut() {
    for generation in [Generation::ours(), Generation::published_028()] {
        let patience = Patience::Hasty;
        let scene = Scene {
            patience,
            ..Scene::with_discoveries(generation)
        };
        let uncut = scene.play(&Plan::none());
        for cut in cuts_of(&uncut) {
            let report = scene.play(&Plan::cuts([cut]));
            assert!(ended_well(&report.control_end), "{cut:?}: {:?}", report.control_end);
            assert!(report.truth.closes >= 1, "{cut:?}");
            // A session whose create was never answered is known to nobody.
            let unknown = report.truth.sessions - 1;
            assert_eq!(report.open_sessions, unknown, "{cut:?}");
            assert_eq!(report.truth.violations, Vec::<String>::new(), "{cut:?}");
        }
    }
}

#[test]
fn a_refused_subscription_ends_at_once_and_alone() {
    let mut scene = Scene::with_discoveries(Generation::ours());
    let uncut = scene.play(&Plan::none());
    let second = scene.script.programs[1];
    scene.script = scene.script.refuse(&second, -32602, "unknown account");
    let report = scene.play(&Plan::none());
    assert_eq!(report.driver.told(), uncut.driver.told());
    assert!(ended_well(&report.control_end));
    // Only the first of the two connections asks for the second program.
    let LineEnd::Machine(Ending::Failed(ManagedFailure::Permanent(error))) = &report.readers[0].1 else {
        panic!("{:?}", report.readers[0].1);
    };
    let ConnectionError::SubscriptionRefused { target, code, message } = error else {
        panic!("{error:?}");
    };
    let told = (target.as_str(), *code, message.as_str());
    assert_eq!(told, (second.to_string().as_str(), -32602, "unknown account"));
    assert_eq!(report.notifications()[1], uncut.notifications()[1]);
}

fn refusal(end: &LineEnd) -> Option<&BacktestError> {
    match end {
        LineEnd::Machine(Ending::Failed(ManagedFailure::Permanent(ConnectionError::Refused { error, .. }))) => {
            Some(error)
        }
        _ => None,
    }
}
