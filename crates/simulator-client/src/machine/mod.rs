//! The rules of a control conversation, without any I/O.
//!
//! A [`Conversation`] is told what was sent and what arrived, and says what the caller may see next. It knows no
//! socket and no clock, so that every rule is tested by calling it. A driver owns the connection and only moves text:
//!
//! ```text
//!   text from the server                 requests of the caller
//!            |                                     |
//!     handle_message                           on_sent
//!            v                                     v
//!   +------------------------- Conversation -------------------------+
//!   |  sequence: drop duplicates, report gaps     phase: who waits?  |
//!   |  unread: events in order, each with the request it came after  |
//!   +----------------------------------------------------------------+
//!            |                                     |
//!       next_event            take_reply, take_readiness, poll_discovery
//!            v                                     v
//!     the caller, in order             the calls that wait for one event
//! ```
//!
//! A session that is driven by hand has a [`Conversation`]; a managed one has a [`Machine`] for its
//! [control channel](control) and one for each [subscription connection](subscription), which outlive connections.
//!
//! A call that waits for one event takes that event and nothing else. What it passed over stays in order and is
//! delivered by the next [`Conversation::next_event`].

pub mod control;
mod conversation;
mod discovery;
mod driven;
mod hold;
mod phase;
mod request_ids;
mod sequence;
mod step;
mod stepping;
pub mod subscription;
mod unread;
mod wait;

#[cfg(test)]
mod discovery_tests;
#[cfg(test)]
mod tests;

pub use conversation::{Conversation, Delivery, ProtocolError, Readiness, Reply};
pub use discovery::{DiscoveryMove, DiscoveryPause, DiscoveryStep, DiscoveryStepResult, MissedDiscovery};
pub use driven::{Ending, Machine, Message, Standing};
pub use phase::{Phase, is_rejection};
pub use sequence::{Arrival, SequenceCursor};
pub use step::{AdvanceState, ContinueResult, StopReason};
pub use unread::Scan;
pub use wait::{Verdict, Wait};
