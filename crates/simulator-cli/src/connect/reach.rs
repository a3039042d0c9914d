//! Trying again where that can help.

use std::time::Duration;

use simulator_client::rpc::RpcCallError;
use simulator_client::transport::TransportError;
use simulator_client::{BacktestClientError, BacktestClientResult, HttpError};
use thiserror::Error;

use crate::exit::Exit;

/// How long to wait before each further attempt. One attempt more than there are delays is made.
const RETRY_DELAYS: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1000),
];

/// Why a first call to a server failed.
#[derive(Debug, Error)]
pub(crate) enum ReachError {
    #[error("the server could not be reached in {attempts} attempts; check the address, and that the server runs")]
    Unreachable {
        attempts: usize,
        #[source]
        source: Box<BacktestClientError>,
    },
    #[error(
        "the server cannot be trusted; if its certificate is from an authority of your own, name that one with --ca-file"
    )]
    Untrusted(#[source] Box<BacktestClientError>),
    #[error(transparent)]
    Refused(Box<BacktestClientError>),
}

impl ReachError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Refused(error) if is_lost(error) => Exit::Unreachable,
            Self::Untrusted(_) | Self::Refused(_) => Exit::Failed,
        }
    }
}

/// Makes a call that opens a connection, and makes it again while the server is out of reach.
///
/// What fails after a connection was opened is not repeated: the server may have acted on it.
pub(crate) async fn reach<T>(call: impl AsyncFn() -> BacktestClientResult<T>) -> Result<T, ReachError> {
    for delay in RETRY_DELAYS {
        match call().await {
            Err(error) if is_out_of_reach(&error) => tokio::time::sleep(delay).await,
            Err(error) if is_untrusted(&error) => return Err(ReachError::Untrusted(Box::new(error))),
            Err(error) => return Err(ReachError::Refused(Box::new(error))),
            Ok(value) => return Ok(value),
        }
    }
    call().await.map_err(|error| {
        if is_out_of_reach(&error) {
            ReachError::Unreachable {
                attempts: RETRY_DELAYS.len() + 1,
                source: Box::new(error),
            }
        } else {
            ReachError::Refused(Box::new(error))
        }
    })
}

fn is_out_of_reach(error: &BacktestClientError) -> bool {
    match error {
        BacktestClientError::Connect { .. } | BacktestClientError::Http { .. } => error.is_retryable(),
        BacktestClientError::Timeout { action, .. } => *action == "connect",
        _ => false,
    }
}

fn is_untrusted(error: &BacktestClientError) -> bool {
    match error {
        BacktestClientError::Connect { source, .. } => matches!(source, TransportError::Certificate(_)),
        BacktestClientError::Http { source, .. } => matches!(source, HttpError::Certificate(_)),
        _ => false,
    }
}

/// Whether the server could not be reached any more. What the server answered, however bad, is not that.
pub(crate) fn is_lost(error: &BacktestClientError) -> bool {
    match error {
        BacktestClientError::WebSocket { .. }
        | BacktestClientError::Closed { .. }
        | BacktestClientError::Unresponsive { .. } => true,
        BacktestClientError::Http { source, .. } => is_lost_request(source),
        BacktestClientError::Rpc(error) => is_lost_call(error),
        error => is_out_of_reach(error),
    }
}

/// The same for a call over JSON-RPC.
pub(crate) fn is_lost_call(error: &RpcCallError) -> bool {
    matches!(error, RpcCallError::Http { source, .. } if is_lost_request(source))
}

/// A connection that was refused, broke, or stayed silent. A request that could not be built is not worth another try.
fn is_lost_request(error: &HttpError) -> bool {
    matches!(error, HttpError::Request(_) | HttpError::Timeout { .. }) && error.is_retryable()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn out_of_reach() -> BacktestClientError {
        BacktestClientError::Timeout {
            action: "connect",
            duration: Duration::from_secs(1),
        }
    }

    async fn outcomes(failures: usize) -> (Result<usize, ReachError>, usize) {
        let calls = Cell::new(0);
        let result = reach(async || {
            calls.set(calls.get() + 1);
            if calls.get() <= failures {
                Err(out_of_reach())
            } else {
                Ok(calls.get())
            }
        });
        (result.await, calls.get())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_comes_up_is_reached() {
        assert!(matches!(outcomes(0).await, (Ok(1), 1)));
        assert!(matches!(outcomes(3).await, (Ok(4), 4)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_ends() {
        assert!(matches!(
            outcomes(4).await,
            (Err(ReachError::Unreachable { attempts: 4, .. }), 4)
        ));
    }

    #[tokio::test]
    async fn a_call_that_nobody_answers_is_lost() {
        // Port 1 is one that nobody listens on.
        let rpc = simulator_client::rpc::RpcEndpoint::new("http://127.0.0.1:1").expect("an address");
        let error = rpc.get_replay_summary().await.expect_err("nobody is there");
        assert!(is_lost_call(&error), "{error:?}");
        assert!(is_lost(&error.into()));
    }

    #[test]
    fn an_answer_is_no_loss() {
        let too_long = RpcCallError::Http {
            method: "getReplayOutcomes".to_owned(),
            source: HttpError::TooLong { limit: 1 },
        };
        assert!(!is_lost(&too_long.into()));
        assert!(!is_lost(&BacktestClientError::AlreadyCompleted));
        assert!(is_lost(&BacktestClientError::Closed { reason: None }));
        assert!(is_lost(&out_of_reach()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_final() {
        let calls = Cell::new(0);
        let result = reach(async || {
            calls.set(calls.get() + 1);
            Err::<(), _>(BacktestClientError::AlreadyCompleted)
        });
        assert!(matches!(result.await, Err(ReachError::Refused(_))));
        assert_eq!(calls.get(), 1);
    }
}
