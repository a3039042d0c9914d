//! Signs of life while a session is being made.

use std::time::Duration;

use simulator_api::{BacktestResponse, BacktestStatus};
use tokio::sync::mpsc;
use tokio::time::interval;

use super::writer::Outgoing;

/// Waits for a session, and reports `startingRuntime` at once and every `period` until it is there: clients give up
/// on a server that says nothing.
pub(super) async fn with_signs_of_life<T>(
    session: impl Future<Output = T>,
    period: Duration,
    replies: mpsc::Sender<Outgoing>,
) -> T {
    let mut signs_of_life = interval(period);
    signs_of_life.tick().await;
    starting(&replies).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reports_at_once_and_until_the_end() {
        let (replies, mut sent) = mpsc::channel(100);
        let slow = tokio::time::sleep(Duration::from_secs(100));
        with_signs_of_life(slow, Duration::from_secs(15), replies).await;
        let mut reports = 0;
        while let Some(Outgoing::Reply(BacktestResponse::Status { .. })) = sent.recv().await {
            reports += 1;
        }
        assert_eq!(reports, 1 + 100 / 15);
    }
}
