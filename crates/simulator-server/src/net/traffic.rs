//! What one connection does, and until when it may.
//!
//! ```text
//!            the first byte          the request is there
//!   idle ─────────────────► head ─────────────────────────► serving
//!    ▲                                                         │
//!    └─────────────────────────────────────────────────────────┘ answered
//! ```
//!
//! A new connection begins in `head`: its first request, and the TLS handshake before it, have to come soon. Once it has
//! become a WebSocket it is another's to watch.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::metrics::{Metrics, Refusal};
use crate::usage::Meter;
use crate::watched::Watched;

/// One connection's state.
#[derive(Debug)]
pub(crate) struct Traffic {
    state: Watched<State>,
    changed: Notify,
    limits: Patience,
    metrics: Arc<Metrics>,
    evicted: CancellationToken,
}

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the head of a request, once its first byte is there.
    pub(crate) head: Duration,
    /// Without a byte in either direction, between requests and while an answer is sent.
    pub(crate) idle: Duration,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When a byte came or went last.
    moved: Instant,
    /// Whose the traffic is, if that is known.
    owner: Option<Arc<Meter>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Head(Instant),
    Serving,
}

impl Traffic {
    /// A connection that was accepted now.
    pub(crate) fn new(limits: Patience, metrics: Arc<Metrics>) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            state: Watched::new(State {
                phase: Phase::Head(now),
                moved: now,
                owner: None,
            }),
            changed: Notify::new(),
            limits,
            metrics,
            evicted: CancellationToken::new(),
        })
    }

    /// From now on this key's meter counts what comes and goes.
    pub(crate) fn belongs_to(&self, owner: &Arc<Meter>) {
        self.state.lock().owner = Some(Arc::clone(owner));
    }

    /// Bytes came.
    pub(super) fn received(&self, bytes: usize) {
        self.metrics.bytes_received.inc_by(bytes as u64);
        let mut state = self.state.lock();
        state.moved = Instant::now();
        if let Some(owner) = &state.owner {
            owner.counters.bytes_received.add(bytes as u64);
        }
        if state.phase == Phase::Idle {
            state.phase = Phase::Head(state.moved);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Bytes went.
    pub(super) fn sent(&self, bytes: usize) {
        self.metrics.bytes_sent.inc_by(bytes as u64);
        let mut state = self.state.lock();
        state.moved = Instant::now();
        if let Some(owner) = &state.owner {
            owner.counters.bytes_sent.add(bytes as u64);
        }
    }

    /// A request is there and is being answered.
    pub(super) fn serving(&self) {
        self.enter(Phase::Serving);
    }

    /// The answer is there; it may still be on its way.
    pub(super) fn answered(&self) {
        self.state.lock().moved = Instant::now();
        self.enter(Phase::Idle);
    }

    /// Has the connection make room for another one.
    pub(super) fn evict(&self) {
        self.evicted.cancel();
    }

    #[cfg(test)]
    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.is_cancelled()
    }

    /// Waits until the connection has taken too long, or has to go.
    pub(super) async fn overdue(&self) -> Refusal {
        tokio::select! {
            () = self.evicted.cancelled() => Refusal::Evicted,
            why = self.late() => why,
        }
    }

    async fn late(&self) -> Refusal {
        loop {
            let due = self.state.lock().due(self.limits);
            match due {
                None => self.changed.notified().await,
                Some((until, why)) if until <= Instant::now() => return why,
                Some((until, _)) => tokio::select! {
                    () = sleep_until(until) => {}
                    () = self.changed.notified() => {}
                },
            }
        }
    }

    fn enter(&self, phase: Phase) {
        self.state.lock().phase = phase;
        self.changed.notify_one();
    }
}

impl State {
    fn due(&self, limits: Patience) -> Option<(Instant, Refusal)> {
        match self.phase {
            Phase::Idle => Some((self.moved + limits.idle, Refusal::Idle)),
            Phase::Head(since) => Some((since + limits.head, Refusal::Slow)),
            Phase::Serving => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn traffic() -> Arc<Traffic> {
        let limits = Patience {
            head: 10 * SECOND,
            idle: 60 * SECOND,
        };
        Traffic::new(limits, Arc::default())
    }

    async fn overdue_after(traffic: &Traffic) -> (u64, Refusal) {
        let began = Instant::now();
        let why = traffic.overdue().await;
        (began.elapsed().as_secs(), why)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_single_bytes_are_too_slow() {
        assert_eq!(overdue_after(&traffic()).await, (10, Refusal::Slow));
        let dripping = traffic();
        let watched = tokio::spawn({
            let traffic = Arc::clone(&dripping);
            async move { overdue_after(&traffic).await }
        });
        for _ in 0..20 {
            dripping.received(1);
            tokio::time::sleep(SECOND).await;
        }
        assert_eq!(watched.await.unwrap(), (10, Refusal::Slow));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_its_time_and_the_next_request_may_wait() {
        let traffic = traffic();
        traffic.serving();
        assert!(timeout(3600 * SECOND, traffic.overdue()).await.is_err());
        traffic.answered();
        advance(59 * SECOND).await;
        traffic.sent(1);
        advance(59 * SECOND).await;
        traffic.received(1);
        assert_eq!(overdue_after(&traffic).await, (10, Refusal::Slow));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_is_idle() {
        let traffic = traffic();
        traffic.serving();
        traffic.answered();
        traffic.sent(1 << 16);
        assert_eq!(overdue_after(&traffic).await, (60, Refusal::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn makes_room_when_it_has_to() {
        let traffic = traffic();
        traffic.evict();
        assert_eq!(overdue_after(&traffic).await, (0, Refusal::Evicted));
    }
}
