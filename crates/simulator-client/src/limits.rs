//! Every limit of the client, in one place.

use std::time::Duration;

/// How long the client waits and how much it keeps.
///
/// ```
/// use simulator_client::Limits;
/// use std::time::Duration;
///
/// let limits = Limits { close_timeout: Duration::from_secs(1), ..Limits::default() };
/// assert_eq!(limits.connect_timeout, Duration::from_secs(10));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time for a WebSocket connect: TCP, TLS and HTTP upgrade. Default 10 s.
    pub connect_timeout: Duration,
    /// Longest time without a message while a call waits for one, where the call does not name its own; `None` waits
    /// for as long as the connection is alive. Default `None`.
    pub request_timeout: Option<Duration>,
    /// Silence of the server, while a call waits for it, after which the session sends a ping, and again each time it
    /// has passed; `None` sends none. Default 15 s.
    pub ping_interval: Option<Duration>,
    /// Longest silence of the server, while a call waits for it: without any frame for so long, a pong included, the
    /// connection counts as dead. A ping has always gone unanswered for a `ping_interval` before; where none are sent,
    /// the silence of one call counts. `None` waits for as long as the connection lasts. Default 45 s.
    pub silence_timeout: Option<Duration>,
    /// How long a step to the next [discovery](crate::BacktestSession::advance_to_discovery) waits at a pause for the
    /// server to say whether there is one, before it lets the session run on; `None` waits for as long as it takes.
    /// Default 10 s.
    pub discovery_settle: Option<Duration>,
    /// Longest time for one HTTP call, JSON-RPC included, from the connect to the last byte. Default 30 s.
    pub http_timeout: Duration,
    /// Longest time for closing a session, from the request to the last frame. Default 5 s.
    pub close_timeout: Duration,
    /// Events that may wait unread while a call looks for another one. A call that would exceed it fails, and loses
    /// nothing. Default 65,536.
    pub unread_events: usize,
    /// Largest body of an HTTP response in bytes. Default 256 MiB.
    pub http_body_bytes: usize,
    /// Largest WebSocket message in bytes. Default 64 MiB, the protocol's own limit.
    pub message_bytes: usize,
    /// Largest WebSocket frame in bytes. Default 16 MiB, the protocol's own limit.
    pub frame_bytes: usize,
}

const MIB: usize = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: None,
            ping_interval: Some(Duration::from_secs(15)),
            silence_timeout: Some(Duration::from_secs(45)),
            discovery_settle: Some(Duration::from_secs(10)),
            http_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            unread_events: 65_536,
            http_body_bytes: 256 * MIB,
            message_bytes: 64 * MIB,
            frame_bytes: 16 * MIB,
        }
    }
}
