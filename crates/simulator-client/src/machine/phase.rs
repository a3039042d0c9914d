//! What a session is doing, as far as its events tell.

use simulator_api::{BacktestError, BacktestResponse, PausedEvent};

/// What a session is doing. It follows what was received, read or unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It was created and has not said yet that it waits.
    Starting,
    /// It was attached to; whether it waits or runs is not known yet.
    Attached,
    /// It works on what it was asked to do.
    Running {
        /// Continues that it has not answered.
        unanswered: u32,
    },
    /// It waits for a continue.
    Waiting {
        /// Where it paused, if the last stop was a pause.
        paused: Option<PausedEvent>,
    },
    /// It has reached the end of its range.
    Completed,
    /// It ended with this error.
    Failed(BacktestError),
}

impl Phase {
    /// Whether nothing more can happen.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed(_))
    }

    /// The phase after a continue, or a continue to a position, was sent.
    #[must_use]
    pub fn after_continue(self) -> Self {
        match self {
            Self::Running { unanswered } => Self::Running {
                unanswered: unanswered.saturating_add(1),
            },
            Self::Starting | Self::Attached | Self::Waiting { .. } => Self::Running { unanswered: 1 },
            over @ (Self::Completed | Self::Failed(_)) => over,
        }
    }

    /// The phase after an event was received.
    #[must_use]
    pub fn after_event(self, event: &BacktestResponse) -> Self {
        match (self, event) {
            (over @ (Self::Completed | Self::Failed(_)), _) => over,
            (_, BacktestResponse::Completed { .. }) => Self::Completed,
            (_, BacktestResponse::ReadyForContinue) => Self::Waiting { paused: None },
            (_, BacktestResponse::Paused(position)) => Self::Waiting {
                paused: Some(*position),
            },
            (_, BacktestResponse::Error(error)) if error.is_terminal() => Self::Failed(error.clone()),
            (Self::Running { unanswered }, BacktestResponse::Error(error)) if is_rejection(error) => {
                Self::after_rejection(unanswered)
            }
            // Slots pass only while a session runs: this is the replay of a step that another connection began.
            (Self::Waiting { .. }, BacktestResponse::SlotNotification(_)) => Self::Running { unanswered: 1 },
            (unchanged, _) => unchanged,
        }
    }

    /// A rejected continue has changed nothing, and no further event tells that the session waits again.
    fn after_rejection(unanswered: u32) -> Self {
        match unanswered {
            0 | 1 => Self::Waiting { paused: None },
            more => Self::Running { unanswered: more - 1 },
        }
    }
}

/// Whether an error says that a request was refused as a whole, before any of it was applied.
pub fn is_rejection(error: &BacktestError) -> bool {
    matches!(
        error,
        BacktestError::InvalidTransactionEncoding { .. }
            | BacktestError::InvalidTransactionFormat { .. }
            | BacktestError::InvalidAccountEncoding { .. }
            | BacktestError::InvalidAccountOwner { .. }
            | BacktestError::InvalidAccountPubkey { .. }
            | BacktestError::InvalidRequest { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Phase = Phase::Waiting { paused: None };

    fn rejection() -> BacktestResponse {
        BacktestError::InvalidRequest { error: "no".into() }.into()
    }

    fn simulation_error() -> BacktestResponse {
        BacktestError::SimulationError { error: "no".into() }.into()
    }

    #[test]
    fn a_session_waits_after_ready_and_after_a_pause() {
        let position = PausedEvent {
            slot: 4,
            batch_index: Some(2),
        };
        assert_eq!(Phase::Starting.after_event(&BacktestResponse::ReadyForContinue), READY);
        let paused = Phase::Running { unanswered: 1 }.after_event(&BacktestResponse::Paused(position));
        assert_eq!(paused, Phase::Waiting { paused: Some(position) });
        assert_eq!(paused.after_continue(), Phase::Running { unanswered: 1 });
    }

    #[test]
    fn a_rejected_continue_leaves_the_session_waiting() {
        assert_eq!(READY.after_continue().after_event(&rejection()), READY);
        let overlapping = READY.after_continue().after_continue().after_event(&rejection());
        assert_eq!(overlapping, Phase::Running { unanswered: 1 });
        assert_eq!(Phase::Starting.after_event(&rejection()), Phase::Starting);
    }

    #[test]
    fn a_simulation_error_changes_nothing() {
        assert_eq!(
            READY.after_continue().after_event(&simulation_error()),
            Phase::Running { unanswered: 1 }
        );
    }

    #[test]
    fn the_end_is_final() {
        let failed = Phase::Starting.after_event(&BacktestError::NoMoreBlocks.into());
        assert_eq!(failed, Phase::Failed(BacktestError::NoMoreBlocks));
        for over in [failed, Phase::Completed] {
            assert!(over.is_over());
            assert_eq!(over.clone().after_event(&BacktestResponse::ReadyForContinue), over);
            assert_eq!(over.clone().after_continue(), over);
        }
    }

    #[test]
    fn a_replayed_step_is_seen_to_run() {
        let replayed = Phase::Attached
            .after_event(&BacktestResponse::ReadyForContinue)
            .after_event(&BacktestResponse::SlotNotification(5));
        assert_eq!(replayed, Phase::Running { unanswered: 1 });
    }
}
