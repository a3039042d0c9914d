//! Everything that is sent over a control connection.

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use simulator_api::{BacktestResponse, SequencedResponse};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::Times;
use crate::event_log::Sequence;
use crate::handle::SessionHandle;

/// What the writer is told to send.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// An answer of the connection itself, without a number.
    Reply(BacktestResponse),
    /// From now on, the events of this session as well.
    Events(Arc<SessionHandle>),
    /// `success`, with no event in between any more, and the end.
    SuccessAndClose(CloseFrame),
    /// The end.
    Close(CloseFrame),
}

/// Sends until it is told to close, the connection is done with, or sending fails.
pub(super) async fn write(sink: SplitSink<WebSocket, Message>, replies: mpsc::Receiver<Outgoing>, times: Times) {
    let mut writer = Writer {
        sink,
        times,
        delivery: None,
    };
    if let Err(error) = writer.run(replies).await {
        tracing::debug!(%error, "a control connection cannot be written to");
    }
}

struct Writer {
    sink: SplitSink<WebSocket, Message>,
    times: Times,
    delivery: Option<Delivery>,
}

/// A session and the last of its events that was sent.
struct Delivery {
    session: Arc<SessionHandle>,
    sent: Sequence,
}

/// Why nothing can be sent any more.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the socket failed")]
    Socket(#[from] axum::Error),
    #[error("a message could not be sent in time")]
    Stuck(#[from] tokio::time::error::Elapsed),
}

impl Writer {
    async fn run(&mut self, mut replies: mpsc::Receiver<Outgoing>) -> Result<(), WriteError> {
        let mut pings = interval(self.times.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Replies come first: after `closeBacktestSession` nothing may stand between them and the client.
            tokio::select! {
                biased;
                reply = replies.recv() => match reply {
                    None => return Ok(()),
                    Some(Outgoing::Reply(response)) => self.text(&response.into()).await?,
                    Some(Outgoing::Events(session)) => {
                        self.delivery = Some(Delivery { session, sent: Sequence::default() });
                    }
                    Some(Outgoing::SuccessAndClose(frame)) => {
                        self.text(&BacktestResponse::Success.into()).await?;
                        return self.send(Message::Close(Some(frame))).await;
                    }
                    Some(Outgoing::Close(frame)) => return self.send(Message::Close(Some(frame))).await,
                },
                (sequence, event) = next_event(self.delivery.as_ref()) => self.event(sequence, &event).await?,
                _ = pings.tick() => self.send(Message::Ping(Vec::new().into())).await?,
            }
        }
    }

    async fn event(&mut self, sequence: Sequence, event: &SequencedResponse) -> Result<(), WriteError> {
        self.text(event).await?;
        if let Some(delivery) = &mut self.delivery {
            delivery.sent = sequence;
            delivery.session.events.mark_read(sequence);
        }
        Ok(())
    }

    async fn text(&mut self, response: &SequencedResponse) -> Result<(), WriteError> {
        let text =
            serde_json::to_string(response).expect("messages have text keys only, so that they always serialise");
        self.send(Message::Text(text.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), WriteError> {
        Ok(timeout(self.times.write_limit, self.sink.send(message)).await??)
    }
}

async fn next_event(delivery: Option<&Delivery>) -> (Sequence, SequencedResponse) {
    match delivery {
        Some(delivery) => delivery.session.events.next_after(delivery.sent).await,
        None => std::future::pending().await,
    }
}
