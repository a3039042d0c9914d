//! What one session does, for its key and for the server as a whole.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::meter::Meter;
use crate::metrics::Metrics;

/// Counts what one session does. Nothing counts before it has begun: what leads to its first slot, or to where it was
/// before the server started anew, is not the user's doing.
#[derive(Debug)]
pub(crate) struct SessionMeter {
    meter: Arc<Meter>,
    metrics: Arc<Metrics>,
    stage: Mutex<Stage>,
    paused: Mutex<Option<(Pause, Instant)>>,
}

/// What a session waits for although it could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Its client has many events unread.
    Events,
    /// Its client has many outcome records unread.
    Outcomes,
    /// A subscriber has not been sent everything.
    Subscribers,
}

/// Ends the counting when it is dropped.
#[derive(Debug)]
pub(crate) struct EndOnDrop(Arc<SessionMeter>);

#[derive(Debug)]
enum Stage {
    Starting(OwnedSemaphorePermit),
    Living {
        _place: OwnedSemaphorePermit,
        is_decided: bool,
    },
    Ended,
}

impl Pause {
    /// Its name in the metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Outcomes => "outcomes",
            Self::Subscribers => "subscribers",
        }
    }
}

impl SessionMeter {
    /// Counts for a session that has a place among those of its key.
    pub(crate) fn new(meter: Arc<Meter>, metrics: Arc<Metrics>, place: OwnedSemaphorePermit) -> Arc<Self> {
        Arc::new(Self {
            meter,
            metrics,
            stage: Mutex::new(Stage::Starting(place)),
            paused: Mutex::default(),
        })
    }

    /// The meter of a session whose key has no other, for tests and fuzzers.
    pub(crate) fn alone() -> Arc<Self> {
        let limits = super::meter::OwnLimits {
            sessions: 1,
            connections: 1,
            message_bytes: 1,
        };
        let place = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned();
        Self::new(
            Arc::new(Meter::new(limits)),
            Arc::default(),
            place.expect("there is one place"),
        )
    }

    /// The meter of the session's key.
    pub(crate) fn key(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// The session begins: it is counted as started.
    pub(crate) fn begin(&self) {
        if self.live() {
            self.meter.counters.started.add(1);
            self.metrics.sessions_started.inc();
        }
    }

    /// The session goes on after the server has started anew: it was counted as started then.
    pub(crate) fn begin_again(&self) {
        self.live();
    }

    /// The session ends when this is dropped.
    pub(crate) fn end_on_drop(self: &Arc<Self>) -> EndOnDrop {
        EndOnDrop(Arc::clone(self))
    }

    /// A slot was executed.
    pub(crate) fn slot(&self) {
        if self.is_living() {
            self.meter.counters.slots.add(1);
            self.metrics.slots.inc();
        }
    }

    /// A transaction was executed.
    pub(crate) fn transaction(&self) {
        if self.is_living() {
            self.meter.counters.transactions.add(1);
            self.metrics.transactions.inc();
        }
    }

    /// The session has reached the end of its range.
    pub(crate) fn completed(&self) {
        if self.decide() {
            self.meter.counters.completed.add(1);
            self.metrics.ended("completed");
        }
    }

    /// The session cannot go on.
    pub(crate) fn failed(&self) {
        if self.decide() {
            self.meter.counters.failed.add(1);
            self.metrics.ended("failed");
        }
    }

    /// What the session waits for now, if for a reader.
    pub(crate) fn pauses(&self, pause: Option<Pause>) {
        let mut paused = lock(&self.paused);
        if paused.map(|(pause, _)| pause) == pause {
            return;
        }
        let now = Instant::now();
        if let Some((before, since)) = paused.take() {
            self.metrics.resumed(before, now.saturating_duration_since(since));
        }
        if let Some(pause) = pause {
            self.metrics.paused(pause);
            *paused = Some((pause, now));
        }
    }

    fn live(&self) -> bool {
        let mut stage = lock(&self.stage);
        match std::mem::replace(&mut *stage, Stage::Ended) {
            Stage::Starting(place) => {
                *stage = Stage::Living {
                    _place: place,
                    is_decided: false,
                };
                self.meter.session_begins(Instant::now());
                self.metrics.sessions.inc();
                true
            }
            other => {
                *stage = other;
                false
            }
        }
    }

    fn is_living(&self) -> bool {
        matches!(*lock(&self.stage), Stage::Living { .. })
    }

    /// Whether this is the first end that is told of the session.
    fn decide(&self) -> bool {
        match &mut *lock(&self.stage) {
            Stage::Living { is_decided, .. } => !std::mem::replace(is_decided, true),
            Stage::Starting(_) | Stage::Ended => false,
        }
    }

    fn end(&self) {
        self.pauses(None);
        let stage = std::mem::replace(&mut *lock(&self.stage), Stage::Ended);
        if let Stage::Living { is_decided, .. } = stage {
            self.meter.session_ends(Instant::now());
            self.metrics.sessions.dec();
            if !is_decided {
                self.metrics.ended("left");
            }
        }
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn lock<T>(guarded: &Mutex<T>) -> MutexGuard<'_, T> {
    guarded.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::meter::OwnLimits;
    use super::*;
    use crate::places::{Places, SessionPlace, Whose};

    async fn place(meter: &Meter) -> Option<SessionPlace> {
        let server = Places::new(Whose::Server, 1);
        let places = SessionPlace::take(&server, &meter.sessions, 1, Duration::ZERO).await;
        places.ok()?.pop()
    }

    async fn session() -> Arc<SessionMeter> {
        let meter = Arc::new(Meter::new(OwnLimits {
            sessions: 1,
            connections: 1,
            message_bytes: 1,
        }));
        let place = place(&meter).await.unwrap().key;
        SessionMeter::new(meter, Arc::default(), place)
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_counts_before_the_begin() {
        let session = session().await;
        session.slot();
        session.transaction();
        session.failed();
        session.begin();
        session.begin();
        session.slot();
        session.transaction();
        let counts = session.key().take(Instant::now());
        assert_eq!(
            (counts.started, counts.slots, counts.transactions, counts.failed),
            (1, 1, 1, 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_told_once_and_gives_the_place_back() {
        let session = session().await;
        session.begin_again();
        assert!(place(session.key()).await.is_none());
        let end = session.end_on_drop();
        session.completed();
        session.failed();
        drop(end);
        session.slot();
        let counts = session.key().take(Instant::now());
        assert_eq!(
            (counts.started, counts.completed, counts.failed, counts.slots),
            (0, 1, 0, 0)
        );
        assert!(place(session.key()).await.is_some());
        assert_eq!(session.key().sessions_now(), 0);
    }
}
