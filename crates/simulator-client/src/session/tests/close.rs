//! Ending a session.

use std::time::Duration;

use simulator_api::{BacktestError, BacktestRequest, BacktestResponse};
use tokio::time::Instant;

use super::peer::{rest, session, session_with};
use super::{LIMIT, READY, slot};
use crate::transport::{CloseCode, CloseReason, Frame};
use crate::{BacktestClientError, Limits};

#[tokio::test(start_paused = true)]
async fn w13_close_skips_unread_events_and_keeps_them() {
    let (mut session, mut server) = session().await;
    server.say([slot(100), READY]).await;
    let serve = async {
        assert_eq!(server.request().await, BacktestRequest::CloseBacktestSession);
        server
            .say([
                slot(101),
                BacktestError::InvalidRequest {
                    error: "an earlier one".into(),
                }
                .into(),
            ])
            .await;
        server.say_text("{ not JSON").await;
        server.say([BacktestResponse::Success]).await;
        let reason = CloseReason {
            code: CloseCode::Normal,
            text: "done".into(),
        };
        assert_eq!(server.frame().await, Some(Frame::Close(Some(reason.clone()))));
        server.close(Some(reason)).await;
    };
    let (closed, ()) = tokio::join!(session.close_with_reason(LIMIT, CloseCode::Normal, "done"), serve);
    closed.unwrap();
    let unread = rest(&mut session).await;
    assert_eq!(unread[..3], [slot(100), READY, slot(101)]);
    assert_eq!(unread.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn w13_close_succeeds_even_if_more_is_unread_than_there_is_room_for() {
    let limits = Limits {
        unread_events: 2,
        ..Limits::default()
    };
    let (mut session, mut server) = session_with(&[], limits).await;
    server.say((0..9).map(slot)).await;
    server.say([BacktestResponse::Success]).await;
    server.close(None).await;
    session.close(LIMIT).await.unwrap();
    assert_eq!(rest(&mut session).await, [slot(0), slot(1)]);
}

#[tokio::test(start_paused = true)]
async fn w14_close_waits_for_the_answer_no_longer_than_its_limit() {
    let (mut session, server) = session().await;
    let began = Instant::now();
    let error = session.close(LIMIT).await.unwrap_err();
    assert!(
        matches!(
            error,
            BacktestClientError::Timeout {
                action: "close the session",
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(began.elapsed(), LIMIT.unwrap());
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn w14_close_does_not_wait_for_ever_for_the_close_frame() {
    let (mut session, mut server) = session().await;
    let began = Instant::now();
    server.say([BacktestResponse::Success]).await;
    session.close(None).await.unwrap();
    assert_eq!(began.elapsed(), Limits::default().close_timeout);
    // Closing again asks nothing and waits for nothing.
    session.close(None).await.unwrap();
    assert_eq!(began.elapsed(), Limits::default().close_timeout);
    assert_eq!(server.request().await, BacktestRequest::CloseBacktestSession);
    assert_eq!(server.frame().await, Some(Frame::Close(None)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_closes_instead_of_answering_has_closed() {
    let (mut session, mut server) = session().await;
    server.close(None).await;
    session.close(LIMIT).await.unwrap();
    session.close(LIMIT).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_close_is_an_error_and_closes_the_connection() {
    let (mut session, mut server) = session().await;
    server
        .say([BacktestError::SessionNotFound {
            session_id: "backtest_x".into(),
        }
        .into()])
        .await;
    let error = session.close(Some(Duration::from_millis(1))).await.unwrap_err();
    assert!(
        matches!(
            error,
            BacktestClientError::Remote(BacktestError::SessionNotFound { .. })
        ),
        "{error:?}"
    );
    assert_eq!(session.next_event(LIMIT).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_session_sends_a_close_frame() {
    let (session, mut server) = session().await;
    drop(session);
    assert_eq!(server.frame().await, Some(Frame::Close(None)));
    assert_eq!(server.frame().await, None);
}
