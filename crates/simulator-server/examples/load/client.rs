//! Clients in plain JSON.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::Target;

/// A session and its control connection.
pub(super) struct Control {
    socket: WebSocketStream<TcpStream>,
    pub(super) endpoint: String,
}

/// A subscription to every transaction of a session.
pub(super) struct Data(WebSocketStream<TcpStream>);

/// Status and body of a request with the key.
pub(super) async fn get(target: &Target, path: &str) -> (u16, String) {
    let request = reqwest::Client::new().get(format!("http://{}{path}", target.address));
    let response = request.header("X-API-Key", &target.key).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// A WebSocket.
pub(super) async fn connect(
    address: SocketAddr,
    path: &str,
    key: &str,
    buffer: u32,
) -> Result<WebSocketStream<TcpStream>, Error> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(buffer)?;
    let mut request = format!("ws://{address}{path}").into_client_request()?;
    request.headers_mut().insert("X-API-Key", key.parse().unwrap());
    Ok(client_async(request, socket.connect(address).await?).await?.0)
}

impl Control {
    /// A session over the whole archive that stands before its first batch.
    pub(super) async fn open(address: SocketAddr, key: &str) -> Result<Self, Error> {
        let ranges = reqwest::get(format!("http://{address}/available-ranges"))
            .await
            .unwrap();
        let ranges: Value = serde_json::from_str(&ranges.text().await.unwrap()).unwrap();
        let mut control = Self {
            socket: connect(address, "/backtest", key, 1 << 16).await?,
            endpoint: String::new(),
        };
        let params = json!({
            "startSlot": ranges[0]["bundle_start_slot"],
            "endSlot": ranges[0]["max_bundle_end_slot"],
            "startPaused": true,
            "capacityWaitTimeoutSecs": 60,
        });
        control.send("createBacktestSession", params).await?;
        loop {
            let message = control.next().await?;
            match message["method"].as_str() {
                Some("status") => {}
                Some("sessionCreated") => {
                    message["params"]["rpc_endpoint"]
                        .as_str()
                        .unwrap()
                        .clone_into(&mut control.endpoint);
                }
                Some("paused") => return Ok(control),
                _ => panic!("unexpected {message}"),
            }
        }
    }

    /// Executes everything; returns how many slots were notified, each of them once and in order.
    pub(super) async fn run_to_the_end(&mut self) -> Result<usize, Error> {
        self.send("continue", json!({"advanceCount": 1_000_000})).await?;
        let (mut slots, mut last, mut sequence) = (0, 0, 0);
        loop {
            let message = self.next().await?;
            let number = message["seqId"].as_u64().unwrap_or_default();
            assert!(
                sequence == 0 || number == sequence + 1,
                "{message} after event {sequence}"
            );
            sequence = number;
            match message["method"].as_str() {
                Some("slotNotification") => {
                    let slot = message["params"].as_u64().unwrap();
                    assert!(slot > last, "{slot} after {last}");
                    (slots, last) = (slots + 1, slot);
                }
                Some("completed") => return Ok(slots),
                Some("error") => panic!("{message}"),
                _ => {}
            }
        }
    }

    pub(super) async fn close(mut self) {
        let close = Message::text(r#"{"method": "closeBacktestSession"}"#);
        self.socket.send(close).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    async fn send(&mut self, method: &str, params: Value) -> Result<(), Error> {
        let text = json!({"method": method, "params": params}).to_string();
        self.socket.send(Message::text(text)).await
    }

    async fn next(&mut self) -> Result<Value, Error> {
        loop {
            if let Message::Text(text) = self.socket.next().await.ok_or(Error::ConnectionClosed)?? {
                return Ok(serde_json::from_str(&text).unwrap());
            }
        }
    }
}

impl Data {
    pub(super) async fn subscribe(address: SocketAddr, endpoint: &str) -> Result<Self, Error> {
        let mut socket = connect(address, endpoint, "", 4096).await?;
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "transactionSubscribe", "params": ["allWithVotes"]});
        socket.send(Message::text(request.to_string())).await?;
        Ok(Self(socket))
    }

    /// Reads to the end; returns how many transactions it was told of.
    pub(super) async fn count(mut self) -> usize {
        let mut count = 0;
        while let Some(message) = self.0.next().await {
            let Message::Text(text) = message.unwrap() else {
                continue;
            };
            if text.contains("\"subscriptionComplete\"") {
                return count;
            }
            count += usize::from(text.contains("\"transactionNotification\""));
        }
        panic!("the connection ended before the subscription did, after {count} notifications");
    }
}
