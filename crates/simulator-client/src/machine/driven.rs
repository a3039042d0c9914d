//! What a machine and its driver say to each other.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::managed::{ConnectionError, MachineCounts, ManagedFailure};
use crate::transport::SharedText;

/// A conversation that outlives its connections, without any I/O.
///
/// The driver opens a connection, tells the machine, and moves messages both ways until the machine's
/// [`standing`](Self::standing) or the network ends the connection. Time is an argument; nothing here waits.
///
/// After every `handle_*` the driver drains `poll_transmit` and `poll_event`, then looks at `standing` and
/// `poll_timeout`. While events wait to be delivered it hands in no more messages than there is room for events, so that
/// what a machine holds is bounded by what a few messages can lead to.
pub trait Machine {
    /// What the caller asks for.
    type Request;
    /// What the caller gets to see.
    type Event;

    /// A new connection is open: begin the handshake on it.
    fn handle_connected(&mut self, now: Instant);

    /// The peer sent a message on the current connection.
    fn handle_message(&mut self, message: Message, now: Instant);

    /// The peer gave a sign of life that is no message, such as a pong.
    fn handle_sign_of_life(&mut self, now: Instant);

    /// The driver listens again after a time in which it did not, for want of room. What the peer has not said in that
    /// time shows nothing.
    fn handle_listening(&mut self, missed: Duration);

    /// The current connection is gone. What was not transmitted yet never will be on it.
    fn handle_disconnected(&mut self, now: Instant);

    /// The time that `poll_timeout` named has come. Not called while the driver does not listen.
    fn handle_timeout(&mut self, now: Instant);

    /// The caller asks for something. Only called while `accepts_request` holds.
    fn handle_request(&mut self, request: Self::Request, now: Instant);

    /// The caller wants the conversation to end. The machine does what is needed for a graceful end on the current
    /// connection, or on the next one; the driver bounds the time.
    fn handle_close(&mut self, now: Instant);

    /// The next message to write, in order. A message that was handed out counts as sent.
    fn poll_transmit(&mut self) -> Option<SharedText>;

    /// The next event for the caller, in order.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When `handle_timeout` is to be called, if nothing happens before. It may change with every call.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether the machine may ever take another request.
    fn takes_requests(&self) -> bool;

    /// Whether another request may be handed in.
    fn accepts_request(&self) -> bool;

    /// Whether another connection is of any use before the caller asks to close.
    fn wants_connection(&self) -> bool {
        true
    }

    /// Whether the machine, once asked to close, still needs a connection to end gracefully.
    fn needs_connection_to_close(&self) -> bool;

    /// What is to become of the connection.
    fn standing(&self) -> Standing;

    /// Whether `standing` says that the connection is of no use any more. Asked after every message.
    fn is_done_with_connection(&self) -> bool {
        matches!(self.standing(), Standing::Retry(_) | Standing::Over(_))
    }

    /// What was replayed and dropped so far.
    fn counts(&self) -> MachineCounts;
}

/// A message of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(SharedText),
    /// Bytes.
    Binary(Bytes),
}

/// What is to become of a connection.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It is not established yet: the handshake is under way, or there is no connection.
    Opening,
    /// It is established.
    Up,
    /// It is of no use; another one may be.
    Retry(ConnectionError),
    /// The conversation is over.
    Over(Ending),
}

/// How a conversation ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// Everything was said, or the caller's wish to end was granted.
    Finished,
    /// It cannot go on.
    Failed(ManagedFailure),
}
