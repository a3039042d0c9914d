//! Everything that is sent over a control connection.

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use simulator_api::{BacktestResponse, SequencedResponse};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::ping::Ping;
use crate::config::{Limits, Times};
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
    /// The last probe that a ping carried.
    probe: u64,
    /// Events and bytes of them that were sent since the last ping.
    unasked: Amount,
    /// After so much the client is asked whether it has it.
    ask_every: Amount,
}

/// A number of events.
#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    events: usize,
    bytes: usize,
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
    /// A writer for a connection. It asks often enough that the worker of a session, which waits when too many events
    /// were not acknowledged, need not wait for a client that reads.
    pub(super) fn new(sink: SplitSink<WebSocket, Message>, driver: Arc<Driver>, times: Times, limits: &Limits) -> Self {
        Self {
            sink,
            times,
            driver,
            delivery: None,
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
                reply = replies.recv() => match reply {
                    None => return Ok(()),
                    Some(Outgoing::Reply(response)) => {
                        self.text(&response.into()).await?;
                    }
                    Some(Outgoing::Events(session, from)) => self.deliver(session, from),
                    Some(Outgoing::SuccessAndClose(frame)) => {
                        self.text(&BacktestResponse::Success.into()).await?;
                        return self.send(Message::Close(Some(frame))).await;
                    }
                    Some(Outgoing::Close(frame)) => return self.send(Message::Close(Some(frame))).await,
                },
                probe = self.driver.probe_after(self.probe) => self.ping(probe).await?,
                (sequence, event) = next_event(self.delivery.as_ref()) => self.event(sequence, event).await?,
                _ = pings.tick() => self.ping(self.probe).await?,
            }
        }
    }

    fn deliver(&mut self, session: Arc<SessionHandle>, from: Resumption) {
        self.delivery = Some(Delivery {
            session,
            sent: from.after,
            replayed_to: from.replayed_to,
        });
    }

    async fn event(&mut self, sequence: Sequence, mut event: SequencedResponse) -> Result<(), WriteError> {
        let Some(delivery) = &mut self.delivery else {
            return Ok(());
        };
        event.replayed = event.seq_id.is_some() && sequence <= delivery.replayed_to;
        delivery.sent = sequence;
        self.unasked.events += 1;
        self.unasked.bytes += self.text(&event).await?;
        if self.unasked.events >= self.ask_every.events || self.unasked.bytes >= self.ask_every.bytes {
            self.ping(self.probe).await?;
        }
        Ok(())
    }

    async fn ping(&mut self, probe: u64) -> Result<(), WriteError> {
        let sent = self
            .delivery
            .as_ref()
            .map_or(Sequence::default(), |delivery| delivery.sent);
        self.probe = probe;
        self.unasked = Amount::default();
        self.send(Message::Ping(Ping { probe, sent }.to_bytes().into())).await
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

async fn next_event(delivery: Option<&Delivery>) -> (Sequence, SequencedResponse) {
    match delivery {
        Some(delivery) => delivery.session.events.next_after(delivery.sent).await,
        None => std::future::pending().await,
    }
}
