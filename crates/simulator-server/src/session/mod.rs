//! The rules of one session: what its commands mean, in which order things happen, and what the client is told.
//!
//! Everything here is pure. Commands and reports of finished work go in, [`Step`]s to do and [`Event`]s come out;
//! there is no socket, no clock, no thread and no engine. The [worker](crate::worker) does the steps.
//!
//! ```text
//!               order, send, close                    next_step
//! commands ───────────────────────► ┌─────────┐ ───────────────────► the worker
//!                                   │ Session │                          │
//! the client ◄───────────────────── └─────────┘ ◄────────────────────────┘
//!                 next_event                      opened, batch_done, ...
//! ```

mod advance;
mod event;
mod goal;
mod lookout;
mod machine;
mod order;
mod orders;
mod requests;
mod run;
mod step;
#[cfg(test)]
mod tests;

pub(crate) use event::{Event, EventKind, Position};
pub(crate) use goal::{Target, Upcoming};
pub(crate) use machine::Session;
pub(crate) use order::{Applied, Changes, Order};
pub(crate) use step::{SendId, SendRefusal, Start, Step, Stop};
