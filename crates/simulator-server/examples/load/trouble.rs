//! Clients that mean harm.

use std::fmt;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Target;
use super::client::{connect, get};

/// Half-open connections that are held at once.
const HALF_OPEN: usize = 300;
/// A message that is larger than the server takes.
const TOO_LARGE: usize = (64 << 20) + 1;

/// How much of what was made.
#[derive(Default)]
pub(super) struct Made {
    garbage: usize,
    half_open: usize,
    oversized: usize,
    wrong_keys: usize,
    guessed_ids: usize,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} garbage frames, {} half-open connections, {} oversized messages, {} wrong keys, {} guessed ids",
            self.garbage, self.half_open, self.oversized, self.wrong_keys, self.guessed_ids
        )
    }
}

/// Makes trouble of every kind, and checks that each is refused as it should be.
pub(super) async fn make(target: Target) -> Made {
    let mut made = Made::default();
    let mut held = Vec::new();
    for round in 0..20_u8 {
        for _ in 0..HALF_OPEN / 20 {
            let mut socket = TcpStream::connect(target.address).await.unwrap();
            socket.write_all(b"GET /backtest HTTP/1.1\r\nhost:").await.unwrap();
            held.push(socket);
            made.half_open += 1;
        }
        made.garbage += garbage(&target, round).await;
        for guess in 0..20_u128 {
            let id = format!("/backtest/backtest_{:032x}", (guess << 100) | u128::from(round));
            assert_eq!(get(&target, &id).await.0, 404);
            made.guessed_ids += 1;
        }
        for key in 0..20 {
            match connect(target.address, "/backtest", &format!("wrong-{key}"), 4096).await {
                Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), 401),
                other => panic!("{:?}", other.map(|_| ())),
            }
            made.wrong_keys += 1;
        }
        if round < 3 {
            made.oversized += oversized(&target).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    made
}

/// Garbage below HTTP, and inside of a WebSocket.
async fn garbage(target: &Target, round: u8) -> usize {
    let mut socket = TcpStream::connect(target.address).await.unwrap();
    // The server may have closed it by now.
    drop(socket.write_all(&[round | 0x80; 4096]).await);
    let mut control = connect(target.address, "/backtest", &target.key, 4096).await.unwrap();
    for length in 0..50 {
        control.send(Message::binary(vec![0xff; length])).await.unwrap();
    }
    let answered = control.next().await.unwrap().unwrap();
    assert!(answered.is_text() || answered.is_ping(), "{answered:?}");
    51
}

async fn oversized(target: &Target) -> usize {
    let mut control = connect(target.address, "/backtest", &target.key, 4096).await.unwrap();
    // It is cut off while it sends, or after.
    drop(control.send(Message::text("x".repeat(TOO_LARGE))).await);
    1
}
