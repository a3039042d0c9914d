//! What one key is using now, and how much it may.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::counts::{Counters, Counts};
use crate::keys::KeyLimits;
use crate::places::{Places, Whose};

/// One key's counters and places.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) counters: Counters,
    limits: OwnLimits,
    /// How many of its sessions may live.
    pub(crate) sessions: Places,
    connections: Arc<Semaphore>,
    living: Mutex<Living>,
}

/// How much one key may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnLimits {
    pub(crate) sessions: usize,
    pub(crate) connections: usize,
    pub(crate) message_bytes: usize,
}

/// How long sessions live: the time that passed, once for each.
#[derive(Debug)]
struct Living {
    sessions: u32,
    since: Instant,
    lived: Duration,
}

impl OwnLimits {
    /// These limits, but for what a key says itself.
    pub(crate) fn with(self, own: &KeyLimits) -> Self {
        Self {
            sessions: own.sessions.unwrap_or(self.sessions),
            connections: own.connections.unwrap_or(self.connections),
            message_bytes: own.message_bytes.unwrap_or(self.message_bytes),
        }
    }
}

impl Meter {
    pub(super) fn new(limits: OwnLimits) -> Self {
        let connections = limits.connections.min(Semaphore::MAX_PERMITS);
        Self {
            counters: Counters::default(),
            limits,
            sessions: Places::new(Whose::Key, limits.sessions),
            connections: Arc::new(Semaphore::new(connections)),
            living: Mutex::new(Living {
                sessions: 0,
                since: Instant::now(),
                lived: Duration::ZERO,
            }),
        }
    }

    pub(crate) fn limits(&self) -> OwnLimits {
        self.limits
    }

    /// A place for one more connection of the key, if there is one.
    pub(crate) fn connection_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    pub(super) fn sessions_now(&self) -> usize {
        self.living().sessions as usize
    }

    pub(super) fn connections_now(&self) -> usize {
        self.limits
            .connections
            .saturating_sub(self.connections.available_permits())
    }

    /// A session lives from now on.
    pub(super) fn session_begins(&self, now: Instant) {
        let mut living = self.living();
        living.advance(now);
        living.sessions += 1;
    }

    /// A session that lived does not any more.
    pub(super) fn session_ends(&self, now: Instant) {
        let mut living = self.living();
        living.advance(now);
        living.sessions -= 1;
    }

    /// What was used since the last call.
    pub(super) fn take(&self, now: Instant) -> Counts {
        let mut living = self.living();
        living.advance(now);
        Counts {
            session_ms: living.take_millis(),
            ..self.counters.take()
        }
    }

    fn living(&self) -> MutexGuard<'_, Living> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Living {
    fn advance(&mut self, now: Instant) {
        self.lived += now.saturating_duration_since(self.since) * self.sessions;
        self.since = self.since.max(now);
    }

    /// Whole milliseconds; what is left over counts the next time.
    fn take_millis(&mut self) -> u64 {
        let millis = u64::try_from(self.lived.as_millis()).unwrap_or(u64::MAX);
        self.lived -= Duration::from_millis(millis);
        millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> Meter {
        Meter::new(OwnLimits {
            sessions: 1,
            connections: 1,
            message_bytes: 1,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_are_counted_by_how_long_they_live() {
        let meter = meter();
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        meter.session_begins(at(100));
        meter.session_begins(at(200));
        assert_eq!(meter.take(at(300)).session_ms, 100 + 2 * 100);
        meter.session_ends(at(400));
        meter.session_ends(at(450));
        assert_eq!(meter.take(at(9000)).session_ms, 2 * 100 + 50);
        assert_eq!(meter.take(at(9999)), Counts::default());
    }

    #[tokio::test(start_paused = true)]
    async fn fractions_of_milliseconds_are_not_lost() {
        let meter = meter();
        let begin = Instant::now();
        meter.session_begins(begin);
        let taken = (1..=10).map(|n| meter.take(begin + Duration::from_micros(500) * n).session_ms);
        assert_eq!(taken.sum::<u64>(), 5);
    }

    #[test]
    fn places_of_connections_are_given_back() {
        let meter = meter();
        let connection = meter.connection_place().unwrap();
        assert!(meter.connection_place().is_none());
        assert_eq!(meter.connections_now(), 1);
        drop(connection);
        assert!(meter.connection_place().is_some());
    }

    #[test]
    fn own_limits_go_before_the_defaults() {
        let defaults = OwnLimits {
            sessions: 1,
            connections: 2,
            message_bytes: 3,
        };
        let own = KeyLimits {
            connections: Some(20),
            ..KeyLimits::default()
        };
        assert_eq!(
            defaults.with(&own),
            OwnLimits {
                connections: 20,
                ..defaults
            }
        );
    }
}
