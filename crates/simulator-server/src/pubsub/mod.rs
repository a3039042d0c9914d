//! The PubSub side of the data channel: WebSockets over which a session tells what it does.
//!
//! ```text
//! worker ──► executor ──► DataLog (by slot, bounded) ──► Connection ──► socket
//!                                                          │    ▲
//!                                             Subscriptions     Request ◄── socket
//!                                        (what is told, pure)
//! ```
//!
//! The session writes down what it does, once, whoever listens; a connection reads that at its own pace, filters it and
//! writes it out. So that a subscription may begin late or resume, and a slow reader holds the session up, and nobody
//! else.

mod cache;
mod compress;
mod connection;
mod ended;
mod forgotten;
mod log;
mod pool;
mod record;
mod request;
mod slot;
mod slots;
mod subscriptions;
mod topic;

pub(crate) use self::connection::{MAX_REQUEST_BYTES, serve};
pub(crate) use self::ended::{Channel, Ended};
pub(crate) use self::log::{DataLog, Reader};
pub(crate) use self::pool::DataPool;
pub(crate) use self::record::{Author, Changes, Record};
pub(crate) use self::request::check_request;
pub(crate) use self::slot::{KeptSlot, SlotHead};
pub(crate) use self::slots::DataLimits;
