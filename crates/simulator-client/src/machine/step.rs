//! One step of a session: from a continue to the stop that answers it.

use simulator_api::{
    AgentStatsReport, BacktestResponse, BacktestStatus, DiscoveryBatchEvent, PausedEvent, SessionSummary,
};

/// Why a step stopped.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StopReason {
    /// The session waits for the next continue.
    Ready,
    /// The session waits at this position.
    Paused(PausedEvent),
    /// A batch ahead matches a discovery filter. A run with a bound passes it, unless it is told to stop before that
    /// batch. A run without bound (an `advance_count` of [`u64::MAX`]) goes on up to the batch, and is held there in
    /// silence until the next continue.
    Discovery(DiscoveryBatchEvent),
    /// The session has reached the end of its range.
    Completed,
}

/// What has been seen of a step so far.
#[derive(Debug)]
#[non_exhaustive]
pub struct AdvanceState {
    /// Slots that the continue asked for.
    pub expected_slots: u64,
    /// Slots that were notified.
    pub slot_notifications: u64,
    /// The last slot that was notified.
    pub last_slot: Option<u64>,
    /// Every status, in order.
    pub statuses: Vec<BacktestStatus>,
    /// Why the step stopped; `None` while it runs.
    pub stop: Option<StopReason>,
    /// The totals that came with the end of the range, if the session was created to send them.
    pub summary: Option<SessionSummary>,
    /// Reports of the session's agents, if it had any and has completed.
    pub agent_stats: Option<Vec<AgentStatsReport>>,
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ContinueResult {
    /// Slots that were notified. Fewer than asked for when something stopped the step early.
    pub slot_notifications: u64,
    /// The last slot that was notified.
    pub last_slot: Option<u64>,
    /// Every status, in order.
    pub statuses: Vec<BacktestStatus>,
    /// Whether the session waits for the next continue.
    pub ready_for_continue: bool,
    /// Whether the session has reached the end of its range.
    pub completed: bool,
    /// Why the step stopped.
    pub stop: Option<StopReason>,
    /// The totals that came with the end of the range, if the session was created to send them.
    pub summary: Option<SessionSummary>,
    /// Reports of the session's agents, if it had any and has completed.
    pub agent_stats: Option<Vec<AgentStatsReport>>,
}

impl AdvanceState {
    /// The state of a step that was just asked for `expected_slots` slots.
    pub fn new(expected_slots: u64) -> Self {
        Self {
            expected_slots,
            slot_notifications: 0,
            last_slot: None,
            statuses: Vec::new(),
            stop: None,
            summary: None,
            agent_stats: None,
        }
    }

    /// Whether the step has stopped. Any stop ends it, whatever the number of slots that came before.
    pub fn is_done(&self) -> bool {
        self.stop.is_some()
    }

    /// Takes the next event of the step.
    pub fn observe(&mut self, event: &BacktestResponse) {
        match event {
            BacktestResponse::SlotNotification(slot) => {
                self.slot_notifications += 1;
                self.last_slot = Some(*slot);
            }
            BacktestResponse::Status { status } => self.statuses.push(status.clone()),
            BacktestResponse::ReadyForContinue => self.stop = Some(StopReason::Ready),
            BacktestResponse::Paused(position) => self.stop = Some(StopReason::Paused(*position)),
            BacktestResponse::DiscoveryBatch(batch) => self.stop = Some(StopReason::Discovery(batch.clone())),
            BacktestResponse::Completed { summary, agent_stats } => {
                self.stop = Some(StopReason::Completed);
                self.summary.clone_from(summary);
                self.agent_stats.clone_from(agent_stats);
            }
            _ => {}
        }
    }

    /// Goes on after a stop behind which the session does more, which only a discovery is. A run without bound does
    /// so only up to that batch: nothing tells when it has come there, so send another continue first.
    pub fn resume(&mut self) {
        if matches!(self.stop, Some(StopReason::Discovery(_))) {
            self.stop = None;
        }
    }
}

impl From<AdvanceState> for ContinueResult {
    fn from(state: AdvanceState) -> Self {
        Self {
            slot_notifications: state.slot_notifications,
            last_slot: state.last_slot,
            statuses: state.statuses,
            ready_for_continue: matches!(state.stop, Some(StopReason::Ready | StopReason::Paused(_))),
            completed: matches!(state.stop, Some(StopReason::Completed)),
            stop: state.stop,
            summary: state.summary,
            agent_stats: state.agent_stats,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(expected: u64, events: &[BacktestResponse]) -> AdvanceState {
        let mut state = AdvanceState::new(expected);
        for event in events {
            assert!(!state.is_done());
            state.observe(event);
        }
        state
    }

    #[test]
    fn w39_ready_ends_a_step_that_has_seen_too_few_slots() {
        let state = after(
            2,
            &[
                BacktestResponse::SlotNotification(9),
                BacktestResponse::ReadyForContinue,
            ],
        );
        assert!(state.is_done());
        let result = ContinueResult::from(state);
        assert_eq!((result.slot_notifications, result.last_slot), (1, Some(9)));
        assert!(result.ready_for_continue && !result.completed);
    }

    #[test]
    fn w12_a_pause_and_a_discovery_are_stops() {
        let position = PausedEvent {
            slot: 4,
            batch_index: None,
        };
        let result = ContinueResult::from(after(1, &[BacktestResponse::Paused(position)]));
        assert_eq!(result.stop, Some(StopReason::Paused(position)));
        assert!(result.ready_for_continue);

        let batch = DiscoveryBatchEvent {
            slot: 5,
            batch_index: 1,
            matched: vec![],
            transactions: vec![],
            transaction_indices: vec![],
        };
        let mut state = after(1, &[BacktestResponse::DiscoveryBatch(batch.clone())]);
        assert_eq!(state.stop, Some(StopReason::Discovery(batch)));
        state.resume();
        assert!(!state.is_done());
        assert!(!ContinueResult::from(state).ready_for_continue);
    }

    #[test]
    fn a_step_keeps_the_summary_and_the_statuses() {
        let summary = SessionSummary {
            correct_simulation: 3,
            ..SessionSummary::default()
        };
        let completed = BacktestResponse::Completed {
            summary: Some(summary.clone()),
            agent_stats: None,
        };
        let status = BacktestStatus::ExecutedBlockTransactions;
        let result = ContinueResult::from(after(1, &[status.clone().into(), completed]));
        assert_eq!((result.statuses, result.summary), (vec![status], Some(summary)));
        assert!(result.completed && !result.ready_for_continue);
    }
}
