//! Programs that use the client, and write down what they see.

use std::collections::{BTreeMap, VecDeque};

use simulator_api::{BacktestStatus, ContinueParams, ContinueToParams};
use simulator_client::machine::control::{ControlMachine, ControlOutput, ControlRequest};
use simulator_client::machine::subscription::SubscriptionMachine;
use simulator_client::managed::{ControlEvent, ManagedFailure, SessionInfo, StreamFault, SubscriptionNotification};
use simulator_testkit::peer::Applied;
use simulator_testkit::wire::{Board, Caller};

/// What a program waits for before it asks for the next thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Ready,
    Paused,
    Found,
}

/// One thing after the other.
pub(crate) type Steps = Vec<(When, Vec<ControlRequest>)>;

/// Drives a session.
#[derive(Debug, Default)]
pub(crate) struct Driver {
    pub(crate) opened: Vec<SessionInfo>,
    pub(crate) events: Vec<ControlEvent>,
    /// With the number of events before each.
    pub(crate) faults: Vec<(usize, StreamFault)>,
    pub(crate) failures: Vec<ManagedFailure>,
    /// What was handed to the machine, without ids.
    pub(crate) asked: Vec<Applied>,
    /// How often the session said again that it waits, without having moved. Left out of the events.
    pub(crate) restated: usize,
    waits_at: Option<String>,
    steps: VecDeque<(When, Vec<ControlRequest>)>,
    wanted: VecDeque<ControlRequest>,
    patience: Patience,
    is_over: bool,
}

/// What a program does when it is told that something may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It goes on.
    #[default]
    Patient,
    /// It closes the session.
    Cautious,
    /// It closes the session as soon as it has opened.
    Hasty,
}

impl Driver {
    pub(crate) fn new(steps: Steps, patience: Patience) -> Self {
        Self {
            steps: steps.into(),
            patience,
            ..Self::default()
        }
    }

    /// Events in a form that can be compared.
    pub(crate) fn told(&self) -> Vec<String> {
        self.events.iter().map(|event| format!("{event:?}")).collect()
    }

    /// What to ask for next, if anything.
    pub(crate) fn next_request(&mut self, board: &Board) -> Option<ControlRequest> {
        let request = self.wanted.pop_front_if(|_| board.all_up)?;
        self.asked.push(match request.clone() {
            ControlRequest::Continue(params) => Applied::Continue(params),
            ControlRequest::ContinueTo(params) => Applied::ContinueTo(params),
        });
        Some(request)
    }

    fn advance(&mut self, now: When) {
        if self.steps.front().is_some_and(|(when, _)| *when == now) {
            let (_, requests) = self.steps.pop_front().expect("there is one in front");
            self.wanted.extend(requests);
        }
    }

    /// Whether an event says what the last one of its kind said.
    fn is_restated(&mut self, event: &ControlEvent) -> bool {
        match event {
            ControlEvent::ReadyForContinue | ControlEvent::Paused(_) => {
                let stop = format!("{event:?}");
                self.waits_at.replace(stop.clone()) == Some(stop)
            }
            ControlEvent::Slot(_) | ControlEvent::Status(_) => {
                self.waits_at = None;
                false
            }
            _ => false,
        }
    }

    pub(crate) fn observe(&mut self, event: ControlEvent) {
        if self.is_restated(&event) {
            self.restated += 1;
            return;
        }
        match &event {
            ControlEvent::ReadyForContinue => self.advance(When::Ready),
            ControlEvent::Paused(_) => self.advance(When::Paused),
            ControlEvent::DiscoveryBatch(_) => self.advance(When::Found),
            ControlEvent::Completed { .. } => self.is_over = true,
            ControlEvent::Fault(fault) => {
                self.is_over |= self.patience == Patience::Cautious;
                return self.faults.push((self.events.len(), fault.clone()));
            }
            ControlEvent::Failed(failure) => return self.failures.push(failure.clone()),
            // It is said while a session is made, as often as that is tried.
            ControlEvent::Status(BacktestStatus::StartingRuntime) => return,
            _ => {}
        }
        self.events.push(event);
    }
}

impl Caller<ControlMachine> for Driver {
    fn event(&mut self, event: ControlOutput, board: &mut Board) {
        match event {
            ControlOutput::Opened(info) => {
                let endpoint = &info.rpc_endpoint;
                let path = endpoint.split_once("sim.test").map(|(_, path)| path.to_owned());
                board.data_path = path;
                self.is_over |= self.patience == Patience::Hasty;
                self.opened.push(info);
            }
            ControlOutput::Event(event) => self.observe(event),
        }
    }

    fn request(&mut self, board: &Board) -> Option<ControlRequest> {
        self.next_request(board)
    }

    /// The session is closed once every other line has told everything.
    fn wants_close(&mut self, board: &Board) -> bool {
        let others_are_done = board.open_lines <= 1 || self.patience != Patience::Patient;
        self.is_over && others_are_done
    }
}

/// Reads a subscription connection.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The notifications as they came, by what was subscribed to; from behind the number of the subscription, which is
    /// another one on every connection.
    pub(crate) told: BTreeMap<String, Vec<String>>,
    pub(crate) faults: Vec<StreamFault>,
    pub(crate) failures: Vec<ManagedFailure>,
}

impl Reader {
    fn tell(&mut self, target: &str, raw: &str) {
        let (_, told) = raw.split_once("\"subscription\":").expect("every notification says it");
        let told = told.trim_start_matches(|digit: char| digit.is_ascii_digit());
        self.told.entry(target.to_owned()).or_default().push(told.to_owned());
    }
}

impl Caller<SubscriptionMachine> for Reader {
    fn event(&mut self, event: SubscriptionNotification, _board: &mut Board) {
        match event {
            SubscriptionNotification::Transaction(one) => self.tell(one.target(), one.raw()),
            SubscriptionNotification::AccountDiff(one) => self.tell(one.target(), one.raw()),
            SubscriptionNotification::Logs(one) => self.tell(one.target(), one.raw()),
            SubscriptionNotification::Fault(fault) => self.faults.push(fault),
            SubscriptionNotification::Failed(failure) => self.failures.push(failure),
            other => panic!("a notification of a kind that was not subscribed to: {other:?}"),
        }
    }

    fn request(&mut self, _board: &Board) -> Option<std::convert::Infallible> {
        None
    }

    fn wants_close(&mut self, _board: &Board) -> bool {
        false
    }
}

/// A continue that can be told from every other.
pub(crate) fn go_on(mark: &str, count: u64) -> ControlRequest {
    ControlRequest::Continue(ContinueParams {
        advance_count: count,
        transactions: vec![mark.to_owned()],
        ..ContinueParams::default()
    })
}

pub(crate) fn go_to(slot: u64, batch_index: Option<u32>) -> ControlRequest {
    ControlRequest::ContinueTo(ContinueToParams {
        slot,
        batch_index,
        request_id: None,
    })
}
