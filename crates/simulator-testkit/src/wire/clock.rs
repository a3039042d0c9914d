//! A clock that goes where it is told.

use std::time::{Duration, Instant};

/// A clock that goes where it is told. It never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    now: Instant,
}

impl Clock {
    /// A clock at its start. Which instant that is does not matter.
    pub fn new() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "only differences to this instant are ever looked at"
        )]
        let start = Instant::now();
        Self { start, now: start }
    }

    /// What it shows.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What it has shown pass.
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Sets it to `instant`, if that is later.
    pub fn advance_to(&mut self, instant: Instant) {
        self.now = self.now.max(instant);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
