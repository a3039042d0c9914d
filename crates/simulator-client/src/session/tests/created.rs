//! Several sessions from one request.

use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, BacktestStatus, Capability, ControlSessionId, SequencedResponse,
    SessionEventKind, SessionEventV2, SessionId, SessionOpened, SessionsCreated, SessionsCreatedV2,
};

use super::peer::{Server, client, create};
use super::{LIMIT, READY, simulation_error, slot};
use crate::transport::Frame;
use crate::transport::memory::MemoryListener;
use crate::{BacktestClientError, CreateSession, CreatedSessions};

const A: [u8; 16] = [1; 16];
const B: [u8; 16] = [2; 16];
const C: [u8; 16] = [3; 16];

fn id(bytes: [u8; 16]) -> SessionId {
    SessionId::from_random_bytes(bytes)
}

fn control_id() -> ControlSessionId {
    ControlSessionId::from_random_bytes([9; 16])
}

fn parallel() -> CreateSession {
    CreateSession {
        parallel: true,
        ..create()
    }
}

fn announced(bytes: [u8; 16]) -> BacktestResponse {
    BacktestResponse::SessionCreated(SessionOpened {
        session_id: id(bytes),
        rpc_endpoint: format!("/backtest/{}", id(bytes)),
        task_id: Some("early".into()),
        session_name: None,
        capabilities: vec![],
    })
}

fn created(ids: &[[u8; 16]]) -> SessionsCreatedV2 {
    SessionsCreatedV2 {
        control_session_id: control_id(),
        session_ids: ids.iter().map(|bytes| id(*bytes)).collect(),
        task_ids: vec![],
        start_slots: vec![],
        end_slots: vec![],
        control_session_name: None,
        capabilities: vec![],
    }
}

fn event(bytes: [u8; 16], seq_id: u64) -> BacktestResponse {
    BacktestResponse::SessionEventV2(SessionEventV2 {
        session_id: id(bytes),
        seq_id,
        event: SessionEventKind::SlotNotification(100),
    })
}

/// Answers a create with `events`.
async fn serve(listener: &mut MemoryListener, events: Vec<BacktestResponse>) -> Server {
    let mut server = Server::accept(listener).await;
    let BacktestRequest::CreateBacktestSession(create) = server.request().await else {
        panic!("no create")
    };
    assert!(create.create_token.is_some());
    server.say(events).await;
    server
}

async fn create_with(events: Vec<BacktestResponse>) -> (CreatedSessions, Server) {
    let (client, mut listener) = client();
    let (created, server) = tokio::join!(client.create_sessions(parallel()), serve(&mut listener, events));
    (created.unwrap(), server)
}

#[tokio::test(start_paused = true)]
async fn sessions_are_reported_as_they_come_and_listed_at_the_end() {
    let (client, mut listener) = client();
    let list = SessionsCreatedV2 {
        task_ids: vec![None, Some("late".into())],
        start_slots: vec![100, 150],
        end_slots: vec![149, 200],
        ..created(&[A, B])
    };
    let events = vec![announced(B), announced(A), BacktestResponse::SessionsCreatedV2(list)];
    let mut reported = Vec::new();
    let create = client.create_sessions_with_progress(parallel(), |session| reported.push(session.session_id));
    let (created, _server) = tokio::join!(create, serve(&mut listener, events));
    let created = created.unwrap();
    assert_eq!(reported, [id(B), id(A)]);
    assert_eq!(created.session_ids(), [id(A), id(B)]);
    assert_eq!(created.control_session_id(), Some(control_id()));
    let [a, b] = created.sessions() else {
        panic!("{created:?}")
    };
    assert_eq!(
        (a.task_id.as_deref(), a.slots.clone()),
        (Some("early"), Some(100..=149))
    );
    assert_eq!((b.task_id.as_deref(), b.slots.clone()), (Some("late"), Some(150..=200)));
    let endpoint = a.rpc_endpoint.as_ref().unwrap().as_str();
    assert_eq!(endpoint, format!("http://sim.test/backtest/{}", id(A)));
}

#[tokio::test(start_paused = true)]
async fn events_of_the_sessions_that_arrive_meanwhile_are_kept() {
    let status: BacktestResponse = BacktestStatus::StartingRuntime.into();
    let list = BacktestResponse::SessionsCreatedV2(created(&[A, B]));
    let events = vec![
        status.clone(),
        announced(A),
        event(A, 1),
        simulation_error(),
        announced(B),
        event(B, 1),
        list,
    ];
    let (mut created, mut server) = create_with(events).await;
    server.say([event(A, 2)]).await;
    for expected in [status, event(A, 1), simulation_error(), event(B, 1), event(A, 2)] {
        assert_eq!(created.next_event(LIMIT).await.unwrap(), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_of_different_sessions_are_not_compared() {
    let (mut created, mut server) = create_with(vec![BacktestResponse::SessionsCreatedV2(created(&[A, B]))]).await;
    for (bytes, number) in [(A, 1), (B, 1), (A, 7)] {
        let numbered = SequencedResponse {
            seq_id: Some(number),
            ..event(bytes, number).into()
        };
        server.say_text(serde_json::to_string(&numbered).unwrap()).await;
    }
    for expected in [event(A, 1), event(B, 1), event(A, 7)] {
        assert_eq!(created.next_event(LIMIT).await.unwrap(), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn w42_the_control_connection_lives_as_long_as_the_handle() {
    let (created, mut server) = create_with(vec![BacktestResponse::SessionsCreatedV2(created(&[A]))]).await;
    let silence = tokio::time::timeout(LIMIT.unwrap(), server.frame()).await;
    assert!(silence.is_err(), "{silence:?}");
    drop(created);
    assert_eq!(server.frame().await, Some(Frame::Close(None)));
    assert_eq!(server.frame().await, None);
}

#[tokio::test(start_paused = true)]
async fn w42_closing_the_handle_ends_the_sessions() {
    let (mut created, mut server) = create_with(vec![BacktestResponse::SessionsCreatedV2(created(&[A]))]).await;
    let serve = async {
        assert_eq!(server.request().await, BacktestRequest::CloseBacktestSession);
        server.say([event(A, 1), BacktestResponse::Success]).await;
        server.close(None).await;
    };
    let (closed, ()) = tokio::join!(created.close(LIMIT), serve);
    closed.unwrap();
    assert_eq!(created.next_event(LIMIT).await.unwrap(), Some(event(A, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_server_may_name_sessions_only_early_or_only_at_the_end() {
    let (created, _server) = create_with(vec![
        announced(C),
        announced(A),
        BacktestResponse::SessionsCreated(SessionsCreated {
            session_ids: vec![id(A), id(B)],
        }),
    ])
    .await;
    assert_eq!(created.session_ids(), [id(A), id(B), id(C)]);
    assert!(created.sessions()[1].rpc_endpoint.is_none());
    assert_eq!(created.control_session_id(), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_for_one_session_is_answered_with_one() {
    let (client, mut listener) = client();
    let sessions = client.create_sessions_with_task_ids(create());
    let (created, mut server) = tokio::join!(sessions, serve(&mut listener, vec![announced(A)]));
    let mut created = created.unwrap();
    assert_eq!(created.session_ids(), [id(A)]);
    assert_eq!(created.sessions()[0].task_id.as_deref(), Some("early"));
    server.say([slot(100), READY]).await;
    assert_eq!(created.next_event(LIMIT).await.unwrap(), Some(slot(100)));
}

#[tokio::test(start_paused = true)]
async fn an_error_or_a_missing_extension_ends_a_parallel_create() {
    let (client, mut listener) = client();
    let refusal = BacktestError::InvalidRequest {
        error: "no capacity".into(),
    };
    let events = vec![announced(A), refusal.clone().into()];
    let (failed, _server) = tokio::join!(client.create_sessions(parallel()), serve(&mut listener, events));
    assert!(matches!(failed, Err(BacktestClientError::Remote(error)) if error == refusal));

    let create = CreateSession {
        start_paused: true,
        ..parallel()
    };
    let list = BacktestResponse::SessionsCreatedV2(created(&[A]));
    let refuse = async {
        let mut server = serve(&mut listener, vec![list]).await;
        assert_eq!(server.request().await, BacktestRequest::CloseBacktestSession);
        server.say([BacktestResponse::Success]).await;
        server.close(None).await;
    };
    let (failed, ()) = tokio::join!(client.create_sessions(create), refuse);
    assert!(matches!(
        failed,
        Err(BacktestClientError::MissingCapability {
            capability: Capability::StartPaused
        })
    ));
}
