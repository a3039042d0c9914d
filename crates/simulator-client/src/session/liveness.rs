//! Whether the server is still there, judged by what arrives while a call waits.

use std::time::Duration;

use tokio::time::Instant;

use crate::Limits;

/// How long a call waits at least before silence counts. A frame that arrived while nobody was reading is seen first.
const LAST_LOOK: Duration = Duration::from_millis(10);

/// The silence of one connection. Nothing is read between calls, so it only begins when one waits.
#[derive(Debug)]
pub(super) struct Liveness {
    ping_interval: Option<Duration>,
    silence_timeout: Option<Duration>,
    silence: Option<Silence>,
}

#[derive(Clone, Copy, Debug)]
struct Silence {
    began: Instant,
    pinged: Option<Instant>,
}

/// What is due next while nothing arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing, ever.
    Never,
    /// A ping.
    Ping(Instant),
    /// The end of patience.
    Death(Instant),
}

impl Liveness {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            ping_interval: limits.ping_interval,
            silence_timeout: limits.silence_timeout,
            silence: None,
        }
    }

    /// A call begins to wait.
    pub(super) fn on_wait(&mut self, now: Instant) {
        let goes_on = self.silence.filter(|_| self.ping_interval.is_some());
        self.silence = Some(goes_on.unwrap_or(Silence {
            began: now,
            pinged: None,
        }));
    }

    /// A frame has arrived.
    pub(super) fn on_frame(&mut self, now: Instant) {
        self.silence = Some(Silence {
            began: now,
            pinged: None,
        });
    }

    /// A ping was sent.
    pub(super) fn on_ping(&mut self, now: Instant) {
        if let Some(silence) = &mut self.silence {
            silence.pinged = Some(now);
        }
    }

    /// How long nothing has arrived.
    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        self.silence.map_or(Duration::ZERO, |silence| now - silence.began)
    }

    /// What is due next, for a call that waits since `waiting`.
    pub(super) fn due(&self, waiting: Instant) -> Due {
        let Some(silence) = self.silence else {
            return Due::Never;
        };
        let ping = self
            .ping_interval
            .map(|interval| silence.pinged.unwrap_or(silence.began) + interval);
        let death = self.death(silence).map(|death| death.max(waiting + LAST_LOOK));
        match (ping, death) {
            (_, Some(death)) if ping.is_none_or(|ping| death <= ping) => Due::Death(death),
            (Some(ping), _) => Due::Ping(ping),
            (None, _) => Due::Never,
        }
    }

    /// When patience ends. A server that could be asked and was not is not given up on.
    fn death(&self, silence: Silence) -> Option<Instant> {
        let earliest = silence.began + self.silence_timeout?;
        let Some(interval) = self.ping_interval else {
            return Some(earliest);
        };
        Some(earliest.max(silence.pinged? + interval))
    }
}
