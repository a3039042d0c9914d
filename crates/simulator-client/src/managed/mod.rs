//! Connections that look after themselves.
//!
//! One task owns each WebSocket and handles its whole life: connect, handshake, keep alive, connect again, resume. A
//! caller talks to it through channels and watches its status; it never sees a socket.

mod budget;
mod error;
mod event;
mod policy;
mod session_info;
mod status;

pub use error::{ConnectionError, ManagedFailure, ManagedSessionError, StreamFault};
pub use event::{ControlEvent, ManagedEvent, SubscriptionNotification};
pub use policy::*;
pub use session_info::SessionInfo;
pub use status::{ConnectionCounters, ConnectionStatus, CountersSnapshot, MachineCounts};
