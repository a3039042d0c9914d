//! `sim archive`.

mod import;
mod inspect;
mod verify;

use simulator_archive::ArchiveError;
use simulator_archive::import::ImportError;
use thiserror::Error;

use crate::args::ArchiveCommand;
use crate::exit::Exit;
use crate::output::OutputError;
use crate::progress::Visibility;
use crate::signals;

/// Why a command on an archive failed.
#[derive(Debug, Error)]
pub(crate) enum ArchiveCommandError {
    #[error("cannot import {ledger}")]
    Import {
        ledger: String,
        #[source]
        source: Box<ImportError>,
    },
    #[error("cannot open the archive {archive}")]
    Open {
        archive: String,
        #[source]
        source: Box<ArchiveError>,
    },
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

/// Runs the command, or stops it where it is when a signal asks for that.
pub(crate) async fn archive(command: ArchiveCommand, visibility: Visibility) -> Result<Exit, ArchiveCommandError> {
    let stop = signals::stop_requested().map_err(ArchiveCommandError::Signals)?;
    let work = async {
        match command {
            ArchiveCommand::Import(args) => import::import(args, visibility).await,
            ArchiveCommand::Inspect(args) => inspect::inspect(args).await,
            ArchiveCommand::Verify(args) => verify::verify(args, visibility).await,
        }
    };
    tokio::select! {
        result = work => result,
        () = stop.cancelled() => Ok(Exit::Interrupted),
    }
}

async fn open(location: &str) -> Result<simulator_archive::Archive, ArchiveCommandError> {
    simulator_archive::Archive::open(location)
        .await
        .map_err(|error| ArchiveCommandError::Open {
            archive: location.to_owned(),
            source: Box::new(error),
        })
}
