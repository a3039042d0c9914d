//! What a session is executing.

use simulator_api::RequestId;

use super::Changes;
use super::goal::Goal;

/// What is being executed.
#[derive(Debug)]
pub(super) struct Run {
    /// Whom its events are for: the request that says where it stops.
    pub(super) request: Option<RequestId>,
    /// Whose changes it applies. Another request may give the run another place to stop before they are applied.
    pub(super) changed_by: Option<RequestId>,
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
            changed_by: request.clone(),
            request,
            goal,
            changes,
            progress: Progress::Begun,
        }
    }
}
