//! Why a run ends without a result.

use std::io;

use simulator_archive::Digest;
use simulator_client::rpc::RpcCallError;
use simulator_client::{BacktestClientError, ProgramModError};
use solana_pubkey::Pubkey;
use thiserror::Error;
use tokio::task::JoinError;

use super::inputs::InputError;
use super::options::RunOptionsError;
use super::plan::{PlanError, SlotRange};
use crate::connect::{ConnectError, ReachError, is_lost, is_lost_call};
use crate::exit::Exit;
use crate::manifest::ManifestWriteError;
use crate::output::OutputError;

/// Why a run failed.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Options(#[from] RunOptionsError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot ask the server for its slot ranges")]
    Ranges(#[source] ReachError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("the replay of slots {range} failed")]
    Session {
        range: SlotRange,
        #[source]
        source: SessionError,
    },
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    Manifest(#[from] ManifestWriteError),
    #[error("the thread that writes the results was lost")]
    Writer(#[source] JoinError),
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

/// Why one session failed.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Create(#[from] ReachError),
    #[error(transparent)]
    Client(Box<BacktestClientError>),
    #[error("cannot replace program {program}")]
    Program {
        program: Pubkey,
        #[source]
        source: Box<ProgramModError>,
    },
    #[error("the session stopped before the end of its range")]
    Stopped,
    #[error("the server reported {reported} transactions in total, but {received} by slot")]
    Incomplete { reported: u64, received: u64 },
    #[error("the server sent a digest that is not one: {digest:?}")]
    Digest { digest: String },
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The writer ended, and its own error says why.
    #[error("the results could not be written")]
    Writer,
}

/// Reads a digest that a server sent.
pub(super) fn parse_digest(digest: &str) -> Result<Digest, SessionError> {
    let bad = |_| SessionError::Digest {
        digest: digest.to_owned(),
    };
    digest.parse().map_err(bad)
}

impl RunError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Options(_) => Exit::Usage,
            Self::Connect(error) => error.exit(),
            Self::Ranges(error) => error.exit(),
            Self::Session { source, .. } => source.exit(),
            Self::Output(error) => error.exit(),
            Self::Manifest(error) => error.exit(),
            Self::Input(_) | Self::Plan(_) | Self::Writer(_) | Self::Signals(_) => Exit::Failed,
        }
    }
}

impl SessionError {
    fn exit(&self) -> Exit {
        match self {
            Self::Create(error) => error.exit(),
            Self::Client(error) if is_lost(error) => Exit::Unreachable,
            Self::Program { source, .. } if is_lost_program(source) => Exit::Unreachable,
            Self::Output(error) => error.exit(),
            _ => Exit::Failed,
        }
    }
}

impl From<BacktestClientError> for SessionError {
    fn from(error: BacktestClientError) -> Self {
        Self::Client(Box::new(error))
    }
}

impl From<RpcCallError> for SessionError {
    fn from(error: RpcCallError) -> Self {
        BacktestClientError::from(error).into()
    }
}

/// Whether the server was lost while it was asked about a program.
fn is_lost_program(error: &ProgramModError) -> bool {
    matches!(error, ProgramModError::Rpc { source } if is_lost_call(source))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use simulator_client::HttpError;

    use super::*;

    fn unanswered() -> RpcCallError {
        RpcCallError::Http {
            method: "getReplaySummary".to_owned(),
            source: HttpError::Timeout {
                limit: Duration::from_secs(1),
            },
        }
    }

    #[test]
    fn a_server_that_is_lost_is_out_of_reach_whatever_it_was_asked() {
        let program = SessionError::Program {
            program: Pubkey::default(),
            source: Box::new(unanswered().into()),
        };
        assert_eq!(SessionError::from(unanswered()).exit(), Exit::Unreachable);
        assert_eq!(program.exit(), Exit::Unreachable);
        assert_eq!(SessionError::Stopped.exit(), Exit::Failed);
    }
}
