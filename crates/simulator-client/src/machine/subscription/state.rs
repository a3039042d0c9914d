//! Where a subscription connection is in its life.

use std::time::{Duration, Instant};

use super::link::Link;
use crate::machine::{Ending, Standing};
use crate::managed::ConnectionError;

/// Where a subscription connection is in its life.
#[derive(Debug)]
pub(super) enum State {
    /// There is no connection.
    Disconnected,
    /// Subscriptions are being opened.
    Subscribing(Link, Handshake),
    /// Every subscription is open, or has completed.
    Up(Link),
    /// The connection is of no use.
    Broken(ConnectionError),
    /// Nothing follows.
    Over(Ending),
}

/// The time that a handshake takes, and what arrived too early during it.
#[derive(Debug)]
pub(super) struct Handshake {
    began: Instant,
    last_sign: Instant,
    /// Messages for subscriptions whose numbers are not known yet.
    early: Vec<Box<str>>,
    early_bytes: usize,
}

impl State {
    /// What lasts as long as the connection, if there is one in use.
    #[inline]
    pub(super) fn link(&mut self) -> Option<&mut Link> {
        match self {
            Self::Subscribing(link, _) | Self::Up(link) => Some(link),
            Self::Disconnected | Self::Broken(_) | Self::Over(_) => None,
        }
    }

    /// The handshake, while it lasts.
    #[inline]
    pub(super) fn handshake(&mut self) -> Option<&mut Handshake> {
        match self {
            Self::Subscribing(_, handshake) => Some(handshake),
            _ => None,
        }
    }

    /// The handshake is done.
    pub(super) fn establish(&mut self) {
        *self = match std::mem::replace(self, Self::Disconnected) {
            Self::Subscribing(link, _) => Self::Up(link),
            other => other,
        };
    }

    /// What the driver is to know.
    pub(super) fn standing(&self) -> Standing {
        match self {
            Self::Disconnected | Self::Subscribing(..) => Standing::Opening,
            Self::Up(_) => Standing::Up,
            Self::Broken(error) => Standing::Retry(error.clone()),
            Self::Over(ending) => Standing::Over(ending.clone()),
        }
    }
}

impl Handshake {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            last_sign: now,
            early: Vec::new(),
            early_bytes: 0,
        }
    }

    /// The server lives.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_sign = now;
    }

    /// Nobody has listened for this long.
    pub(super) fn excuse(&mut self, missed: Duration) {
        self.began = self.began.checked_add(missed).unwrap_or(self.began);
        self.last_sign = self.last_sign.checked_add(missed).unwrap_or(self.last_sign);
    }

    /// When it is given up, and the limit that is reached then. A limit that is too long for the clock is never reached.
    pub(super) fn deadline(&self, response: Duration, total: Duration) -> Option<(Instant, Duration)> {
        let silent = self.last_sign.checked_add(response).map(|at| (at, response));
        let too_long = self.began.checked_add(total).map(|at| (at, total));
        [too_long, silent].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Keeps a message for later, if there is room for it.
    pub(super) fn keep(&mut self, text: &str, limit: usize) -> bool {
        let bytes = self.early_bytes.saturating_add(text.len());
        if bytes > limit {
            return false;
        }
        self.early_bytes = bytes;
        self.early.push(text.into());
        true
    }

    /// What was kept, in order.
    pub(super) fn take_early(&mut self) -> Vec<Box<str>> {
        self.early_bytes = 0;
        std::mem::take(&mut self.early)
    }
}
