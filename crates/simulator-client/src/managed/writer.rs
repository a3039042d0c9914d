//! What waits to be written to a connection.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::SinkExt;

use super::ConnectionCounters;
use crate::machine::Machine;
use crate::transport::{BoxTransport, Frame, TransportError};

/// What waits to be written. A peer that does not read holds back this and nothing else.
#[derive(Debug, Default)]
pub(super) struct Writer {
    next: Option<Frame>,
    ping_due: bool,
    pong_due: bool,
    needs_flush: bool,
}

impl Writer {
    /// Sends a ping with the next write. A side that does not read does not answer the peer's pings, so it tells by
    /// itself that it is there: an unsolicited pong is a heartbeat (RFC 6455, 5.5.3).
    pub(super) fn sign_of_life(&mut self, is_suspended: bool) {
        self.ping_due = true;
        self.pong_due |= is_suspended;
    }

    /// Writes what waits, in order, as far as the peer takes it.
    pub(super) fn poll_write<M: Machine>(
        &mut self,
        machine: &mut M,
        transport: &mut BoxTransport,
        counters: &ConnectionCounters,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransportError>> {
        while let Some(frame) = self.next.take().or_else(|| self.next_frame(machine)) {
            match transport.poll_ready_unpin(cx) {
                Poll::Ready(Ok(())) => {
                    if let Frame::Text(text) = &frame {
                        counters.sent(text.len());
                    }
                    transport.start_send_unpin(frame)?;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.next = Some(frame);
                    break;
                }
            }
            self.needs_flush = true;
        }
        if self.needs_flush && transport.poll_flush_unpin(cx)?.is_ready() {
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    fn next_frame<M: Machine>(&mut self, machine: &mut M) -> Option<Frame> {
        if std::mem::take(&mut self.ping_due) {
            return Some(Frame::Ping(Bytes::new()));
        }
        if std::mem::take(&mut self.pong_due) {
            return Some(Frame::Pong(Bytes::new()));
        }
        machine.poll_transmit().map(Frame::Text)
    }
}
