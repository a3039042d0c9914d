//! Ending a session.

use std::time::Duration;

use super::BacktestSession;
use crate::error::BacktestClientResult;
use crate::transport::{CloseCode, CloseReason};

impl BacktestSession {
    /// Ends the session at the server and closes the connection, within `limit` or the client's `close_timeout`.
    /// Events that arrive on the way stay readable, as many as there is room for. A session that is closed already
    /// is closed.
    ///
    /// # Errors
    ///
    /// [`Timeout`](crate::BacktestClientError::Timeout) if the server does not confirm in time,
    /// [`Remote`](crate::BacktestClientError::Remote) if it refuses, [`WebSocket`](crate::BacktestClientError::WebSocket) or
    /// [`Closed`](crate::BacktestClientError::Closed) if the connection was lost first. The connection is closed in any case.
    pub async fn close(&mut self, limit: Option<Duration>) -> BacktestClientResult<()> {
        self.link.close(limit, None).await
    }

    /// As [`close`](Self::close), with the given close frame.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    pub async fn close_with_frame(
        &mut self,
        limit: Option<Duration>,
        frame: Option<CloseReason>,
    ) -> BacktestClientResult<()> {
        self.link.close(limit, frame).await
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
        let text = text.into();
        self.link.close(limit, Some(CloseReason { code, text })).await
    }
}
