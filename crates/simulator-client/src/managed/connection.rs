//! One connection's life, from the handshake to the loss, as one pollable loop.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};

use super::alarm::Alarm;
use super::liveness::Liveness;
use super::queue::Room;
use super::supervisor::{Outlet, Supervisor, now};
use super::writer::Writer;
use super::{ConnectionError, ConnectionPolicy, ConnectionStatus};
use crate::machine::{Ending, Machine, Message, Standing};
use crate::transport::{BoxTransport, CloseCode, CloseReason, Frame};

/// Messages that are read before the caller gets its turn, so that it finds them while they are still in the cache.
const BURST_MESSAGES: usize = 64;
/// Bytes after which the same holds.
const BURST_BYTES: usize = 128 << 10;

/// A connection and what is known of its health.
pub(super) struct Connection {
    transport: BoxTransport,
    liveness: Liveness,
    writer: Writer,
    alarm: Alarm,
    opened: Instant,
    last_inbound: Instant,
    up_since: Option<Instant>,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Exit {
    /// The conversation is over. The connection may still be open.
    Over(Ending),
    /// The connection is of no use any more.
    Lost(ConnectionError),
}

/// What reading led to.
enum Burst {
    /// There is nothing to read, or no room for it.
    Nothing,
    /// Something was read, and everything else is to be looked at again.
    Read,
    /// So much was read that the caller is to have its turn.
    Full,
    Exit(Exit),
}

impl Connection {
    pub(super) fn new(transport: BoxTransport, policy: &ConnectionPolicy, now: Instant) -> Self {
        Self {
            transport,
            liveness: Liveness::new(policy.keepalive_interval, now),
            writer: Writer::default(),
            alarm: Alarm::new(now),
            opened: now,
            last_inbound: now,
            up_since: None,
        }
    }

    /// How long the connection has been established.
    pub(super) fn uptime(&self, now: Instant) -> Duration {
        self.up_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// How long the peer has been there, whatever came of it.
    pub(super) fn lifetime(&self) -> Duration {
        self.last_inbound.saturating_duration_since(self.opened)
    }

    /// Closes the connection and reads until the peer has closed it too. The caller bounds the time.
    pub(super) async fn close(&mut self) {
        let reason = CloseReason {
            code: CloseCode::Normal,
            text: String::new(),
        };
        if self.transport.send(Frame::Close(Some(reason))).await.is_ok() {
            while let Some(Ok(frame)) = self.transport.next().await {
                if matches!(frame, Frame::Close(_)) {
                    break;
                }
            }
        }
    }
}

impl<M: Machine, O: Outlet<M::Event>> Supervisor<M, O> {
    /// Moves messages both ways until the connection ends. It may be dropped and called again at any time.
    pub(super) async fn converse(&mut self) -> Exit {
        poll_fn(|cx| self.poll_conversation(cx)).await
    }

    fn poll_conversation(&mut self, cx: &mut Context<'_>) -> Poll<Exit> {
        let Some(mut connection) = self.connection.take() else {
            return Poll::Ready(Exit::Lost(ConnectionError::Ended));
        };
        let polled = self.poll_connection(&mut connection, cx);
        self.connection = Some(connection);
        self.watched.counters.set_machine_counts(self.machine.counts());
        polled
    }

    fn poll_connection(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<Exit> {
        loop {
            let now = now();
            if connection.liveness.takes_ping(now) {
                connection.writer.sign_of_life(connection.liveness.is_suspended());
            }
            self.poll_request(cx, now);
            let is_delivered = self.poll_deliver(cx).is_ready();
            if let Some(error) = self.poll_write(connection, cx) {
                return Poll::Ready(Exit::Lost(error));
            }
            if is_delivered && let Some(exit) = self.exit(connection, now) {
                return Poll::Ready(exit);
            }
            match self.read_burst(connection, cx, now) {
                Burst::Exit(exit) => return Poll::Ready(exit),
                Burst::Full => return after_the_others(cx),
                Burst::Read => {}
                // Only now it is known that the peer has not said what the time is up for.
                Burst::Nothing => {
                    if let Some(error) = ready!(self.poll_time(connection, cx, now)) {
                        return Poll::Ready(Exit::Lost(error));
                    }
                }
            }
        }
    }

    /// Waits until something is due. What is due if the peer says nothing, the machine's own timeout and the end of a
    /// silent connection, is handled; a ping is left to the caller.
    fn poll_time(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Option<ConnectionError>> {
        let timeout = self.machine_timeout(connection);
        let expiry = [timeout, connection.liveness.death()].into_iter().flatten().min();
        let next_ping = connection.liveness.next_ping();
        let at = expiry.map_or(next_ping, |expiry| expiry.min(next_ping));
        ready!(connection.alarm.poll(cx, at, now));
        if let Some(silence) = connection.liveness.dead_silence(now) {
            return Poll::Ready(Some(ConnectionError::Silent(silence)));
        }
        if timeout.is_some_and(|timeout| timeout <= now) {
            self.machine.handle_timeout(now);
        }
        Poll::Ready(None)
    }

    /// The machine's timers are about what the peer does not say, which nobody can tell who does not listen.
    fn machine_timeout(&self, connection: &Connection) -> Option<Instant> {
        let listens = !connection.liveness.is_suspended();
        listens.then(|| self.machine.poll_timeout()).flatten()
    }

    fn poll_write(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Option<ConnectionError> {
        let (transport, counters) = (&mut connection.transport, &self.watched.counters);
        match connection.writer.poll_write(&mut self.machine, transport, counters, cx) {
            Poll::Ready(Err(source)) => Some(ConnectionError::Broken(Arc::new(source))),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }

    fn poll_request(&mut self, cx: &mut Context<'_>, now: Instant) {
        self.retire_requests();
        while !self.closing && self.machine.accepts_request() {
            let Some(requests) = &mut self.requests else { return };
            match requests.poll_recv(cx) {
                Poll::Ready(Some(request)) => self.machine.handle_request(request, now),
                Poll::Ready(None) => self.requests = None,
                Poll::Pending => return,
            }
        }
    }

    /// Nobody is to wait for a machine that takes no more requests.
    pub(super) fn retire_requests(&mut self) {
        if !self.machine.takes_requests() {
            self.requests = None;
        }
    }

    /// Hands the machine's events over, and after them why nothing follows. Pending while one waits for room.
    pub(super) fn poll_deliver(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.poll_dispatch(cx);
        self.outlet.flush();
        polled
    }

    /// As `poll_deliver`, but the caller does not see anything yet.
    fn poll_dispatch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            while self.held.is_none() && !self.closing && self.outlet.known_room() > 0 {
                let Some(event) = self.machine.poll_event() else { break };
                self.outlet.deliver(event);
            }
            if self.held.is_none() {
                self.held = self.machine.poll_event();
            }
            if self.held.is_none() && self.last_words.is_none() {
                return Poll::Ready(());
            }
            if self.closing {
                (self.held, self.last_words) = (None, None);
                continue;
            }
            if self.held.as_ref().is_some_and(|event| !self.outlet.needs_room(event)) {
                self.deliver_one();
                continue;
            }
            match ready!(self.outlet.poll_room(cx)) {
                Room::Gone => {
                    (self.held, self.last_words) = (None, None);
                    self.abandon();
                }
                Room::Free => self.deliver_one(),
            }
        }
    }

    /// There is room for one event.
    fn deliver_one(&mut self) {
        if let Some(event) = self.held.take() {
            self.outlet.deliver(event);
        } else if let Some(failure) = self.last_words.take() {
            self.outlet.failed(failure);
        }
    }

    /// Whether the machine has no more use for the connection.
    fn exit(&mut self, connection: &mut Connection, now: Instant) -> Option<Exit> {
        match self.machine.standing() {
            Standing::Opening => None,
            Standing::Up => {
                if connection.up_since.is_none() {
                    connection.up_since = Some(now);
                    connection.liveness.establish(self.policy.keepalive_miss_deadline, now);
                    self.watched.status.send_replace(ConnectionStatus::Up);
                    self.watched.set_stalled(false);
                    tracing::debug!("established");
                }
                None
            }
            Standing::Retry(error) => Some(Exit::Lost(error)),
            Standing::Over(ending) => Some(Exit::Over(ending)),
        }
    }

    /// Reads what there is, as long as there is room for what it leads to, and hands that over.
    fn read_burst(&mut self, connection: &mut Connection, cx: &mut Context<'_>, now: Instant) -> Burst {
        let burst = self.read_messages(connection, cx, now);
        let _waits_for_room = self.poll_deliver(cx);
        burst
    }

    fn read_messages(&mut self, connection: &mut Connection, cx: &mut Context<'_>, now: Instant) -> Burst {
        let before = self.watched.counters.bytes_received();
        let mut ahead = 0;
        for read in 0..BURST_MESSAGES {
            let so_far = if read == 0 { Burst::Nothing } else { Burst::Read };
            if ahead == 0 {
                if !self.may_read(connection, cx, now) {
                    return so_far;
                }
                ahead = self.outlet.known_room().max(1);
            }
            ahead -= 1;
            match connection.transport.poll_next_unpin(cx) {
                Poll::Pending => return so_far,
                Poll::Ready(Some(Ok(frame))) => {
                    if read == 0 {
                        self.heard(connection, now);
                    }
                    if let Some(error) = self.take(frame, now) {
                        // This is the last chance to send the close frame that the library has queued.
                        let _best_effort = connection.transport.poll_flush_unpin(cx);
                        return Burst::Exit(Exit::Lost(error));
                    }
                }
                Poll::Ready(Some(Err(source))) => {
                    return Burst::Exit(Exit::Lost(ConnectionError::Broken(Arc::new(source))));
                }
                Poll::Ready(None) => return Burst::Exit(Exit::Lost(ConnectionError::Ended)),
            }
            if self.machine.is_done_with_connection() {
                return Burst::Read;
            }
            if self.watched.counters.bytes_received() - before > BURST_BYTES as u64 {
                break;
            }
        }
        Burst::Full
    }

    /// Something was received. All of a burst was received at the same moment.
    fn heard(&mut self, connection: &mut Connection, now: Instant) {
        connection.liveness.heard(now);
        connection.last_inbound = now;
        self.watched.counters.inbound(now);
    }

    /// Whether there is room for what the next message leads to. A handshake goes on without room, because its answers
    /// lead to no event; the first event that finds none stops it all the same.
    fn may_read(&mut self, connection: &mut Connection, cx: &mut Context<'_>, now: Instant) -> bool {
        let has_room = match self.poll_dispatch(cx) {
            Poll::Pending => false,
            Poll::Ready(()) if self.closing || connection.up_since.is_none() => true,
            Poll::Ready(()) => match self.outlet.poll_room(cx) {
                Poll::Pending => false,
                Poll::Ready(Room::Free) => true,
                Poll::Ready(Room::Gone) => {
                    self.abandon();
                    true
                }
            },
        };
        if !has_room {
            connection.liveness.suspend(now);
        } else if let Some(missed) = connection.liveness.listen(now) {
            self.machine.handle_listening(missed);
        }
        if connection.up_since.is_none() {
            self.watched.set_stalled(!has_room);
        }
        has_room
    }

    /// Takes a frame; an error if it ends the connection.
    fn take(&mut self, frame: Frame, now: Instant) -> Option<ConnectionError> {
        match frame {
            Frame::Text(text) => {
                self.watched.counters.received(text.len());
                self.machine.handle_message(Message::Text(text), now);
            }
            Frame::Binary(bytes) => {
                self.watched.counters.received(bytes.len());
                self.machine.handle_message(Message::Binary(bytes), now);
            }
            Frame::Ping(_) | Frame::Pong(_) => self.machine.handle_sign_of_life(now),
            Frame::Close(reason) => return Some(ConnectionError::ClosedByPeer(reason)),
        }
        None
    }
}

/// Pending until everything else of the runtime has had its turn. To wake the own task would not do: a runtime polls
/// the future that it blocks on, often the consumer, only after dozens of tasks that are ready.
fn after_the_others<T>(cx: &mut Context<'_>) -> Poll<T> {
    let turn = pin!(tokio::task::yield_now());
    let _woken_later = turn.poll(cx);
    Poll::Pending
}
