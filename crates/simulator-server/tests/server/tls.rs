//! TLS: the server's certificate, and clients that trust it.

use std::error::Error;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;
use simulator_archive::import::ScopeChoice;
use simulator_client::managed::{
    ConnectionError, ConnectionPolicy, ManagedBacktestSession, ManagedEvent, ManagedFailure, ManagedSessionError,
};
use simulator_client::rpc::RpcEndpoint;
use simulator_client::transport::TransportError;
use simulator_client::{
    BacktestClient, BacktestClientError, Continue, ContinueParams, CreateSession, HttpError, RootCertificates,
};
use simulator_server::{BindError, Server, ServerConfig, TlsFiles};
use simulator_testkit::paths;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

use crate::operation::run_to_the_end;
use crate::support::{Control, Running, SampleArchive};

const SYSTEM: &str = "11111111111111111111111111111111";

async fn with_tls(sample: &SampleArchive) -> Running {
    Running::start(tls_config(sample)).await
}

fn tls_config(sample: &SampleArchive) -> ServerConfig {
    ServerConfig {
        tls: Some(TlsFiles {
            certificates: paths::tls("cert.pem"),
            key: paths::tls("key.pem"),
        }),
        ..sample.config()
    }
}

fn authority() -> RootCertificates {
    RootCertificates::from_pem(&std::fs::read(paths::tls("ca.pem")).unwrap()).unwrap()
}

fn whole() -> CreateSession {
    CreateSession::builder().start_slot(36).end_slot(44).build()
}

#[tokio::test]
async fn the_hand_driven_client_trusts_an_authority_that_it_is_given() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = with_tls(&sample).await;
    let url = format!("wss://{}", server.address);
    let client = BacktestClient::builder()
        .url(&url)
        .root_certificates(authority())
        .build();
    assert_eq!(client.available_ranges().await.unwrap().len(), 1);
    let mut session = client.create_session(whole()).await.unwrap();
    assert!(session.rpc_endpoint().starts_with("https://"));
    let (told, mut logs) = tokio::sync::mpsc::channel(100);
    let tell = move |_logs| {
        let told = told.clone();
        async move { told.send(()).await.unwrap() }
    };
    let subscribed = session.subscribe_program_logs(SYSTEM, Default::default(), tell).await;
    let _subscribed = subscribed.unwrap();
    session.ensure_ready(None).await.unwrap();
    // Over https, with the authority of the client.
    assert_eq!(session.modify_accounts(&Default::default()).await.unwrap(), 0);
    let all = Continue::builder().advance_count(u64::MAX).build();
    assert!(session.advance(all, None, |_event| {}).await.unwrap().completed);
    assert!(logs.recv().await.is_some());
    session.close(None).await.unwrap();
    server.stopped().await;
}

#[tokio::test]
async fn the_managed_client_trusts_an_authority_that_it_is_given() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = with_tls(&sample).await;
    let url = format!("wss://localhost:{}", server.address.port());
    let session = ManagedBacktestSession::builder(url, whole().into_request().unwrap()).root_certificates(authority());
    let mut session = session.start().await.unwrap();
    session.subscribe_transactions(vec![SYSTEM.parse().unwrap()]).unwrap();
    let endpoint = RpcEndpoint::new(&session.session_info().rpc_endpoint).unwrap();
    let mut transactions = 0;
    loop {
        match session.next_event().await.unwrap() {
            ManagedEvent::ReadyForContinue => {
                let trusting = endpoint.clone().with_root_certificates(authority());
                let slot: u64 = trusting.call("getSlot", &[(); 0]).await.unwrap();
                assert_eq!(slot, 36);
                let distrusting = endpoint.call::<_, Value>("getSlot", &[(); 0]).await;
                assert!(distrusting.is_err(), "it was given none");
                let everything = ContinueParams {
                    advance_count: u64::MAX,
                    ..ContinueParams::default()
                };
                session.send_continue(everything).await.unwrap();
            }
            ManagedEvent::Transaction(_) => transactions += 1,
            ManagedEvent::Completed { .. } => break,
            _ => {}
        }
    }
    assert!(transactions > 10, "{transactions}");
    session.shutdown().await;
    server.stopped().await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_named_as_the_reason_and_not_tried_again() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = with_tls(&sample).await;
    let url = format!("wss://{}", server.address);
    let client = BacktestClient::builder().url(&url).build();
    let error = client.create_session(whole()).await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
    assert!(error.source().unwrap().to_string().contains("certificate"), "{error:?}");
    let BacktestClientError::Connect {
        source: TransportError::Certificate(_),
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    let error = client.available_ranges().await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
    let BacktestClientError::Http {
        source: HttpError::Certificate(_),
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    // A certificate of a known authority, for other names.
    let other = ServerConfig {
        listen: "127.0.0.2:0".parse().unwrap(),
        ..tls_config(&sample)
    };
    let other = Running::start(other).await;
    let elsewhere = format!("wss://{}", other.address);
    let policy = ConnectionPolicy {
        root_certificates: authority(),
        ..ConnectionPolicy::default()
    };
    for (url, policy) in [(url, ConnectionPolicy::default()), (elsewhere, policy)] {
        let session = ManagedBacktestSession::builder(url, whole().into_request().unwrap()).policy(policy);
        let error = session.start().await.unwrap_err();
        let ManagedSessionError::Create(failure) = &error else {
            panic!("{error:?}")
        };
        let ManagedFailure::Permanent(ConnectionError::Connect(source)) = &**failure else {
            panic!("{error:?}")
        };
        assert!(matches!(**source, TransportError::Certificate(_)), "{error:?}");
    }
    other.stopped().await;
    server.stopped().await;
}

#[tokio::test]
async fn speaks_tls() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = with_tls(&sample).await;
    let authority = std::fs::read(paths::tls("ca.pem")).unwrap();
    let client = reqwest::Client::builder()
        .add_root_certificate(reqwest::Certificate::from_pem(&authority).unwrap())
        .build()
        .unwrap();
    let health = client
        .get(format!("https://{}/health", server.address))
        .send()
        .await
        .unwrap();
    assert_eq!(health.text().await.unwrap(), "ok");
    let plain = reqwest::get(format!("http://{}/health", server.address)).await;
    assert!(plain.is_err(), "{plain:?}");
    let stranger = reqwest::get(format!("https://{}/health", server.address)).await;
    assert!(stranger.is_err(), "{stranger:?}");
    let mut control = over_tls(&server).await;
    run_to_the_end(&mut control).await;
    control.close().await;
    server.stopped().await;
}

async fn over_tls(server: &Running) -> Control {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(paths::tls("ca.pem")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let request = format!("wss://localhost:{}/backtest", server.address.port())
        .into_client_request()
        .unwrap();
    let connector = Connector::Rustls(Arc::new(config));
    let connected = connect_async_tls_with_config(request, None, true, Some(connector)).await;
    Control::over(connected.unwrap().0, server.address)
}

#[tokio::test]
async fn does_not_start_with_a_certificate_that_it_cannot_use() {
    for (certificates, key) in [
        ("cert.pem", "ca.pem"),
        ("key.pem", "key.pem"),
        ("none", "key.pem"),
        ("ca.pem", "key.pem"),
    ] {
        let config = ServerConfig {
            tls: Some(TlsFiles {
                certificates: paths::tls(certificates),
                key: paths::tls(key),
            }),
            ..ServerConfig::local(Vec::new())
        };
        let refused = Server::bind(config).await.err();
        assert!(
            matches!(refused, Some(BindError::Tls(_))),
            "{certificates} {key}: {refused:?}"
        );
    }
}
