//! Going from match to match.

use std::time::Duration;

use simulator_api::{BacktestError, BacktestRequest, BacktestResponse, ContinueToParams, PausedEvent};
use tokio::time::Instant;

use super::peer::{Server, rest, session, session_with};
use super::{LIMIT, READY, completed, discovery, simulation_error, slot};
use crate::{
    BacktestClientError, BacktestSession, DiscoveryPause, DiscoveryStep, DiscoveryStepResult, Limits, MissedDiscovery,
};

fn paused(slot: u64, batch_index: Option<u32>) -> BacktestResponse {
    BacktestResponse::Paused(PausedEvent { slot, batch_index })
}

async fn expect_run(server: &mut Server) {
    let request = server.request().await;
    assert!(
        matches!(&request, BacktestRequest::Continue(next) if next.advance_count == u64::MAX),
        "{request:?}"
    );
}

async fn expect_stop(server: &mut Server, slot: u64, batch: u32) {
    let target = ContinueToParams {
        slot,
        batch_index: Some(batch),
        request_id: None,
    };
    assert_eq!(server.request().await, BacktestRequest::ContinueTo(target));
}

/// The slot of the match before which a step paused.
#[track_caller]
fn stopped_at(result: Result<DiscoveryStepResult, BacktestClientError>) -> u64 {
    match result.unwrap() {
        DiscoveryStepResult::Paused(DiscoveryPause { discovery, paused }) => {
            assert_eq!((paused.slot, paused.batch_index), (discovery.slot, Some(1)));
            discovery.slot
        }
        other => panic!("{other:?}"),
    }
}

/// Two matches and the end, as a server that follows the protocol's policy serves them.
async fn serve_two(server: &mut Server, start: Vec<BacktestResponse>) {
    server.say(start).await;
    if matches!(server.request().await, BacktestRequest::Continue(_)) {
        server.say([slot(101), discovery(102)]).await;
        expect_stop(server, 102, 1).await;
    }
    server
        .say([simulation_error(), slot(102), paused(102, Some(1)), discovery(104)])
        .await;
    expect_stop(server, 104, 1).await;
    server.say([slot(103), paused(104, Some(1)), READY]).await;
    expect_run(server).await;
    server.say([slot(104), completed()]).await;
}

async fn step_through(session: &mut BacktestSession) {
    assert_eq!(stopped_at(session.advance_to_discovery(LIMIT).await), 102);
    assert!(session.is_ready_for_continue());
    assert_eq!(stopped_at(session.advance_to_discovery(LIMIT).await), 104);
    for _ in 0..2 {
        let end = session.advance_to_discovery(LIMIT).await.unwrap();
        assert_eq!(end, DiscoveryStepResult::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn w38_matches_are_stepped_through_whether_ready_comes_first_or_not() {
    for start in [vec![slot(100), READY], vec![slot(100), discovery(102), READY]] {
        let is_early = start.len() == 3;
        let (mut session, mut server) = session().await;
        tokio::join!(step_through(&mut session), serve_two(&mut server, start));
        let passed: Vec<_> = (102..=104).map(slot).collect();
        let unread = rest(&mut session).await;
        assert_eq!(unread[0], slot(100));
        assert_eq!(unread[1] == slot(101), !is_early);
        assert!(unread.contains(&simulation_error()));
        assert!(passed.iter().all(|slot| unread.contains(slot)), "{unread:?}");
        assert_eq!(unread.last(), Some(&completed()));
        assert!(!unread.contains(&READY), "{unread:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn w38_a_match_that_was_announced_to_another_call_is_not_passed() {
    let (mut session, mut server) = session().await;
    server.say([slot(100), discovery(102), READY]).await;
    session.ensure_ready(LIMIT).await.unwrap();
    assert_eq!(rest(&mut session).await, [slot(100), discovery(102)]);
    let serve = async {
        expect_stop(&mut server, 102, 1).await;
        server.say([paused(102, Some(1)), READY]).await;
    };
    let (stopped, ()) = tokio::join!(session.advance_to_discovery(LIMIT), serve);
    assert_eq!(stopped_at(stopped), 102);
}

#[tokio::test(start_paused = true)]
async fn w38_a_step_does_not_wait_for_ever_where_no_further_match_exists() {
    let (mut session, mut server) = session().await;
    server.say([paused(100, Some(0))]).await;
    let began = Instant::now();
    let serve = async {
        expect_run(&mut server).await;
        server.say([completed()]).await;
    };
    let (end, ()) = tokio::join!(session.advance_to_discovery(None), serve);
    assert_eq!(end.unwrap(), DiscoveryStepResult::Completed);
    assert_eq!(Some(began.elapsed()), Limits::default().discovery_settle);
}

#[tokio::test(start_paused = true)]
async fn w38_a_step_that_was_cut_short_goes_on_with_the_same_match() {
    let (mut session, mut server) = session().await;
    server.say([READY, discovery(102)]).await;
    let error = session.advance_to_discovery(LIMIT).await.unwrap_err();
    assert!(matches!(error, BacktestClientError::Timeout { .. }), "{error:?}");
    expect_stop(&mut server, 102, 1).await;
    server.say([paused(102, Some(1)), READY]).await;
    assert_eq!(stopped_at(session.advance_to_discovery(LIMIT).await), 102);
}

#[tokio::test(start_paused = true)]
async fn w38_a_refused_stop_is_a_missed_match() {
    let refusal = BacktestError::InvalidRequest {
        error: "slot 102 has been executed".into(),
    };
    for is_shown in [false, true] {
        let (mut session, mut server) = session().await;
        server.say([READY, discovery(102)]).await;
        let serve = async {
            expect_stop(&mut server, 102, 1).await;
            server.say([refusal.clone().into()]).await;
        };
        let step = async {
            if is_shown {
                let step = DiscoveryStep::default();
                session.advance_to_discovery_with(step, LIMIT, |_| {}).await
            } else {
                session.advance_to_discovery(LIMIT).await
            }
        };
        let (missed, ()) = tokio::join!(step, serve);
        assert!(
            matches!(missed.unwrap(), DiscoveryStepResult::Missed(MissedDiscovery { discovery, refusal: Some(said) })
                if discovery.slot == 102 && said == refusal)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_with_an_offset_shows_every_event_in_order() {
    let (mut session, mut server) = session().await;
    let events = [
        slot(100),
        discovery(102),
        READY,
        slot(101),
        simulation_error(),
        paused(102, Some(3)),
    ];
    let serve = async {
        server.say(events[..3].to_vec()).await;
        expect_stop(&mut server, 102, 3).await;
        server.say(events[3..].to_vec()).await;
    };
    let mut seen = Vec::new();
    let step = DiscoveryStep { batch_offset: 2 };
    let advance = session.advance_to_discovery_with(step, LIMIT, |event| seen.push(event.clone()));
    let (result, ()) = tokio::join!(advance, serve);
    let DiscoveryStepResult::Paused(stop) = result.unwrap() else {
        panic!("the step has not stopped")
    };
    assert_eq!((stop.discovery.batch_index, stop.paused.batch_index), (1, Some(3)));
    assert_eq!(seen, events);
}

#[tokio::test(start_paused = true)]
async fn a_long_way_without_a_match_is_shown_or_left_to_be_read() {
    let limits = Limits {
        unread_events: 2,
        ..Limits::default()
    };
    let (mut session, mut server) = session_with(&[], limits).await;
    let serve = async {
        server.say([READY]).await;
        expect_run(&mut server).await;
        server.say((101..110).map(slot)).await;
        server.say([completed()]).await;
    };
    let step = async {
        let error = session.advance_to_discovery(LIMIT).await.unwrap_err();
        assert!(matches!(error, BacktestClientError::UnreadEvents { limit: 2 }));
        let mut shown = 0;
        let step = DiscoveryStep::default();
        let end = session.advance_to_discovery_with(step, LIMIT, |_| shown += 1).await;
        assert_eq!((end.unwrap(), shown), (DiscoveryStepResult::Completed, 10));
    };
    tokio::join!(step, serve);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_session_ends_a_step() {
    let (mut session, mut server) = session().await;
    server.say([READY]).await;
    let serve = async {
        expect_run(&mut server).await;
        server.say([BacktestError::NoMoreBlocks.into()]).await;
    };
    let (failed, ()) = tokio::join!(session.advance_to_discovery(LIMIT), serve);
    assert!(matches!(
        failed,
        Err(BacktestClientError::Remote(BacktestError::NoMoreBlocks))
    ));
    let again = session.advance_to_discovery(Some(Duration::from_secs(1))).await;
    assert!(matches!(
        again,
        Err(BacktestClientError::Remote(BacktestError::NoMoreBlocks))
    ));
}
