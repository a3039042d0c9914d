//! Connections that look after themselves.
//!
//! One task owns each WebSocket and handles its whole life: connect, hand-shake, keep alive, connect again, resume. A
//! caller talks to it through channels and watches its status; it never sees a socket.
//!
//! [`ManagedBacktestSession`] is what most callers want: a control channel, any number of subscriptions, one stream of
//! events, one way to end it. [`ManagedParallelSession`] is several of them over one range. [`spawn_control_manager`] and the `spawn_*_subscription_manager` functions are its parts.
//!
//! What is promised, and tested by cutting connections at every message in both directions:
//!
//! * Control events arrive exactly once and in order. A [gap](StreamFault::Gap) is an error that the caller sees.
//! * A continue that was not seen to take effect is sent again after a reconnect, and is never applied twice. Where a
//!   server does not let the client keep that promise, the caller is [told](StreamFault::Uncertain).
//! * Notifications arrive exactly once, in the order of their stream.
//! * A caller that does not read slows its session down. It loses no event, and its connections stay: pings go on, and
//!   time in which nobody reads is no silence. What waits is bounded by the [`ConnectionPolicy`].
//! * What can never succeed ends at once, what may is tried for as long as the policy says, and the
//!   [reason](ManagedFailure) of an end reaches the caller with its causes: as the last event, as the error of calls, and
//!   as [`ConnectionStatus::Failed`].
//! * [`shutdown`](ManagedBacktestSession::shutdown) closes the session at the server and returns within
//!   [`GRACEFUL_CLOSE_TIMEOUT`], whatever state its connections are in. Dropping does the same in the background.
//!
//! Spans of [`tracing`] name the session (its beginning: the whole id is a secret) and the connection's number;
//! [`ConnectionCounters`] count connections, bytes, and events that came again.

mod alarm;
mod budget;
mod connection;
mod control;
mod endpoint;
mod error;
mod event;
mod liveness;
mod manager;
mod parallel;
mod policy;
mod queue;
mod session;
mod session_info;
mod status;
mod subscription;
mod supervisor;
mod writer;

#[cfg(test)]
mod tests;

pub use control::{ControlHandle, spawn_control_manager};
pub use error::{ConnectionError, ManagedFailure, ManagedSessionError, StreamFault};
pub use event::{ControlEvent, ManagedEvent, SubscriptionNotification};
pub use parallel::{ManagedParallelSession, ParallelEvent};
pub use policy::*;
pub use queue::EventReceiver;
pub use session::{ManagedBacktestSession, ManagedSessionBuilder};
pub use session_info::SessionInfo;
pub use status::{ConnectionCounters, ConnectionStatus, CountersSnapshot, MachineCounts};
pub(crate) use subscription::SubscriptionStart;
pub use subscription::{
    SubscriptionHandle, spawn_account_diff_subscription_manager, spawn_action_subscription_manager,
    spawn_logs_subscription_manager, spawn_transaction_subscription_manager,
};
