//! Steps.

use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, BacktestStatus, Capability, ContinueParams, ContinueToParams,
    PausedEvent, RequestId,
};

use super::peer::{Server, attached, rest, session, session_with};
use super::{LIMIT, READY, completed, discovery, simulation_error, slot};
use crate::{
    AdvanceState, BacktestClientError, BacktestSession, Continue, ContinueResult, Limits, ReadyOutcome, StopReason,
};

/// Serves one continue with `events`.
async fn serve(server: &mut Server, events: impl IntoIterator<Item = BacktestResponse>) -> ContinueParams {
    let BacktestRequest::Continue(params) = server.request().await else {
        panic!("no continue")
    };
    server.say(events).await;
    params
}

async fn ready_session() -> (BacktestSession, Server) {
    let (mut session, mut server) = session().await;
    server.say([READY]).await;
    session.ensure_ready(LIMIT).await.unwrap();
    (session, server)
}

/// Advances by two slots while the server says `events`; returns the result and what the callback saw.
async fn advanced(
    session: &mut BacktestSession,
    server: &mut Server,
    events: impl IntoIterator<Item = BacktestResponse>,
) -> (Result<ContinueResult, BacktestClientError>, Vec<BacktestResponse>) {
    let mut seen = Vec::new();
    let next = Continue::builder().advance_count(2).build();
    let advance = session.advance(next, LIMIT, |event| seen.push(event.clone()));
    let (result, params) = tokio::join!(advance, serve(server, events));
    assert_eq!(params.advance_count, 2);
    (result, seen)
}

#[tokio::test(start_paused = true)]
async fn a_step_counts_slots_and_statuses_until_ready() {
    let (mut session, mut server) = ready_session().await;
    let status = BacktestStatus::ExecutedBlockTransactions;
    let events = [slot(101), status.clone().into(), simulation_error(), slot(102), READY];
    let (result, seen) = advanced(&mut session, &mut server, events.clone()).await;
    let result = result.unwrap();
    assert_eq!((result.slot_notifications, result.last_slot), (2, Some(102)));
    assert_eq!((result.statuses, result.stop), (vec![status], Some(StopReason::Ready)));
    assert!(result.ready_for_continue && !result.completed && session.is_ready_for_continue());
    assert_eq!(seen, events);
}

#[tokio::test(start_paused = true)]
async fn w39_ready_ends_a_step_that_has_seen_too_few_slots() {
    let (mut session, mut server) = ready_session().await;
    let (result, _) = advanced(&mut session, &mut server, [slot(101), READY]).await;
    let result = result.unwrap();
    assert_eq!((result.slot_notifications, result.ready_for_continue), (1, true));
}

#[tokio::test(start_paused = true)]
async fn w12_a_pause_ends_a_step() {
    let (mut session, mut server) = ready_session().await;
    let position = PausedEvent {
        slot: 101,
        batch_index: Some(3),
    };
    let (result, _) = advanced(&mut session, &mut server, [BacktestResponse::Paused(position)]).await;
    let result = result.unwrap();
    assert_eq!(result.stop, Some(StopReason::Paused(position)));
    assert!(result.ready_for_continue && session.is_ready_for_continue());
}

#[tokio::test(start_paused = true)]
async fn w12_a_discovery_ends_a_step_that_can_be_told_where_to_stop() {
    let (mut session, mut server) = ready_session().await;
    let (result, _) = advanced(&mut session, &mut server, [slot(101), discovery(102)]).await;
    let result = result.unwrap();
    assert!(matches!(result.stop, Some(StopReason::Discovery(batch)) if batch.slot == 102));
    assert!(!result.ready_for_continue && !session.is_ready_for_continue());

    let target = ContinueToParams {
        slot: 102,
        batch_index: Some(1),
        request_id: None,
    };
    session.send_continue_to(target.clone(), LIMIT).await.unwrap();
    assert_eq!(server.request().await, BacktestRequest::ContinueTo(target));
    server
        .say([BacktestResponse::Paused(PausedEvent {
            slot: 102,
            batch_index: Some(1),
        })])
        .await;
    let mut state = AdvanceState::new(1);
    while !state.is_done() {
        session.advance_step(&mut state, LIMIT, &mut |_| {}).await.unwrap();
    }
    assert!(matches!(state.stop, Some(StopReason::Paused(_))));
}

#[tokio::test(start_paused = true)]
async fn events_of_an_earlier_step_are_shown_but_not_counted() {
    let (mut session, mut server) = session().await;
    server.say([slot(100), READY]).await;
    session.ensure_ready(LIMIT).await.unwrap();
    let (result, seen) = advanced(&mut session, &mut server, [slot(101), slot(102), READY]).await;
    assert_eq!(result.unwrap().slot_notifications, 2);
    assert_eq!(seen, [slot(100), slot(101), slot(102), READY]);
}

#[tokio::test(start_paused = true)]
async fn an_unread_stop_of_an_earlier_step_does_not_end_the_next() {
    let (mut session, mut server) = session().await;
    let status = BacktestStatus::ExecutedBlockTransactions;
    server.say([slot(100), READY, status.clone().into()]).await;
    session.wait_for_status(status, LIMIT).await.unwrap();
    let (result, seen) = advanced(&mut session, &mut server, [slot(101), READY]).await;
    assert_eq!(result.unwrap().last_slot, Some(101));
    assert_eq!(seen, [slot(100), READY, slot(101), READY]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_starts_is_waited_for() {
    let (mut session, mut server) = session().await;
    server.say([slot(100), READY]).await;
    let (result, seen) = advanced(&mut session, &mut server, [slot(101), slot(102), READY]).await;
    assert_eq!(result.unwrap().slot_notifications, 2);
    assert_eq!(seen.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_attached_to_is_not_waited_for() {
    let (mut session, mut server) = attached(Some(9)).await;
    let (result, _) = advanced(&mut session, &mut server, [slot(101), slot(102), READY]).await;
    assert_eq!(result.unwrap().slot_notifications, 2);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_continue_is_an_error_and_the_session_still_waits() {
    let (mut session, mut server) = ready_session().await;
    let rejection = BacktestError::InvalidTransactionFormat {
        index: 0,
        error: "short buffer".into(),
    };
    let (result, _) = advanced(&mut session, &mut server, [rejection.clone().into()]).await;
    assert!(matches!(result, Err(BacktestClientError::Remote(error)) if error == rejection));
    assert!(session.is_ready_for_continue());
    let (result, _) = advanced(&mut session, &mut server, [slot(101), slot(102), READY]).await;
    assert_eq!(result.unwrap().slot_notifications, 2);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_range_ends_a_step_and_nothing_is_sent_after_it() {
    let (mut session, mut server) = ready_session().await;
    let (result, _) = advanced(&mut session, &mut server, [slot(101), completed()]).await;
    let result = result.unwrap();
    assert!(result.completed && !result.ready_for_continue);
    let again = session.advance(Continue::builder().build(), LIMIT, |_| {}).await;
    assert!(matches!(again, Err(BacktestClientError::AlreadyCompleted)), "{again:?}");
    assert_eq!(session.ensure_ready(LIMIT).await.unwrap(), ReadyOutcome::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_during_a_step_is_an_error() {
    let (mut session, mut server) = ready_session().await;
    let next = Continue::builder().build();
    let advance = session.advance(next, LIMIT, |_| {});
    let serve = async move {
        serve(&mut server, [slot(101)]).await;
    };
    let (result, ()) = tokio::join!(advance, serve);
    assert!(
        matches!(result, Err(BacktestClientError::Closed { reason: None })),
        "{result:?}"
    );
    assert!(rest(&mut session).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_continue_carries_a_request_id_only_where_the_server_announced_it() {
    let chosen = RequestId::new("mine").unwrap();
    let named = || ContinueParams {
        request_id: Some(chosen.clone()),
        ..ContinueParams::default()
    };
    for (capabilities, is_announced) in [(&[][..], false), (&[Capability::RequestId][..], true)] {
        let (mut session, mut server) = session_with(capabilities, Limits::default()).await;
        session.send_continue(ContinueParams::default(), LIMIT).await.unwrap();
        session.send_continue(named(), LIMIT).await.unwrap();
        let generated = serve(&mut server, []).await.request_id;
        assert_eq!(generated.is_some(), is_announced);
        assert_eq!(
            serve(&mut server, []).await.request_id,
            is_announced.then(|| chosen.clone())
        );
    }
}

/// Runs without bound until something stops the step, while the server says `events`.
async fn run_on(
    session: &mut BacktestSession,
    server: &mut Server,
    events: impl IntoIterator<Item = BacktestResponse>,
) -> (ContinueResult, Vec<BacktestResponse>) {
    let mut seen = Vec::new();
    let next = Continue::builder().advance_count(u64::MAX).build();
    let step = session.continue_until_ready(next, LIMIT, |event| seen.push(event.clone()));
    let (result, params) = tokio::join!(step, serve(server, events));
    assert_eq!(params.advance_count, u64::MAX);
    (result.unwrap(), seen)
}

#[track_caller]
fn announced_slot(result: &ContinueResult) -> u64 {
    match &result.stop {
        Some(StopReason::Discovery(batch)) => batch.slot,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_held_before_a_match_goes_on_with_the_next_continue() {
    let (mut session, mut server) = ready_session().await;
    let (result, _) = run_on(&mut session, &mut server, [slot(101), discovery(103)]).await;
    assert_eq!((announced_slot(&result), result.last_slot), (103, Some(101)));
    // The session goes on to the match, and stands there without a word.
    server.say([slot(102)]).await;
    let (result, seen) = run_on(&mut session, &mut server, [slot(103), discovery(105)]).await;
    assert_eq!((announced_slot(&result), result.last_slot), (105, Some(103)));
    assert_eq!(seen, [slot(102), slot(103), discovery(105)]);
    let (result, _) = run_on(&mut session, &mut server, [slot(104), slot(105), completed()]).await;
    assert!(result.completed);
}

#[tokio::test(start_paused = true)]
async fn a_match_that_was_announced_before_a_run_without_bound_ends_its_step() {
    for is_read in [false, true] {
        let (mut session, mut server) = ready_session().await;
        server.say([discovery(102)]).await;
        let announcement = session.next_event(LIMIT).await.unwrap();
        assert_eq!(announcement, Some(discovery(102)));
        if !is_read {
            // Another one, which no call has read before the next step.
            server.say([discovery(102), simulation_error()]).await;
            session
                .wait_for_status(BacktestStatus::StartingRuntime, LIMIT)
                .await
                .unwrap_err();
        }
        let (result, _) = run_on(&mut session, &mut server, []).await;
        assert_eq!(announced_slot(&result), 102);
        let (result, _) = run_on(&mut session, &mut server, [slot(101), slot(102), completed()]).await;
        assert_eq!((result.completed, result.slot_notifications), (true, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_match_that_a_bounded_step_has_passed_holds_no_run() {
    let (mut session, mut server) = ready_session().await;
    server.say([discovery(102)]).await;
    session.next_event(LIMIT).await.unwrap();
    let (result, _) = advanced(&mut session, &mut server, [slot(101), slot(102), READY]).await;
    assert!(result.unwrap().ready_for_continue);
    let (result, _) = run_on(&mut session, &mut server, [slot(103), completed()]).await;
    assert!(result.completed);
}
