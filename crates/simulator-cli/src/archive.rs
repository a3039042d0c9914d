//! `sim archive`.

mod export;
mod import;
mod index;
mod inspect;
mod replay;
mod verify;

use thiserror::Error;

use crate::args::ArchiveCommand;
use crate::exit::Exit;
use crate::output::OutputError;
use crate::prepare::PrepareError;
use crate::progress::Visibility;
use crate::run::RunError;
use crate::signals;

/// Why a command on an archive failed.
#[derive(Debug, Error)]
pub(crate) enum ArchiveCommandError {
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("{place} is the archive itself; export to another directory")]
    SamePlace { place: String },
    #[error("cannot export from the archive")]
    Export(#[source] simulator_archive::export::ExportError),
    #[error("cannot index the archive")]
    Index(#[source] index::IndexError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

impl ArchiveCommandError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Prepare(error) => error.exit(),
            Self::Output(error) => error.exit(),
            Self::Export(error) => export::exit(error),
            Self::Index(error) => error.exit(),
            Self::Run(error) => error.exit(),
            Self::SamePlace { .. } | Self::Signals(_) => Exit::Failed,
        }
    }
}

/// Runs the command, or stops it where it is when a signal asks for that.
pub(crate) async fn archive(command: ArchiveCommand, visibility: Visibility) -> Result<Exit, ArchiveCommandError> {
    let stop = signals::stop_requested().map_err(ArchiveCommandError::Signals)?;
    let work = async {
        match command {
            ArchiveCommand::Import(args) => import::import(args, visibility).await,
            ArchiveCommand::Export(args) => export::export(args, visibility).await,
            ArchiveCommand::Index(args) => index::index(args, visibility).await,
            ArchiveCommand::Inspect(args) => inspect::inspect(args).await,
            ArchiveCommand::Verify(args) => verify::verify(args, visibility).await,
        }
    };
    tokio::select! {
        result = work => result,
        () = stop.cancelled() => Ok(Exit::Interrupted),
    }
}
