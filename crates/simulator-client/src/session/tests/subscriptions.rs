//! A session's subscriptions.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use simulator_api::BacktestResponse;
use solana_commitment_config::CommitmentConfig;

use super::peer::{Server, client, create, opened};
use crate::transport::Frame;

/// Takes one subscription, and tells `notification` and the end.
async fn serve(server: &mut Server, notification: Value) -> Value {
    let request = loop {
        match server.frame().await {
            Some(Frame::Text(request)) => break request,
            Some(Frame::Ping(_)) => {}
            other => panic!("expected a request, got {other:?}"),
        }
    };
    let request: Value = serde_json::from_str(&request).unwrap();
    let complete = json!({"method": "subscriptionComplete", "params": {"subscription": 5}});
    for message in [json!({"id": request["id"], "result": 5}), notification, complete] {
        server.say_text(message.to_string()).await;
    }
    server.frame().await;
    server.close(None).await;
    request
}

#[tokio::test(start_paused = true)]
async fn a_session_subscribes_over_the_network_of_its_client() {
    let (client, mut listener) = client();
    let open = async {
        let mut server = Server::accept(&mut listener).await;
        server.request().await;
        server.say([BacktestResponse::SessionCreated(opened(&[]))]).await;
        server
    };
    let (session, _control) = tokio::join!(client.create_session(create()), open);
    let session = session.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));

    let kept = told.clone();
    let logs = session.subscribe_program_logs("Program", CommitmentConfig::confirmed(), move |logs| {
        kept.lock().unwrap().push((logs.target().to_owned(), logs.slot()));
        std::future::ready(())
    });
    let served = async {
        let mut server = Server::accept(&mut listener).await;
        let result = json!({"context": {"slot": 3}, "value": {"signature": "s", "err": null, "logs": []}});
        let params = json!({"subscription": 5, "result": result});
        let request = serve(&mut server, json!({"method": "logsNotification", "params": params})).await;
        (server.connect.url.path().to_owned(), request)
    };
    let (logs, (path, request)) = tokio::join!(logs, served);
    logs.unwrap().join_handle.await.unwrap().unwrap();
    assert!(session.rpc_endpoint().ends_with(&path), "{path}");
    assert_eq!(request["method"], "logsSubscribe");

    let kept = told.clone();
    let diffs = session.subscribe_account_diffs("Account", move |diff| {
        kept.lock().unwrap().push((diff.target().to_owned(), diff.slot()));
        std::future::ready(())
    });
    let served = async {
        let mut server = Server::accept(&mut listener).await;
        let params = json!({"subscription": 5, "result": {"context": {"slot": 4}}});
        serve(
            &mut server,
            json!({"method": "accountDiffNotification", "params": params}),
        )
        .await
    };
    let (diffs, request) = tokio::join!(diffs, served);
    diffs.unwrap().join_handle.await.unwrap().unwrap();
    assert_eq!(request["params"][0], "Account");
    let expected = [("Program".to_owned(), 3), ("Account".to_owned(), 4)];
    assert_eq!(*told.lock().unwrap(), expected);
}
