//! Connections, before and below HTTP: how many there may be, how slow they may be, and TLS.
//!
//! ```text
//! TcpListener ──► Gate (how many) ──► Metered (bytes) ──► TLS ──► HTTP ──► routes
//!                   ▲                    │                          │
//!                   └──── Traffic (what it does, and until when it may) ◄┘
//! ```

mod accept;
mod gate;
mod stream;
mod tls;
mod traffic;

pub(crate) use self::accept::{Acceptor, Shared};
pub use self::tls::{TlsError, TlsFiles};
pub(crate) use self::traffic::Traffic;
