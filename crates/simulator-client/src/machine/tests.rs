//! The conversation against scripted peers, without a runtime.

use proptest::prelude::*;
use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, BacktestStatus, Capability, ContinueParams, PausedEvent,
    SequencedResponse,
};

use super::*;

const READY: BacktestResponse = BacktestResponse::ReadyForContinue;
const EXECUTED: BacktestStatus = BacktestStatus::ExecutedBlockTransactions;

fn slot(slot: u64) -> BacktestResponse {
    BacktestResponse::SlotNotification(slot)
}

fn simulation_error() -> BacktestResponse {
    BacktestError::SimulationError { error: "x".into() }.into()
}

fn conversation() -> Conversation {
    Conversation::creating(100, "t".into())
}

fn hear(conversation: &mut Conversation, events: impl IntoIterator<Item = BacktestResponse>) {
    for event in events {
        conversation
            .handle_message(&serde_json::to_string(&event).unwrap())
            .unwrap();
    }
}

fn hear_numbered(conversation: &mut Conversation, number: u64, event: BacktestResponse) -> Result<(), ProtocolError> {
    let event = SequencedResponse {
        seq_id: Some(number),
        ..event.into()
    };
    conversation.handle_message(&serde_json::to_string(&event).unwrap())
}

fn send_continue(conversation: &mut Conversation) {
    conversation.on_sent(&BacktestRequest::Continue(ContinueParams::default()));
}

fn readiness(conversation: &mut Conversation) -> Option<Readiness> {
    conversation.take_readiness(&mut Scan::default())
}

fn rest(conversation: &mut Conversation) -> Vec<BacktestResponse> {
    std::iter::from_fn(|| conversation.next_event())
        .map(|delivery| delivery.event.response)
        .collect()
}

#[test]
fn w11_waiting_for_readiness_leaves_every_other_event_in_order() {
    let mut conversation = conversation();
    hear(&mut conversation, [slot(1), EXECUTED.into(), simulation_error()]);
    assert_eq!(readiness(&mut conversation), None);
    hear(&mut conversation, [READY, slot(2)]);
    // A slot after `ready` shows that the session runs on.
    assert_eq!(readiness(&mut conversation), None);
    hear(&mut conversation, [READY]);
    assert_eq!(readiness(&mut conversation), Some(Readiness::Ready));
    assert_eq!(
        rest(&mut conversation),
        [slot(1), EXECUTED.into(), simulation_error(), READY, slot(2)]
    );
}

#[test]
fn w11_waiting_for_a_status_leaves_every_other_event_in_order() {
    let mut conversation = conversation();
    let paused = BacktestResponse::Paused(PausedEvent {
        slot: 1,
        batch_index: Some(0),
    });
    hear(&mut conversation, [slot(1), paused.clone(), EXECUTED.into(), READY]);
    let reply = conversation.take_reply(&Wait::Status(EXECUTED), &mut Scan::default());
    assert_eq!(reply, Some(Reply::Answer(EXECUTED.into())));
    assert_eq!(rest(&mut conversation), [slot(1), paused, READY]);
}

#[test]
fn w41_a_replayed_success_is_not_the_answer() {
    let mut conversation = Conversation::attaching(None, 100, "t".into());
    conversation.on_sent(&BacktestRequest::ResumeAttachedSession);
    let replayed = SequencedResponse {
        replayed: true,
        ..BacktestResponse::Success.into()
    };
    conversation
        .handle_message(&serde_json::to_string(&replayed).unwrap())
        .unwrap();
    let mut scan = Scan::default();
    assert_eq!(conversation.take_reply(&Wait::Resumed, &mut scan), None);
    hear(&mut conversation, [BacktestResponse::Success]);
    assert!(matches!(
        conversation.take_reply(&Wait::Resumed, &mut scan),
        Some(Reply::Answer(_))
    ));
    assert_eq!(rest(&mut conversation), [BacktestResponse::Success]);
}

#[test]
fn w41_a_wait_for_a_reply_ignores_what_came_before_the_request() {
    let mut conversation = conversation();
    hear(&mut conversation, [BacktestResponse::Success]);
    conversation.on_sent(&BacktestRequest::ResumeAttachedSession);
    let mut scan = Scan::default();
    assert_eq!(conversation.take_reply(&Wait::Resumed, &mut scan), None);
    hear(&mut conversation, [slot(1), BacktestResponse::Success]);
    let reply = conversation.take_reply(&Wait::Resumed, &mut scan);
    assert_eq!(reply, Some(Reply::Answer(BacktestResponse::Success)));
    assert_eq!(rest(&mut conversation), [BacktestResponse::Success, slot(1)]);
}

#[test]
fn events_of_an_earlier_step_are_marked() {
    let mut conversation = conversation();
    hear(&mut conversation, [slot(1), READY]);
    send_continue(&mut conversation);
    hear(&mut conversation, [slot(2)]);
    let steps: Vec<bool> = std::iter::from_fn(|| conversation.next_event())
        .map(|delivery| delivery.is_of_current_step)
        .collect();
    assert_eq!(steps, [false, false, true]);
}

#[test]
fn an_unread_ready_of_an_earlier_step_is_not_readiness() {
    let mut conversation = conversation();
    hear(&mut conversation, [READY]);
    send_continue(&mut conversation);
    assert_eq!(readiness(&mut conversation), None);
    hear(&mut conversation, [slot(2), READY]);
    assert_eq!(readiness(&mut conversation), Some(Readiness::Ready));
    assert_eq!(rest(&mut conversation), [READY, slot(2)]);
}

#[test]
fn a_session_is_ready_once_the_caller_has_read_so() {
    let mut conversation = conversation();
    hear(&mut conversation, [slot(1), READY]);
    assert!(!conversation.is_ready_for_continue());
    conversation.next_event();
    assert!(!conversation.is_ready_for_continue());
    conversation.next_event();
    assert!(conversation.is_ready_for_continue());
    send_continue(&mut conversation);
    assert!(!conversation.is_ready_for_continue());
}

#[test]
fn the_end_of_the_range_is_never_taken_by_a_wait() {
    let mut conversation = conversation();
    let completed = BacktestResponse::Completed {
        summary: None,
        agent_stats: None,
    };
    hear(&mut conversation, [completed.clone()]);
    assert_eq!(readiness(&mut conversation), Some(Readiness::Completed));
    let reply = conversation.take_reply(&Wait::Status(EXECUTED), &mut Scan::default());
    assert_eq!(reply, Some(Reply::Refusal(completed.clone())));
    assert_eq!(rest(&mut conversation), [completed]);
    assert_eq!(readiness(&mut conversation), Some(Readiness::Completed));
}

#[test]
fn an_error_ends_a_wait_once_and_a_terminal_one_for_good() {
    let mut conversation = conversation();
    let rejected = BacktestError::InvalidRequest { error: "no".into() };
    send_continue(&mut conversation);
    hear(&mut conversation, [rejected.clone().into()]);
    assert_eq!(readiness(&mut conversation), Some(Readiness::Failed(rejected)));
    assert_eq!(readiness(&mut conversation), Some(Readiness::Ready));
    hear(&mut conversation, [BacktestError::NoMoreBlocks.into()]);
    for _ in 0..2 {
        assert_eq!(
            readiness(&mut conversation),
            Some(Readiness::Failed(BacktestError::NoMoreBlocks))
        );
    }
    assert!(rest(&mut conversation).is_empty());
}

#[test]
fn duplicates_are_dropped_and_a_gap_is_reported_without_losing_its_event() {
    let mut conversation = Conversation::attaching(Some(3), 100, "t".into());
    hear_numbered(&mut conversation, 3, slot(3)).unwrap();
    hear_numbered(&mut conversation, 4, slot(4)).unwrap();
    let gap = hear_numbered(&mut conversation, 6, slot(6)).unwrap_err();
    assert!(
        matches!(
            gap,
            ProtocolError::Gap {
                expected: 5,
                received: 6
            }
        ),
        "{gap:?}"
    );
    assert_eq!(gap.to_string(), "events 5 to 5 are missing");
    assert_eq!(rest(&mut conversation), [slot(4), slot(6)]);
}

#[test]
fn the_last_sequence_is_that_of_the_last_event_that_was_read() {
    let mut conversation = conversation();
    assert_eq!(conversation.last_sequence(), None);
    for number in 1..=3 {
        hear_numbered(&mut conversation, number, slot(number)).unwrap();
    }
    assert_eq!(conversation.last_sequence(), Some(0));
    conversation.next_event();
    assert_eq!(conversation.last_sequence(), Some(1));
    rest(&mut conversation);
    assert_eq!(conversation.last_sequence(), Some(3));
}

#[test]
fn what_cannot_be_decoded_is_an_error_with_its_text() {
    let mut conversation = conversation();
    let error = conversation.handle_message("{").unwrap_err();
    assert!(
        matches!(&error, ProtocolError::Decode { raw, .. } if raw == "{"),
        "{error:?}"
    );
    hear(&mut conversation, [slot(1)]);
    assert_eq!(rest(&mut conversation), [slot(1)]);
}

#[test]
fn an_unknown_message_is_an_event() {
    let mut conversation = conversation();
    conversation
        .handle_message(r#"{"method": "weather", "params": 3}"#)
        .unwrap();
    let events = rest(&mut conversation);
    assert!(matches!(&events[..], [BacktestResponse::Unknown(message)] if message.method() == "weather"));
}

#[test]
fn request_ids_need_the_capability() {
    let created = |capabilities: &str| {
        format!(
            r#"{{"method": "sessionCreated", "params": {{"session_id": "backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011",
            "rpc_endpoint": "/x", "capabilities": {capabilities}}}}}"#
        )
    };
    let mut conversation = conversation();
    conversation.handle_message(&created(r#"["cursor"]"#)).unwrap();
    assert_eq!(conversation.assign_request_id(None), None);
    conversation
        .handle_message(&created(r#"["cursor", "requestId"]"#))
        .unwrap();
    assert_eq!(conversation.capabilities(), [Capability::Cursor, Capability::RequestId]);
    assert_eq!(conversation.assign_request_id(None).unwrap().as_str(), "t-1");
}

#[test]
fn the_excess_of_a_conversation_that_ends_is_dropped() {
    let mut conversation = Conversation::creating(1, "t".into());
    conversation.on_sent(&BacktestRequest::CloseBacktestSession);
    let mut scan = Scan::default();
    for number in 0..3 {
        hear(&mut conversation, [slot(number)]);
        assert_eq!(conversation.take_reply(&Wait::Closed, &mut scan), None);
        assert_eq!(conversation.drop_excess(&mut scan), usize::from(number > 0));
    }
    hear(&mut conversation, [BacktestResponse::Success]);
    assert!(matches!(
        conversation.take_reply(&Wait::Closed, &mut scan),
        Some(Reply::Answer(_))
    ));
    assert_eq!(rest(&mut conversation), [slot(0)]);
}

/// One thing that happens to a conversation.
#[derive(Clone, Debug)]
enum Happening {
    Event(BacktestResponse),
    Read,
    WaitUntilReady,
    WaitForStatus,
    Continue,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => prop_oneof![
            Just(READY),
            Just(simulation_error()),
            Just(EXECUTED.into()),
            Just(BacktestResponse::Paused(PausedEvent { slot: 1, batch_index: None })),
            Just(BacktestResponse::Success),
        ].prop_map(Happening::Event),
        2 => Just(Happening::Read),
        1 => Just(Happening::WaitUntilReady),
        1 => Just(Happening::WaitForStatus),
        1 => Just(Happening::Continue),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Every event is read exactly once and in order, except the one that a wait was for.
    #[test]
    fn a_wait_takes_one_event_and_disturbs_no_other(happenings in prop::collection::vec(happening(), 0..60)) {
        let mut conversation = conversation();
        // The events that a reader should still see, in order; without the one that a wait took.
        let mut expected: Vec<BacktestResponse> = Vec::new();
        for happening in happenings {
            match happening {
                Happening::Event(event) => {
                    hear(&mut conversation, [event.clone()]);
                    expected.push(event);
                }
                Happening::Read => {
                    let read = conversation.next_event().map(|delivery| delivery.event.response);
                    prop_assert_eq!(read.as_ref(), expected.first());
                    expected.drain(..usize::from(read.is_some()));
                }
                Happening::WaitUntilReady => {
                    let before = expected.len();
                    let found = readiness(&mut conversation);
                    expected = same_but_one(&conversation, expected);
                    prop_assert!(before - expected.len() <= usize::from(found.is_some()));
                }
                Happening::WaitForStatus => {
                    let found = conversation.take_reply(&Wait::Status(EXECUTED), &mut Scan::default());
                    let before = expected.len();
                    expected = same_but_one(&conversation, expected);
                    prop_assert_eq!(before - expected.len(), usize::from(found.is_some()));
                }
                Happening::Continue => send_continue(&mut conversation),
            }
        }
        prop_assert_eq!(rest(&mut conversation), expected);
    }
}

/// What is unread, after checking that it is `before` with at most one event taken out.
fn same_but_one(conversation: &Conversation, mut before: Vec<BacktestResponse>) -> Vec<BacktestResponse> {
    let unread: Vec<BacktestResponse> = conversation.unread_events().cloned().collect();
    let first_difference = before
        .iter()
        .zip(&unread)
        .take_while(|(left, right)| left == right)
        .count();
    if unread.len() < before.len() {
        before.remove(first_difference);
    }
    assert_eq!(before, unread);
    unread
}
