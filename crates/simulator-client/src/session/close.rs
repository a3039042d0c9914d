//! Ending a session.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::BacktestSession;
use crate::error::{BacktestClientError, BacktestClientResult};
use crate::transport::{CloseCode, CloseReason};

impl BacktestSession {
    /// Ends the session at the server and closes the connection, within `limit` or the client's `close_timeout`.
    /// Events that arrive on the way stay readable, as many as there is room for. A session that is closed already
    /// is closed.
    ///
    /// # Errors
    ///
    /// [`Timeout`](BacktestClientError::Timeout) if the server does not confirm in time,
    /// [`Remote`](BacktestClientError::Remote) if it refuses, [`WebSocket`](BacktestClientError::WebSocket) or
    /// [`Closed`](BacktestClientError::Closed) if the connection was lost first. The connection is closed in any case.
    pub async fn close(&mut self, limit: Option<Duration>) -> BacktestClientResult<()> {
        self.close_with(limit, None).await
    }

    /// As [`close`](Self::close), with a reason in the close frame.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    pub async fn close_with_reason(
        &mut self,
        limit: Option<Duration>,
        code: CloseCode,
        text: impl Into<String>,
    ) -> BacktestClientResult<()> {
        self.close_with(
            limit,
            Some(CloseReason {
                code,
                text: text.into(),
            }),
        )
        .await
    }

    async fn close_with(&mut self, limit: Option<Duration>, reason: Option<CloseReason>) -> BacktestClientResult<()> {
        if self.link.is_closed() {
            return Ok(());
        }
        let duration = limit.unwrap_or(self.link.limits.close_timeout);
        let deadline = Instant::now() + duration;
        let Ok(answer) = timeout_at(deadline, self.link.request_close()).await else {
            self.link.close_at_once(reason);
            return Err(BacktestClientError::Timeout {
                action: "close the session",
                duration,
            });
        };
        // The server has answered: that it does not close its side of the connection in time is no failure.
        let _closed_in_time = timeout_at(deadline, self.link.close_connection(reason)).await;
        answer
    }
}
