//! Sessions against a scripted server over a connection in memory, under a paused clock.

mod advance;
mod close;
mod created;
mod discovery;
mod handshake;
mod liveness;
mod peer;
mod reading;
mod subscriptions;

use std::time::Duration;

use simulator_api::{BacktestError, BacktestResponse, DiscoveryBatchEvent};

/// A limit that only passes when nothing else can happen, because the clock is paused.
const LIMIT: Option<Duration> = Some(Duration::from_secs(2));

const READY: BacktestResponse = BacktestResponse::ReadyForContinue;

fn slot(slot: u64) -> BacktestResponse {
    BacktestResponse::SlotNotification(slot)
}

fn completed() -> BacktestResponse {
    BacktestResponse::Completed {
        summary: None,
        agent_stats: None,
    }
}

fn simulation_error() -> BacktestResponse {
    BacktestError::SimulationError {
        error: "account not found".into(),
    }
    .into()
}

fn discovery(slot: u64) -> BacktestResponse {
    BacktestResponse::DiscoveryBatch(DiscoveryBatchEvent {
        slot,
        batch_index: 1,
        matched: vec![],
        transactions: vec![],
        transaction_indices: vec![],
    })
}
