//! What is looked after every few seconds, whatever the sessions do.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use crate::clock;
use crate::state::State;
use crate::usage::UsageFileError;

/// Looks after the server until it stops.
pub(crate) async fn keep(state: Arc<State>) {
    let mut rounds = interval(state.times.housekeeping);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let keep = async {
        loop {
            rounds.tick().await;
            for session in state.registry.all() {
                session.data.trim();
            }
            if let Err(error) = save_usage(&state).await {
                tracing::error!(%error, "what was used is not written down");
            }
        }
    };
    tokio::select! {
        () = keep => {}
        () = state.shutdown.cancelled() => {}
    }
}

/// Writes down what was used.
///
/// # Errors
/// [`UsageFileError`] if it cannot be written.
pub(crate) async fn save_usage(state: &Arc<State>) -> Result<(), UsageFileError> {
    let saving = Arc::clone(state);
    let saved = tokio::task::spawn_blocking(move || saving.usage.save(clock::now())).await;
    // The task is not cancelled, and a panic in it has been reported: the next round tries again.
    saved.unwrap_or(Ok(()))
}
