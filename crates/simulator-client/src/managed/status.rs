//! What a caller can watch from outside: the status of a connection, and what it has been through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Whether a managed connection is there.
///
/// It is watched through a [`tokio::sync::watch`] channel. When the manager has ended, whatever the reason, the
/// channel is closed: [`changed`](tokio::sync::watch::Receiver::changed) fails, and the last value stays. That is
/// `Failed` if the connection failed for good, and `Down` if everything was said or the caller wanted it to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// It is established.
    Up,
    /// It is not connected now. While the manager lives, it is working on it.
    Down,
    /// It will not come back; the text says why, with all causes.
    Failed(String),
}

/// What a managed connection has been through. Clones show the same counters.
#[derive(Clone, Debug)]
pub struct ConnectionCounters(Arc<Counters>);

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CountersSnapshot {
    /// Connections that were opened.
    pub connections: u64,
    /// Attempts to connect that failed.
    pub failed_attempts: u64,
    /// Events that the server sent again after a reconnect.
    pub replayed: u64,
    /// Events that had been delivered before and were dropped.
    pub duplicates: u64,
    /// Messages received, pings and pongs not counted.
    pub messages_received: u64,
    /// Bytes of the messages received, as they travelled.
    pub bytes_received: u64,
    /// Bytes of the messages sent.
    pub bytes_sent: u64,
    /// Time since anything at all arrived; `None` if nothing has.
    pub since_last_inbound: Option<Duration>,
}

/// One task writes, anyone reads.
#[derive(Debug)]
struct Counters {
    origin: Instant,
    connections: AtomicU64,
    failed_attempts: AtomicU64,
    replayed: AtomicU64,
    duplicates: AtomicU64,
    messages_received: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    /// Nanoseconds after the origin, plus one; 0 is never.
    last_inbound: AtomicU64,
}

/// What a machine counts by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineCounts {
    /// Events that the server sent again after a reconnect.
    pub replayed: u64,
    /// Events that had been delivered before and were dropped.
    pub duplicates: u64,
}

impl CountersSnapshot {
    /// Connections after the first one.
    pub fn reconnects(&self) -> u64 {
        self.connections.saturating_sub(1)
    }
}

impl ConnectionCounters {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Arc::new(Counters {
            origin: now,
            connections: AtomicU64::new(0),
            failed_attempts: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            messages_received: AtomicU64::new(0),
            bytes_received: AtomicU64::new(0),
            bytes_sent: AtomicU64::new(0),
            last_inbound: AtomicU64::new(0),
        }))
    }

    /// The counters now, by tokio's clock.
    pub fn snapshot(&self) -> CountersSnapshot {
        self.snapshot_at(tokio::time::Instant::now().into_std())
    }

    fn snapshot_at(&self, now: Instant) -> CountersSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.0;
        let last_inbound = read(&counters.last_inbound).checked_sub(1).map(Duration::from_nanos);
        CountersSnapshot {
            connections: read(&counters.connections),
            failed_attempts: read(&counters.failed_attempts),
            replayed: read(&counters.replayed),
            duplicates: read(&counters.duplicates),
            messages_received: read(&counters.messages_received),
            bytes_received: read(&counters.bytes_received),
            bytes_sent: read(&counters.bytes_sent),
            since_last_inbound: last_inbound.map(|after_origin| {
                now.saturating_duration_since(counters.origin)
                    .saturating_sub(after_origin)
            }),
        }
    }

    pub(crate) fn connected(&self) {
        add(&self.0.connections, 1);
    }

    pub(crate) fn failed_attempt(&self) {
        add(&self.0.failed_attempts, 1);
    }

    pub(crate) fn received(&self, bytes: usize) {
        add(&self.0.messages_received, 1);
        add(&self.0.bytes_received, bytes as u64);
    }

    pub(crate) fn bytes_received(&self) -> u64 {
        self.0.bytes_received.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.0.bytes_sent, bytes as u64);
    }

    pub(crate) fn inbound(&self, now: Instant) {
        let nanos = now.saturating_duration_since(self.0.origin).as_nanos();
        let after_origin = u64::try_from(nanos).unwrap_or(u64::MAX - 1);
        self.0.last_inbound.store(after_origin + 1, Ordering::Relaxed);
    }

    pub(crate) fn set_machine_counts(&self, counts: MachineCounts) {
        self.0.replayed.store(counts.replayed, Ordering::Relaxed);
        self.0.duplicates.store(counts.duplicates, Ordering::Relaxed);
    }
}

/// Only one task adds, so that this needs no locked instruction.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clones_show_the_same_counters() {
        let origin = tokio::time::Instant::now().into_std();
        let counters = ConnectionCounters::new(origin);
        let seen = counters.clone();
        assert_eq!(seen.snapshot_at(origin), CountersSnapshot::default());
        counters.connected();
        counters.connected();
        counters.received(10);
        counters.inbound(origin + Duration::from_secs(2));
        let snapshot = seen.snapshot_at(origin + Duration::from_secs(5));
        assert_eq!((snapshot.reconnects(), snapshot.bytes_received), (1, 10));
        assert_eq!(snapshot.since_last_inbound, Some(Duration::from_secs(3)));
    }
}
