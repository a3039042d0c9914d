//! When a connection is to be looked at again although nothing happens.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// What tokio's timer counts in. An alarm that is set for less goes off before the network was looked at.
const CLOCK_TICK: Duration = Duration::from_millis(1);

/// One timer that is only set anew when it would come too late, and that goes off once for each time.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// What it was set for and has not told yet.
    set_for: Option<Instant>,
}

impl Alarm {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep_until(now.into())),
            set_for: None,
        }
    }

    /// Ready once it is `at`, and the runtime has looked at the network since: a task that was not polled for a while
    /// finds what has arrived before it finds that its time is up.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Instant, now: Instant) -> Poll<()> {
        if self.set_for.is_none_or(|set_for| at < set_for) {
            self.set(at, now);
        }
        ready!(self.sleep.as_mut().poll(cx));
        if self.set_for.is_some_and(|set_for| set_for < at) {
            self.set(at, now);
            ready!(self.sleep.as_mut().poll(cx));
        }
        self.set_for = None;
        Poll::Ready(())
    }

    fn set(&mut self, at: Instant, now: Instant) {
        self.set_for = Some(at);
        self.sleep.as_mut().reset(at.max(now + CLOCK_TICK).into());
    }
}
