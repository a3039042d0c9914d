//! The control channel: one WebSocket, over which a client makes or takes over one session, or several together, and
//! drives them.
//!
//! ```text
//! frames ──► Connection ──► the session's inbox ──► worker
//!                │                                    │
//!                │ replies                            ▼
//!                └─────────► writer ◄──────────── event log
//! ```
//!
//! Reading and writing are separate tasks, so that a client that is slow to read can still be heard.

mod backlog;
mod connection;
mod creation;
mod opening;
mod parallel;
mod phase;
mod ping;
mod receipts;
mod requests;
mod several;
mod streams;
mod writer;

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use self::connection::Connection;
use self::receipts::Receipts;
use self::writer::{Outgoing, Shared, Writer};
use crate::keys::Owner;
use crate::metrics::Refusal;
use crate::seat::Driver;
use crate::state::State;
use crate::websocket::WebSocket;

/// Why a control connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The client closed its session.
    Closed,
    /// The client sent a close frame.
    Left,
    /// The socket broke, or nothing arrived for too long.
    Lost,
    /// The client did not answer when another connection asked for its session.
    Evicted,
    /// The client sent a message larger than the limit.
    TooLarge,
    /// The client broke the WebSocket protocol.
    Violation,
    /// The client asks and does not read the answers.
    Flood,
    /// The server stops.
    Restart,
}

/// Replies that wait for the writer.
const WAITING_REPLIES: usize = 16;

/// Serves one control connection to its end. Its session outlives it, unless the client closes it.
pub(crate) async fn serve(socket: WebSocket, state: Arc<State>, owner: Owner) {
    let (sink, mut frames) = socket.split();
    let (replies, waiting) = mpsc::channel(WAITING_REPLIES);
    let driver = Arc::<Driver>::default();
    let receipts = Arc::<Receipts>::default();
    let shared = Shared {
        driver: Arc::clone(&driver),
        receipts: Arc::clone(&receipts),
    };
    let writer = Writer::new(sink, shared, state.times.clone(), &state.limits);
    let writer = tokio::spawn(writer.write(waiting));
    let shared = Shared { driver, receipts };
    let connection = Connection::new(Arc::clone(&state), owner, shared, replies.clone());
    let ending = connection.converse(&mut frames).await;
    tracing::debug!(?ending, "a control connection ends");
    if let Some(refusal) = ending.refusal() {
        state.metrics.refused(refusal);
    }
    say_goodbye(ending, replies, &mut frames, writer, &state).await;
}

/// A closing handshake, as far as there is someone to shake hands with, within the time for it.
async fn say_goodbye(
    ending: Ending,
    replies: mpsc::Sender<Outgoing>,
    frames: &mut SplitStream<WebSocket>,
    writer: JoinHandle<()>,
    state: &State,
) {
    let abort = writer.abort_handle();
    let handshake = async {
        if let Some(last) = ending.last_words() {
            // If the writer has failed, nobody listens any more.
            drop(replies.send(last).await);
        }
        drop(replies);
        drop(writer.await);
        if ending != Ending::Lost {
            while let Some(Ok(frame)) = frames.next().await {
                if matches!(frame, Message::Close(_)) && ending != Ending::Left {
                    break;
                }
            }
        }
    };
    if tokio::time::timeout(state.times.close_limit, handshake).await.is_err() {
        abort.abort();
    }
}

impl Ending {
    /// How an end that is not the client's wish is counted.
    fn refusal(self) -> Option<Refusal> {
        match self {
            Self::TooLarge => Some(Refusal::TooLarge),
            Self::Violation => Some(Refusal::Violation),
            Self::Flood => Some(Refusal::Flood),
            Self::Closed | Self::Left | Self::Lost | Self::Evicted | Self::Restart => None,
        }
    }

    fn last_words(self) -> Option<Outgoing> {
        let close = |code, reason: &'static str| CloseFrame {
            code,
            reason: reason.into(),
        };
        match self {
            Self::Closed => Some(Outgoing::SuccessAndClose(close(CloseCode::Normal, "session closed"))),
            Self::TooLarge => Some(Outgoing::Close(close(CloseCode::Size, "message too large"))),
            Self::Violation => Some(Outgoing::Close(close(CloseCode::Protocol, "protocol violation"))),
            Self::Flood => Some(Outgoing::Close(close(CloseCode::Policy, "too many unread events"))),
            Self::Evicted => Some(Outgoing::Close(close(CloseCode::Policy, "session taken over"))),
            Self::Restart => Some(Outgoing::Close(close(CloseCode::Restart, "management handoff"))),
            Self::Left | Self::Lost => None,
        }
    }
}
