//! Reading events, and waiting for one of them.

use std::time::Duration;

use futures_util::StreamExt;
use simulator_api::{BacktestError, BacktestResponse, BacktestStatus, PausedEvent};

use super::peer::{rest, session, session_with};
use super::{LIMIT, READY, completed, discovery, simulation_error, slot};
use crate::transport::{CloseCode, CloseReason, Frame};
use crate::{BacktestClientError, Limits, ReadyOutcome};

const EXECUTED: BacktestStatus = BacktestStatus::ExecutedBlockTransactions;

fn paused() -> BacktestResponse {
    BacktestResponse::Paused(PausedEvent {
        slot: 100,
        batch_index: Some(0),
    })
}

#[tokio::test(start_paused = true)]
async fn w11_ensure_ready_loses_no_event() {
    let (mut session, mut server) = session().await;
    server
        .say([EXECUTED.into(), slot(100), discovery(101), simulation_error(), READY])
        .await;
    assert_eq!(session.ensure_ready(LIMIT).await.unwrap(), ReadyOutcome::Ready);
    assert!(session.is_ready_for_continue());
    assert_eq!(
        rest(&mut session).await,
        [EXECUTED.into(), slot(100), discovery(101), simulation_error()]
    );
}

#[tokio::test(start_paused = true)]
async fn w11_wait_for_status_loses_no_event() {
    let (mut session, mut server) = session().await;
    server
        .say([slot(100), paused(), discovery(101), READY, EXECUTED.into()])
        .await;
    session.wait_for_status(EXECUTED, LIMIT).await.unwrap();
    assert_eq!(rest(&mut session).await, [slot(100), paused(), discovery(101), READY]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_readiness_and_its_position_is_kept() {
    let (mut session, mut server) = session().await;
    server.say([paused()]).await;
    assert_eq!(session.ensure_ready(LIMIT).await.unwrap(), ReadyOutcome::Ready);
    assert_eq!(
        session.last_pause(),
        Some(PausedEvent {
            slot: 100,
            batch_index: Some(0)
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_come_any_more_is_an_error() {
    let (mut session, mut server) = session().await;
    server.say([completed()]).await;
    let error = session.wait_for_status(EXECUTED, LIMIT).await.unwrap_err();
    assert!(
        matches!(error, BacktestClientError::UnexpectedResponse { .. }),
        "{error:?}"
    );
    assert_eq!(session.next_event(LIMIT).await.unwrap(), Some(completed()));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_session_ends_the_wait() {
    let (mut session, mut server) = session().await;
    server.say([slot(100), BacktestError::NoMoreBlocks.into()]).await;
    let error = session.ensure_ready(LIMIT).await.unwrap_err();
    assert!(
        matches!(error, BacktestClientError::Remote(BacktestError::NoMoreBlocks)),
        "{error:?}"
    );
    assert_eq!(rest(&mut session).await, [slot(100)]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_cut_short_has_lost_nothing() {
    let (mut session, mut server) = session().await;
    server.say([slot(100), discovery(101)]).await;
    let error = session.ensure_ready(LIMIT).await.unwrap_err();
    assert!(
        matches!(error, BacktestClientError::Timeout { .. }) && error.is_retryable(),
        "{error:?}"
    );
    server.say([slot(101)]).await;
    tokio::select! {
        biased;
        result = session.ensure_ready(None) => panic!("nothing said that it is ready: {result:?}"),
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    assert_eq!(rest(&mut session).await, [slot(100), discovery(101), slot(101)]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_for_silence() {
    let (mut session, mut server) = session().await;
    let serve = async {
        for number in 100..110 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            server.say([slot(number)]).await;
        }
        server.say([READY]).await;
    };
    let (ready, ()) = tokio::join!(session.ensure_ready(LIMIT), serve);
    assert_eq!(ready.unwrap(), ReadyOutcome::Ready);
    assert_eq!(rest(&mut session).await.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn too_many_unread_events_are_an_error_that_loses_none() {
    let limits = Limits {
        unread_events: 2,
        ..Limits::default()
    };
    let (mut session, mut server) = session_with(&[], limits).await;
    server.say([slot(1), slot(2), slot(3), READY]).await;
    let error = session.ensure_ready(LIMIT).await.unwrap_err();
    assert!(
        matches!(error, BacktestClientError::UnreadEvents { limit: 2 }),
        "{error:?}"
    );
    assert_eq!(rest(&mut session).await, [slot(1), slot(2), slot(3), READY]);
}

#[tokio::test(start_paused = true)]
async fn duplicates_are_dropped_and_a_gap_is_an_error() {
    let (mut session, mut server) = session().await;
    for number in [1, 2, 2, 4] {
        server.say_numbered(number, slot(number)).await;
    }
    for number in [1, 2] {
        assert_eq!(session.next_event(LIMIT).await.unwrap(), Some(slot(number)));
    }
    let error = session.next_event(LIMIT).await.unwrap_err();
    assert!(
        matches!(
            error,
            BacktestClientError::SequenceGap {
                expected: 3,
                received: 4
            }
        ),
        "{error:?}"
    );
    assert_eq!(session.next_event(LIMIT).await.unwrap(), Some(slot(4)));
    assert_eq!(session.last_sequence(), Some(4));
}

#[tokio::test(start_paused = true)]
async fn pings_are_no_events_and_binary_is_json_too() {
    let (mut session, mut server) = session().await;
    server.send(Frame::Ping(vec![1].into())).await;
    server
        .send(Frame::Binary(serde_json::to_vec(&slot(5)).unwrap().into()))
        .await;
    assert_eq!(session.next_event(LIMIT).await.unwrap(), Some(slot(5)));
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_a_close_reaches_the_caller() {
    let (mut session, mut server) = session().await;
    let reason = CloseReason {
        code: CloseCode::Restart,
        text: "management handoff".into(),
    };
    server.say([slot(1)]).await;
    server.close(Some(reason.clone())).await;
    assert_eq!(session.next_event(LIMIT).await.unwrap(), Some(slot(1)));
    for _ in 0..2 {
        let error = session.next_event(LIMIT).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the connection is closed: code 1012, management handoff"
        );
        assert!(matches!(error, BacktestClientError::Closed { reason: Some(said) } if said == reason));
    }
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_events_goes_on_after_an_undecodable_one_and_ends_with_the_connection() {
    let (session, mut server) = session().await;
    server.say([slot(1)]).await;
    server.say_text("{").await;
    server.say([slot(2)]).await;
    drop(server);
    let events: Vec<_> = session.responses(LIMIT).collect().await;
    let described: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
    assert!(matches!(&events[0], Ok(event) if *event == slot(1)), "{described:?}");
    assert!(matches!(&events[1], Err(BacktestClientError::DeserializeResponse { raw, .. }) if raw == "{"));
    assert!(matches!(&events[2], Ok(event) if *event == slot(2)));
    assert_eq!(events.len(), 3, "{described:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_server_said_before_it_went_away_can_be_read_after_a_failed_send() {
    let (mut session, mut server) = session().await;
    server
        .say([BacktestError::Internal {
            error: "worker lost".into(),
        }
        .into()])
        .await;
    drop(server);
    let error = session.resume_attached_session().await.unwrap_err();
    assert!(matches!(error, BacktestClientError::WebSocket { .. }), "{error:?}");
    let event = session.next_event(LIMIT).await.unwrap();
    assert!(
        matches!(event, Some(BacktestResponse::Error(BacktestError::Internal { .. }))),
        "{event:?}"
    );
    assert_eq!(session.next_event(LIMIT).await.unwrap(), None);
}
