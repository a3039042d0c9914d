//! Creating, attaching, resuming.

use simulator_api::{BacktestError, BacktestRequest, BacktestResponse, BacktestStatus, Capability};

use super::peer::{Server, attached, client, client_with, create, opened, rest, session, session_id};
use super::{LIMIT, READY, completed, simulation_error, slot};
use crate::{BacktestClient, BacktestClientError, CreateSession, InvalidParams, Limits, ReadyOutcome};

const STARTING: BacktestStatus = BacktestStatus::StartingRuntime;

#[tokio::test(start_paused = true)]
async fn a_created_session_knows_what_the_server_said() {
    let (session, server) = session().await;
    assert_eq!(session.session_id(), session_id());
    assert_eq!(
        session.rpc_endpoint(),
        format!("http://sim.test/backtest/{}", session_id())
    );
    assert_eq!(session.task_id(), Some("worker-1"));
    assert_eq!(session.last_sequence(), None);
    assert!(!session.is_ready_for_continue());
    assert_eq!(server.connect.url.as_str(), "ws://sim.test/backtest");
}

#[cfg(feature = "solana-rpc-client")]
#[tokio::test(start_paused = true)]
async fn the_solana_client_is_that_of_the_session() {
    let (session, _server) = session().await;
    assert_eq!(session.rpc().url(), session.rpc_endpoint());
    assert!(session.rpc().commitment().is_confirmed());
}

#[tokio::test(start_paused = true)]
async fn w10_events_before_session_created_stay_in_order() {
    let (client, mut listener) = client();
    let serve = async {
        let mut server = Server::accept(&mut listener).await;
        server.request().await;
        server.say([STARTING.into(), simulation_error(), READY]).await;
        server.say([BacktestResponse::SessionCreated(opened(&[]))]).await;
        server
    };
    let (session, _server) = tokio::join!(client.create_session(create()), serve);
    assert_eq!(
        rest(&mut session.unwrap()).await,
        [STARTING.into(), simulation_error(), READY]
    );
}

#[tokio::test(start_paused = true)]
async fn w10_events_before_session_attached_stay_in_order() {
    let (client, mut listener) = client();
    let replayed_error: BacktestResponse = BacktestError::ClerkError { error: "x".into() }.into();
    let serve = async {
        let mut server = Server::accept(&mut listener).await;
        let BacktestRequest::AttachBacktestSession(attach) = server.request().await else {
            panic!("no attach")
        };
        assert_eq!((attach.session_id, attach.last_sequence), (session_id(), Some(4)));
        server.say_numbered(5, STARTING.into()).await;
        server.say_numbered(6, slot(101)).await;
        server
            .say([replayed_error.clone(), BacktestResponse::SessionAttached(opened(&[]))])
            .await;
        server
    };
    let (session, _server) = tokio::join!(client.attach_session(session_id(), Some(4)), serve);
    let mut session = session.unwrap();
    assert_eq!(session.last_sequence(), Some(4));
    assert_eq!(rest(&mut session).await, [STARTING.into(), slot(101), replayed_error]);
    assert_eq!(session.last_sequence(), Some(6));
}

#[tokio::test(start_paused = true)]
async fn w10_events_before_the_resume_is_confirmed_stay_in_order() {
    let (mut session, mut server) = attached(None).await;
    let serve = async {
        assert_eq!(server.request().await, BacktestRequest::ResumeAttachedSession);
        server.say([slot(101), READY, BacktestResponse::Success]).await;
    };
    let (resumed, ()) = tokio::join!(session.resume_attached_session(), serve);
    resumed.unwrap();
    assert!(!session.is_ready_for_continue());
    assert_eq!(session.ensure_ready(LIMIT).await.unwrap(), ReadyOutcome::Ready);
    assert_eq!(rest(&mut session).await, [slot(101)]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_attach_is_an_error_that_says_whether_to_try_again() {
    let not_found = BacktestError::SessionNotFound {
        session_id: "backtest_x".into(),
    };
    let busy = BacktestError::SessionOwnershipBusy {
        reason: "draining".into(),
    };
    for (refusal, is_retryable) in [(not_found, false), (busy, true)] {
        let (client, mut listener) = client();
        let serve = async {
            let mut server = Server::accept(&mut listener).await;
            server.request().await;
            server.say([refusal.clone().into()]).await;
            server
        };
        let (session, _server) = tokio::join!(client.attach_session(session_id(), None), serve);
        let error = session.unwrap_err();
        assert_eq!(error.is_retryable(), is_retryable);
        assert!(matches!(error, BacktestClientError::Remote(remote) if remote == refusal));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_end_is_replayed_counts_as_resumed() {
    let (mut session, mut server) = attached(None).await;
    let serve = async move {
        server.request().await;
        server.say([completed()]).await;
        server.close(None).await;
    };
    let (resumed, ()) = tokio::join!(session.resume_attached_session(), serve);
    resumed.unwrap();
    assert_eq!(session.ensure_ready(LIMIT).await.unwrap(), ReadyOutcome::Completed);
    assert_eq!(session.next_event(LIMIT).await.unwrap(), Some(completed()));
}

#[tokio::test(start_paused = true)]
async fn a_create_is_bounded_by_the_request_timeout_and_a_connect_by_its_own() {
    let limits = Limits {
        request_timeout: LIMIT,
        ..Limits::default()
    };
    let (client, mut listener) = client_with(limits);
    let serve = async {
        let server = Server::accept(&mut listener).await;
        std::future::pending::<()>().await;
        drop(server);
    };
    let created = tokio::select! {
        created = client.create_session(create()) => created,
        () = serve => unreachable!("the server never stops"),
    };
    assert!(
        matches!(
            created,
            Err(BacktestClientError::Timeout {
                action: "open a session",
                ..
            })
        ),
        "{created:?}"
    );

    #[derive(Debug)]
    struct Nowhere;
    impl crate::transport::Connector for Nowhere {
        fn connect(
            &self,
            _request: crate::transport::ConnectRequest,
        ) -> futures_util::future::BoxFuture<'_, Result<crate::transport::BoxTransport, crate::transport::TransportError>>
        {
            Box::pin(std::future::pending())
        }
    }
    let client = BacktestClient::builder()
        .url("ws://h")
        .connector(std::sync::Arc::new(Nowhere))
        .build();
    let created = client.create_session(create()).await;
    let Err(BacktestClientError::Timeout {
        action: "connect",
        duration,
    }) = created
    else {
        panic!("{created:?}")
    };
    assert_eq!(duration, Limits::default().connect_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_missing_extension_closes_the_session_again() {
    let (client, mut listener) = client();
    let create = CreateSession {
        start_paused: true,
        ..create()
    };
    let serve = async {
        let mut server = Server::accept(&mut listener).await;
        let BacktestRequest::CreateBacktestSession(create) = server.request().await else {
            panic!("no create")
        };
        assert!(create.request.start_paused && create.create_token.is_some());
        server
            .say([BacktestResponse::SessionCreated(opened(&[Capability::Features]))])
            .await;
        assert_eq!(server.request().await, BacktestRequest::CloseBacktestSession);
        server.say([BacktestResponse::Success]).await;
        server.close(None).await;
    };
    let (session, ()) = tokio::join!(client.create_session(create), serve);
    let error = session.unwrap_err();
    assert!(
        matches!(
            error,
            BacktestClientError::MissingCapability {
                capability: Capability::StartPaused
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_parallel_create_is_refused_before_anything_is_sent() {
    let (client, _listener) = client();
    let create = CreateSession {
        parallel: true,
        ..create()
    };
    let error = client.create_session(create).await.unwrap_err();
    assert!(matches!(
        error,
        BacktestClientError::InvalidParams(InvalidParams::Parallel)
    ));
}

#[test]
fn the_api_key_is_never_shown() {
    let client = BacktestClient::builder().url("ws://h").api_key("s3cret").build();
    assert!(!format!("{client:?}").contains("s3cret"));
}

#[test]
fn the_calls_of_a_session_can_be_spawned() {
    fn is_send<T: Send>(_: &T) {}
    fn check(client: &BacktestClient, session: &mut crate::BacktestSession) {
        is_send(&client.create_session(create()));
        is_send(&session.ensure_ready(None));
        is_send(&session.modify_program("x", &[]));
        is_send(&session.advance(crate::Continue::builder().build(), None, |_| {}));
        is_send(&session.close(None));
    }
    let _checked_by_the_compiler = check;
}
