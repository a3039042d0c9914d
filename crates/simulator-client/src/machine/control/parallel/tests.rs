//! The conversation of several sessions, with a peer that is played by hand.

use std::time::{Duration, Instant};

use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, Capability, ControlSessionId, ParallelSessionAttachedV2,
    SequencedResponse, SessionEventKind, SessionEventV1, SessionEventV2, SessionId, SessionOpened, SessionsCreated,
    SessionsCreatedV2,
};

use super::*;
use crate::machine::control::tests::support::{
    COMPLETED, READY, SETTLE, advance, busy, config, go_to, id, shown_event, simulation_error, slot,
};
use crate::machine::control::{AfterCompletion, ControlConfig};
use crate::machine::{Ending, Machine, Message, Standing};
use crate::managed::{ConnectionError, ManagedFailure};

const IDS: [Capability; 1] = [Capability::RequestId];

/// A machine and the time.
struct Player {
    machine: ParallelMachine,
    now: Instant,
}

fn a() -> SessionId {
    SessionId::from_random_bytes([1; 16])
}

fn b() -> SessionId {
    SessionId::from_random_bytes([2; 16])
}

fn control_id() -> ControlSessionId {
    ControlSessionId::from_random_bytes([9; 16])
}

fn announced(id: SessionId) -> BacktestResponse {
    BacktestResponse::SessionCreated(SessionOpened {
        session_id: id,
        rpc_endpoint: format!("/backtest/{id}"),
        task_id: Some("early".into()),
        session_name: None,
        capabilities: Vec::new(),
    })
}

fn listed(capabilities: &[Capability]) -> BacktestResponse {
    BacktestResponse::SessionsCreatedV2(SessionsCreatedV2 {
        control_session_id: control_id(),
        session_ids: vec![a(), b()],
        task_ids: vec![None, Some("late".into())],
        start_slots: vec![1, 5],
        end_slots: vec![4, 9],
        control_session_name: None,
        capabilities: capabilities.to_vec(),
    })
}

fn attached(ids: &[SessionId]) -> BacktestResponse {
    BacktestResponse::ParallelSessionAttachedV2(ParallelSessionAttachedV2 {
        control_session_id: control_id(),
        session_ids: ids.to_vec(),
        task_ids: Vec::new(),
        capabilities: IDS.to_vec(),
    })
}

/// An event of one session in its envelope.
fn of(id: SessionId, number: u64, event: impl Into<BacktestResponse>) -> SequencedResponse {
    BacktestResponse::SessionEventV2(SessionEventV2 {
        session_id: id,
        seq_id: number,
        event: SessionEventKind::try_from(event.into()).unwrap(),
    })
    .into()
}

/// The same with the request that led to it.
fn echo(session: SessionId, number: u64, request: &str, event: impl Into<BacktestResponse>) -> SequencedResponse {
    SequencedResponse {
        request_id: Some(id(request)),
        ..of(session, number, event)
    }
}

fn go_on(session: SessionId) -> ParallelRequest {
    ParallelRequest::Session(session, advance(1))
}

fn invalid_request() -> BacktestError {
    BacktestError::InvalidRequest { error: "x".into() }
}

impl Player {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the beginning of a test's time"
    )]
    fn new(config: ControlConfig) -> Self {
        Self {
            machine: ParallelMachine::new(config),
            now: Instant::now(),
        }
    }

    fn creating() -> Self {
        let mut player = Self::new(config());
        player.machine.handle_connected(player.now);
        assert!(matches!(player.sent()[..], [BacktestRequest::CreateBacktestSession(_)]));
        player
    }

    /// Two sessions that wait; the last event of each has the number 1.
    fn ready(capabilities: &[Capability]) -> Self {
        Self::ready_with(config(), capabilities)
    }

    fn ready_with(config: ControlConfig, capabilities: &[Capability]) -> Self {
        let mut player = Self::new(config);
        player.machine.handle_connected(player.now);
        player.sent();
        for id in [a(), b()] {
            player.hear(announced(id));
            player.hear(of(id, 1, READY));
        }
        player.hear(listed(capabilities));
        assert_eq!(player.told(), ["opened", "a ready", "b ready"]);
        player
    }

    fn hear(&mut self, event: impl Into<SequencedResponse>) {
        let text = serde_json::to_string(&event.into()).unwrap();
        self.hear_text(&text);
    }

    fn hear_text(&mut self, text: &str) {
        let message = Message::Text(text.to_owned().into());
        self.machine.handle_message(message, self.now);
    }

    fn ask(&mut self, request: ParallelRequest) {
        assert!(self.machine.accepts_request());
        self.machine.handle_request(request, self.now);
    }

    /// Loses the connection and attaches on another one. Returns the cursors that were asked for.
    fn reattach(&mut self, ids: &[SessionId]) -> Vec<(SessionId, u64)> {
        self.machine.handle_disconnected(self.now);
        self.machine.handle_connected(self.now);
        let sent = self.sent();
        let [BacktestRequest::AttachParallelControlSessionV2(attach)] = &sent[..] else {
            panic!("{sent:?}")
        };
        assert_eq!(attach.control_session_id, control_id());
        let cursors = attach.last_sequences.iter().map(|(id, last)| (*id, *last)).collect();
        self.hear(attached(ids));
        cursors
    }

    fn sent(&mut self) -> Vec<BacktestRequest> {
        let texts = std::iter::from_fn(|| self.machine.poll_transmit());
        texts.map(|text| BacktestRequest::from_json(&text).unwrap()).collect()
    }

    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.machine.poll_event())
            .map(|output| shown(&output))
            .collect()
    }

    /// Lets time pass, with timeouts on the way.
    fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.machine.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn is_finished(&self) -> bool {
        matches!(self.machine.standing(), Standing::Over(Ending::Finished))
    }
}

fn shown(output: &ParallelOutput) -> String {
    let name = |id: &SessionId| if *id == a() { "a" } else { "b" };
    match output {
        ParallelOutput::Opened(_) => "opened".to_owned(),
        ParallelOutput::Session(id, event) => format!("{} {}", name(id), shown_event(event)),
        ParallelOutput::Ended(id, PartEnd::Finished) => format!("{} finished", name(id)),
        ParallelOutput::Ended(id, PartEnd::Failed(_)) => format!("{} failed", name(id)),
        ParallelOutput::Event(event) => shown_event(event),
    }
}

/// The session and the id of a continue.
fn continued(request: &BacktestRequest) -> (SessionId, Option<String>) {
    match request {
        BacktestRequest::ContinueSessionV1(request) => {
            let id = request.request.request_id.as_ref();
            (request.session_id, id.map(ToString::to_string))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_server_says_about_the_sessions_is_told_once() {
    let mut player = Player::creating();
    player.hear(announced(b()));
    player.hear(announced(a()));
    player.hear(listed(&IDS));
    let Some(ParallelOutput::Opened(info)) = player.machine.poll_event() else {
        panic!("not opened")
    };
    assert_eq!(info.control_session_id, Some(control_id()));
    let said: Vec<_> = info.sessions.iter().map(|part| (part.id, part.slots.clone())).collect();
    assert_eq!(said, [(a(), Some(1..=4)), (b(), Some(5..=9))]);
    let first = &info.sessions[0].session;
    assert_eq!(first.rpc_endpoint, format!("https://h:8900/backtest/{}", a()));
    assert_eq!(first.task_id.as_deref(), Some("early"));
    assert_eq!(info.sessions[1].session.task_id.as_deref(), Some("late"));
    assert!(matches!(player.machine.standing(), Standing::Up));
}

#[test]
fn each_session_has_numbers_of_its_own() {
    let mut player = Player::ready(&IDS);
    for (session, number) in [(a(), 2), (b(), 2), (a(), 2), (a(), 4), (b(), 3)] {
        player.hear(of(session, number, slot(number)));
    }
    assert_eq!(
        player.told(),
        ["a slot 2", "b slot 2", "a gap 3 4", "a slot 4", "b slot 3"]
    );
    assert_eq!(player.reattach(&[a(), b()]), [(a(), 4), (b(), 3)]);
    player.hear(of(a(), 4, slot(4)));
    player.hear(of(b(), 4, slot(4)));
    assert_eq!(player.told(), ["b slot 4"]);
    assert_eq!(player.machine.counts().duplicates, 2);
}

#[test]
fn requests_are_sent_again_to_the_session_that_has_not_taken_them() {
    let mut player = Player::ready(&IDS);
    player.ask(go_on(a()));
    player.ask(go_on(b()));
    let first = player.sent();
    assert_eq!(first.len(), 2);
    let (session, request) = continued(&first[0]);
    player.hear(echo(session, 2, &request.unwrap(), slot(2)));
    player.reattach(&[a(), b()]);
    assert_eq!(player.sent(), first[1..], "with the same id, and only to the other one");
}

#[test]
fn without_ids_the_silence_of_each_session_counts() {
    let mut player = Player::ready(&[]);
    player.ask(go_on(a()));
    player.ask(ParallelRequest::Session(b(), go_to(9)));
    assert_eq!(player.sent().len(), 2);
    player.reattach(&[a(), b()]);
    assert_eq!(player.sent(), []);
    player.wait(SETTLE / 2);
    // One that goes on talking does not keep the other one from being asked again.
    player.hear(of(b(), 2, slot(6)));
    player.wait(SETTLE / 2);
    let sent = player.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(continued(&sent[0]), (a(), None));
}

#[test]
fn many_requests_to_one_session_do_not_hold_up_another() {
    let mut player = Player::ready(&IDS);
    for _ in 0..10 {
        player.ask(go_on(a()));
    }
    player.ask(go_on(b()));
    let sent: Vec<_> = player.sent().iter().map(|request| continued(request).0).collect();
    assert_eq!(sent, [a(), b(), a()], "two at a time, and each in its turn");
    player.hear(echo(a(), 2, "p-2", READY));
    assert_eq!(player.sent().len(), 2);
    for _ in 0..300 {
        if player.machine.accepts_request() {
            player.ask(go_on(b()));
        }
    }
    assert!(!player.machine.accepts_request(), "what waits is bounded");
}

#[test]
fn one_session_is_closed_and_the_other_goes_on() {
    let mut player = Player::ready(&IDS);
    player.ask(ParallelRequest::Close(a()));
    let [BacktestRequest::CloseSessionV1(close)] = player.sent()[..] else {
        panic!("no close")
    };
    assert_eq!(close.session_id, a());
    player.hear(of(a(), 2, slot(2)));
    assert_eq!(player.told(), [""; 0], "its caller wants nothing more of it");
    player.reattach(&[a(), b()]);
    assert!(
        matches!(player.sent()[..], [BacktestRequest::CloseSessionV1(_)]),
        "it is asked again"
    );
    player.hear(of(a(), 3, BacktestResponse::Success));
    assert_eq!(player.told(), ["a finished"]);
    player.hear(of(b(), 2, BacktestResponse::Success));
    assert_eq!(player.told(), [""; 0], "which answers nothing");
    player.ask(ParallelRequest::Close(b()));
    player.sent();
    player.reattach(&[]);
    assert_eq!(player.told(), ["b finished"], "what is not listed is closed");
    assert_eq!(player.sent(), [BacktestRequest::CloseBacktestSession]);
}

#[test]
fn a_session_that_is_gone_has_failed() {
    let mut player = Player::ready(&IDS);
    let session_id = a().to_string();
    player.hear(of(a(), 2, BacktestError::SessionNotFound { session_id }));
    assert_eq!(player.told().last().unwrap(), "a failed");
    player.reattach(&[]);
    assert_eq!(player.told(), ["b failed"]);
}

#[test]
fn the_end_of_the_last_session_is_the_end() {
    for (after_completion, closes) in [(AfterCompletion::Close, true), (AfterCompletion::Wait, false)] {
        let mut player = Player::ready_with(
            ControlConfig {
                after_completion,
                ..config()
            },
            &IDS,
        );
        player.hear(of(a(), 2, COMPLETED));
        assert_eq!(player.told(), ["a completed", "a finished"]);
        assert_eq!(player.sent(), []);
        player.hear(of(b(), 2, COMPLETED));
        assert_eq!(player.told(), ["b completed", "b finished"]);
        if !closes {
            assert_eq!(player.sent(), []);
            player.machine.handle_close(player.now);
        }
        assert_eq!(player.sent(), [BacktestRequest::CloseBacktestSession]);
        player.hear(BacktestResponse::Success);
        assert!(player.is_finished());
    }
}

#[test]
fn w34_a_session_that_ends_with_an_error_has_ended() {
    let mut player = Player::ready(&IDS);
    let failed = || BacktestError::AdvanceSlotFailed {
        slot: 3,
        error: "x".into(),
    };
    player.hear(of(a(), 2, failed()));
    let told = player.told();
    assert_eq!(told.last().unwrap(), "a failed");
    assert_eq!(told.len(), 2, "the error itself comes first: {told:?}");
    player.hear(of(b(), 2, simulation_error()));
    player.hear(of(b(), 3, invalid_request()));
    assert_eq!(player.told(), ["b simulation error", "b invalid request"]);
    player.hear(of(b(), 4, COMPLETED));
    assert_eq!(player.told(), ["b completed", "b finished"]);
    assert_eq!(player.sent(), [BacktestRequest::CloseBacktestSession]);
}

#[test]
fn w35_a_repeated_create_begins_with_nothing() {
    let mut player = Player::creating();
    let other = SessionId::from_random_bytes([3; 16]);
    player.hear(announced(other));
    player.hear(of(other, 1, READY));
    player.machine.handle_disconnected(player.now);
    assert_eq!(
        player.told(),
        [""; 0],
        "nobody knows of sessions that may be others next time"
    );
    player.machine.handle_connected(player.now);
    let [BacktestRequest::CreateBacktestSession(create)] = &player.sent()[..] else {
        panic!("no create")
    };
    assert_eq!(create.create_token.as_deref(), Some("token"));
    player.hear(announced(a()));
    player.hear(of(a(), 1, READY));
    player.hear(listed(&IDS));
    assert_eq!(player.told(), ["opened", "a ready"]);
    player.hear(of(a(), 2, COMPLETED));
    player.hear(of(b(), 1, COMPLETED));
    assert_eq!(
        player.sent(),
        [BacktestRequest::CloseBacktestSession],
        "only the new ones count"
    );
}

#[test]
fn w36_an_event_before_its_session_is_announced_is_told() {
    let mut player = Player::creating();
    player.hear(of(b(), 1, slot(5)));
    player.hear(announced(b()));
    player.hear(of(a(), 1, slot(1)));
    player.hear(of(b(), 2, READY));
    player.hear(announced(a()));
    player.hear(listed(&IDS));
    assert_eq!(player.told(), ["opened", "b slot 5", "a slot 1", "b ready"]);
    assert_eq!(player.reattach(&[a(), b()]), [(a(), 1), (b(), 2)]);
}

#[test]
fn w37_a_session_goes_on_to_a_position() {
    let mut player = Player::ready(&IDS);
    player.ask(ParallelRequest::Session(b(), go_to(7)));
    let [BacktestRequest::ContinueToSessionV1(request)] = &player.sent()[..] else {
        panic!("no request")
    };
    assert_eq!((request.session_id, request.request.slot), (b(), 7));
    assert!(request.request.request_id.is_some());
}

#[test]
fn events_may_come_before_the_answer_to_an_attach() {
    let mut player = Player::ready(&IDS);
    player.machine.handle_disconnected(player.now);
    player.machine.handle_connected(player.now);
    player.hear(of(a(), 2, slot(2)));
    assert_eq!(player.told(), ["a slot 2"]);
    player.hear(attached(&[a(), b()]));
    assert!(matches!(player.machine.standing(), Standing::Up));
    player.machine.handle_disconnected(player.now);
    player.machine.handle_connected(player.now);
    player.hear(BacktestResponse::from(busy()));
    assert!(matches!(player.machine.standing(), Standing::Retry(_)));
    player.machine.handle_disconnected(player.now);
    player.machine.handle_connected(player.now);
    let session_id = control_id().to_string();
    player.hear(BacktestResponse::from(BacktestError::SessionNotFound { session_id }));
    assert!(matches!(player.machine.standing(), Standing::Over(Ending::Failed(_))));
}

#[test]
fn the_older_form_has_no_numbers_and_no_way_back() {
    let mut player = Player::creating();
    player.hear(announced(a()));
    player.hear(BacktestResponse::SessionsCreated(SessionsCreated {
        session_ids: vec![a()],
    }));
    for _ in 0..2 {
        player.hear(BacktestResponse::SessionEventV1(SessionEventV1 {
            session_id: a(),
            event: SessionEventKind::SlotNotification(1),
        }));
    }
    assert_eq!(player.told(), ["opened", "a slot 1", "a slot 1"]);
    player.machine.handle_disconnected(player.now);
    assert!(matches!(
        player.machine.standing(),
        Standing::Over(Ending::Failed(ManagedFailure::Permanent(ConnectionError::NotResumable)))
    ));
}

#[test]
fn what_cannot_be_read_is_told_of_the_session_that_it_names() {
    let mut player = Player::ready(&IDS);
    let text = format!(
        r#"{{"method":"sessionEventV2","params":{{"session_id":"{}","seq_id":2,"event":{{"method":"slotNotification","params":"x"}}}}}}"#,
        a()
    );
    player.hear_text(&text);
    player.hear_text("{");
    player.hear(of(a(), 3, slot(3)));
    assert_eq!(
        player.told(),
        [
            format!("a undecodable {text}"),
            "undecodable {".to_owned(),
            "a slot 3".to_owned()
        ]
    );
}

#[test]
fn what_sessions_may_say_before_they_are_listed_is_bounded() {
    let mut player = Player::creating();
    let mut number = 0;
    while matches!(player.machine.standing(), Standing::Opening) && number < 20_000 {
        number += 1;
        player.hear(of(a(), number, slot(number)));
        if !player.sent().is_empty() {
            break;
        }
    }
    assert!((16_000..20_000).contains(&number), "{number}");
}
