//! Two sessions over one connection: what is delivered of each when the link is cut at every frame.

use std::time::Duration;

use simulator_api::{BacktestError, CreateBacktestSessionRequest, CreateSessionParams, SessionId};
use simulator_client::machine::control::parallel::{ParallelMachine, ParallelOutput, ParallelRequest, PartEnd};
use simulator_client::machine::control::{AfterCompletion, ControlConfig};
use simulator_client::managed::{ControlEvent, StreamFault};
use simulator_testkit::peer::{Applied, Generation, PeerServer, Script, Truth};
use simulator_testkit::seeded::Seeded;
use simulator_testkit::wire::{Board, Caller, Cut, Finished, Line, LineEnd, Plan, Wire};

use super::callers::{Driver, Patience, Steps, When, go_on, go_to};
use super::every_cut::ended_well;

/// The slot with which the second part begins.
const BOUNDARY: u64 = 204;

/// What is played, and with whom.
#[derive(Clone, Debug)]
struct Scene {
    generation: Generation,
    scripts: [Script; 2],
    order: Option<u64>,
    /// The second session is closed where it first pauses.
    closes_second: bool,
    forgets_request_ids: bool,
}

/// What came of it.
#[derive(Debug)]
struct Report {
    both: Both,
    end: LineEnd,
    truth: Truth,
    finished: Finished,
}

/// Drives two sessions, each as a program that has it alone would.
#[derive(Debug)]
struct Both {
    ids: Vec<SessionId>,
    drivers: [Driver; 2],
    ends: Vec<(usize, &'static str)>,
    opened: usize,
    faults: Vec<StreamFault>,
    closes_second: bool,
    asked_to_close: bool,
}

impl Scene {
    fn new(generation: Generation) -> Self {
        Self {
            generation,
            scripts: [
                Script::generate(8, 200..=BOUNDARY - 1).complain(202),
                Script::generate(9, BOUNDARY..=208).skip(206),
            ],
            order: None,
            closes_second: false,
            forgets_request_ids: false,
        }
    }

    fn steps(session: usize) -> Steps {
        match session {
            0 => vec![
                (When::Ready, vec![go_on("a-one", 1)]),
                (When::Ready, vec![go_to(202, Some(1))]),
                (When::Paused, vec![go_on("a-rest", u64::MAX)]),
            ],
            _ => vec![
                (When::Ready, vec![go_to(205, None)]),
                (When::Paused, vec![go_on("b-one", 1), go_on("b-another", 1)]),
                (When::Ready, Vec::new()),
                (When::Ready, vec![go_on("b-rest", u64::MAX)]),
            ],
        }
    }

    fn play(&self, plan: &Plan) -> Report {
        let mut server = PeerServer::new(self.generation.clone(), self.scripts[0].clone());
        server.share_out(self.scripts.clone());
        if self.forgets_request_ids {
            server.forget_request_ids();
        }
        let mut wire = Wire::new(server, plan.clone());
        if let Some(seed) = self.order {
            wire = wire.in_random_order(seed);
        }
        let both = Both {
            ids: Vec::new(),
            drivers: [0, 1].map(|session| Driver::new(Self::steps(session), Patience::default())),
            ends: Vec::new(),
            opened: 0,
            faults: Vec::new(),
            closes_second: self.closes_second,
            asked_to_close: false,
        };
        let mut line = Line::control(ParallelMachine::new(config()), both, wire.clock.now());
        let finished = wire
            .run(&mut [&mut line])
            .unwrap_or_else(|stuck| panic!("{plan:?}: {stuck}"));
        let (both, end) = line.into_parts();
        Report {
            both,
            end,
            truth: wire.server.truth().clone(),
            finished,
        }
    }
}

fn config() -> ControlConfig {
    let params = CreateSessionParams {
        start_slot: 200,
        end_slot: 208,
        disconnect_timeout_secs: Some(360),
        ..CreateSessionParams::default()
    };
    ControlConfig {
        control_url: "ws://sim.test/backtest".parse().expect("it is an address"),
        create: CreateBacktestSessionRequest {
            parallel: true,
            create_token: Some("token".to_owned()),
            ..params.into()
        },
        request_id_prefix: "test".to_owned(),
        after_completion: AfterCompletion::Wait,
        handshake_response_timeout: Duration::from_secs(120),
        handshake_total_timeout: Duration::from_secs(900),
        resend_settle_time: Duration::from_secs(5),
    }
}

impl Both {
    fn index(&self, id: SessionId) -> usize {
        let index = self.ids.iter().position(|known| *known == id);
        index.expect("only sessions that were listed have events")
    }
}

impl Caller<ParallelMachine> for Both {
    fn event(&mut self, event: ParallelOutput, _board: &mut Board) {
        match event {
            ParallelOutput::Opened(info) => {
                self.opened += 1;
                self.ids = info.sessions.iter().map(|part| part.id).collect();
                let slots: Vec<_> = info.sessions.iter().map(|part| part.slots.clone()).collect();
                assert_eq!(slots, [Some(200..=BOUNDARY - 1), Some(BOUNDARY..=208)]);
            }
            ParallelOutput::Session(id, event) => {
                let index = self.index(id);
                self.drivers[index].observe(event);
            }
            ParallelOutput::Ended(id, end) => {
                let how = match end {
                    PartEnd::Finished => "finished",
                    PartEnd::Failed(_) => "failed",
                };
                self.ends.push((self.index(id), how));
            }
            ParallelOutput::Event(ControlEvent::Fault(fault)) => self.faults.push(fault),
            ParallelOutput::Event(ControlEvent::Status(_)) => {}
            ParallelOutput::Event(other) => panic!("nothing else is said about no session: {other:?}"),
        }
    }

    fn request(&mut self, board: &Board) -> Option<ParallelRequest> {
        for (id, driver) in self.ids.iter().zip(&mut self.drivers) {
            if let Some(request) = driver.next_request(board) {
                return Some(ParallelRequest::Session(*id, request));
            }
        }
        let paused = self.drivers[1]
            .events
            .iter()
            .any(|event| matches!(event, ControlEvent::Paused(_)));
        let closes = self.closes_second && paused && !self.asked_to_close;
        closes.then(|| {
            self.asked_to_close = true;
            ParallelRequest::Close(self.ids[1])
        })
    }

    fn wants_close(&mut self, _board: &Board) -> bool {
        self.ends.len() == 2
    }
}

impl Report {
    fn told(&self) -> [Vec<String>; 2] {
        [self.both.drivers[0].told(), self.both.drivers[1].told()]
    }

    /// The requests that took effect in one session.
    fn applied(&self, session: usize) -> Vec<&Applied> {
        let is_of = |applied: &&Applied| match applied {
            Applied::Continue(params) => params.transactions[0].starts_with(["a", "b"][session]),
            Applied::ContinueTo(params) => (params.slot >= BOUNDARY) == (session == 1),
        };
        self.truth.applied.iter().filter(is_of).collect()
    }

    fn ends(&self) -> Vec<(usize, &'static str)> {
        let mut ends = self.both.ends.clone();
        ends.sort_unstable();
        ends
    }
}

#[track_caller]
fn assert_exactly_once(report: &Report, uncut: &Report, plan: &impl std::fmt::Debug) {
    assert_eq!(report.both.opened, 1, "{plan:?}");
    assert_eq!(report.told(), uncut.told(), "{plan:?}");
    assert_eq!(report.ends(), uncut.ends(), "{plan:?}");
    for session in 0..2 {
        assert_eq!(report.applied(session), uncut.applied(session), "{plan:?}");
        let driver = &report.both.drivers[session];
        assert!(driver.faults.is_empty(), "{plan:?}: {:?}", driver.faults);
        assert_eq!(driver.restated, 0, "{plan:?}");
    }
    assert!(report.both.faults.is_empty(), "{plan:?}: {:?}", report.both.faults);
    assert_eq!(report.truth.violations, Vec::<String>::new(), "{plan:?}");
    assert!(ended_well(&report.end), "{plan:?}: {:?}", report.end);
}

fn cuts_of(uncut: &Report) -> Vec<Cut> {
    Plan::every_cut(uncut.finished.to_server, uncut.finished.to_client)
}

fn cut_once(scene: &Scene) {
    let uncut = scene.play(&Plan::none());
    assert_exactly_once(&uncut, &uncut, &"uncut");
    assert!(uncut.told().iter().all(|told| told.len() > 10), "{:?}", uncut.told());
    let mut attaches = 0;
    for cut in cuts_of(&uncut) {
        let report = scene.play(&Plan::cuts([cut]));
        assert_exactly_once(&report, &uncut, &cut);
        attaches += report.truth.attaches;
    }
    assert!(attaches > 40, "only {attaches} cuts led to an attach");
}

fn cut_twice(scene: &Scene) {
    let uncut = scene.play(&Plan::none());
    for (seed, first) in cuts_of(&uncut).into_iter().enumerate() {
        let mut numbers = Seeded::new(seed as u64);
        for distance in [12, 80] {
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
        let plan = Plan {
            half_open: seed % 2 == 0,
            ..Plan::cuts([cut])
        };
        let order = Some(seed as u64);
        let scene = Scene { order, ..scene.clone() };
        assert_exactly_once(&scene.play(&plan), &uncut, &(plan, order));
    }
}

macro_rules! for_every_generation {
    ($($name:ident: $generation:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn cut_once() {
                super::cut_once(&Scene::new($generation));
            }

            #[test]
            fn cut_twice() {
                super::cut_twice(&Scene::new($generation));
            }

            #[test]
            fn cut_once_in_any_order() {
                super::cut_in_any_order(&Scene::new($generation));
            }
        }
    )*};
}

for_every_generation! {
    ours: Generation::ours();
    published_028: Generation::published_028();
}

#[test]
fn a_session_that_is_closed_is_closed_once_and_the_other_is_not_touched() {
    let scene = Scene {
        closes_second: true,
        ..Scene::new(Generation::ours())
    };
    let uncut = scene.play(&Plan::none());
    let whole = Scene::new(Generation::ours()).play(&Plan::none());
    assert_eq!(uncut.told()[0], whole.told()[0]);
    assert!(uncut.told()[1].len() < whole.told()[1].len());
    for cut in cuts_of(&uncut) {
        let report = scene.play(&Plan::cuts([cut]));
        assert_eq!(report.told()[0], uncut.told()[0], "{cut:?}");
        assert_eq!(report.ends(), [(0, "finished"), (1, "finished")], "{cut:?}");
        assert_eq!(report.truth.violations, Vec::<String>::new(), "{cut:?}");
        assert!(ended_well(&report.end), "{cut:?}: {:?}", report.end);
    }
}

#[test]
fn w34_a_session_that_fails_ends_alone() {
    let error = BacktestError::AdvanceSlotFailed {
        slot: 207,
        error: "no block".to_owned(),
    };
    let mut scene = Scene::new(Generation::ours());
    scene.scripts[1] = scene.scripts[1].clone().fail(207, error);
    let uncut = scene.play(&Plan::none());
    assert_eq!(uncut.ends(), [(0, "finished"), (1, "failed")]);
    for cut in cuts_of(&uncut) {
        assert_exactly_once(&scene.play(&Plan::cuts([cut])), &uncut, &cut);
    }
}

/// The checks above would notice if a request were applied twice.
#[test]
fn a_server_that_forgets_request_ids_is_noticed() {
    let scene = Scene {
        forgets_request_ids: true,
        ..Scene::new(Generation::ours())
    };
    let uncut = scene.play(&Plan::none());
    let reports = cuts_of(&uncut).into_iter().map(|cut| scene.play(&Plan::cuts([cut])));
    let applied = |report: &Report| report.truth.applied.len();
    assert!(
        reports
            .map(|report| applied(&report))
            .any(|count| count > applied(&uncut))
    );
}
