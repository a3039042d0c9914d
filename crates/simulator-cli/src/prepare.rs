//! Ledger directories become archives on the fly.

use std::io;
use std::path::{Path, PathBuf};

use simulator_archive::import::files::{self, Files};
use simulator_archive::import::{ImportError, ImportOptions, ImportProgress, ledger};
use simulator_archive::{Archive, ArchiveDigest, ArchiveError, LocationError, Manifest};
use tempfile::TempDir;
use thiserror::Error;

use crate::exit::Exit;
use crate::progress::{Progress, Unit, Visibility};

/// The names that tell a ledger directory.
const BLOCKS: [&str; 3] = ["blocks.jsonl", "blocks.jsonl.gz", "blocks.jsonl.zst"];

/// Archives that can be opened. Those that were made on the fly go with this value.
#[derive(Debug)]
pub(crate) struct Prepared {
    archives: Vec<PreparedArchive>,
    _temporary: Vec<TempDir>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct PreparedArchive {
    /// What the user named: an archive, or a ledger directory.
    pub(crate) place: String,
    /// Where the archive is.
    location: String,
    pub(crate) digest: ArchiveDigest,
}

/// Why an archive could not be opened, or a ledger directory not imported.
#[derive(Debug, Error)]
pub(crate) enum PrepareError {
    #[error("cannot make a temporary directory")]
    Temporary(#[source] io::Error),
    #[error("cannot import {what}")]
    Import {
        what: String,
        #[source]
        source: Box<ImportError>,
    },
    #[error("cannot open the archive {archive}")]
    Open {
        archive: String,
        #[source]
        source: Box<ArchiveError>,
    },
}

impl PrepareError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Open { source, .. } => archive_exit(source),
            Self::Temporary(_) | Self::Import { .. } => Exit::Failed,
        }
    }
}

/// The exit code where an archive cannot be opened. It could not be reached if its store failed; a place where nothing
/// is, or something else, was reached.
pub(crate) fn archive_exit(error: &ArchiveError) -> Exit {
    match error {
        ArchiveError::Io { .. } | ArchiveError::Location(LocationError::Io { .. } | LocationError::Store { .. }) => {
            Exit::Unreachable
        }
        _ => Exit::Failed,
    }
}

impl Prepared {
    /// Imports each place that is a ledger directory into a temporary archive. The others have to be archives.
    pub(crate) async fn new(places: &[String], visibility: Visibility) -> Result<Self, PrepareError> {
        let mut prepared = Self {
            archives: Vec::new(),
            _temporary: Vec::new(),
        };
        for place in places {
            let mut location = place.clone();
            if is_ledger(Path::new(place)) {
                let directory = import(place, visibility).await?;
                location = directory.path().to_string_lossy().into_owned();
                prepared._temporary.push(directory);
            }
            let digest = open_archive(&location).await?.digest();
            prepared.archives.push(PreparedArchive {
                place: place.clone(),
                location,
                digest,
            });
        }
        Ok(prepared)
    }

    /// The archives, in the order of the places.
    pub(crate) fn archives(&self) -> &[PreparedArchive] {
        &self.archives
    }

    /// Where the archives are, in the order of the places.
    pub(crate) fn locations(&self) -> Vec<String> {
        self.archives.iter().map(|archive| archive.location.clone()).collect()
    }
}

/// Opens an archive.
pub(crate) async fn open_archive(location: &str) -> Result<Archive, PrepareError> {
    Archive::open(location).await.map_err(|error| PrepareError::Open {
        archive: location.to_owned(),
        source: Box::new(error),
    })
}

/// What is imported.
#[derive(Clone, Debug)]
pub(crate) enum Import {
    /// A ledger directory.
    Ledger(PathBuf),
    /// Files that were named one by one.
    Files(Files),
}

/// Imports a ledger directory, or files, and shows how far that is.
pub(crate) async fn import_shown(
    what: Import,
    out: &str,
    options: ImportOptions,
    visibility: Visibility,
) -> Result<Manifest, PrepareError> {
    let name = what.name();
    let progress = Progress::start(visibility, Unit::Bytes, 0, "importing");
    let show = |import: ImportProgress| progress.set(import.bytes_read, import.bytes_total);
    let result = match what {
        Import::Ledger(ledger) => ledger::import(&ledger, out, options, show).await,
        Import::Files(files) => files::import(files, out, options, show).await,
    };
    progress.clear();
    result.map_err(|error| PrepareError::Import {
        what: name,
        source: Box::new(error),
    })
}

impl Import {
    /// What an error calls it: files are named by what is wrong with them.
    fn name(&self) -> String {
        match self {
            Self::Ledger(ledger) => ledger.display().to_string(),
            Self::Files(_) => "these files".to_owned(),
        }
    }
}

fn is_ledger(place: &Path) -> bool {
    BLOCKS.iter().any(|name| place.join(name).is_file()) && !place.join(simulator_archive::MANIFEST_NAME).is_file()
}

async fn import(place: &str, visibility: Visibility) -> Result<TempDir, PrepareError> {
    let directory = tempfile::Builder::new()
        .prefix("sim-")
        .tempdir()
        .map_err(PrepareError::Temporary)?;
    let out = directory.path().to_string_lossy().into_owned();
    import_shown(
        Import::Ledger(PathBuf::from(place)),
        &out,
        ImportOptions::default(),
        visibility,
    )
    .await?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_none_was_reached() {
        let location = || "x".to_owned();
        let exit = |source: ArchiveError| {
            let source = Box::new(source);
            PrepareError::Open {
                archive: location(),
                source,
            }
            .exit()
        };
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(exit(ArchiveError::NotAnArchive { location: location() }), Exit::Failed);
        let location_errors = [
            LocationError::NotFound { location: location() },
            LocationError::Io {
                location: location(),
                source: denied(),
            },
        ];
        let exits = location_errors.map(|error| exit(error.into()));
        assert_eq!(exits, [Exit::Failed, Exit::Unreachable]);
    }
}
