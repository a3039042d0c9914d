//! The link is cut at every frame, in both directions, once and twice in a run.

use simulator_client::machine::Ending;
use simulator_testkit::peer::{ControlReplay, Generation};
use simulator_testkit::seeded::Seeded;
use simulator_testkit::wire::{Cut, LineEnd, Plan};

use super::scene::{Report, Scene};

/// Second cuts that are tried after every first one: one that falls into the reconnect after it, and one that falls anywhere.
const DISTANCES: [usize; 2] = [12, 120];

/// What the caller sees is exactly what it sees when nothing goes wrong, and what it asked for was done once, in order.
#[track_caller]
pub(crate) fn assert_exactly_once(report: &Report, uncut: &Report, plan: &impl std::fmt::Debug) {
    assert_eq!(report.driver.opened.len(), 1, "{plan:?}");
    assert_eq!(report.driver.told(), uncut.driver.told(), "{plan:?}");
    assert_same_notifications(report, uncut, plan);
    assert_eq!(report.truth.applied, uncut.truth.applied, "{plan:?}");
    assert_eq!(report.truth.applied, report.driver.asked, "{plan:?}");
    assert_eq!(report.driver.restated, 0, "{plan:?}");
    assert!(
        report.control_faults().is_empty(),
        "{plan:?}: {:?}",
        report.driver.faults
    );
    assert!(report.data_faults().is_empty(), "{plan:?}: {:?}", report.data_faults());
    assert_eq!(report.truth.violations, Vec::<String>::new(), "{plan:?}");
    assert!(ended_well(&report.control_end), "{plan:?}: {:?}", report.control_end);
    assert!(report.readers.iter().all(|(_, end)| ended_well(end)), "{plan:?}");
}

/// Only the first difference of two streams is shown.
#[track_caller]
fn assert_same_notifications(report: &Report, uncut: &Report, plan: &impl std::fmt::Debug) {
    for (told, expected) in report.notifications().into_iter().zip(uncut.notifications()) {
        assert!(told.keys().eq(expected.keys()), "{plan:?}");
        for (target, expected) in expected {
            let told = &told[target];
            let same = told
                .iter()
                .zip(expected)
                .take_while(|(one, other)| one == other)
                .count();
            let (one, other) = (told.get(same), expected.get(same));
            assert_eq!(one, other, "{plan:?}: number {same} of {target}");
        }
    }
}

pub(crate) fn ended_well(end: &LineEnd) -> bool {
    matches!(end, LineEnd::Machine(Ending::Finished))
}

pub(crate) fn cuts_of(uncut: &Report) -> Vec<Cut> {
    Plan::every_cut(uncut.finished.to_server, uncut.finished.to_client)
}

fn cut_once(scene: &Scene) {
    let uncut = scene.play(&Plan::none());
    assert_exactly_once(&uncut, &uncut, &"uncut");
    let mut attaches = 0;
    for cut in cuts_of(&uncut) {
        let report = scene.play(&Plan::cuts([cut]));
        assert_exactly_once(&report, &uncut, &cut);
        assert!(
            report.finished.elapsed.as_secs() < 30,
            "{cut:?} took {:?}",
            report.finished.elapsed
        );
        attaches += report.truth.attaches;
    }
    assert!(attaches > 20, "only {attaches} cuts led to an attach");
}

/// The checks above would notice if a request were applied twice, or an event lost.
#[test]
fn a_server_that_forgets_request_ids_is_noticed() {
    let scene = Scene {
        forgets_request_ids: true,
        ..Scene::without_discoveries(Generation::ours())
    };
    let uncut = scene.play(&Plan::none());
    assert_exactly_once(&uncut, &uncut, &"uncut");
    let reports = cuts_of(&uncut).into_iter().map(|cut| scene.play(&Plan::cuts([cut])));
    let (twice, once): (Vec<_>, Vec<_>) = reports.partition(|report| report.truth.applied != uncut.truth.applied);
    assert!(!twice.is_empty() && !once.is_empty());
}

fn cut_twice(scene: &Scene) {
    let uncut = scene.play(&Plan::none());
    for (seed, first) in cuts_of(&uncut).into_iter().enumerate() {
        let mut numbers = Seeded::new(seed as u64);
        for distance in DISTANCES {
            let second = Plan::second_cut(first, distance, &mut numbers);
            let report = scene.play(&Plan::cuts([first, second]));
            assert_exactly_once(&report, &uncut, &[first, second]);
        }
    }
}

/// Whoever comes next is chosen by a seed; the server notices every second cut only when the client comes back.
fn cut_in_any_order(scene: &Scene) {
    let uncut = scene.play(&Plan::none());
    for (seed, cut) in cuts_of(&uncut).into_iter().enumerate() {
        let order = Some(seed as u64);
        let plan = Plan {
            half_open: seed % 2 == 0,
            ..Plan::cuts([cut])
        };
        let scene = Scene { order, ..scene.clone() };
        assert_exactly_once(&scene.play(&plan), &uncut, &(plan, order));
    }
}

fn replaying_at_once(generation: Generation) -> Generation {
    Generation {
        control_replay: ControlReplay::AfterAttach,
        ..generation
    }
}

macro_rules! for_every_generation {
    ($($name:ident: $scene:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn cut_once() {
                super::cut_once(&$scene);
            }

            #[test]
            fn cut_twice() {
                super::cut_twice(&$scene);
            }

            #[test]
            fn cut_once_in_any_order() {
                super::cut_in_any_order(&$scene);
            }
        }
    )*};
}

for_every_generation! {
    ours: Scene::without_discoveries(Generation::ours());
    ours_with_discoveries: Scene::with_discoveries(Generation::ours());
    ours_replaying_at_once: Scene::with_discoveries(replaying_at_once(Generation::ours()));
    published_028: Scene::without_discoveries(Generation::published_028());
    published_028_with_discoveries: Scene::with_discoveries(Generation::published_028());
    published_028_replaying_at_once: Scene::with_discoveries(replaying_at_once(Generation::published_028()));
}
