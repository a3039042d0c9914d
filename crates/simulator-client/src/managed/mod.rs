//! Connections that look after themselves.
//!
//! One task owns each WebSocket and handles its whole life: connect, handshake, keep alive, connect again, resume. A
//! caller talks to it through channels and watches its status; it never sees a socket.

mod budget;
mod connection;
mod control;
mod endpoint;
mod error;
mod event;
mod liveness;
mod policy;
mod queue;
mod session;
mod session_info;
mod status;
mod subscription;
mod supervisor;

#[cfg(test)]
mod tests;

pub use control::{ControlHandle, spawn_control_manager};
pub use error::{ConnectionError, ManagedFailure, ManagedSessionError, StreamFault};
pub use event::{ControlEvent, ManagedEvent, SubscriptionNotification};
pub use policy::*;
pub use queue::EventReceiver;
pub use session::{ManagedBacktestSession, ManagedSessionBuilder};
pub use session_info::SessionInfo;
pub use status::{ConnectionCounters, ConnectionStatus, CountersSnapshot, MachineCounts};
pub use subscription::{
    SubscriptionHandle, spawn_account_diff_subscription_manager, spawn_logs_subscription_manager,
    spawn_transaction_subscription_manager,
};
