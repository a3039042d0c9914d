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
    NotListening { silent_before: Duration },
}

/// What the time has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    /// Nothing was received for this long.
    Dead(Duration),
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

    /// Reading goes on, if it was suspended.
    pub(crate) fn listen(&mut self, now: Instant) {
        if let Silence::NotListening { silent_before } = self.silence {
            let since = now.checked_sub(silent_before).unwrap_or(now);
            self.silence = Silence::Listening { since };
        }
    }

    /// Reading is suspended, because there is no room for what would be read.
    pub(crate) fn suspend(&mut self, now: Instant) {
        if let Silence::Listening { since } = self.silence {
            self.silence = Silence::NotListening {
                silent_before: now.saturating_duration_since(since),
            };
        }
    }

    /// Whether reading is suspended.
    pub(crate) fn is_suspended(&self) -> bool {
        matches!(self.silence, Silence::NotListening { .. })
    }

    /// What is due. A ping is due once for each interval.
    pub(crate) fn due(&mut self, now: Instant) -> Due {
        if let (Silence::Listening { since }, Some(deadline)) = (self.silence, self.deadline) {
            let silent = now.saturating_duration_since(since);
            if silent >= deadline {
                return Due::Dead(silent);
            }
        }
        if now >= self.next_ping {
            self.next_ping = now + self.interval;
            return Due::Ping;
        }
        Due::Nothing
    }

    /// When to ask again.
    pub(crate) fn next_due(&self) -> Instant {
        match (self.silence, self.deadline) {
            (Silence::Listening { since }, Some(deadline)) => self.next_ping.min(since + deadline),
            _ => self.next_ping,
        }
    }
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
        assert_eq!(liveness.due(start), Due::Ping);
        assert_eq!(liveness.due(start), Due::Nothing);
        assert_eq!(liveness.next_due(), start + 15 * SECOND);
        assert_eq!(liveness.due(start + 15 * SECOND), Due::Ping);
    }

    #[test]
    fn silence_counts_from_the_last_sign_of_life() {
        let (start, mut liveness) = start();
        liveness.heard(start + 10 * SECOND);
        assert_ne!(liveness.due(start + 54 * SECOND), Due::Dead(44 * SECOND));
        assert_eq!(liveness.due(start + 55 * SECOND), Due::Dead(45 * SECOND));
    }

    #[test]
    fn a_handshake_is_pinged_but_never_dead() {
        let (start, _) = start();
        let mut liveness = Liveness::new(15 * SECOND, start);
        assert_eq!(liveness.due(start + 100 * SECOND), Due::Ping);
        assert_eq!(liveness.due(start + 100 * SECOND), Due::Nothing);
    }

    #[test]
    fn w5_time_without_listening_is_no_silence() {
        let (start, mut liveness) = start();
        liveness.suspend(start + 40 * SECOND);
        assert!(liveness.is_suspended());
        for minute in 1..=10 {
            assert_eq!(liveness.due(start + minute * 60 * SECOND), Due::Ping);
        }
        liveness.listen(start + 601 * SECOND);
        assert_eq!(liveness.due(start + 605 * SECOND), Due::Nothing);
        assert_eq!(liveness.due(start + 606 * SECOND), Due::Dead(45 * SECOND));
    }
}
