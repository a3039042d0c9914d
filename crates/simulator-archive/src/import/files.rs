//! The importer for files that are named one by one: a snapshot, and blocks.

use std::path::{Path, PathBuf};

use super::blocks::BlockFormat;
use super::error::ImportError;
use super::input::InputFile;
use super::run::{self, run};
use super::state::StateFile;
use super::{ImportOptions, ImportProgress};
use crate::error::ArchiveError;
use crate::location::Location;
use crate::manifest::Manifest;

/// What to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// An Agave full snapshot of the parent of the first block. Without one nothing is known of any account.
    pub snapshot: Option<PathBuf>,
    /// The blocks, in order of slot.
    pub blocks: BlockFiles,
}

/// Files of blocks, in order of slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockFiles {
    /// Results of `getBlock`, one a line.
    Lines(Vec<PathBuf>),
    /// Old Faithful's CAR files.
    Car(Vec<PathBuf>),
}

/// Imports files into the archive at `out`, a directory or `file://` URL. An archive that is already there is replaced
/// once the new one is complete. Calls `progress` now and then.
///
/// # Errors
///
/// Fails if a file cannot be read or is malformed, if the files do not fit together, or if the archive cannot be written;
/// then `out` is as it was.
pub async fn import(
    files: Files,
    out: &str,
    options: ImportOptions,
    progress: impl FnMut(ImportProgress) + Send,
) -> Result<Manifest, ImportError> {
    let files = files.open()?;
    let location = Location::create(out).map_err(ArchiveError::from)?;
    run(files, location, options, progress).await
}

/// Imports files into the archive at a location.
///
/// # Errors
///
/// As [`import`].
pub async fn import_into(
    files: Files,
    location: Location,
    options: ImportOptions,
    progress: impl FnMut(ImportProgress) + Send,
) -> Result<Manifest, ImportError> {
    run(files.open()?, location, options, progress).await
}

impl Files {
    fn open(self) -> Result<run::Files, ImportError> {
        let (format, paths) = match self.blocks {
            BlockFiles::Lines(paths) => (BlockFormat::Lines, paths),
            BlockFiles::Car(paths) => (BlockFormat::Car, paths),
        };
        let blocks: Result<Vec<_>, _> = paths.iter().map(|path| InputFile::at(path)).collect();
        let snapshot = |path: &PathBuf| InputFile::at(Path::new(path)).map(StateFile::Snapshot);
        Ok(run::Files {
            state: self.snapshot.as_ref().map(snapshot).transpose()?,
            blocks: blocks?,
            format,
            is_ledger: false,
        })
    }
}
