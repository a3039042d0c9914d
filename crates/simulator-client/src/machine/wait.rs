//! Which event answers a call that waits.

use simulator_api::{BacktestError, BacktestResponse, BacktestStatus};

/// What a call waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The answer to a create request for one session.
    SessionCreated,
    /// The next answer to a create request for several sessions: one of them, or all of them at the end.
    SessionsCreated,
    /// The answer to an attach request.
    SessionAttached,
    /// The answer to a resume request.
    Resumed,
    /// The answer to a close request.
    Closed,
    /// A status of the current step.
    Status(BacktestStatus),
}

/// What an event means to a call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it stays for the caller to read.
    Unrelated,
    /// It is what the call waits for.
    Answer,
    /// It says that what the call waits for will not come.
    Refusal,
}

impl Wait {
    /// Judges one event. A `simulationError` never refuses anything: it is about one transaction.
    pub fn judge(&self, event: &BacktestResponse) -> Verdict {
        match (self, event) {
            (Self::SessionCreated, BacktestResponse::SessionCreated(_))
            | (
                Self::SessionsCreated,
                BacktestResponse::SessionCreated(_)
                | BacktestResponse::SessionsCreated(_)
                | BacktestResponse::SessionsCreatedV2(_),
            )
            | (Self::SessionAttached, BacktestResponse::SessionAttached(_))
            | (Self::Resumed | Self::Closed, BacktestResponse::Success)
            | (Self::Closed, BacktestResponse::Completed { .. }) => Verdict::Answer,
            (Self::Status(wanted), BacktestResponse::Status { status }) if wanted == status => Verdict::Answer,
            (Self::SessionCreated, BacktestResponse::SessionsCreated(_) | BacktestResponse::SessionsCreatedV2(_)) => {
                Verdict::Refusal
            }
            (Self::Status(_), BacktestResponse::Completed { .. }) => Verdict::Refusal,
            (_, BacktestResponse::Error(error)) if self.is_refused_by(error) => Verdict::Refusal,
            _ => Verdict::Unrelated,
        }
    }

    /// Whether the wait is for the answer to the last request, as opposed to any event of the current step.
    pub(super) fn is_for_reply(&self) -> bool {
        !matches!(self, Self::Status(_))
    }

    fn is_refused_by(&self, error: &BacktestError) -> bool {
        match self {
            Self::SessionCreated | Self::SessionsCreated | Self::Status(_) => {
                !matches!(error, BacktestError::SimulationError { .. })
            }
            Self::SessionAttached | Self::Resumed => {
                is_about_the_session(error) || matches!(error, BacktestError::InvalidRequest { .. })
            }
            // A close is always a valid request, so a rejection is the answer to an earlier one.
            Self::Closed => is_about_the_session(error),
        }
    }
}

/// Whether an error is about this client's access to its session. The others are events of the session itself, which
/// a server may replay at any time.
fn is_about_the_session(error: &BacktestError) -> bool {
    matches!(
        error,
        BacktestError::SessionNotFound { .. }
            | BacktestError::SessionOwnerMismatch
            | BacktestError::SessionOwnershipBusy { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits() -> [Wait; 6] {
        let status = Wait::Status(BacktestStatus::ExecutedBlockTransactions);
        [
            Wait::SessionCreated,
            Wait::SessionsCreated,
            Wait::SessionAttached,
            Wait::Resumed,
            Wait::Closed,
            status,
        ]
    }

    #[test]
    fn a_simulation_error_refuses_nothing() {
        let event = BacktestError::SimulationError { error: "x".into() }.into();
        assert!(waits().iter().all(|wait| wait.judge(&event) == Verdict::Unrelated));
    }

    #[test]
    fn slots_and_stops_answer_nothing() {
        for event in [
            BacktestResponse::SlotNotification(1),
            BacktestResponse::ReadyForContinue,
        ] {
            assert!(
                waits().iter().all(|wait| wait.judge(&event) == Verdict::Unrelated),
                "{event:?}"
            );
        }
    }

    #[test]
    fn replayed_errors_of_a_session_do_not_refuse_an_attach() {
        let replayed = BacktestError::ClerkError { error: "x".into() }.into();
        assert_eq!(Wait::SessionAttached.judge(&replayed), Verdict::Unrelated);
        assert_eq!(Wait::Resumed.judge(&replayed), Verdict::Unrelated);
        assert_eq!(Wait::SessionCreated.judge(&replayed), Verdict::Refusal);
        let busy = BacktestError::SessionOwnershipBusy { reason: "x".into() }.into();
        assert_eq!(Wait::SessionAttached.judge(&busy), Verdict::Refusal);
    }
}
