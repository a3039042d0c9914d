//! Whatever happens, in whatever order.

use std::time::Duration;

use proptest::prelude::*;
use simulator_api::{BacktestError, BacktestResponse, BacktestStatus, Capability, SequencedResponse, SessionsCreated};

use super::support::*;

#[derive(Clone, Debug)]
enum Happening {
    Connect,
    Disconnect,
    Hear(SequencedResponse),
    HearText(&'static str),
    SignOfLife,
    Wait(Duration),
    Ask(ControlRequest),
    Close,
}

fn response() -> impl Strategy<Value = BacktestResponse> {
    prop_oneof![
        3 => Just(BacktestResponse::SessionCreated(opened(&[]))),
        3 => Just(BacktestResponse::SessionCreated(opened(&[Capability::RequestId]))),
        4 => Just(BacktestResponse::SessionAttached(opened(&[]))),
        5 => Just(BacktestResponse::Success),
        1 => Just(BacktestResponse::SessionsCreated(SessionsCreated { session_ids: vec![] })),
        6 => (0u64..9).prop_map(slot),
        6 => Just(READY),
        3 => (0u64..9).prop_map(paused),
        2 => Just(BacktestStatus::ExecutingBlockTransactions.into()),
        1 => Just(COMPLETED),
        1 => Just(BacktestError::NoMoreBlocks.into()),
        1 => Just(invalid_request().into()),
        1 => Just(simulation_error().into()),
        1 => Just(busy().into()),
        1 => Just(not_found().into()),
    ]
}

fn event() -> impl Strategy<Value = SequencedResponse> {
    let number = proptest::option::weighted(0.7, prop_oneof![20 => 0u64..40, 1 => Just(u64::MAX)]);
    (response(), number, proptest::option::of("p-[1-3]"), any::<bool>()).prop_map(
        |(response, seq_id, request_id, replayed)| SequencedResponse {
            seq_id,
            request_id: request_id.map(|text| id(&text)),
            replayed,
            response,
        },
    )
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => Just(Happening::Connect),
        3 => Just(Happening::Disconnect),
        30 => event().prop_map(Happening::Hear),
        1 => prop_oneof![Just("{"), Just(r#"{"method": "ready", "seqId": 7}"#), Just(r#"{"seqId": 9}"#)]
            .prop_map(Happening::HearText),
        1 => Just(Happening::SignOfLife),
        2 => (0u64..400).prop_map(|secs| Happening::Wait(Duration::from_secs(secs))),
        4 => (0u64..3).prop_map(|count| Happening::Ask(advance(count))),
        2 => (0u64..9).prop_map(|slot| Happening::Ask(go_to(slot))),
        1 => Just(Happening::Close),
    ]
}

/// What must hold at any time. Returns the cursor.
fn check(player: &mut Player) -> Option<u64> {
    assert!(player.machine.output.len() <= 4, "{:?}", player.machine.output);
    assert!(player.machine.poll_timeout().is_none_or(|due| due > player.now));
    let sent = player.sent();
    assert!(sent.len() <= 4, "{sent:?}");
    let is_over = matches!(player.machine.standing(), Standing::Over(_));
    assert!(!is_over || !player.machine.accepts_request());
    assert!(!is_over || player.machine.poll_timeout().is_none());
    player.machine.last_sequence()
}

fn happen(player: &mut Player, happening: Happening) {
    match happening {
        Happening::Connect => player.connect(),
        Happening::Disconnect => player.disconnect(),
        Happening::Hear(event) => player.hear(event),
        Happening::HearText(text) => player.hear_text(text),
        Happening::SignOfLife => player.machine.handle_sign_of_life(player.now),
        Happening::Wait(duration) => player.wait(duration),
        Happening::Ask(request) if player.machine.accepts_request() => player.ask(request),
        Happening::Ask(_) => {}
        Happening::Close => player.close(),
    }
}

proptest! {
    #[test]
    fn nothing_that_happens_breaks_the_rules(
        waits in any::<bool>(),
        happenings in proptest::collection::vec(happening(), 0..80),
    ) {
        let after_completion = if waits { AfterCompletion::Wait } else { AfterCompletion::Close };
        let mut player = Player::new(ControlConfig { after_completion, ..config() });
        let mut cursor = None;
        let mut opened = 0;
        let mut is_over = false;
        let mut is_closing = false;
        for happening in happenings {
            is_closing |= matches!(happening, Happening::Close);
            happen(&mut player, happening);
            let next = check(&mut player);
            prop_assert!(next.is_none() || next >= cursor, "{next:?} after {cursor:?}");
            cursor = next.or(cursor);
            let outputs = player.outputs();
            prop_assert!(outputs.is_empty() || !is_closing && !is_over, "{outputs:?}");
            opened += outputs.iter().filter(|output| matches!(output, ControlOutput::Opened(_))).count();
            prop_assert!(!is_over || matches!(player.machine.standing(), Standing::Over(_)));
            is_over = matches!(player.machine.standing(), Standing::Over(_));
        }
        prop_assert!(opened <= 1);
    }

    #[test]
    fn numbered_events_arrive_once_and_in_order_wherever_the_connection_is_lost(
        losses in proptest::collection::vec((0usize..6, 0usize..4), 0..20),
        repeats in 0u64..3,
    ) {
        let mut player = Player::ready();
        let mut told = Vec::new();
        // The number of the next event that the server sends.
        let mut next = 2;
        for (heard, answers) in losses {
            for _ in 0..heard {
                player.hear(numbered(next, slot(next)));
                next += 1;
            }
            player.disconnect();
            player.connect();
            let answers: Vec<_> = [BacktestResponse::SessionAttached(opened(&[])), BacktestResponse::Success]
                .into_iter()
                .take(answers)
                .collect();
            for answer in answers {
                // A replay may begin too early, and before the answer.
                next = next.saturating_sub(repeats).max(2);
                player.hear(numbered(next, slot(next)));
                next += 1;
                player.hear(answer);
            }
            told.extend(player.events());
            next = player.machine.last_sequence().map_or(1, |last| last + 1);
        }
        let expected: Vec<_> = (2..next).map(|number| format!("slot {number}")).collect();
        prop_assert_eq!(told, expected);
    }
}
