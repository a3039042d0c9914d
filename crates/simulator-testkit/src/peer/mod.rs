//! A scripted server without any I/O: what a client's machines are tested against.
//!
//! A [`PeerServer`] plays the session that its [`Script`] describes, as a server of one [`Generation`] of the protocol
//! would. It knows connections by id, takes frames and hands out frames; time is an argument. Work is done in small
//! steps, by [`PeerServer::tick`], so that a test can lose the connection between any two of them.
//!
//! It also remembers what really happened: [`Truth`] says which requests took effect, in which order, and what the
//! client did that the protocol does not allow.

mod data;
mod event_log;
mod generation;
mod group;
mod notification;
mod script;
mod server;
mod session;
mod stepping;
mod subscribe;
mod truth;

#[cfg(test)]
mod tests;

pub use generation::{ControlReplay, DataReplay, Generation, Numbering};
pub use script::{Block, Change, Failure, Position, Script, SubscribeRefusal, Tx};
pub use server::{ConnId, PeerServer, Refused};
pub use truth::{Applied, Truth};
