//! A session's events as messages of the control channel.

use simulator_api::{BacktestResponse, SessionSummary};

use crate::session::EventKind;

/// The message for an event; `summary` goes into `completed`.
pub(crate) fn response(kind: EventKind, summary: impl FnOnce() -> Option<SessionSummary>) -> BacktestResponse {
    match kind {
        EventKind::Status(status) => BacktestResponse::Status { status },
        EventKind::Slot(slot) => BacktestResponse::SlotNotification(slot),
        EventKind::Ready => BacktestResponse::ReadyForContinue,
        EventKind::Paused(paused) => BacktestResponse::Paused(paused),
        EventKind::Discovery(batch) => BacktestResponse::DiscoveryBatch(batch),
        EventKind::Completed => BacktestResponse::Completed {
            summary: summary(),
            agent_stats: None,
        },
        EventKind::Error(error) => BacktestResponse::Error(error),
    }
}
