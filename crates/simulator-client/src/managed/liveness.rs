//! Whether a connection is alive: when to ping, and when silence means that it is dead.

use std::time::{Duration, Instant};

/// Follows the signs of life of one connection.
#[derive(Debug)]
pub(crate) struct Liveness {
    interval: Duration,
    /// Not known while the connection is not established: then the handshake has limits of its own.
    deadline: Option<Duration>,
    next_ping: Instant,
    silence: Silence,
}

/// Since when nothing was received. Silence only counts while somebody listens.
#[derive(Clone, Copy, Debug)]
enum Silence {
    Listening { since: Instant },
    NotListening { silent_before: Duration, since: Instant },
}

impl Liveness {
    /// A connection that was opened now. The first ping is due at once.
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            deadline: None,
            next_ping: now,
            silence: Silence::Listening { since: now },
        }
    }

    /// From now on silence of this length means that the connection is dead.
    pub(crate) fn establish(&mut self, deadline: Duration, now: Instant) {
        self.deadline = Some(deadline);
        self.heard(now);
    }

    /// Something was received.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.silence = Silence::Listening { since: now };
    }

    /// Reading goes on. Says for how long it was suspended, if it was.
    pub(crate) fn listen(&mut self, now: Instant) -> Option<Duration> {
        let Silence::NotListening { silent_before, since } = self.silence else {
            return None;
        };
        self.silence = Silence::Listening {
            since: now.checked_sub(silent_before).unwrap_or(now),
        };
        Some(now.saturating_duration_since(since))
    }

    /// Reading is suspended, because there is no room for what would be read.
    pub(crate) fn suspend(&mut self, now: Instant) {
        if let Silence::Listening { since } = self.silence {
            self.silence = Silence::NotListening {
                silent_before: now.saturating_duration_since(since),
                since: now,
            };
        }
    }

    /// Whether reading is suspended.
    pub(crate) fn is_suspended(&self) -> bool {
        matches!(self.silence, Silence::NotListening { .. })
    }

    /// Whether a ping is due, which it is once for each interval.
    pub(crate) fn takes_ping(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next_ping;
        if is_due {
            self.next_ping = later(now, self.interval);
        }
        is_due
    }

    /// When the next ping is due.
    pub(crate) fn next_ping(&self) -> Instant {
        self.next_ping
    }

    /// When the connection is dead, if nothing is received before. Not known while nobody listens.
    pub(crate) fn death(&self) -> Option<Instant> {
        match (self.silence, self.deadline) {
            (Silence::Listening { since }, Some(deadline)) => since.checked_add(deadline),
            _ => None,
        }
    }

    /// How long nothing was received, if that means that the connection is dead.
    pub(crate) fn dead_silence(&self, now: Instant) -> Option<Duration> {
        let Silence::Listening { since } = self.silence else {
            return None;
        };
        let silence = now.saturating_duration_since(since);
        self.deadline.filter(|deadline| silence >= *deadline).map(|_| silence)
    }
}

/// A time that is too far off for the clock is as far off as matters.
fn later(now: Instant, duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(365 * 86_400);
    now.checked_add(duration).unwrap_or(now + FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> (Instant, Liveness) {
        let now = tokio::time::Instant::now().into_std();
        let mut liveness = Liveness::new(15 * SECOND, now);
        liveness.establish(45 * SECOND, now);
        (now, liveness)
    }

    #[test]
    fn pings_at_once_and_then_at_every_interval() {
        let (start, mut liveness) = start();
        assert!(liveness.takes_ping(start));
        assert!(!liveness.takes_ping(start));
        assert_eq!(liveness.next_ping(), start + 15 * SECOND);
        assert!(liveness.takes_ping(start + 15 * SECOND));
    }

    #[test]
    fn silence_counts_from_the_last_sign_of_life() {
        let (start, mut liveness) = start();
        liveness.heard(start + 10 * SECOND);
        assert_eq!(liveness.death(), Some(start + 55 * SECOND));
        assert_eq!(liveness.dead_silence(start + 54 * SECOND), None);
        assert_eq!(liveness.dead_silence(start + 55 * SECOND), Some(45 * SECOND));
    }

    #[test]
    fn a_handshake_is_pinged_but_never_dead() {
        let (start, _) = start();
        let mut liveness = Liveness::new(15 * SECOND, start);
        assert!(liveness.takes_ping(start + 100 * SECOND));
        assert_eq!(
            (liveness.death(), liveness.dead_silence(start + 100 * SECOND)),
            (None, None)
        );
    }

    #[test]
    fn a_limit_that_is_too_long_for_the_clock_is_never_reached() {
        let (start, _) = start();
        let mut liveness = Liveness::new(Duration::MAX, start);
        liveness.establish(Duration::MAX, start);
        assert!(liveness.takes_ping(start));
        assert_eq!(liveness.death(), None);
    }

    #[test]
    fn w5_time_without_listening_is_no_silence() {
        let (start, mut liveness) = start();
        liveness.suspend(start + 40 * SECOND);
        assert!(liveness.is_suspended());
        for minute in 1..=10 {
            assert!(liveness.takes_ping(start + minute * 60 * SECOND));
            assert_eq!(liveness.dead_silence(start + minute * 60 * SECOND), None);
        }
        assert_eq!(liveness.listen(start + 601 * SECOND), Some(561 * SECOND));
        assert_eq!(liveness.dead_silence(start + 605 * SECOND), None);
        assert_eq!(liveness.dead_silence(start + 606 * SECOND), Some(45 * SECOND));
    }
}
