//! A client of a session's PubSub, in plain JSON.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

use crate::support::{PATIENCE, Rpc};

/// Room for the largest notification of the sample.
const DECODED_BYTES: usize = 1 << 20;

/// One data connection.
pub(crate) struct Data {
    socket: WebSocketStream<TcpStream>,
    decoder: Decoder<'static>,
    last_id: u64,
}

/// A message and whether it came compressed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) message: Value,
    pub(crate) is_compressed: bool,
}

impl Rpc {
    pub(crate) async fn data(&self) -> Data {
        let socket = TcpSocket::new_v4().unwrap();
        Data::over(self, socket).await
    }

    /// Connects with a small buffer, so that the server soon notices when nothing is read.
    pub(crate) async fn narrow_data(&self) -> Data {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Data::over(self, socket).await
    }

    /// The status with which a data connection is refused, or 101.
    pub(crate) async fn data_refused_or_open(&self) -> u16 {
        let socket = TcpSocket::new_v4().unwrap();
        match Data::connect(self, socket).await {
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
            Ok(_) => 101,
        }
    }

    /// The status with which a further data connection is refused.
    pub(crate) async fn data_refused(&self) -> u16 {
        let socket = TcpSocket::new_v4().unwrap();
        match Data::connect(self, socket).await {
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => response.status().as_u16(),
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
}

impl Data {
    async fn over(rpc: &Rpc, socket: TcpSocket) -> Self {
        Self::connect(rpc, socket).await.unwrap()
    }

    async fn connect(rpc: &Rpc, socket: TcpSocket) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let place = rpc.url.strip_prefix("http://").unwrap();
        let address = place.split('/').next().unwrap().parse().unwrap();
        let stream = socket.connect(address).await.unwrap();
        let (socket, _) = client_async(format!("ws://{place}"), stream).await?;
        Ok(Self {
            socket,
            decoder: Decoder::new().unwrap(),
            last_id: 0,
        })
    }

    pub(crate) async fn raw(&mut self, message: Message) {
        timeout(PATIENCE, self.socket.send(message)).await.unwrap().unwrap();
    }

    /// Asks, and returns the next message, which has to be the answer.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.raw(Message::text(request.to_string())).await;
        let heard = self.next().await;
        assert!(!heard.is_compressed, "an answer is text");
        assert_eq!(heard.message["id"], self.last_id, "{heard:?}");
        heard.message
    }

    pub(crate) async fn subscribe(&mut self, method: &str, params: Value) -> u64 {
        let answer = self.ask(method, params).await;
        answer["result"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    pub(crate) async fn refused(&mut self, method: &str, params: Value) -> Value {
        self.ask(method, params).await["error"].clone()
    }

    /// The next message that is not a ping.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Text(text) => return heard(&text, false),
                Message::Binary(part) => return heard(&self.decode(&part), true),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected frame {other:?}"),
            }
        }
    }

    /// Everything up to and including this many ends of subscriptions.
    pub(crate) async fn until_ends(&mut self, mut ends: usize) -> Vec<Heard> {
        let mut all = Vec::new();
        while ends > 0 {
            let heard = self.next().await;
            ends -= usize::from(is_end(&heard.message));
            all.push(heard);
        }
        all
    }

    /// The notifications of a connection with one subscription, to its end.
    pub(crate) async fn rest(&mut self) -> Vec<Value> {
        let mut all = self.until_ends(1).await;
        all.pop();
        all.into_iter().map(|heard| heard.message).collect()
    }

    /// The code with which the server closes, skipping everything before.
    pub(crate) async fn closed(&mut self) -> Option<CloseCode> {
        let mut code = None;
        while let Some(Ok(frame)) = timeout(PATIENCE, self.socket.next()).await.unwrap() {
            if let Message::Close(frame) = frame {
                code = frame.map(|frame| frame.code);
            }
        }
        code
    }

    /// One part of the stream, which is one whole message.
    fn decode(&mut self, part: &[u8]) -> String {
        let mut room = vec![0; DECODED_BYTES];
        let (mut input, mut output) = (InBuffer::around(part), OutBuffer::around(room.as_mut_slice()));
        while input.pos() < part.len() {
            self.decoder.run(&mut input, &mut output).unwrap();
        }
        String::from_utf8(output.as_slice().to_vec()).unwrap()
    }
}

fn heard(text: &str, is_compressed: bool) -> Heard {
    Heard {
        message: serde_json::from_str(text).unwrap(),
        is_compressed,
    }
}

pub(crate) fn is_end(message: &Value) -> bool {
    message["method"] == "subscriptionComplete"
}

/// Slot and index of a notification.
pub(crate) fn cursor(message: &Value) -> (u64, u64) {
    let cursor = &message["params"]["cursor"];
    (cursor["slot"].as_u64().unwrap(), cursor["index"].as_u64().unwrap())
}
