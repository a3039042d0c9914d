//! The importer for ledger directories: plain files of blocks, and a list of accounts or a snapshot.

use std::path::Path;

use super::blocks::BlockFormat;
use super::error::ImportError;
use super::input::InputFile;
use super::run::{Files, run};
use super::state::StateFile;
use super::{ImportOptions, ImportProgress};
use crate::error::ArchiveError;
use crate::location::Location;
use crate::manifest::Manifest;

const BLOCKS: &str = "blocks.jsonl";
const ACCOUNTS: &str = "accounts-start.jsonl";

/// Imports a ledger directory into the archive at `out`, a directory or `file://` URL. An archive that is already there
/// is replaced once the new one is complete. Calls `progress` now and then.
///
/// # Errors
///
/// Fails if a file is missing or malformed, or if the archive cannot be written; then `out` is as it was.
pub async fn import(
    ledger: &Path,
    out: &str,
    options: ImportOptions,
    progress: impl FnMut(ImportProgress) + Send,
) -> Result<Manifest, ImportError> {
    let files = find(ledger)?;
    let location = Location::create(out).map_err(ArchiveError::from)?;
    run(files, location, options, progress).await
}

/// Imports a ledger directory into the archive at a location.
///
/// # Errors
///
/// As [`import`].
pub async fn import_into(
    ledger: &Path,
    location: Location,
    options: ImportOptions,
    progress: impl FnMut(ImportProgress) + Send,
) -> Result<Manifest, ImportError> {
    run(find(ledger)?, location, options, progress).await
}

/// The files of a ledger directory. A list of accounts goes before a snapshot.
fn find(directory: &Path) -> Result<Files, ImportError> {
    let names = names(directory).map_err(|source| ImportError::Directory {
        path: directory.to_owned(),
        source,
    })?;
    let missing = |file| ImportError::MissingFile {
        directory: directory.to_owned(),
        file,
    };
    let blocks = InputFile::find(directory, BLOCKS)?.ok_or_else(|| missing(BLOCKS))?;
    let state = match InputFile::find(directory, ACCOUNTS)? {
        Some(accounts) => StateFile::Accounts(accounts),
        None => snapshot(directory, names)?.ok_or_else(|| missing(ACCOUNTS))?,
    };
    Ok(Files {
        state: Some(state),
        blocks: vec![blocks],
        format: BlockFormat::Lines,
        is_ledger: true,
    })
}

fn snapshot(directory: &Path, names: Vec<String>) -> Result<Option<StateFile>, ImportError> {
    let is_snapshot = |name: &String| name.starts_with("snapshot-") && name.ends_with(".tar.zst");
    let mut snapshots = names.into_iter().filter(is_snapshot);
    let Some(first) = snapshots.next() else {
        return Ok(None);
    };
    if let Some(second) = snapshots.next() {
        let directory = directory.to_owned();
        return Err(ImportError::AmbiguousSnapshot {
            directory,
            first,
            second,
        });
    }
    InputFile::at(&directory.join(first)).map(|file| Some(StateFile::Snapshot(file)))
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
