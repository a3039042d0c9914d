//! Replays that say more than they should, servers that are replaced, streams that are damaged.

use simulator_api::BacktestError;
use simulator_testkit::peer::Generation;
use simulator_testkit::wire::Plan;

use super::every_cut::{assert_exactly_once, cuts_of};
use super::scene::Scene;

fn generations() -> [Generation; 2] {
    [Generation::ours(), Generation::published_028()]
}

#[test]
fn a_replay_that_begins_too_early_is_not_told_again() {
    for generation in generations() {
        let scene = Scene::with_discoveries(generation);
        let uncut = scene.play(&Plan::none());
        let overlaps = [1, 4, u64::MAX].into_iter().cycle();
        let mut duplicates = 0;
        for (cut, replay_overlap) in cuts_of(&uncut).into_iter().zip(overlaps) {
            let scene = Scene {
                replay_overlap,
                ..scene.clone()
            };
            let report = scene.play(&Plan::cuts([cut]));
            assert_exactly_once(&report, &uncut, &(cut, replay_overlap));
            duplicates += report.counts.duplicates;
        }
        assert!(duplicates > 100, "only {duplicates} events were replayed twice");
    }
}

#[test]
fn a_server_that_is_replaced_is_waited_for() {
    let busy = BacktestError::SessionOwnershipBusy {
        reason: "taking over".to_owned(),
    };
    for generation in generations() {
        let scene = Scene::with_discoveries(generation);
        let uncut = scene.play(&Plan::none());
        let scene = Scene {
            attach_errors: vec![busy.clone(); 3],
            ..scene
        };
        for frame in 0..uncut.finished.to_client {
            let plan = Plan {
                restarts: vec![frame],
                ..Plan::none()
            };
            assert_exactly_once(&scene.play(&plan), &uncut, &plan);
        }
    }
}

#[test]
fn a_damaged_compressed_stream_is_read_again_on_another_connection() {
    for generation in generations() {
        let scene = Scene::with_discoveries(generation);
        let uncut = scene.play(&Plan::none());
        let mut again = 0;
        for frame in 0..uncut.finished.to_client {
            let plan = Plan {
                damaged: vec![frame],
                ..Plan::none()
            };
            let report = scene.play(&plan);
            assert_exactly_once(&report, &uncut, &plan);
            again += report.truth.connections - uncut.truth.connections;
        }
        assert!(again > 20, "only {again} damaged frames were noticed");
    }
}
