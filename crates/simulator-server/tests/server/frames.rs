//! Messages that are longer than a frame may be.

use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use simulator_server::ServerConfig;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use futures_util::{SinkExt as _, StreamExt as _};

use crate::support::{Rpc, Running, SampleArchive};

/// What the published clients refuse to read more of in one frame, on a smaller scale.
const FRAME_BYTES: usize = 4096;

async fn data(rpc: &Rpc) -> WebSocketStream<TcpStream> {
    let place = rpc.url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(place.split('/').next().unwrap()).await.unwrap();
    let config = WebSocketConfig::default().max_frame_size(Some(FRAME_BYTES));
    let connected = client_async_with_config(format!("ws://{place}"), stream, Some(config)).await;
    connected.unwrap().0
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

#[tokio::test]
async fn a_notification_of_any_length_is_read_by_a_client_that_takes_short_frames_only() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config: ServerConfig = sample.config();
    config.limits.frame_bytes = FRAME_BYTES;
    let server = Running::start(config).await;
    let mut control = server.connect().await;
    let (rpc, _) = control.create(json!({"startSlot": 36, "endSlot": 40})).await;
    control.run().await;
    let subscribe = |options: Value| {
        let params = json!(["all", options]);
        json!({"jsonrpc": "2.0", "id": 1, "method": "blockSubscribe", "params": params}).to_string()
    };
    let (mut plain, mut packed) = (data(&rpc).await, data(&rpc).await);
    let options = json!({"maxSupportedTransactionVersion": 0});
    plain.send(Message::text(subscribe(options.clone()))).await.unwrap();
    let compressed = json!({"maxSupportedTransactionVersion": 0, "compression": "zstd"});
    packed.send(Message::text(subscribe(compressed))).await.unwrap();
    for socket in [&mut plain, &mut packed] {
        assert!(next(socket).await.is_text(), "the answer");
    }
    control.send("continue", json!({"advanceCount": 1})).await;
    control.run().await;
    let text = next(&mut plain).await.into_text().unwrap();
    assert!(text.len() > 4 * FRAME_BYTES, "{}", text.len());
    let block: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(block["params"]["result"]["value"]["slot"], 36);
    let binary = next(&mut packed).await;
    assert!(binary.is_binary() && binary.len() > FRAME_BYTES, "{}", binary.len());
    drop((plain, packed));
    control.close().await;
    server.stopped().await;
}
