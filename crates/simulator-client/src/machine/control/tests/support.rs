//! A peer that is played by hand.

use std::time::{Duration, Instant};

use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, Capability, ContinueParams, ContinueToParams,
    CreateBacktestSessionRequest, CreateSessionParams, PausedEvent, RequestId, SequencedResponse, SessionId,
    SessionOpened,
};
use url::Url;

pub(super) use crate::machine::control::{
    AfterCompletion, ControlConfig, ControlMachine, ControlOutput, ControlRequest,
};
pub(super) use crate::machine::{Ending, Machine, Message, Standing};
pub(super) use crate::managed::{ConnectionError, ControlEvent, ManagedFailure, StreamFault};

pub(in crate::machine::control) const READY: BacktestResponse = BacktestResponse::ReadyForContinue;
pub(in crate::machine::control) const COMPLETED: BacktestResponse = BacktestResponse::Completed {
    summary: None,
    agent_stats: None,
};

/// Longest silence in a handshake.
pub(super) const RESPONSE: Duration = Duration::from_secs(120);
/// Longest handshake.
pub(super) const TOTAL: Duration = Duration::from_secs(900);
/// Silence before a request is sent again.
pub(in crate::machine::control) const SETTLE: Duration = Duration::from_secs(5);

/// A machine and the time.
pub(super) struct Player {
    pub(super) machine: ControlMachine,
    pub(super) now: Instant,
}

pub(in crate::machine::control) fn config() -> ControlConfig {
    let request = CreateSessionParams {
        start_slot: 1,
        end_slot: 9,
        ..CreateSessionParams::default()
    };
    ControlConfig {
        control_url: Url::parse("wss://h:8900/backtest").unwrap(),
        create: CreateBacktestSessionRequest {
            request,
            parallel: false,
            name: None,
            create_token: Some("token".into()),
        },
        request_id_prefix: "p".into(),
        after_completion: AfterCompletion::Close,
        handshake_response_timeout: RESPONSE,
        handshake_total_timeout: TOTAL,
        resend_settle_time: SETTLE,
    }
}

pub(super) fn session_id() -> SessionId {
    SessionId::from_random_bytes([7; 16])
}

pub(super) fn opened(capabilities: &[Capability]) -> SessionOpened {
    SessionOpened {
        session_id: session_id(),
        rpc_endpoint: format!("/backtest/{}", session_id()),
        task_id: None,
        session_name: None,
        capabilities: capabilities.to_vec(),
    }
}

pub(in crate::machine::control) fn slot(slot: u64) -> BacktestResponse {
    BacktestResponse::SlotNotification(slot)
}

pub(super) fn position(slot: u64, batch_index: Option<u32>) -> PausedEvent {
    PausedEvent { slot, batch_index }
}

pub(super) fn paused(slot: u64) -> BacktestResponse {
    BacktestResponse::Paused(position(slot, None))
}

pub(in crate::machine::control) fn simulation_error() -> BacktestError {
    BacktestError::SimulationError { error: "x".into() }
}

pub(super) fn invalid_request() -> BacktestError {
    BacktestError::InvalidRequest { error: "x".into() }
}

pub(in crate::machine::control) fn busy() -> BacktestError {
    BacktestError::SessionOwnershipBusy { reason: "x".into() }
}

pub(super) fn not_found() -> BacktestError {
    let session_id = session_id().to_string();
    BacktestError::SessionNotFound { session_id }
}

pub(in crate::machine::control) fn advance(advance_count: u64) -> ControlRequest {
    ControlRequest::Continue(ContinueParams {
        advance_count,
        ..ContinueParams::default()
    })
}

pub(in crate::machine::control) fn go_to(slot: u64) -> ControlRequest {
    ControlRequest::ContinueTo(ContinueToParams {
        slot,
        batch_index: None,
        request_id: None,
    })
}

pub(in crate::machine::control) fn id(text: &str) -> RequestId {
    RequestId::new(text).unwrap()
}

/// An event as text, with a number.
pub(in crate::machine::control) fn numbered(number: u64, event: impl Into<BacktestResponse>) -> SequencedResponse {
    SequencedResponse {
        seq_id: Some(number),
        ..event.into().into()
    }
}

/// An event with a number that a request led to.
pub(in crate::machine::control) fn echoing(
    number: u64,
    request_id: &str,
    event: impl Into<BacktestResponse>,
) -> SequencedResponse {
    SequencedResponse {
        request_id: Some(id(request_id)),
        ..numbered(number, event)
    }
}

impl Player {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the beginning of a test's time"
    )]
    pub(super) fn new(config: ControlConfig) -> Self {
        Self {
            machine: ControlMachine::new(config),
            now: Instant::now(),
        }
    }

    /// A session that was created by a server with these capabilities, and has said nothing yet.
    pub(super) fn created(config: ControlConfig, capabilities: &[Capability]) -> Self {
        let mut player = Self::new(config);
        player.connect();
        assert!(matches!(player.sent()[..], [BacktestRequest::CreateBacktestSession(_)]));
        player.hear(BacktestResponse::SessionCreated(opened(capabilities)));
        assert!(matches!(player.outputs()[..], [ControlOutput::Opened(_)]));
        player
    }

    /// A session of a server without request ids that waits; the last event has the number 1.
    pub(super) fn ready() -> Self {
        let mut player = Self::created(config(), &[]);
        player.hear(numbered(1, READY));
        player.events();
        player
    }

    /// As [`ready`](Self::ready), with request ids.
    pub(super) fn ready_with_ids() -> Self {
        let mut player = Self::created(config(), &[Capability::RequestId]);
        player.hear(numbered(1, READY));
        player.events();
        player
    }

    pub(super) fn connect(&mut self) {
        self.machine.handle_connected(self.now);
    }

    pub(super) fn disconnect(&mut self) {
        self.machine.handle_disconnected(self.now);
    }

    pub(super) fn close(&mut self) {
        self.machine.handle_close(self.now);
    }

    pub(super) fn hear(&mut self, event: impl Into<SequencedResponse>) {
        let text = serde_json::to_string(&event.into()).unwrap();
        self.hear_text(&text);
    }

    pub(super) fn hear_text(&mut self, text: &str) {
        self.machine
            .handle_message(Message::Text(text.to_owned().into()), self.now);
    }

    pub(super) fn ask(&mut self, request: ControlRequest) {
        assert!(self.machine.accepts_request());
        self.machine.handle_request(request, self.now);
    }

    /// Lets time pass up to `duration`, with timeouts on the way.
    pub(super) fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.machine.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Loses the connection and attaches to the session on another one, up to the answer to the resume.
    pub(super) fn reattach(&mut self) {
        self.disconnect();
        self.connect();
        self.sent();
        self.hear(BacktestResponse::SessionAttached(opened(&[])));
        assert_eq!(self.sent(), [BacktestRequest::ResumeAttachedSession]);
        self.hear(BacktestResponse::Success);
        assert!(self.is_up());
    }

    pub(super) fn sent(&mut self) -> Vec<BacktestRequest> {
        let texts = std::iter::from_fn(|| self.machine.poll_transmit());
        texts.map(|text| BacktestRequest::from_json(&text).unwrap()).collect()
    }

    pub(super) fn outputs(&mut self) -> Vec<ControlOutput> {
        std::iter::from_fn(|| self.machine.poll_event()).collect()
    }

    /// The events, as text that can be compared.
    pub(super) fn events(&mut self) -> Vec<String> {
        self.outputs().iter().map(shown).collect()
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.machine.standing(), Standing::Up)
    }

    pub(super) fn is_opening(&self) -> bool {
        matches!(self.machine.standing(), Standing::Opening)
    }

    pub(super) fn is_finished(&self) -> bool {
        matches!(self.machine.standing(), Standing::Over(Ending::Finished))
    }

    #[track_caller]
    pub(super) fn retry(&self) -> ConnectionError {
        match self.machine.standing() {
            Standing::Retry(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn failure(&self) -> ManagedFailure {
        match self.machine.standing() {
            Standing::Over(Ending::Failed(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }
}

/// An output in a few words.
fn shown(output: &ControlOutput) -> String {
    match output {
        ControlOutput::Opened(_) => "opened".into(),
        ControlOutput::Event(event) => shown_event(event),
    }
}

/// An event in a few words.
pub(in crate::machine::control) fn shown_event(event: &ControlEvent) -> String {
    match event {
        ControlEvent::ReadyForContinue => "ready".into(),
        ControlEvent::Slot(slot) => format!("slot {slot}"),
        ControlEvent::Paused(position) => format!("paused {}", position.slot),
        ControlEvent::Status(status) => status.to_string(),
        ControlEvent::Completed { .. } => "completed".into(),
        ControlEvent::Error(BacktestError::SimulationError { .. }) => "simulation error".into(),
        ControlEvent::Error(BacktestError::InvalidRequest { .. }) => "invalid request".into(),
        ControlEvent::Unknown(message) => format!("unknown {}", message.method()),
        ControlEvent::Fault(StreamFault::Gap { expected, received }) => {
            format!("gap {expected} {received}")
        }
        ControlEvent::Fault(StreamFault::Unnumbered) => "unnumbered".into(),
        ControlEvent::Fault(StreamFault::Uncertain) => "uncertain".into(),
        ControlEvent::Fault(StreamFault::Undecodable { raw, .. }) => format!("undecodable {raw}"),
        other => format!("{other:?}"),
    }
}
