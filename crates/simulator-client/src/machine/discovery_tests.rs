//! Stepping from match to match: the client's machine against a server that follows the protocol, without a runtime,
//! and against scripted events.

use std::collections::VecDeque;

use proptest::prelude::*;
use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, ContinueParams, ContinueToParams, DiscoveryBatchEvent,
    PausedEvent, SequencedResponse,
};

use super::*;

const READY: BacktestResponse = BacktestResponse::ReadyForContinue;
const STEP: DiscoveryStep = DiscoveryStep { batch_offset: 0 };
const BATCHES: u32 = 3;
const FIRST_SLOT: u64 = 100;

fn discovery((slot, batch_index): (u64, u32)) -> DiscoveryBatchEvent {
    DiscoveryBatchEvent {
        slot,
        batch_index,
        matched: vec![],
        transactions: vec![],
        transaction_indices: vec![],
    }
}

fn announced(position: (u64, u32)) -> BacktestResponse {
    BacktestResponse::DiscoveryBatch(discovery(position))
}

fn pause(slot: u64, batch: Option<u32>) -> PausedEvent {
    PausedEvent {
        slot,
        batch_index: batch,
    }
}

fn paused(slot: u64, batch: u32) -> BacktestResponse {
    BacktestResponse::Paused(pause(slot, Some(batch)))
}

fn completed() -> BacktestResponse {
    BacktestResponse::Completed {
        summary: None,
        agent_stats: None,
    }
}

fn rejection() -> BacktestError {
    BacktestError::InvalidRequest { error: "behind".into() }
}

fn stop_before(slot: u64, batch: u32) -> DiscoveryMove {
    DiscoveryMove::StopBefore(ContinueToParams {
        slot,
        batch_index: Some(batch),
        request_id: None,
    })
}

fn reached(slot: u64, batch: u32) -> DiscoveryMove {
    DiscoveryMove::Done(DiscoveryStepResult::Paused(DiscoveryPause {
        discovery: discovery((slot, batch)),
        paused: pause(slot, Some(batch)),
    }))
}

/// A client, told what happens.
struct Client {
    conversation: Conversation,
    scan: Scan,
}

impl Client {
    fn new() -> Self {
        Self {
            conversation: Conversation::creating(1_000, "t".into()),
            scan: Scan::default(),
        }
    }

    /// One that has heard `events`.
    fn after(events: impl IntoIterator<Item = BacktestResponse>) -> Self {
        let mut client = Self::new();
        client.hear(events);
        client
    }

    fn hear(&mut self, events: impl IntoIterator<Item = BacktestResponse>) {
        for event in events {
            let text = serde_json::to_string(&event).unwrap();
            self.conversation.handle_message(&text).unwrap();
        }
    }

    /// What a step does next. What it sends counts as sent.
    fn step(&mut self) -> DiscoveryMove {
        let next = self.conversation.poll_discovery(STEP, &mut self.scan);
        match request(&next) {
            Some(request) => self.conversation.on_sent(&request),
            None => {
                if matches!(next, DiscoveryMove::Done(_) | DiscoveryMove::Failed(_)) {
                    self.scan = Scan::default();
                }
            }
        }
        next
    }

    fn rest(&mut self) -> Vec<BacktestResponse> {
        std::iter::from_fn(|| self.conversation.next_event())
            .map(|delivery| delivery.event.response)
            .collect()
    }
}

fn request(next: &DiscoveryMove) -> Option<BacktestRequest> {
    match next {
        DiscoveryMove::RunOn => Some(BacktestRequest::Continue(ContinueParams {
            advance_count: u64::MAX,
            ..ContinueParams::default()
        })),
        DiscoveryMove::StopBefore(target) => Some(BacktestRequest::ContinueTo(target.clone())),
        _ => None,
    }
}

#[test]
fn w38_a_match_announced_before_ready_is_not_passed() {
    let mut client = Client::after([announced((101, 2))]);
    assert_eq!(client.step(), DiscoveryMove::Receive);
    client.hear([READY]);
    assert_eq!(client.step(), stop_before(101, 2));
    assert_eq!(client.step(), DiscoveryMove::Receive);
    client.hear([paused(101, 2), READY]);
    assert_eq!(client.step(), reached(101, 2));
    // The `ready` after the pause says that there is no further match.
    assert_eq!(client.step(), DiscoveryMove::RunOn);
    client.hear([completed()]);
    assert_eq!(client.step(), DiscoveryMove::Done(DiscoveryStepResult::Completed));
    assert_eq!(client.rest(), [completed()]);
}

#[test]
fn w38_a_match_announced_after_ready_stops_a_session_that_was_let_run() {
    let mut client = Client::after([READY]);
    assert_eq!(client.step(), DiscoveryMove::RunOn);
    client.hear([BacktestResponse::SlotNotification(100), announced((101, 2))]);
    assert_eq!(client.step(), stop_before(101, 2));
    client.hear([paused(101, 2), announced((101, 2))]);
    assert_eq!(client.step(), reached(101, 2));
    assert_eq!(client.step(), stop_before(101, 2));
}

#[test]
fn w38_a_match_that_was_read_elsewhere_is_held() {
    let mut client = Client::after([READY, announced((101, 0)), announced((103, 1))]);
    assert_eq!(client.rest().len(), 3);
    assert_eq!(client.step(), stop_before(101, 0));
    client.hear([paused(101, 0)]);
    assert_eq!(client.step(), reached(101, 0));
    assert_eq!(client.step(), stop_before(103, 1));
}

#[test]
fn w38_silence_at_a_pause_does_not_last_for_ever() {
    let mut client = Client::after([paused(100, 0)]);
    assert_eq!(client.step(), DiscoveryMove::Settle);
    client.hear([announced((100, 0))]);
    assert_eq!(client.step(), stop_before(100, 0));
}

#[test]
fn w38_a_match_that_is_behind_the_session_is_reported() {
    let mut client = Client::after([READY, announced((101, 0)), announced((102, 0)), paused(102, 1)]);
    for position in [(101, 0), (102, 0)] {
        let missed = MissedDiscovery {
            discovery: discovery(position),
            refusal: None,
        };
        assert_eq!(client.step(), DiscoveryMove::Done(DiscoveryStepResult::Missed(missed)));
    }
    assert_eq!(client.step(), DiscoveryMove::Settle);
}

#[test]
fn w38_a_refused_stop_is_reported_and_is_no_failure() {
    let mut client = Client::after([READY, announced((101, 0))]);
    assert_eq!(client.step(), stop_before(101, 0));
    client.hear([rejection().into()]);
    assert!(client.conversation.is_discovery_refusal(&rejection()));
    let missed = MissedDiscovery {
        discovery: discovery((101, 0)),
        refusal: Some(rejection()),
    };
    assert_eq!(client.step(), DiscoveryMove::Done(DiscoveryStepResult::Missed(missed)));
    assert_eq!(client.step(), DiscoveryMove::RunOn);
    // The same rejection of anything else is a failure.
    client.hear([rejection().into()]);
    assert_eq!(client.step(), DiscoveryMove::Failed(rejection()));
}

#[test]
fn a_match_that_the_end_of_the_range_overtakes_is_reported() {
    let mut client = Client::after([READY, announced((101, 0))]);
    assert_eq!(client.step(), stop_before(101, 0));
    client.hear([completed()]);
    let DiscoveryMove::Done(DiscoveryStepResult::Missed(missed)) = client.step() else {
        panic!("the match was not reported")
    };
    assert_eq!(missed.discovery, discovery((101, 0)));
    assert_eq!(client.step(), DiscoveryMove::Done(DiscoveryStepResult::Completed));
}

#[test]
fn a_step_that_was_abandoned_is_over() {
    let mut client = Client::after([READY, announced((101, 0))]);
    assert_eq!(client.step(), stop_before(101, 0));
    client.hear([paused(101, 0)]);
    // The caller reads the pause and goes on without asking how the step ended.
    assert_eq!(client.rest(), [announced((101, 0)), paused(101, 0)]);
    client
        .conversation
        .on_sent(&BacktestRequest::Continue(ContinueParams::default()));
    assert_eq!(client.step(), DiscoveryMove::Receive);
}

#[test]
fn a_step_reads_its_events_only_when_it_ends() {
    let mut client = Client::new();
    for (number, event) in (1..).zip([READY, announced((101, 0)), announced((103, 0))]) {
        let event = SequencedResponse {
            seq_id: Some(number),
            ..event.into()
        };
        let text = serde_json::to_string(&event).unwrap();
        client.conversation.handle_message(&text).unwrap();
    }
    assert_eq!(client.step(), stop_before(101, 0));
    // Whoever attaches anew now is sent the announcement again.
    assert_eq!(client.conversation.last_sequence(), Some(1));
    client.hear([paused(101, 0)]);
    assert_eq!(client.step(), reached(101, 0));
    assert_eq!(client.conversation.last_sequence(), Some(2));
    // The announcement is not held twice when it is read during its step.
    assert_eq!(client.step(), stop_before(103, 0));
    assert_eq!(client.rest(), [announced((103, 0))]);
    client.hear([paused(103, 0)]);
    assert_eq!(client.step(), reached(103, 0));
    assert_eq!(client.step(), DiscoveryMove::Settle);
}

#[test]
fn a_simulation_error_is_an_event_and_another_error_ends_the_call_but_not_the_step() {
    let simulation: BacktestResponse = BacktestError::SimulationError { error: "x".into() }.into();
    let clerk = BacktestError::ClerkError { error: "x".into() };
    let mut client = Client::after([READY, announced((101, 0))]);
    assert_eq!(client.step(), stop_before(101, 0));
    client.hear([simulation.clone(), clerk.clone().into(), READY]);
    assert_eq!(client.step(), DiscoveryMove::Failed(clerk));
    assert_eq!(client.step(), DiscoveryMove::Receive);
    client.hear([paused(101, 0)]);
    assert_eq!(client.step(), reached(101, 0));
    // The `ready` that came before the pause answered nothing, and is gone with it.
    assert!(client.conversation.last_pause().is_some());
    assert_eq!(client.rest(), [simulation]);
    assert!(client.conversation.is_ready_for_continue());
}

#[test]
fn an_offset_goes_beyond_the_match() {
    let mut client = Client::after([READY, announced((101, 1))]);
    let step = DiscoveryStep { batch_offset: 2 };
    let next = client.conversation.poll_discovery(step, &mut client.scan);
    assert_eq!(next, stop_before(101, 3));
    client.conversation.on_sent(&request(&next).unwrap());
    let boundary = pause(101, None);
    client.hear([BacktestResponse::Paused(boundary)]);
    let DiscoveryMove::Done(DiscoveryStepResult::Paused(reached)) = client.step() else {
        panic!("the step has not ended")
    };
    assert_eq!((reached.discovery, reached.paused), (discovery((101, 1)), boundary));
}

#[test]
fn matches_that_the_caller_passes_are_forgotten() {
    let mut client = Client::after([READY, announced((101, 0)), announced((102, 0))]);
    client.rest();
    client.hear([BacktestResponse::SlotNotification(102), READY]);
    assert_eq!(client.step(), stop_before(102, 0));
}

/// A server that announces matches some way ahead and holds an unbounded run before one that is announced and
/// unanswered.
#[derive(Debug)]
struct Server {
    matches: VecDeque<(u64, u32)>,
    /// Announced and not stopped before.
    open: VecDeque<(u64, u32)>,
    lookahead: usize,
    next: (u64, u32),
    end: u64,
    run: Run,
    /// Matches that were executed without a stop before them.
    overrun: Vec<(u64, u32)>,
    outbox: Vec<BacktestResponse>,
}

#[derive(Debug, PartialEq)]
enum Run {
    Idle,
    WithoutBound,
    To((u64, u32)),
    Over,
}

impl Server {
    fn new(matches: &[(u64, u32)], lookahead: usize, is_ready_first: bool) -> Self {
        let mut server = Self {
            matches: matches.iter().copied().collect(),
            open: VecDeque::new(),
            lookahead,
            next: (FIRST_SLOT, 0),
            end: FIRST_SLOT + 5,
            run: Run::Idle,
            overrun: vec![],
            outbox: vec![BacktestResponse::SlotNotification(FIRST_SLOT)],
        };
        if is_ready_first {
            server.outbox.push(READY);
            server.announce();
        } else {
            server.announce();
            server.outbox.push(READY);
        }
        server
    }

    fn announce(&mut self) {
        while self.open.len() < self.lookahead
            && let Some(position) = self.matches.pop_front()
        {
            self.open.push_back(position);
            self.outbox.push(announced(position));
        }
    }

    fn on_request(&mut self, request: &BacktestRequest) {
        match request {
            BacktestRequest::Continue(_) => {
                assert_eq!(self.run, Run::Idle, "a continue while one runs");
                self.run = Run::WithoutBound;
            }
            BacktestRequest::ContinueTo(target) => {
                let target = (target.slot, target.batch_index.unwrap());
                assert!(target >= self.next, "{target:?} is behind {:?}", self.next);
                self.run = Run::To(target);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Executes a batch, or stops. Says whether anything happened.
    fn tick(&mut self) -> bool {
        match self.run {
            Run::Idle | Run::Over => return false,
            Run::To(target) if target == self.next => self.stop(),
            Run::WithoutBound if self.open.front() == Some(&self.next) => return false,
            _ => self.execute(),
        }
        true
    }

    fn stop(&mut self) {
        self.run = Run::Idle;
        self.open.retain(|position| *position > self.next);
        self.outbox.push(paused(self.next.0, self.next.1));
        self.announce();
        if self.open.is_empty() {
            self.outbox.push(READY);
        }
    }

    fn execute(&mut self) {
        if self.open.contains(&self.next) {
            self.overrun.push(self.next);
        }
        let (slot, batch) = self.next;
        if batch + 1 < BATCHES {
            self.next = (slot, batch + 1);
        } else if slot < self.end {
            self.next = (slot + 1, 0);
            self.outbox.push(BacktestResponse::SlotNotification(slot));
        } else {
            self.run = Run::Over;
            self.outbox.push(completed());
        }
    }
}

/// Everything on its way.
#[derive(Default)]
struct Wire {
    to_client: VecDeque<BacktestResponse>,
    to_server: VecDeque<BacktestRequest>,
}

/// Steps through the whole session, with the `choices` of who moves next, and returns where the steps stopped.
fn run(server: &mut Server, choices: &[u8]) -> Vec<(u64, u32)> {
    let mut client = Client::new();
    let mut wire = Wire::default();
    let mut stops = Vec::new();
    let mut choices = choices.iter().cycle();
    for _ in 0..10_000 {
        wire.to_client.extend(server.outbox.drain(..));
        let is_idle = wire.to_client.is_empty() && wire.to_server.is_empty();
        match choices.next().unwrap() % 4 {
            0 => {
                server.tick();
            }
            1 => client.hear(wire.to_client.pop_front()),
            2 => {
                if let Some(request) = wire.to_server.pop_front() {
                    server.on_request(&request);
                }
            }
            _ => match client.step() {
                DiscoveryMove::Done(DiscoveryStepResult::Paused(at)) => {
                    assert_eq!(
                        (at.paused.slot, at.paused.batch_index),
                        (at.discovery.slot, Some(at.discovery.batch_index))
                    );
                    stops.push((at.discovery.slot, at.discovery.batch_index));
                }
                DiscoveryMove::Done(DiscoveryStepResult::Completed) => return stops,
                next @ (DiscoveryMove::RunOn | DiscoveryMove::StopBefore(_)) => {
                    wire.to_server.push_back(request(&next).unwrap());
                }
                DiscoveryMove::Receive | DiscoveryMove::Settle => {
                    assert!(!is_idle || server.tick(), "both sides wait: {server:?}");
                }
                other => panic!("{other:?}"),
            },
        }
    }
    panic!("the session has not ended: {server:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever the order of announcements, `ready` and deliveries, each match is stopped before exactly once, and a
    /// session without further matches runs to its end.
    #[test]
    fn w38_every_match_is_stopped_before_exactly_once(
        matches in prop::collection::btree_set((FIRST_SLOT..=FIRST_SLOT + 5, 0..BATCHES), 0..6),
        lookahead in 1_usize..4,
        is_ready_first in any::<bool>(),
        choices in prop::collection::vec(any::<u8>(), 1..64),
    ) {
        // Everybody has to move now and then.
        let choices = [choices, vec![0, 1, 2, 3]].concat();
        let matches: Vec<(u64, u32)> = matches.into_iter().collect();
        let mut server = Server::new(&matches, lookahead, is_ready_first);
        let stops = run(&mut server, &choices);
        prop_assert!(server.overrun.is_empty(), "{:?}", server.overrun);
        prop_assert_eq!(stops, matches);
    }
}
