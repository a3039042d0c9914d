//! A session with two subscription connections, as it is played in every test.

use std::collections::BTreeMap;
use std::time::Duration;

use simulator_api::{BacktestError, Compression, CreateBacktestSessionRequest, CreateSessionParams, DiscoveryFilter};
use simulator_client::machine::Machine as _;
use simulator_client::machine::control::{AfterCompletion, ControlConfig, ControlMachine};
use simulator_client::machine::subscription::{SubscriptionConfig, SubscriptionKind, SubscriptionMachine};
use simulator_client::managed::{MachineCounts, StreamFault};
use simulator_testkit::peer::{Generation, PeerServer, Script, Truth};
use simulator_testkit::wire::{Finished, Line, LineEnd, Plan, Stuck, Wire};

use super::callers::{Driver, Patience, Reader, Steps, When, go_on, go_to};

/// What is played, and with whom.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) generation: Generation,
    pub(crate) script: Script,
    pub(crate) steps: Steps,
    pub(crate) patience: Patience,
    pub(crate) order: Option<u64>,
    pub(crate) replay_overlap: u64,
    pub(crate) create_errors: Vec<BacktestError>,
    pub(crate) attach_errors: Vec<BacktestError>,
    /// The server applies a request that comes again once more.
    pub(crate) forgets_request_ids: bool,
    pub(crate) has_filters: bool,
}

/// Which connections there are.
#[derive(Clone, Copy, Debug)]
enum Lines {
    All,
    Control,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) driver: Driver,
    pub(crate) control_end: LineEnd,
    pub(crate) readers: Vec<(Reader, LineEnd)>,
    pub(crate) truth: Truth,
    pub(crate) finished: Finished,
    pub(crate) open_sessions: usize,
    /// Of the control channel.
    pub(crate) connections: usize,
    pub(crate) counts: MachineCounts,
}

impl Scene {
    /// Continues, pauses, discoveries, a skipped slot, an error that ends nothing.
    pub(crate) fn with_discoveries(generation: Generation) -> Self {
        let script = Script::generate(7, 100..=107)
            .skip(103)
            .complain(102)
            .discover(101, 1)
            .discover(105, 0);
        let steps = vec![
            (When::Found, vec![go_to(101, Some(1))]),
            (When::Paused, vec![go_on("two", 2)]),
            (When::Ready, vec![go_on("one", 1)]),
            (When::Ready, vec![go_to(105, Some(0))]),
            (When::Ready, vec![go_to(106, None)]),
            (When::Ready, vec![go_on("rest", u64::MAX)]),
        ];
        Self::new(generation, script, steps, true)
    }

    /// No filters; requests that wait behind running ones, and one that redirects a running one.
    pub(crate) fn without_discoveries(generation: Generation) -> Self {
        let script = Script::generate(8, 200..=206).complain(203);
        let steps = vec![
            (When::Ready, vec![go_on("one", 1), go_on("another", 1)]),
            (When::Ready, Vec::new()),
            (When::Ready, vec![go_to(204, Some(1))]),
            (When::Paused, vec![go_on("nothing", 0)]),
            (When::Ready, vec![go_on("two", 2)]),
            (When::Ready, vec![go_on("rest", u64::MAX)]),
        ];
        Self::new(generation, script, steps, false)
    }

    fn new(generation: Generation, script: Script, steps: Steps, has_filters: bool) -> Self {
        Self {
            generation,
            script,
            steps,
            patience: Patience::Patient,
            order: None,
            replay_overlap: 0,
            create_errors: Vec::new(),
            attach_errors: Vec::new(),
            forgets_request_ids: false,
            has_filters,
        }
    }

    /// Plays it to its end.
    pub(crate) fn play(&self, plan: &Plan) -> Report {
        self.try_play(plan).unwrap_or_else(|stuck| panic!("{plan:?}: {stuck}"))
    }

    /// Plays it without subscriptions.
    pub(crate) fn play_control_only(&self, plan: &Plan) -> Report {
        self.play_lines(plan, Lines::Control)
            .unwrap_or_else(|stuck| panic!("{plan:?}: {stuck}"))
    }

    /// Plays it to its end, if it comes to one.
    pub(crate) fn try_play(&self, plan: &Plan) -> Result<Report, Stuck> {
        self.play_lines(plan, Lines::All)
    }

    fn play_lines(&self, plan: &Plan, lines: Lines) -> Result<Report, Stuck> {
        let mut server = PeerServer::new(self.generation.clone(), self.script.clone());
        server.overlap_replays(self.replay_overlap);
        server.fail_creates(self.create_errors.iter().cloned());
        server.fail_attaches(self.attach_errors.iter().cloned());
        if self.forgets_request_ids {
            server.forget_request_ids();
        }
        let mut wire = Wire::new(server, plan.clone());
        if let Some(seed) = self.order {
            wire = wire.in_random_order(seed);
        }
        let now = wire.clock.now();
        let machine = ControlMachine::new(self.control_config());
        let mut control = Line::control(machine, Driver::new(self.steps.clone(), self.patience), now);
        let reader = |config| Line::data(SubscriptionMachine::new(config), Reader::default(), now);
        let mut transactions = reader(self.subscription(SubscriptionKind::Transactions, 2));
        let mut diffs = reader(self.subscription(SubscriptionKind::ProgramAccountDiffs, 1));
        let finished = match lines {
            Lines::All => wire.run(&mut [&mut control, &mut transactions, &mut diffs])?,
            Lines::Control => wire.run(&mut [&mut control])?,
        };
        let (connections, counts) = (control.connections(), control.machine().counts());
        let (driver, control_end) = control.into_parts();
        let readers = match lines {
            Lines::All => vec![transactions.into_parts(), diffs.into_parts()],
            Lines::Control => Vec::new(),
        };
        Ok(Report {
            driver,
            control_end,
            readers,
            truth: wire.server.truth().clone(),
            finished,
            open_sessions: wire.server.open_sessions().len(),
            connections,
            counts,
        })
    }

    fn control_config(&self) -> ControlConfig {
        let (first, last) = (
            &self.script.blocks[0],
            &self.script.blocks[self.script.blocks.len() - 1],
        );
        let filter = DiscoveryFilter::ProgramExecuted(self.script.programs[0]);
        let params = CreateSessionParams {
            start_slot: first.slot,
            end_slot: last.slot,
            send_summary: true,
            disconnect_timeout_secs: Some(360),
            discoveries: self.has_filters.then_some(filter).into_iter().collect(),
            ..CreateSessionParams::default()
        };
        ControlConfig {
            control_url: "ws://sim.test/backtest".parse().expect("it is an address"),
            create: CreateBacktestSessionRequest {
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

    fn subscription(&self, kind: SubscriptionKind, programs: usize) -> SubscriptionConfig {
        let programs = self.script.programs.iter().take(programs);
        SubscriptionConfig {
            kind,
            addresses: programs.map(ToString::to_string).collect(),
            from_slot: None,
            compression: Some(Compression::Zstd),
            handshake_response_timeout: Duration::from_secs(120),
            handshake_total_timeout: Duration::from_secs(900),
            max_message_bytes: 1 << 20,
        }
    }
}

impl Report {
    /// The notifications of one connection after the other.
    pub(crate) fn notifications(&self) -> Vec<&BTreeMap<String, Vec<String>>> {
        self.readers.iter().map(|(reader, _)| &reader.told).collect()
    }

    pub(crate) fn control_faults(&self) -> Vec<&StreamFault> {
        self.driver.faults.iter().map(|(_, fault)| fault).collect()
    }

    pub(crate) fn data_faults(&self) -> Vec<&StreamFault> {
        let faults = self.readers.iter().flat_map(|(reader, _)| &reader.faults);
        faults.collect()
    }
}
