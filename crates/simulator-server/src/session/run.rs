//! What a session is executing.

use simulator_api::RequestId;

use super::Changes;
use super::goal::Goal;

/// What is being executed.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) request: Option<RequestId>,
    pub(super) goal: Goal,
    /// Not yet applied.
    pub(super) changes: Option<Changes>,
    pub(super) progress: Progress,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No block of it has been touched.
    Begun,
    /// Blocks are being executed, and the client was told so.
    Executing,
}

impl Run {
    pub(super) fn new(request: Option<RequestId>, goal: Goal, changes: Option<Changes>) -> Self {
        Self {
            request,
            goal,
            changes,
            progress: Progress::Begun,
        }
    }
}
