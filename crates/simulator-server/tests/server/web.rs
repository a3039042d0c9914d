//! What a page in a browser, and whoever types an address, gets.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use simulator_server::ApiKey;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::support::{Running, SampleArchive};

const ORIGIN: &str = "https://a-strategy.example";

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

async fn from_a_page(method: Method, url: &str, body: &'static str) -> Response {
    let request = reqwest::Client::new().request(method, url).header("Origin", ORIGIN);
    let request = request.header("Content-Type", "application/json").body(body);
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_page_of_another_origin_may_read_and_post() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let mut control = server.connect().await;
    let (rpc, _) = control.create(json!({"startSlot": 36, "endSlot": 37})).await;
    control.run().await;
    let preflight = reqwest::Client::new()
        .request(Method::OPTIONS, &rpc.url)
        .header("Origin", ORIGIN)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "content-type,solana-client")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(header(&preflight, "access-control-allow-origin"), Some("*"));
    assert_eq!(header(&preflight, "access-control-allow-headers"), Some("*"));
    let methods = header(&preflight, "access-control-allow-methods").unwrap();
    assert!(methods.contains("POST"), "{methods}");
    let call = r#"{"jsonrpc": "2.0", "id": 1, "method": "getSlot"}"#;
    let answer = from_a_page(Method::POST, &rpc.url, call).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
    assert_eq!(answer.json::<Value>().await.unwrap()["result"], 36);
    let unknown = from_a_page(Method::POST, &format!("{}0", rpc.url), call).await;
    assert_eq!(unknown.status(), 404);
    assert_eq!(
        header(&unknown, "access-control-allow-origin"),
        Some("*"),
        "the page is told why"
    );
    let ranges = from_a_page(Method::GET, &format!("http://{}/available-ranges", server.address), "").await;
    assert_eq!(header(&ranges, "access-control-allow-origin"), Some("*"));
    // What a key is for stays with whoever holds it.
    let usage = from_a_page(Method::GET, &format!("http://{}/usage", server.address), "").await;
    assert_eq!(header(&usage, "access-control-allow-origin"), None);
    control.close().await;
    server.stopped().await;
}

/// What a server answers to an upgrade of its control channel.
async fn upgrade(server: &Running, origin: &str, key: Option<&str>) -> StatusCode {
    let mut request = format!("ws://{}/backtest", server.address)
        .into_client_request()
        .unwrap();
    request.headers_mut().insert("Origin", origin.parse().unwrap());
    if let Some(key) = key {
        request.headers_mut().insert("X-API-Key", key.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((_, response)) => response.status(),
        Err(Error::Http(response)) => response.status(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_page_of_another_server_cannot_make_a_session_without_a_key() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    for origin in [ORIGIN, "http://127.0.0.1:1", "http://127.0.0.1", "null"] {
        assert_eq!(upgrade(&server, origin, None).await, 403, "{origin}");
    }
    let own = format!("http://{}", server.address);
    assert_eq!(upgrade(&server, &own, None).await, 101);
    server.stopped().await;
    let mut config = sample.config();
    config.keys = vec![ApiKey::new("desk", "secret")];
    let server = Running::start(config).await;
    assert_eq!(upgrade(&server, ORIGIN, Some("secret")).await, 101);
    assert_eq!(upgrade(&server, ORIGIN, None).await, 401);
    server.stopped().await;
}

#[tokio::test]
async fn a_version_is_one_that_every_client_reads() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    let mut control = server.connect().await;
    let (rpc, _) = control.create(json!({"startSlot": 36, "endSlot": 37})).await;
    control.run().await;
    let version = rpc.call("getVersion", json!([])).await;
    assert!(version["solana-core"].as_str().unwrap().starts_with("4.2"), "{version}");
    // `@solana/web3.js` takes nothing but a number here.
    assert!(version["feature-set"].as_u64().unwrap() > 0, "{version}");
    control.close().await;
    server.stopped().await;
}

#[tokio::test]
async fn a_mistaken_address_is_told_so_in_words() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(sample.config()).await;
    for path in ["/", "/usage/sessions", "/snapshot-slot"] {
        let (status, text) = server.get(path).await;
        assert_eq!(status, 404);
        assert!(
            text.contains("no such endpoint") && text.contains("/backtest"),
            "{text}"
        );
    }
    let (status, text) = server.get("/backtest").await;
    assert_eq!(status, 400);
    assert!(text.contains("WebSocket") && text.contains("ws://"), "{text}");
    let mut control = server.connect().await;
    let (rpc, _) = control.create(json!({"startSlot": 36, "endSlot": 37})).await;
    control.run().await;
    let (status, text) = server.get(&format!("/backtest/{}", rpc.id())).await;
    assert_eq!(status, 400);
    assert!(text.contains("POST") && text.contains("WebSocket"), "{text}");
    let (code, text) = rpc.error("slotSubscribe", json!([])).await;
    assert!(code == -32601 && text.contains("WebSocket"), "{text}");
    let refused = rpc.data().await.refused("getSlot", json!([])).await;
    assert_eq!(refused["code"], -32601, "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("HTTP"), "{refused}");
    let (_, text) = rpc.post("[5]").await;
    assert!(text.contains("expected a call with its method"), "{text}");
    let (status, text) = server.get("/usage?since=yesterday").await;
    assert!(status == 400 && text.contains("2026-03-01T00:00:00Z"), "{text}");
    control.close().await;
    server.stopped().await;
}
