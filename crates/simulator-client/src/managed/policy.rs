//! How patient the managed layer is, and how much it keeps.

use std::time::Duration;

use thiserror::Error;

use crate::transport::RootCertificates;

/// Longest first WebSocket connect: TCP, TLS and HTTP upgrade.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence while a response of a handshake is awaited: create, attach, resume, subscribe. Generous, because a
/// service may hold subscriptions back while a session starts; about 100 s were seen on cold runtimes.
pub const HANDSHAKE_RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);
/// Between WebSocket pings on an established connection.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Time without inbound traffic after which an established connection counts as dead: about three missed pings.
pub const KEEPALIVE_MISS_DEADLINE: Duration = Duration::from_secs(45);
/// Longest graceful close at the end of a session, from the wish to the last frame.
pub const GRACEFUL_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// First delay before connecting again.
pub const RECONNECT_INITIAL_BACKOFF: Duration = Duration::from_secs(1);
/// Largest delay before connecting again, before jitter.
pub const RECONNECT_MAX_BACKOFF: Duration = Duration::from_secs(30);
/// By how much the delay grows from attempt to attempt.
pub const RECONNECT_BACKOFF_MULTIPLIER: f64 = 2.0;
/// Each delay is multiplied by a uniform factor from `[1 - jitter, 1 + jitter)`.
pub const RECONNECT_JITTER: f64 = 0.2;
/// Longest series of failures, from the first of them.
pub const RECONNECT_MAX_TOTAL: Duration = Duration::from_secs(5 * 60);
/// Most attempts in a series of failures.
pub const RECONNECT_MAX_ATTEMPTS: u32 = 20;
/// A connection that stayed up this long ends the series of failures before it.
pub const RECONNECT_UPTIME_RESET: Duration = Duration::from_secs(30);

/// Longest handshake altogether, however many signs of life the server gives.
pub const HANDSHAKE_TOTAL_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Silence after a reattach that shows that a server without request ids has not taken the last request.
pub const RESEND_SETTLE_TIME: Duration = Duration::from_secs(5);
/// Longest time without a notification while a completed session's subscriptions are drained.
pub const COMPLETION_DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the server keeps a session without a connection, where the caller does not say: longer than the whole
/// series of attempts to reconnect.
pub const DEFAULT_DISCONNECT_TIMEOUT: Duration = Duration::from_secs(360);
/// The longest time that servers keep a session without a connection.
pub const MAX_DISCONNECT_TIMEOUT: Duration = Duration::from_secs(900);
/// Control events that wait for the caller.
pub const CONTROL_QUEUE: usize = 256;
/// Notifications of one subscription connection that wait for the caller.
pub const NOTIFICATION_QUEUE: usize = 1024;
/// Bytes of the events of one connection that wait for the caller.
pub const QUEUE_BYTES: usize = 64 << 20;
/// Largest message, compressed or not.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

const _: () = assert!(KEEPALIVE_INTERVAL.as_secs() * 2 < KEEPALIVE_MISS_DEADLINE.as_secs());
const _: () = assert!(RECONNECT_INITIAL_BACKOFF.as_secs() <= RECONNECT_MAX_BACKOFF.as_secs());
const _: () = assert!(DEFAULT_DISCONNECT_TIMEOUT.as_secs() > RECONNECT_MAX_TOTAL.as_secs());

/// How patient the managed layer is, and how much it keeps. The defaults are the constants of this module.
///
/// ```
/// use simulator_client::managed::ConnectionPolicy;
/// use std::time::Duration;
///
/// let policy = ConnectionPolicy { connect_timeout: Duration::from_secs(5), ..ConnectionPolicy::default() };
/// policy.check()?;
/// # Ok::<(), simulator_client::managed::InvalidPolicy>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionPolicy {
    /// Longest connect. Default [`CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// Longest silence in a handshake. Default [`HANDSHAKE_RESPONSE_TIMEOUT`].
    pub handshake_response_timeout: Duration,
    /// Longest handshake altogether. Default [`HANDSHAKE_TOTAL_TIMEOUT`].
    pub handshake_total_timeout: Duration,
    /// Between pings. Default [`KEEPALIVE_INTERVAL`].
    pub keepalive_interval: Duration,
    /// Silence after which a connection counts as dead. Default [`KEEPALIVE_MISS_DEADLINE`].
    pub keepalive_miss_deadline: Duration,
    /// Longest graceful close. Default [`GRACEFUL_CLOSE_TIMEOUT`].
    pub graceful_close_timeout: Duration,
    /// How connections are tried again.
    pub reconnect: ReconnectPolicy,
    /// Silence that shows that a request was not taken by a server without request ids. It must be longer than such a
    /// server needs to say anything about a request that it has taken. Default [`RESEND_SETTLE_TIME`].
    pub resend_settle_time: Duration,
    /// Longest silence while subscriptions are drained. Default [`COMPLETION_DRAIN_TIMEOUT`].
    pub completion_drain_timeout: Duration,
    /// Control events that may wait. Default [`CONTROL_QUEUE`].
    pub control_queue: usize,
    /// Notifications that may wait, for each subscription connection. Default [`NOTIFICATION_QUEUE`].
    pub notification_queue: usize,
    /// Bytes of events that may wait, for each connection; one event may exceed it. Default [`QUEUE_BYTES`].
    pub queue_bytes: usize,
    /// Largest message, compressed or not. Default [`MAX_MESSAGE_BYTES`].
    pub max_message_bytes: usize,
    /// Whether notifications travel compressed. Default [`CompressionChoice::UnlessLoopback`].
    pub compression: CompressionChoice,
    /// Authorities to trust beside Mozilla's. Default none. A connector of the caller's has its own.
    pub root_certificates: RootCertificates,
}

/// Whether notifications travel compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionChoice {
    /// Compressed, except from a server on this machine, where the network is faster than any compression.
    #[default]
    UnlessLoopback,
    /// Compressed.
    Always,
    /// Not compressed.
    Never,
}

/// How connections are tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct ReconnectPolicy {
    /// First delay. Default [`RECONNECT_INITIAL_BACKOFF`].
    pub initial_backoff: Duration,
    /// Largest delay. Default [`RECONNECT_MAX_BACKOFF`].
    pub max_backoff: Duration,
    /// Growth of the delay. Default [`RECONNECT_BACKOFF_MULTIPLIER`].
    pub multiplier: f64,
    /// Spread of the delay, from 0 to 1. Default [`RECONNECT_JITTER`].
    pub jitter: f64,
    /// Longest series of failures. Default [`RECONNECT_MAX_TOTAL`].
    pub max_total: Duration,
    /// Most attempts of a series. Default [`RECONNECT_MAX_ATTEMPTS`].
    pub max_attempts: u32,
    /// Uptime that ends a series. Default [`RECONNECT_UPTIME_RESET`].
    pub uptime_reset: Duration,
}

/// A policy that contradicts itself.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// A ping that is answered late would end a healthy connection.
    #[error("keepalive_miss_deadline must be more than twice keepalive_interval")]
    KeepaliveTooTight,
    /// A duration or capacity that must not be zero is.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// The delays shrink.
    #[error("max_backoff must not be less than initial_backoff, nor multiplier less than 1")]
    BackoffShrinks,
    /// The jitter is not from 0 to 1.
    #[error("jitter must be from 0 to 1")]
    Jitter,
}

impl Default for ConnectionPolicy {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            handshake_response_timeout: HANDSHAKE_RESPONSE_TIMEOUT,
            handshake_total_timeout: HANDSHAKE_TOTAL_TIMEOUT,
            keepalive_interval: KEEPALIVE_INTERVAL,
            keepalive_miss_deadline: KEEPALIVE_MISS_DEADLINE,
            graceful_close_timeout: GRACEFUL_CLOSE_TIMEOUT,
            reconnect: ReconnectPolicy::default(),
            resend_settle_time: RESEND_SETTLE_TIME,
            completion_drain_timeout: COMPLETION_DRAIN_TIMEOUT,
            control_queue: CONTROL_QUEUE,
            notification_queue: NOTIFICATION_QUEUE,
            queue_bytes: QUEUE_BYTES,
            max_message_bytes: MAX_MESSAGE_BYTES,
            compression: CompressionChoice::default(),
            root_certificates: RootCertificates::default(),
        }
    }
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self {
            initial_backoff: RECONNECT_INITIAL_BACKOFF,
            max_backoff: RECONNECT_MAX_BACKOFF,
            multiplier: RECONNECT_BACKOFF_MULTIPLIER,
            jitter: RECONNECT_JITTER,
            max_total: RECONNECT_MAX_TOTAL,
            max_attempts: RECONNECT_MAX_ATTEMPTS,
            uptime_reset: RECONNECT_UPTIME_RESET,
        }
    }
}

impl ConnectionPolicy {
    /// Checks the relations between the values.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`], the first one found.
    pub fn check(&self) -> Result<(), InvalidPolicy> {
        let durations = [
            ("connect_timeout", self.connect_timeout),
            ("handshake_response_timeout", self.handshake_response_timeout),
            ("handshake_total_timeout", self.handshake_total_timeout),
            ("keepalive_interval", self.keepalive_interval),
            ("graceful_close_timeout", self.graceful_close_timeout),
            ("completion_drain_timeout", self.completion_drain_timeout),
            ("resend_settle_time", self.resend_settle_time),
        ];
        let capacities = [
            ("control_queue", self.control_queue),
            ("notification_queue", self.notification_queue),
            ("queue_bytes", self.queue_bytes),
            ("max_message_bytes", self.max_message_bytes),
        ];
        let zero_duration = durations
            .iter()
            .find(|(_, value)| value.is_zero())
            .map(|(name, _)| name);
        let zero_capacity = capacities.iter().find(|(_, value)| *value == 0).map(|(name, _)| name);
        if let Some(name) = zero_duration.or(zero_capacity) {
            return Err(InvalidPolicy::Zero(name));
        }
        if self.keepalive_miss_deadline <= self.keepalive_interval.saturating_mul(2) {
            return Err(InvalidPolicy::KeepaliveTooTight);
        }
        self.reconnect.check()
    }
}

impl ReconnectPolicy {
    fn check(&self) -> Result<(), InvalidPolicy> {
        if self.max_backoff < self.initial_backoff || self.multiplier < 1.0 || self.multiplier.is_nan() {
            return Err(InvalidPolicy::BackoffShrinks);
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(InvalidPolicy::Jitter);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_consistent() {
        assert_eq!(ConnectionPolicy::default().check(), Ok(()));
    }

    #[test]
    fn contradictions_are_named() {
        let base = ConnectionPolicy::default();
        let tight = ConnectionPolicy {
            keepalive_miss_deadline: base.keepalive_interval * 2,
            ..base.clone()
        };
        assert_eq!(tight.check(), Err(InvalidPolicy::KeepaliveTooTight));
        let empty = ConnectionPolicy {
            control_queue: 0,
            ..base.clone()
        };
        assert_eq!(empty.check(), Err(InvalidPolicy::Zero("control_queue")));
        let with = |reconnect| ConnectionPolicy {
            reconnect,
            ..base.clone()
        };
        let shrinking = ReconnectPolicy {
            multiplier: 0.5,
            ..ReconnectPolicy::default()
        };
        assert_eq!(with(shrinking).check(), Err(InvalidPolicy::BackoffShrinks));
        let wild = ReconnectPolicy {
            jitter: 1.5,
            ..ReconnectPolicy::default()
        };
        assert_eq!(with(wild).check(), Err(InvalidPolicy::Jitter));
    }
}
