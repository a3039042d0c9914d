//! What the server as a whole does, for Prometheus.
//!
//! No label takes a value that a client chooses, or that names a key, a session or an address: whoever may read the
//! metrics learns nothing of who uses the server, and their number is bounded.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::usage::Pause;

/// The form in which metrics are told.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper ends of the classes of call times, in seconds: from a look at memory to a search of every account.
const RPC_SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Every metric of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) sessions: Gauge,
    pub(crate) sessions_started: Counter,
    sessions_ended: Family<Why, Counter>,
    pub(crate) slots: Counter,
    pub(crate) transactions: Counter,
    sessions_paused: Family<WaitsFor, Gauge>,
    pauses: Family<WaitsFor, Counter>,
    pause_seconds: Family<WaitsFor, Counter<f64>>,
    pub(crate) event_log_bytes: Gauge,
    pub(crate) data_log_bytes: Gauge,
    rpc_seconds: Family<Method, Histogram, fn() -> Histogram>,
    rpc_errors: Family<Method, Counter>,
    connections: Family<Kind, Gauge>,
    pub(crate) connections_accepted: Counter,
    refused: Family<Why, Counter>,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
}

/// What a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionKind {
    /// One that has not become a WebSocket.
    Http,
    /// A control channel.
    Control,
    /// A PubSub channel.
    Data,
}

/// Why something was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The key is missing or wrong.
    UnknownKey,
    /// A browser asked for a page of another server, and keys are not asked for.
    ForeignPage,
    /// There is no such session, or not for this key.
    UnknownSession,
    /// The server has as many connections as it may.
    ServerConnections,
    /// The key has as many connections as it may.
    KeyConnections,
    /// The session has as many PubSub connections as it may.
    SessionConnections,
    /// The server or the key has as many sessions as it may.
    Sessions,
    /// A message or body is too large.
    TooLarge,
    /// A request was sent too slowly, or not at all.
    Slow,
    /// A connection lay idle for too long.
    Idle,
    /// A connection without a request had to make room for another one.
    Evicted,
    /// The WebSocket or HTTP protocol was broken.
    Violation,
    /// A client asked and did not read the answers.
    Flood,
    /// No TLS connection came about.
    Tls,
    /// The server stops or is not ready yet.
    NotReady,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaitsFor {
    reader: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: String,
}

impl Refusal {
    fn name(self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown_key",
            Self::ForeignPage => "foreign_page",
            Self::UnknownSession => "unknown_session",
            Self::ServerConnections => "server_connections",
            Self::KeyConnections => "key_connections",
            Self::SessionConnections => "session_connections",
            Self::Sessions => "sessions",
            Self::TooLarge => "too_large",
            Self::Slow => "slow",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Violation => "violation",
            Self::Flood => "flood",
            Self::Tls => "tls",
            Self::NotReady => "not_ready",
        }
    }
}

impl ConnectionKind {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Control => "control",
            Self::Data => "data",
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("sim"),
            sessions: Gauge::default(),
            sessions_started: Counter::default(),
            sessions_ended: Family::default(),
            slots: Counter::default(),
            transactions: Counter::default(),
            sessions_paused: Family::default(),
            pauses: Family::default(),
            pause_seconds: Family::default(),
            event_log_bytes: Gauge::default(),
            data_log_bytes: Gauge::default(),
            rpc_seconds: Family::new_with_constructor(rpc_histogram),
            rpc_errors: Family::default(),
            connections: Family::default(),
            connections_accepted: Counter::default(),
            refused: Family::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
        };
        metrics.register_sessions();
        metrics.register_network();
        metrics
    }
}

fn rpc_histogram() -> Histogram {
    Histogram::new(RPC_SECONDS)
}

impl Metrics {
    fn register_sessions(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The server's version", build);
        registry.register("sessions", "Sessions that live", self.sessions.clone());
        registry.register("sessions_started", "Sessions that began", self.sessions_started.clone());
        registry.register(
            "sessions_ended",
            "Sessions that reached the end of their range (completed), met an error (failed), or were left before",
            self.sessions_ended.clone(),
        );
        registry.register("slots", "Slots that were executed", self.slots.clone());
        registry.register(
            "transactions",
            "Transactions that were executed",
            self.transactions.clone(),
        );
        registry.register(
            "sessions_paused",
            "Sessions that wait for a slow reader now, by what it reads",
            self.sessions_paused.clone(),
        );
        registry.register(
            "pauses",
            "How often a session began to wait for a slow reader, by what it reads",
            self.pauses.clone(),
        );
        registry.register(
            "pause_seconds",
            "How long sessions waited for slow readers; a wait counts when it is over",
            self.pause_seconds.clone(),
        );
        registry.register(
            "event_log_bytes",
            "Events that sessions keep for their clients",
            self.event_log_bytes.clone(),
        );
        registry.register(
            "data_log_bytes",
            "Transactions and account changes that sessions keep for their subscribers",
            self.data_log_bytes.clone(),
        );
    }

    fn register_network(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "rpc_seconds",
            "Time to answer a JSON-RPC call",
            self.rpc_seconds.clone(),
        );
        registry.register(
            "rpc_errors",
            "JSON-RPC calls that were answered with an error",
            self.rpc_errors.clone(),
        );
        registry.register("connections", "Connections that are open", self.connections.clone());
        registry.register(
            "connections_accepted",
            "Connections that were accepted",
            self.connections_accepted.clone(),
        );
        registry.register("refused", "What was not served, by reason", self.refused.clone());
        registry.register(
            "bytes_received",
            "Bytes received on the wire",
            self.bytes_received.clone(),
        );
        registry.register("bytes_sent", "Bytes sent on the wire", self.bytes_sent.clone());
    }

    /// A session's end.
    pub(crate) fn ended(&self, reason: &'static str) {
        self.sessions_ended.get_or_create(&Why { reason }).inc();
    }

    /// A session begins to wait for a slow reader.
    pub(crate) fn paused(&self, pause: Pause) {
        let reader = WaitsFor { reader: pause.name() };
        self.pauses.get_or_create(&reader).inc();
        self.sessions_paused.get_or_create(&reader).inc();
    }

    /// A session has waited for a slow reader.
    pub(crate) fn resumed(&self, pause: Pause, waited: Duration) {
        let reader = WaitsFor { reader: pause.name() };
        self.pause_seconds.get_or_create(&reader).inc_by(waited.as_secs_f64());
        self.sessions_paused.get_or_create(&reader).dec();
    }

    /// A JSON-RPC call was answered. `method` is one that the server knows; there is one name for all others.
    pub(crate) fn answered(&self, method: &str, took: Duration, is_error: bool) {
        let method = Method {
            method: method.to_owned(),
        };
        self.rpc_seconds.get_or_create(&method).observe(took.as_secs_f64());
        if is_error {
            self.rpc_errors.get_or_create(&method).inc();
        }
    }

    /// Something was not served.
    pub(crate) fn refused(&self, refusal: Refusal) {
        let reason = refusal.name();
        self.refused.get_or_create(&Why { reason }).inc();
    }

    /// Open connections of a kind.
    pub(crate) fn connections(&self, kind: ConnectionKind) -> Gauge {
        self.connections.get_or_create(&Kind { kind: kind.name() }).clone()
    }

    /// Every metric, in Prometheus's text form.
    ///
    /// # Errors
    /// Never: the text is written into memory.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut told = String::new();
        text::encode(&mut told, &self.registry)?;
        Ok(told)
    }
}

/// A connection that counts as open until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Gauge);

impl OpenConnection {
    pub(crate) fn new(metrics: &Metrics, kind: ConnectionKind) -> Self {
        let gauge = metrics.connections(kind);
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_was_counted() {
        let metrics = Metrics::default();
        metrics.slots.inc_by(3);
        metrics.refused(Refusal::UnknownKey);
        metrics.answered("getSlot", Duration::from_millis(2), false);
        metrics.answered("getSlot", Duration::from_secs(60), true);
        metrics.paused(Pause::Subscribers);
        let open = OpenConnection::new(&metrics, ConnectionKind::Data);
        let told = metrics.encode().unwrap();
        for line in [
            "sim_slots_total 3",
            r#"sim_refused_total{reason="unknown_key"} 1"#,
            r#"sim_rpc_seconds_bucket{le="0.001",method="getSlot"} 0"#,
            r#"sim_rpc_seconds_bucket{le="0.0025",method="getSlot"} 1"#,
            r#"sim_rpc_seconds_count{method="getSlot"} 2"#,
            r#"sim_rpc_errors_total{method="getSlot"} 1"#,
            r#"sim_sessions_paused{reader="subscribers"} 1"#,
            r#"sim_connections{kind="data"} 1"#,
        ] {
            assert!(told.lines().any(|told| told == line), "{line} is missing in\n{told}");
        }
        drop(open);
        metrics.resumed(Pause::Subscribers, Duration::from_secs(2));
        let told = metrics.encode().unwrap();
        assert!(told.contains(r#"sim_connections{kind="data"} 0"#), "{told}");
        assert!(
            told.contains(r#"sim_pause_seconds_total{reader="subscribers"} 2.0"#),
            "{told}"
        );
    }
}
