//! The body of `GET /usage`. One body serves both published generations.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a key has used in a span of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UsageReport {
    /// The key's name.
    pub api_key_name: String,
    /// Begin of the span, exclusive.
    pub since: DateTime<Utc>,
    /// End of the span, inclusive.
    pub until: DateTime<Utc>,
    /// Sessions in the span.
    pub sessions: SessionCounts,
    /// Work in the span.
    pub compute: ComputeTotals,
    /// The same by UTC day, without gaps; the last day may be partial (0.28).
    #[serde(default)]
    pub daily: Vec<DailyUsage>,
    /// Bundles that were ordered, where the server builds any (0.28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_builds: Option<BundleBuilds>,
    /// Prices, where the server has any (0.28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// What this key does now and may do, and more of what it has used in the span. An extension of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
}

/// What a key does now and may do, and more of what it has used. An extension of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When the server began to count. Nothing is known of the time before.
    pub counted_since: DateTime<Utc>,
    /// Whether the counts outlive the server's process.
    pub survives_restart: bool,
    /// Sessions of the key that live now.
    pub sessions_now: u64,
    /// How many of them there may be.
    pub max_sessions: u64,
    /// WebSocket connections of the key and its sessions that are open now.
    pub connections_now: u64,
    /// How many of them there may be.
    pub max_connections: u64,
    /// Largest message and HTTP body that is taken, in bytes.
    pub max_message_bytes: u64,
    /// Transactions that were executed in the span, recorded ones and the user's.
    pub transactions: u64,
    /// JSON-RPC calls over HTTP in the span, each of a batch by itself.
    pub rpc_calls: u64,
    /// Control connections that were opened in the span.
    pub control_connections: u64,
    /// PubSub connections that were opened in the span.
    pub data_connections: u64,
    /// Bytes received on the wire in the span.
    pub bytes_received: u64,
    /// Bytes sent on the wire in the span.
    pub bytes_sent: u64,
}

/// Numbers of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCounts {
    /// Sessions that began.
    pub started: u64,
    /// Sessions that reached the end of their range.
    pub completed: u64,
    /// Sessions that an error ended.
    pub failed: u64,
}

/// Sums of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeTotals {
    /// Slots that were executed.
    pub executed_slot_count: u64,
    /// Time that sessions lived, in milliseconds.
    pub session_duration_ms: u64,
}

/// One UTC day of a report (0.28).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DailyUsage {
    /// Begin, exclusive.
    pub start: DateTime<Utc>,
    /// End, inclusive.
    pub end: DateTime<Utc>,
    /// Sessions of the day.
    pub sessions: SessionCounts,
    /// Work of the day.
    pub compute: ComputeTotals,
}

/// Bundles that were ordered (0.28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleBuilds {
    /// How many.
    pub requested: u64,
}

/// What the server charges (0.28).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pricing {
    /// US dollars for a slot.
    pub dollars_per_slot: f64,
    /// US dollars for a minute.
    pub dollars_per_minute: f64,
    /// Most milliseconds that a slot is charged for.
    pub max_ms_per_slot: u64,
}
