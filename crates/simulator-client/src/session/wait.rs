//! Waiting for one event without losing another.

use std::time::Duration;

use simulator_api::BacktestStatus;

use super::BacktestSession;
use crate::error::{BacktestClientError, BacktestClientResult};
use crate::machine::{Readiness, Wait};

/// How waiting for readiness ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyOutcome {
    /// The session waits for a continue.
    Ready,
    /// The session has reached the end of its range.
    Completed,
}

impl ReadyOutcome {
    /// Whether the session has reached the end of its range.
    pub fn is_completed(self) -> bool {
        self == Self::Completed
    }
}

impl BacktestSession {
    /// Waits until the session waits for a continue, be it ready or [paused](Self::last_pause), or has completed.
    /// Takes the event that says so, except `completed`, and leaves all others unread.
    ///
    /// # Errors
    ///
    /// [`Remote`](BacktestClientError::Remote) if the session reports an error first, other than a `simulationError`.
    /// [`UnreadEvents`](BacktestClientError::UnreadEvents) if too many others arrive first. Otherwise as
    /// [`next_event`](Self::next_event).
    pub async fn ensure_ready(&mut self, limit: Option<Duration>) -> BacktestClientResult<ReadyOutcome> {
        match self.link.wait_for_readiness(limit).await? {
            Readiness::Ready => Ok(ReadyOutcome::Ready),
            Readiness::Completed => Ok(ReadyOutcome::Completed),
            Readiness::Failed(error) => Err(BacktestClientError::Remote(error)),
        }
    }

    /// Waits for a status of the current step. Takes it, and leaves all other events unread.
    ///
    /// # Errors
    ///
    /// [`UnexpectedResponse`](BacktestClientError::UnexpectedResponse) if the session completes without it. Otherwise
    /// as [`ensure_ready`](Self::ensure_ready).
    pub async fn wait_for_status(
        &mut self,
        status: BacktestStatus,
        limit: Option<Duration>,
    ) -> BacktestClientResult<()> {
        self.link
            .wait(&Wait::Status(status), "wait for a status", limit)
            .await
            .map(|_status| ())
    }
}
