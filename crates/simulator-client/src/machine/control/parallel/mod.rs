//! The control conversation of several managed sessions that share a range: made by one create, driven and attached to
//! again together.
//!
//! ```text
//!             connected           sessionsCreated            lost
//!   Start ---------------> Creating --------------> Up --------------> Offline
//!     ^                       |                     ^                     | connected
//!     |        lost           |                     |                     v
//!     +-----------------------+                     +----------------- Attaching
//!                                                        attached
//! ```
//!
//! There is no resume: events may come before the answer to an attach. Everything that is true of one session's events
//! and requests is true of each [`Part`](part::Part), which has numbers, requests in flight and an end of its own. The
//! end of the last part is that of the conversation.
//!
//! Until all sessions are listed nobody knows which there will be: another create may make others. What they say before
//! is kept, in order, also what comes before the announcement of its session.

mod creating;
mod machine;
mod messages;
mod part;
mod receive;
mod state;

#[cfg(test)]
mod tests;

pub use machine::ParallelMachine;
pub use messages::{ParallelInfo, ParallelOutput, ParallelRequest, PartEnd, PartInfo};
