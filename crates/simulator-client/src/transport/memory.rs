//! A network in memory, for tests: the same seam, bounded queues instead of sockets.
//!
//! A dropped end is a lost connection; a close frame is sent like any other.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_channel::mpsc::{Receiver, Sender, channel};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};

use super::{BoxTransport, ConnectRequest, Connector, Frame, TransportError};

/// Frames that wait in one direction of a [`pair`] before its sender has to.
pub const CAPACITY: usize = 64;

/// One end of a connection in memory.
#[derive(Debug)]
pub struct MemoryTransport {
    outgoing: Sender<Frame>,
    incoming: Receiver<Frame>,
}

/// Two ends of one connection.
pub fn pair() -> (MemoryTransport, MemoryTransport) {
    let (to_right, from_left) = channel(CAPACITY);
    let (to_left, from_right) = channel(CAPACITY);
    let left = MemoryTransport {
        outgoing: to_right,
        incoming: from_right,
    };
    let right = MemoryTransport {
        outgoing: to_left,
        incoming: from_left,
    };
    (left, right)
}

/// Connects to the [`MemoryListener`] that it was made with.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    accept: Sender<Accepted>,
}

/// What a server sees of a new connection.
#[derive(Debug)]
pub struct Accepted {
    /// What the client asked for.
    pub request: ConnectRequest,
    /// The server's end.
    pub transport: MemoryTransport,
}

/// Accepts connections of a [`MemoryConnector`].
#[derive(Debug)]
pub struct MemoryListener {
    accepted: Receiver<Accepted>,
}

/// A network with one server on it.
pub fn network() -> (MemoryConnector, MemoryListener) {
    let (accept, accepted) = channel(CAPACITY);
    (MemoryConnector { accept }, MemoryListener { accepted })
}

impl MemoryListener {
    /// The next connection, or `None` once no connector is left.
    pub async fn accept(&mut self) -> Option<Accepted> {
        self.accepted.next().await
    }
}

impl Connector for MemoryConnector {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<'_, Result<BoxTransport, TransportError>> {
        let mut accept = self.accept.clone();
        async move {
            let (client, server) = pair();
            accept
                .send(Accepted {
                    request,
                    transport: server,
                })
                .await
                .map_err(|_| TransportError::Lost)?;
            Ok(Box::pin(client) as BoxTransport)
        }
        .boxed()
    }
}

impl Stream for MemoryTransport {
    type Item = Result<Frame, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_next_unpin(cx).map(|frame| frame.map(Ok))
    }
}

impl Sink<Frame> for MemoryTransport {
    type Error = TransportError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.outgoing.poll_ready_unpin(cx).map_err(|_| TransportError::Lost)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), TransportError> {
        self.outgoing.start_send_unpin(frame).map_err(|_| TransportError::Lost)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        // A frame is with the peer as soon as it is in the queue.
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.outgoing.close_channel();
        Poll::Ready(Ok(()))
    }
}
