//! Backtest sessions over the network.
//!
//! A [`Server`] serves archives over the backtest protocol: a WebSocket control channel at `/backtest`, over which a
//! client makes a session, or takes over one whose connection was lost, and drives it, JSON-RPC at
//! `/backtest/{session_id}`, over which it looks at the session and changes it, and PubSub over a WebSocket at the same
//! place, which tells it what the session does. `/available-ranges` says what there is, `/usage` what a key has used;
//! `/health`, `/ready` and `/metrics` are for whoever operates the server.
//!
//! ```text
//!  net (TCP, TLS, limits)
//!     │
//!  routes ──► control ─────► handle ──► inbox ──► worker (one thread a session) ──► executor ──► the engine
//!     │          ▲                                   │     │
//!     │          └───────── event_log ◄──────────────┘     ├── session: the rules, pure
//!     └─────► rpc ──► handle                               ├── feed: blocks, decoded ahead
//!     │        └──── outcomes ◄── executor                 └── discovery: what filters find ahead
//!     └─────► pubsub ◄─────────── executor
//! ```
//!
//! Nothing of the network ever waits inside the engine, and the engine never waits for a socket: every queue between
//! them has a limit, and a replay whose reader is slow pauses. Nothing is dropped.
//!
//! A session is not tied to a connection. One task (`lifetime`) makes it and ends it; connections take its `seat`, one
//! at a time, and a seat that stays vacant for longer than the session's disconnect time is the end of the session.
//! Every event has a number in the session and is kept until a pong has shown that the client has it, so that the next
//! connection can go on after any number.
//!
//! Where the server has a state directory ([`ServerConfig::state_dir`]), every session is kept in it, and is restored by
//! the next server when this one is gone, however it went: `docs/durability.md`.
//!
//! # JSON-RPC errors of our own
//!
//! | code | meaning |
//! |---|---|
//! | -32099 | the account is not in the session's archive: whether it existed is not known (`data.account`) |
//! | -32098 | the session has ended, has no open slot, or refused the transaction |
//! | -32097 | what a subscription wants to resume from is not kept any more (`data.oldest`) |
//!
//! `getTransaction` and `getSignatureStatuses` know the latest transactions of the session, as many as fit into
//! [`Limits::history_bytes`]; they answer `null` for all others.

mod actions;
mod admin;
mod archives;
mod clock;
mod command_log;
mod config;
mod control;
mod convert;
mod cors;
mod discovery;
mod durable;
mod encode;
mod event_log;
mod executor;
mod feed;
#[doc(hidden)]
pub mod fuzz;
mod group;
mod handle;
mod history;
mod housekeeping;
mod keys;
mod launch;
mod lifetime;
mod metrics;
mod names;
mod net;
mod outcomes;
mod places;
mod pubsub;
mod ranges;
mod registry;
mod routes;
mod rpc;
mod seat;
mod server;
mod session;
mod split;
mod state;
mod usage;
mod watched;
mod websocket;
mod worker;

pub use config::{Limits, ServerConfig, Times};
pub use durable::StateDirectoryError;
pub use keys::{ApiKey, KeyLimits};
pub use net::{TlsError, TlsFiles};
pub use server::{BindError, ServeError, Server};
pub use usage::UsageFileError;
