//! What can be promised where a server leaves out what the delivery contract needs.

use std::time::Duration;

use simulator_client::managed::StreamFault;
use simulator_testkit::peer::{ControlReplay, Generation};
use simulator_testkit::wire::{Cut, Plan};

use super::callers::Patience;
use super::every_cut::{cuts_of, ended_well};
use super::scene::{Report, Scene};

/// Every request took effect at most once, in the order in which they were made.
#[track_caller]
fn assert_at_most_once(report: &Report, cut: &impl std::fmt::Debug) {
    let mut asked = report.driver.asked.iter();
    let in_order = report
        .truth
        .applied
        .iter()
        .all(|applied| asked.any(|asked| asked == applied));
    assert!(
        in_order,
        "{cut:?}: {:?} of {:?}",
        report.truth.applied, report.driver.asked
    );
    assert_eq!(report.truth.violations, Vec::<String>::new(), "{cut:?}");
}

/// What was told before the first fault is what is told when nothing goes wrong.
#[track_caller]
fn assert_true_until_fault(report: &Report, uncut: &Report, cut: Cut) {
    let told = report.driver.told();
    let until = report.driver.faults.first().map_or(told.len(), |(until, _)| *until);
    assert_eq!(told[..until], uncut.driver.told()[..until], "{cut:?}");
}

fn is_subsequence(part: &[String], whole: &[String]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|one| whole.any(|other| one == other))
}

#[test]
fn a_server_that_says_again_that_it_waits_does_not_get_a_request_twice() {
    let generation = Generation {
        repeats_state_after: Some(Duration::from_secs(3)),
        ..Generation::published_028()
    };
    for scene in [
        Scene::with_discoveries(generation.clone()),
        Scene::without_discoveries(generation),
    ] {
        let uncut = scene.play(&Plan::none());
        for cut in cuts_of(&uncut) {
            let report = scene.play(&Plan::cuts([cut]));
            assert_eq!(report.driver.restated, 0, "{cut:?}");
            assert_eq!(report.truth.applied, uncut.truth.applied, "{cut:?}");
            assert!(
                report.control_faults().is_empty(),
                "{cut:?}: {:?}",
                report.driver.faults
            );
            assert!(ended_well(&report.control_end), "{cut:?}");
            assert_eq!(report.driver.told(), uncut.driver.told(), "{cut:?}");
            assert_eq!(report.notifications(), uncut.notifications(), "{cut:?}");
        }
    }
}

#[test]
fn without_numbers_a_loss_is_told_and_nothing_is_applied_twice() {
    let nothing = Generation {
        control_replay: ControlReplay::Nothing,
        // Without that a client that has seen nothing would wait for ever.
        repeats_state_after: Some(Duration::from_secs(3)),
        ..Generation::unnumbered()
    };
    for generation in [Generation::unnumbered(), nothing] {
        let scene = Scene {
            patience: Patience::Cautious,
            ..Scene::without_discoveries(generation)
        };
        let uncut = scene.play(&Plan::none());
        assert!(uncut.driver.faults.is_empty());
        let mut faults = 0;
        for cut in cuts_of(&uncut) {
            let report = scene.play(&Plan::cuts([cut]));
            assert_at_most_once(&report, &cut);
            assert_true_until_fault(&report, &uncut, cut);
            let told = report.control_faults();
            let expected = |fault: &&StreamFault| matches!(fault, StreamFault::Unnumbered | StreamFault::Uncertain);
            assert!(told.iter().all(expected), "{cut:?}: {told:?}");
            let completed = report.driver.told() == uncut.driver.told();
            assert!(
                completed || !told.is_empty(),
                "{cut:?}: something is missing, and nobody says so"
            );
            faults += told.len();
        }
        assert!(faults > 20);
    }
}

#[test]
fn without_a_replay_a_gap_is_told() {
    let generation = Generation {
        control_replay: ControlReplay::Nothing,
        ..Generation::published_028()
    };
    let scene = Scene {
        patience: Patience::Cautious,
        ..Scene::without_discoveries(generation)
    };
    let uncut = scene.play(&Plan::none());
    for cut in cuts_of(&uncut) {
        let Ok(report) = scene.try_play(&Plan::cuts([cut])) else {
            // What was lost was the last that the session had to say. No server that the documents describe does that.
            continue;
        };
        assert_true_until_fault(&report, &uncut, cut);
        let told = report.control_faults();
        let expected = |fault: &&StreamFault| matches!(fault, StreamFault::Gap { .. } | StreamFault::Uncertain);
        assert!(told.iter().all(expected), "{cut:?}: {told:?}");
        let completed = report.driver.told() == uncut.driver.told();
        assert!(
            completed || !told.is_empty(),
            "{cut:?}: something is missing, and nobody says so"
        );
    }
}

#[test]
fn a_server_that_keeps_no_notifications_gives_each_at_most_once_and_a_hole_is_told() {
    let scene = Scene::with_discoveries(Generation::published_08());
    let uncut = scene.play(&Plan::none());
    let mut holes = 0;
    for cut in cuts_of(&uncut) {
        let report = scene.play(&Plan::cuts([cut]));
        assert_eq!(report.driver.told(), uncut.driver.told(), "{cut:?}");
        assert_eq!(report.truth.applied, uncut.truth.applied, "{cut:?}");
        for ((reader, _), (expected, _)) in report.readers.iter().zip(&uncut.readers) {
            for (target, told) in &reader.told {
                assert!(is_subsequence(told, &expected.told[target]), "{cut:?}: {told:?}");
            }
            // A server that keeps nothing may have told nothing before: that cannot be found out.
            let is_behind =
                |target| expected.told[target].ends_with(reader.told.get(target).map_or(&[], Vec::as_slice));
            let is_late = expected.told.keys().all(is_behind);
            assert!(
                is_late || !reader.faults.is_empty(),
                "{cut:?}: something is missing, and nobody says so"
            );
            holes += usize::from(!is_late);
        }
    }
    assert!(holes > 5, "only {holes} cuts lost something");
}
