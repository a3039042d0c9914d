//! A server that goes away without a word.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::peer::{Server, session, session_with};
use super::{LIMIT, READY, slot};
use crate::transport::Frame;
use crate::{BacktestClientError, Limits, ReadyOutcome};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_noticed_after_three_intervals() {
    let (mut session, mut server) = session().await;
    let began = Instant::now();
    let pings = async {
        let mut seconds = Vec::new();
        while let Some(Frame::Ping(_)) = server.frame().await {
            seconds.push(began.elapsed().as_secs());
            if seconds.len() == 2 {
                break;
            }
        }
        seconds
    };
    let (waited, pings) = tokio::join!(session.ensure_ready(None), pings);
    let error = waited.unwrap_err();
    assert!(
        matches!(error, BacktestClientError::Unresponsive { silence } if silence == 45 * SECOND),
        "{error:?}"
    );
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        "the server has been silent for 45s: the connection counts as dead"
    );
    assert_eq!((pings, began.elapsed()), (vec![15, 30], 45 * SECOND));
    // Nothing more is expected of the connection.
    assert_eq!(session.next_event(None).await.unwrap(), None);
    assert!(matches!(
        session.ensure_ready(None).await,
        Err(BacktestClientError::Closed { .. })
    ));
}

/// Answers pings for as long as the client is there.
async fn answer_pings(server: &mut Server) {
    while let Some(frame) = server.frame().await {
        if let Frame::Ping(bytes) = frame {
            server.send(Frame::Pong(bytes)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_pings_may_take_its_time() {
    let (mut session, mut server) = session().await;
    let wait = async {
        let began = Instant::now();
        let waited = tokio::time::timeout(600 * SECOND, session.ensure_ready(None)).await;
        assert!(waited.is_err(), "{waited:?}");
        assert_eq!(began.elapsed(), 600 * SECOND);
        // A pong is no message: the limit of a call is about those.
        let error = session.next_event(Some(60 * SECOND)).await.unwrap_err();
        assert!(matches!(error, BacktestClientError::Timeout { .. }), "{error:?}");
    };
    tokio::select! {
        () = wait => {}
        () = answer_pings(&mut server) => panic!("the client is gone"),
    }
}

#[tokio::test(start_paused = true)]
async fn silence_adds_up_over_short_calls() {
    let (mut session, _server) = session().await;
    let began = Instant::now();
    let error = loop {
        match session.next_event(LIMIT).await {
            Err(BacktestClientError::Timeout { .. }) => {}
            other => break other.unwrap_err(),
        }
        assert!(began.elapsed() < 60 * SECOND);
    };
    assert!(matches!(error, BacktestClientError::Unresponsive { .. }), "{error:?}");
    assert_eq!(began.elapsed(), 45 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_was_away_does_not_blame_the_server() {
    let (mut session, mut server) = session().await;
    sleep(600 * SECOND).await;
    let serve = async {
        // It is asked at once, and has time to answer.
        assert_eq!(server.frame().await, Some(Frame::Ping(Vec::new().into())));
        sleep(14 * SECOND).await;
        server.say([READY]).await;
    };
    let (ready, ()) = tokio::join!(session.ensure_ready(None), serve);
    assert_eq!(ready.unwrap(), ReadyOutcome::Ready);
}

#[tokio::test(start_paused = true)]
async fn what_arrived_while_the_caller_was_away_is_seen_first() {
    let (mut session, mut server) = session().await;
    // Two pings go unanswered while the caller waits, then it goes away, and the server comes back.
    assert!(session.ensure_ready(Some(40 * SECOND)).await.is_err());
    server.say([slot(1)]).await;
    sleep(600 * SECOND).await;
    assert_eq!(session.next_event(None).await.unwrap(), Some(slot(1)));
}

#[tokio::test(start_paused = true)]
async fn limits_that_are_off_wait_for_ever_and_ask_nothing() {
    let limits = Limits {
        ping_interval: None,
        silence_timeout: None,
        ..Limits::default()
    };
    let (mut session, mut server) = session_with(&[], limits).await;
    let waited = tokio::time::timeout(3_600 * SECOND, session.ensure_ready(None)).await;
    assert!(waited.is_err(), "{waited:?}");
    drop(session);
    assert_eq!(server.frame().await, Some(Frame::Close(None)));
}

#[tokio::test(start_paused = true)]
async fn without_pings_the_silence_of_one_call_counts() {
    let limits = Limits {
        ping_interval: None,
        ..Limits::default()
    };
    let (mut session, _server) = session_with(&[], limits).await;
    sleep(600 * SECOND).await;
    assert!(matches!(
        session.ensure_ready(Some(44 * SECOND)).await,
        Err(BacktestClientError::Timeout { .. })
    ));
    let began = Instant::now();
    assert!(matches!(
        session.ensure_ready(None).await,
        Err(BacktestClientError::Unresponsive { .. })
    ));
    assert_eq!(began.elapsed(), 45 * SECOND);
}

#[test]
fn the_default_patience_is_three_pings() {
    let limits = Limits::default();
    assert_eq!(
        limits.silence_timeout,
        limits.ping_interval.map(|interval| 3 * interval)
    );
}
