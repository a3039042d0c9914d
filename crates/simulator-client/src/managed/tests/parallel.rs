//! Several sessions over one connection.

use std::sync::Arc;
use std::time::Duration;

use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, ContinueParams, ControlSessionId, ParallelSessionAttachedV2,
    SessionEventKind, SessionEventV2, SessionId, SessionOpened, SessionsCreatedV2,
};

use super::peer::{COMPLETED, OURS, Peer, create_request, living_tasks, timed};
use crate::managed::{
    ConnectionPolicy, ConnectionStatus, ManagedEvent, ManagedFailure, ManagedParallelSession, ManagedSessionError,
    ParallelEvent,
};
use crate::transport::memory::{MemoryListener, network};

fn ids() -> [SessionId; 2] {
    [1, 2].map(|byte| SessionId::from_random_bytes([byte; 16]))
}

fn control_id() -> ControlSessionId {
    ControlSessionId::from_random_bytes([9; 16])
}

fn announced(id: SessionId) -> BacktestResponse {
    BacktestResponse::SessionCreated(SessionOpened {
        session_id: id,
        rpc_endpoint: format!("/backtest/{id}"),
        task_id: None,
        session_name: None,
        capabilities: OURS.to_vec(),
    })
}

fn listed() -> BacktestResponse {
    BacktestResponse::SessionsCreatedV2(SessionsCreatedV2 {
        control_session_id: control_id(),
        session_ids: ids().to_vec(),
        task_ids: Vec::new(),
        start_slots: vec![100, 150],
        end_slots: vec![149, 200],
        control_session_name: None,
        capabilities: OURS.to_vec(),
    })
}

/// An event of one session in its envelope.
fn of(session: usize, number: u64, event: impl Into<BacktestResponse>) -> BacktestResponse {
    BacktestResponse::SessionEventV2(SessionEventV2 {
        session_id: ids()[session],
        seq_id: number,
        event: SessionEventKind::try_from(event.into()).unwrap(),
    })
}

/// Two sessions that were just created, their server's end, and the network.
async fn started_with(policy: ConnectionPolicy) -> (ManagedParallelSession, Peer, MemoryListener) {
    let (connector, mut listener) = network();
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        let create = peer.create().await;
        assert!(create.parallel && create.create_token.is_some());
        assert_eq!(create.request.disconnect_timeout_secs, Some(360));
        for id in ids() {
            peer.say(announced(id)).await;
        }
        peer.say(listed()).await;
        peer
    };
    let start = ManagedParallelSession::builder("ws://sim.test", create_request())
        .connector(Arc::new(connector))
        .policy(policy)
        .start_parallel();
    let (parallel, peer) = tokio::join!(start, serve);
    (parallel.unwrap(), peer, listener)
}

async fn started() -> (ManagedParallelSession, Peer, MemoryListener) {
    started_with(ConnectionPolicy::default()).await
}

/// The next event, in short.
async fn told(parallel: &mut ManagedParallelSession) -> Option<String> {
    let next = tokio::time::timeout(Duration::from_secs(5), parallel.next_event()).await;
    next.expect("there is one").map(|event| shown(&event))
}

fn shown(event: &ParallelEvent) -> String {
    let session = event.session.map_or("-".to_owned(), |index| index.to_string());
    match &event.event {
        Ok(ManagedEvent::Slot(slot)) => format!("{session} slot {slot}"),
        Ok(ManagedEvent::ReadyForContinue) => format!("{session} ready"),
        Ok(ManagedEvent::Completed { .. }) => format!("{session} completed"),
        Ok(other) => format!("{session} {other:?}"),
        Err(error) => format!("{session} error: {error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_all_sessions_are_one_stream_that_ends_with_the_last_one() {
    let (mut parallel, mut peer, _listener) = started().await;
    assert_eq!(parallel.control_session_id(), Some(control_id()));
    assert_eq!(parallel.slots(1), Some(150..=200));
    let infos: Vec<_> = parallel
        .sessions()
        .iter()
        .map(|session| session.session_info().clone())
        .collect();
    assert_eq!(infos[1].session_id, ids()[1].to_string());
    assert_eq!(infos[1].rpc_endpoint, format!("http://sim.test/backtest/{}", ids()[1]));
    peer.say(of(1, 1, BacktestResponse::ReadyForContinue)).await;
    assert_eq!(told(&mut parallel).await.unwrap(), "1 ready");
    parallel
        .session_mut(1)
        .unwrap()
        .send_continue(ContinueParams::default())
        .await
        .unwrap();
    let BacktestRequest::ContinueSessionV1(request) = peer.request().await else {
        panic!("no request")
    };
    assert_eq!(request.session_id, ids()[1]);
    peer.say(of(1, 2, BacktestResponse::SlotNotification(151))).await;
    peer.say(of(1, 3, COMPLETED)).await;
    assert_eq!(told(&mut parallel).await.unwrap(), "1 slot 151");
    assert_eq!(told(&mut parallel).await.unwrap(), "1 completed");
    peer.say(of(0, 1, COMPLETED)).await;
    assert_eq!(told(&mut parallel).await.unwrap(), "0 completed");
    assert_eq!(told(&mut parallel).await, None);
    peer.be_closed().await;
    parallel.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn w34_a_session_that_fails_is_told_and_the_stream_goes_on_to_the_end() {
    let (mut parallel, mut peer, _listener) = started().await;
    let failed = BacktestError::FinalizeSlotFailed {
        slot: 101,
        error: "x".into(),
    };
    peer.say(of(0, 1, failed.clone())).await;
    let error = parallel.next_event().await.unwrap();
    assert!(matches!(error.event, Ok(ManagedEvent::Error(error)) if error == failed));
    let end = parallel.next_event().await.unwrap();
    assert_eq!(end.session, Some(0));
    let Err(ManagedSessionError::ControlFailed(failure)) = end.event else {
        panic!("{end:?}")
    };
    assert!(matches!(*failure, ManagedFailure::Session(error) if error == failed));
    peer.say(of(1, 1, COMPLETED)).await;
    assert_eq!(told(&mut parallel).await.unwrap(), "1 completed");
    assert_eq!(told(&mut parallel).await, None);
    peer.be_closed().await;
}

#[tokio::test(start_paused = true)]
async fn all_sessions_are_attached_to_again_together() {
    let (mut parallel, mut peer, mut listener) = started().await;
    peer.say(of(0, 1, BacktestResponse::ReadyForContinue)).await;
    assert_eq!(told(&mut parallel).await.unwrap(), "0 ready");
    drop(peer);
    let mut peer = Peer::accept(&mut listener).await;
    let BacktestRequest::AttachParallelControlSessionV2(attach) = peer.request().await else {
        panic!("no attach")
    };
    assert_eq!(attach.last_sequences.into_iter().collect::<Vec<_>>(), [(ids()[0], 1)]);
    peer.say(BacktestResponse::ParallelSessionAttachedV2(ParallelSessionAttachedV2 {
        control_session_id: control_id(),
        session_ids: ids().to_vec(),
        task_ids: Vec::new(),
        capabilities: OURS.to_vec(),
    }))
    .await;
    peer.say(of(1, 1, BacktestResponse::ReadyForContinue)).await;
    assert_eq!(told(&mut parallel).await.unwrap(), "1 ready");
    assert_eq!(*parallel.status().borrow(), ConnectionStatus::Up);
    assert_eq!(parallel.counters().snapshot().reconnects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_for_good_fails_every_session() {
    let (mut parallel, peer, mut listener) = started().await;
    drop(peer);
    let mut peer = Peer::accept(&mut listener).await;
    peer.request().await;
    let session_id = control_id().to_string();
    peer.say(BacktestError::SessionNotFound { session_id }).await;
    let mut failed = Vec::new();
    while let Some(event) = parallel.next_event().await {
        assert!(
            matches!(event.event, Err(ManagedSessionError::ControlFailed(_))),
            "{event:?}"
        );
        failed.extend(event.session);
    }
    failed.sort_unstable();
    assert_eq!(failed, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_does_not_read_loses_nothing_and_keeps_its_connection() {
    let policy = ConnectionPolicy {
        control_queue: 8,
        ..ConnectionPolicy::default()
    };
    let (mut parallel, mut peer, _listener) = started_with(policy).await;
    let serve = async {
        for number in 1..=20_000 {
            // One of them talks, the other one says nothing.
            peer.say(of(1, number, BacktestResponse::SlotNotification(number)))
                .await;
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(1), serve).await;
    assert!(said.is_err(), "what waits is bounded");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(parallel.counters().snapshot().reconnects(), 0);
    for number in 1..=8 {
        assert_eq!(told(&mut parallel).await.unwrap(), format!("1 slot {number}"));
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_and_drop_close_all_sessions_and_leave_no_task() {
    for drops in [false, true] {
        let before = living_tasks();
        let (parallel, mut peer, listener) = started().await;
        if drops {
            drop(parallel);
            peer.be_closed().await;
        } else {
            let (took, _) = timed(async { tokio::join!(parallel.shutdown(), peer.be_closed()) }).await;
            assert!(took <= ConnectionPolicy::default().graceful_close_timeout, "{took:?}");
        }
        drop((peer, listener));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(living_tasks(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_create_is_told_with_its_reason() {
    let (connector, mut listener) = network();
    let start = ManagedParallelSession::builder("ws://sim.test", create_request())
        .connector(Arc::new(connector))
        .start_parallel();
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        peer.create().await;
        peer.say(announced(ids()[0])).await;
        let error = "all 2 sessions are in use".to_owned();
        peer.say(BacktestError::InvalidRequest { error }).await;
        peer
    };
    let (started, _peer) = tokio::join!(start, serve);
    assert!(matches!(started, Err(ManagedSessionError::Create(_))), "{started:?}");
}
