//! Everything that is sent over a control connection.

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use simulator_api::{BacktestResponse, SequencedResponse};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::ping::Ping;
use crate::config::Times;
use crate::event_log::{Resumption, Sequence};
use crate::handle::SessionHandle;
use crate::seat::Driver;

/// What the writer is told to send.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// An answer of the connection itself, without a number.
    Reply(BacktestResponse),
    /// From now on, the events of this session as well.
    Events(Arc<SessionHandle>, Resumption),
    /// `success`, with no event in between any more, and the end.
    SuccessAndClose(CloseFrame),
    /// The end.
    Close(CloseFrame),
}

/// What is sent over one connection, and how.
pub(super) struct Writer {
    sink: SplitSink<WebSocket, Message>,
    times: Times,
    driver: Arc<Driver>,
    delivery: Option<Delivery>,
    /// After so many events the client is asked whether it has them.
    ask_every: u64,
    /// The last ping.
    asked: Ping,
}

/// A session and the last of its events that was sent.
struct Delivery {
    session: Arc<SessionHandle>,
    sent: Sequence,
    /// Events up to this one are sent again.
    replayed_to: Sequence,
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
    /// A writer for a connection; the worker of its session waits when `unread_events` were not acknowledged.
    pub(super) fn new(
        sink: SplitSink<WebSocket, Message>,
        driver: Arc<Driver>,
        times: Times,
        unread_events: usize,
    ) -> Self {
        Self {
            sink,
            times,
            driver,
            delivery: None,
            ask_every: (unread_events as u64 / 4).max(1),
            asked: Ping::default(),
        }
    }

    /// Sends until it is told to close, the connection is done with, or sending fails.
    pub(super) async fn write(mut self, replies: mpsc::Receiver<Outgoing>) {
        if let Err(error) = self.run(replies).await {
            tracing::debug!(%error, "a control connection cannot be written to");
        }
    }

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
                    Some(Outgoing::Events(session, from)) => self.deliver(session, from),
                    Some(Outgoing::SuccessAndClose(frame)) => {
                        self.text(&BacktestResponse::Success.into()).await?;
                        return self.send(Message::Close(Some(frame))).await;
                    }
                    Some(Outgoing::Close(frame)) => return self.send(Message::Close(Some(frame))).await,
                },
                probe = self.driver.probe_after(self.asked.probe) => self.ping(probe).await?,
                (sequence, event) = next_event(self.delivery.as_ref()) => self.event(sequence, event).await?,
                _ = pings.tick() => self.ping(self.asked.probe).await?,
            }
        }
    }

    fn deliver(&mut self, session: Arc<SessionHandle>, from: Resumption) {
        self.delivery = Some(Delivery {
            session,
            sent: from.after,
            replayed_to: from.replayed_to,
        });
        self.asked.sent = from.after;
    }

    async fn event(&mut self, sequence: Sequence, mut event: SequencedResponse) -> Result<(), WriteError> {
        let Some(delivery) = &mut self.delivery else {
            return Ok(());
        };
        event.replayed = sequence <= delivery.replayed_to;
        delivery.sent = sequence;
        self.text(&event).await?;
        if sequence.0 >= self.asked.sent.0 + self.ask_every {
            self.ping(self.asked.probe).await?;
        }
        Ok(())
    }

    async fn ping(&mut self, probe: u64) -> Result<(), WriteError> {
        let sent = self
            .delivery
            .as_ref()
            .map_or(Sequence::default(), |delivery| delivery.sent);
        self.asked = Ping { probe, sent };
        self.send(Message::Ping(self.asked.to_bytes().into())).await
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
