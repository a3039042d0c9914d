//! Whether a run went as far as it should.

use simulator_api::BacktestResponse;
use thiserror::Error;

/// What is known about how far a session has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCoverage {
    highest_slot: Option<u64>,
    completed: bool,
}

/// Why a run is not what it should be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CoverageError {
    /// The session did not reach the end of its range.
    #[error("the session did not complete")]
    NotCompleted,
    /// No slot was notified.
    #[error("the session completed without a single slot")]
    NoSlotsObserved,
    /// Slots were notified that lie beyond the range.
    #[error("the session went to slot {actual_end_slot}, beyond slot {expected_end_slot}")]
    RangeOverrun {
        /// The highest slot that was notified.
        actual_end_slot: u64,
        /// The last slot of the range.
        expected_end_slot: u64,
    },
}

impl SessionCoverage {
    /// Takes note of a slot that was notified.
    pub fn observe_slot(&mut self, slot: u64) {
        self.highest_slot = self.highest_slot.max(Some(slot));
    }

    /// Takes note of the end of the range.
    pub fn mark_completed(&mut self) {
        self.completed = true;
    }

    /// Takes note of any event.
    pub fn observe_response(&mut self, response: &BacktestResponse) {
        match response {
            BacktestResponse::SlotNotification(slot) => self.observe_slot(*slot),
            BacktestResponse::Completed { .. } => self.mark_completed(),
            _ => {}
        }
    }

    /// Whether the session has reached the end of its range.
    pub fn is_completed(&self) -> bool {
        self.completed
    }

    /// The highest slot that was notified.
    pub fn highest_slot_seen(&self) -> Option<u64> {
        self.highest_slot
    }

    /// Checks that the session completed a range that ends with `expected_end_slot`. The highest slot may lie before
    /// it, because a slot without a block is not notified.
    ///
    /// # Errors
    ///
    /// [`CoverageError`].
    pub fn validate_end_slot(&self, expected_end_slot: u64) -> Result<(), CoverageError> {
        if !self.completed {
            return Err(CoverageError::NotCompleted);
        }
        let actual_end_slot = self.highest_slot.ok_or(CoverageError::NoSlotsObserved)?;
        if actual_end_slot > expected_end_slot {
            return Err(CoverageError::RangeOverrun {
                actual_end_slot,
                expected_end_slot,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: &[BacktestResponse]) -> SessionCoverage {
        let mut coverage = SessionCoverage::default();
        events.iter().for_each(|event| coverage.observe_response(event));
        coverage
    }

    #[test]
    fn a_run_is_covered_when_it_completed_within_its_range() {
        let slot = BacktestResponse::SlotNotification;
        let completed = BacktestResponse::Completed {
            summary: None,
            agent_stats: None,
        };
        let full = after(&[slot(5), slot(9), slot(7), completed.clone()]);
        assert_eq!(full.highest_slot_seen(), Some(9));
        assert_eq!(full.validate_end_slot(9), Ok(()));
        assert_eq!(full.validate_end_slot(10), Ok(()));
        let overrun = CoverageError::RangeOverrun {
            actual_end_slot: 9,
            expected_end_slot: 8,
        };
        assert_eq!(full.validate_end_slot(8), Err(overrun));
        assert_eq!(after(&[slot(9)]).validate_end_slot(9), Err(CoverageError::NotCompleted));
        assert_eq!(
            after(&[completed]).validate_end_slot(9),
            Err(CoverageError::NoSlotsObserved)
        );
    }
}
