//! A session in the making, with the signs of life that its client waits for.

use std::sync::Arc;

use simulator_api::{BacktestError, BacktestResponse, BacktestStatus};
use tokio::sync::mpsc;
use tokio::time::interval;

use super::writer::Outgoing;
use crate::convert::SessionSpec;
use crate::handle::SessionHandle;
use crate::keys::Owner;
use crate::state::State;

/// Makes a session, and reports `startingRuntime` at once and again and again until it is there.
pub(super) async fn create(
    state: Arc<State>,
    spec: SessionSpec,
    owner: Owner,
    replies: mpsc::Sender<Outgoing>,
) -> Result<Arc<SessionHandle>, BacktestError> {
    let mut signs_of_life = interval(state.times.status_interval);
    signs_of_life.tick().await;
    starting(&replies).await;
    let session = state.create(spec, owner);
    tokio::pin!(session);
    loop {
        tokio::select! {
            biased;
            session = &mut session => return session,
            _ = signs_of_life.tick() => starting(&replies).await,
        }
    }
}

async fn starting(replies: &mpsc::Sender<Outgoing>) {
    let status = BacktestResponse::Status {
        status: BacktestStatus::StartingRuntime,
    };
    // A writer that is gone ends the connection, and with it this creation.
    drop(replies.send(Outgoing::Reply(status)).await);
}
