//! What can never succeed ends at once, with its cause.

use std::time::Duration;

use simulator_api::{BacktestError, BacktestResponse};
use tokio_tungstenite::tungstenite::http::StatusCode;

use super::peer::{Broken, How, Peer, builder, create_request, started, timed};
use crate::managed::{
    ConnectionError, ConnectionPolicy, ConnectionStatus, InvalidPolicy, ManagedBacktestSession, ManagedFailure,
    ManagedSessionError,
};
use crate::transport::memory::network;

fn permanent(started: Result<ManagedBacktestSession, ManagedSessionError>) -> ConnectionError {
    match started {
        Err(ManagedSessionError::Create(failure)) => match *failure {
            ManagedFailure::Permanent(error) => error,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn w20_a_refused_upgrade_is_final() {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND] {
        let broken = Broken::new(How::Refuses(status));
        let (took, started) = timed(builder(broken.clone()).start()).await;
        assert!(matches!(permanent(started), ConnectionError::Connect(_)));
        assert_eq!((took, broken.attempts()), (Duration::ZERO, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_is_asked_again() {
    let broken = Broken::new(How::Refuses(StatusCode::SERVICE_UNAVAILABLE));
    let started = builder(broken.clone()).start().await;
    assert!(started.is_err());
    assert!(broken.attempts() > 5);
}

#[tokio::test(start_paused = true)]
async fn w20_bad_addresses_and_headers_are_final() {
    let broken = || Broken::new(How::Fails);
    let address = ManagedBacktestSession::builder("ftp://sim.test", create_request())
        .connector(broken())
        .start()
        .await;
    assert!(matches!(permanent(address), ConnectionError::Url(_)));
    let key = builder(broken()).api_key("line\nbreak").start().await;
    assert!(matches!(permanent(key), ConnectionError::Header(_)));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_contradicts_itself_is_refused() {
    let policy = ConnectionPolicy {
        control_queue: 0,
        ..ConnectionPolicy::default()
    };
    let started = builder(Broken::new(How::Fails)).policy(policy).start().await;
    assert!(matches!(
        started,
        Err(ManagedSessionError::Policy(InvalidPolicy::Zero("control_queue")))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_refused_create_is_final_and_tells_why() {
    let (connector, mut listener) = network();
    let error = BacktestError::InvalidRequest {
        error: "endSlot before startSlot".into(),
    };
    let serve = async {
        let mut peer = Peer::accept(&mut listener).await;
        peer.create().await;
        peer.say(error.clone()).await;
        peer.gone().await;
    };
    let (started, ()) = tokio::join!(builder(std::sync::Arc::new(connector)).start(), serve);
    let ConnectionError::Refused { error: told, .. } = permanent(started) else {
        panic!("expected a refusal");
    };
    assert_eq!(told, error);
}

#[tokio::test(start_paused = true)]
async fn w22_the_reason_of_the_end_is_an_event_and_a_status() {
    let (mut session, mut peer, _listener) = started().await;
    peer.say_numbered(
        1,
        BacktestError::Internal {
            error: "worker lost".into(),
        },
    )
    .await;
    let serve = tokio::spawn(async move { peer.be_closed().await });
    let told = session.next_event().await;
    assert!(matches!(
        told,
        Ok(crate::managed::ManagedEvent::Error(BacktestError::Internal { .. }))
    ));
    let Err(ManagedSessionError::ControlFailed(failure)) = session.next_event().await else {
        panic!("expected the end");
    };
    assert!(matches!(
        *failure,
        ManagedFailure::Session(BacktestError::Internal { .. })
    ));
    assert!(matches!(
        session.next_event().await,
        Err(ManagedSessionError::ControlClosed)
    ));
    let ConnectionStatus::Failed(text) = session.status().borrow().clone() else {
        panic!("expected a failure");
    };
    assert!(text.contains("worker lost"), "{text}");
    serve.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn w21_an_undecodable_message_is_an_error_and_the_session_goes_on() {
    let (mut session, mut peer, _listener) = started().await;
    peer.send(crate::transport::Frame::Text(
        "{\"method\":\"slotNotification\"}".into(),
    ))
    .await;
    peer.say_numbered(1, BacktestResponse::ReadyForContinue).await;
    let Err(error @ ManagedSessionError::Stream(_)) = session.next_event().await else {
        panic!("expected a fault");
    };
    assert!(!error.is_final());
    assert!(matches!(
        session.next_event().await,
        Ok(crate::managed::ManagedEvent::ReadyForContinue)
    ));
}
