//! What really happened, for the test to compare with what the client saw.

use simulator_api::{ContinueParams, ContinueToParams};

/// What a server has seen and done.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// The requests that took effect, in order, without their ids. One that took effect twice is in it twice.
    pub applied: Vec<Applied>,
    /// Requests that arrived again and were recognised by their id.
    pub repeated_requests: usize,
    /// Creates that arrived again and were recognised by their token.
    pub repeated_creates: usize,
    /// Sessions that were made.
    pub sessions: usize,
    /// Attaches that succeeded.
    pub attaches: usize,
    /// Closes that succeeded.
    pub closes: usize,
    /// Connections that were made, of either kind.
    pub connections: usize,
    /// What the client did that the protocol does not allow.
    pub violations: Vec<String>,
}

/// A request that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// By a number of blocks.
    Continue(ContinueParams),
    /// To a position.
    ContinueTo(ContinueToParams),
}
