//! How long an answer may take.

use std::time::{Duration, Instant};

use crate::managed::ConnectionError;

/// The wait for the answer to one request. It has two limits: one for silence, which everything that arrives starts
/// anew, and one for the handshake altogether.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    request: &'static str,
    silence: Limit,
    total: Limit,
}

/// A duration and when it is over. One that is too long for the clock is never over.
#[derive(Clone, Copy, Debug)]
struct Limit {
    duration: Duration,
    at: Option<Instant>,
}

impl Handshake {
    /// A wait for the answer to `request` that begins now.
    pub(super) fn new(request: &'static str, silence: Duration, total: Duration, now: Instant) -> Self {
        Self {
            request,
            silence: Limit::new(silence, now),
            total: Limit::new(total, now),
        }
    }

    /// The wait for the answer to the next request of the same handshake.
    pub(super) fn next(self, request: &'static str, now: Instant) -> Self {
        let silence = Limit::new(self.silence.duration, now);
        Self {
            request,
            silence,
            ..self
        }
    }

    /// What the answer is awaited to.
    pub(super) fn request(&self) -> &'static str {
        self.request
    }

    /// Something arrived.
    pub(super) fn heard(&mut self, now: Instant) {
        self.silence = Limit::new(self.silence.duration, now);
    }

    /// Nobody has listened for this long.
    pub(super) fn excuse(&mut self, missed: Duration) {
        self.silence.put_off(missed);
        self.total.put_off(missed);
    }

    /// When the wait may be over.
    pub(super) fn timeout(&self) -> Option<Instant> {
        match (self.silence.at, self.total.at) {
            (Some(silence), Some(total)) => Some(silence.min(total)),
            (silence, total) => silence.or(total),
        }
    }

    /// Why the wait is over, if it is.
    pub(super) fn expired(&self, now: Instant) -> Option<ConnectionError> {
        let limit = [self.total, self.silence]
            .into_iter()
            .find(|limit| limit.at.is_some_and(|at| at <= now))?;
        Some(ConnectionError::Unanswered {
            request: self.request,
            after: limit.duration,
        })
    }
}

impl Limit {
    fn new(duration: Duration, now: Instant) -> Self {
        Self {
            duration,
            at: now.checked_add(duration),
        }
    }

    fn put_off(&mut self, by: Duration) {
        self.at = self.at.and_then(|at| at.checked_add(by));
    }
}
