//! Recognises when a server says again that a session waits.
//!
//! A server may do so after a reattach, for a client that waits for an answer that never came. A caller who was told
//! before would take it for another stop, and go on twice.

use simulator_api::{BacktestResponse, SequencedResponse};

/// Where the session waits, as its caller knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Reminders {
    waits_at: Option<BacktestResponse>,
    /// Whether the session has ever lost a connection.
    was_interrupted: bool,
}

impl Reminders {
    /// The connection is gone: the session will be attached to again.
    pub(super) fn interrupt(&mut self) {
        self.was_interrupted = true;
    }

    /// Events are missing, or cannot be told from others: the next stop may be another one.
    pub(super) fn tear(&mut self) {
        self.waits_at = None;
    }

    /// Takes an event, and says whether it tells nothing but what the caller knows. It does not if it may be the answer
    /// to a request.
    pub(super) fn take(&mut self, event: &SequencedResponse, may_answer: bool) -> bool {
        match &event.response {
            BacktestResponse::ReadyForContinue | BacktestResponse::Paused(_) => {
                let is_known = self.waits_at.as_ref() == Some(&event.response);
                self.waits_at = Some(event.response.clone());
                let is_reminder = is_known && self.was_interrupted && event.seq_id.is_some();
                is_reminder && event.request_id.is_none() && !may_answer
            }
            // What is ahead does not move the session.
            BacktestResponse::DiscoveryBatch(_) => false,
            _ => {
                self.waits_at = None;
                false
            }
        }
    }
}
