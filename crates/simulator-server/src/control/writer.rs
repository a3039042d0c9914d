//! Everything that is sent over a control connection.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use simulator_api::{BacktestResponse, SequencedResponse, SessionId};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::ping::Ping;
use super::receipts::Receipts;
use super::streams::{Next, Progress, Source, Streams, ended};
use crate::config::{Limits, Times};
use crate::seat::Driver;
use crate::websocket::WebSocket;

/// What the writer is told to send.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// An answer of the connection itself, without a number.
    Reply(BacktestResponse),
    /// From now on, the events of this session as well.
    Events(Source),
    /// Not those of this one any more.
    Silence(SessionId),
    /// The same, because it has ended, which is said in the place of the event after these.
    Ended(SessionId, Progress, BacktestResponse),
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
    receipts: Arc<Receipts>,
    streams: Streams,
    /// The last probe that a ping carried.
    probe: u64,
    /// Events and bytes of them that were sent since the last ping.
    unasked: Amount,
    /// After so much the client is asked whether it has it.
    ask_every: Amount,
}

/// What a writer shares with the reading side.
pub(super) struct Shared {
    pub(super) driver: Arc<Driver>,
    pub(super) receipts: Arc<Receipts>,
}

/// A number of events.
#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    events: usize,
    bytes: usize,
}

/// Why nothing can be sent any more.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the socket failed")]
    Socket(#[from] SocketError),
    #[error("a message could not be sent in time")]
    Stuck(#[from] tokio::time::error::Elapsed),
}

impl Writer {
    /// A writer for a connection. It asks often enough that the worker of a session, which waits when too many events
    /// were not acknowledged, need not wait for a client that reads.
    pub(super) fn new(sink: SplitSink<WebSocket, Message>, shared: Shared, times: Times, limits: &Limits) -> Self {
        Self {
            sink,
            times,
            driver: shared.driver,
            receipts: shared.receipts,
            streams: Streams::default(),
            probe: 0,
            unasked: Amount::default(),
            ask_every: Amount {
                events: limits.unread_events / 4,
                bytes: limits.event_bytes / 4,
            },
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
                reply = replies.recv() => {
                    let Some(reply) = reply else { return Ok(()) };
                    if self.outgoing(reply).await?.is_break() {
                        return Ok(());
                    }
                }
                probe = self.driver.probe_after(self.probe) => self.ping(probe).await?,
                next = self.streams.next() => self.event(next).await?,
                _ = pings.tick() => self.ping(self.probe).await?,
            }
        }
    }

    async fn outgoing(&mut self, outgoing: Outgoing) -> Result<ControlFlow<()>, WriteError> {
        match outgoing {
            Outgoing::Reply(response) => {
                self.text(&response.into()).await?;
            }
            Outgoing::Events(source) => self.streams.add(source),
            Outgoing::Silence(id) => self.streams.remove(id),
            Outgoing::Ended(id, progress, last) => {
                self.streams.remove(id);
                self.text(&ended(id, progress.get(), last)).await?;
            }
            Outgoing::SuccessAndClose(frame) => {
                self.text(&BacktestResponse::Success.into()).await?;
                self.send(Message::Close(Some(frame))).await?;
                return Ok(ControlFlow::Break(()));
            }
            Outgoing::Close(frame) => {
                self.send(Message::Close(Some(frame))).await?;
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn event(&mut self, next: Next) -> Result<(), WriteError> {
        let event = self.streams.send(next);
        self.unasked.events += 1;
        self.unasked.bytes += self.text(&event).await?;
        if self.unasked.events >= self.ask_every.events || self.unasked.bytes >= self.ask_every.bytes {
            self.ping(self.probe).await?;
        }
        Ok(())
    }

    async fn ping(&mut self, probe: u64) -> Result<(), WriteError> {
        self.probe = probe;
        self.unasked = Amount::default();
        let number = self.receipts.ask(self.streams.sent());
        self.send(Message::Ping(Ping { probe, number }.to_bytes().into())).await
    }

    /// Sends a message, and returns its length.
    async fn text(&mut self, response: &SequencedResponse) -> Result<usize, WriteError> {
        let text =
            serde_json::to_string(response).expect("messages have text keys only, so that they always serialise");
        let length = text.len();
        self.send(Message::Text(text.into())).await?;
        Ok(length)
    }

    async fn send(&mut self, message: Message) -> Result<(), WriteError> {
        Ok(timeout(self.times.write_limit, self.sink.send(message)).await??)
    }
}
