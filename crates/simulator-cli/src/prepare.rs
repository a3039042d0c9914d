//! Ledger directories become archives on the fly.

use std::io;
use std::path::Path;

use simulator_archive::import::{ImportError, ImportOptions, ImportProgress, ledger};
use simulator_archive::{Archive, ArchiveError, Manifest};
use tempfile::TempDir;
use thiserror::Error;

use crate::progress::{Progress, Unit, Visibility};

/// The names that tell a ledger directory.
const BLOCKS: [&str; 3] = ["blocks.jsonl", "blocks.jsonl.gz", "blocks.jsonl.zst"];

/// Archives that can be opened. Those that were made on the fly go with this value.
#[derive(Debug)]
pub(crate) struct Prepared {
    locations: Vec<String>,
    _temporary: Vec<TempDir>,
}

/// Why a ledger directory could not be imported.
#[derive(Debug, Error)]
pub(crate) enum PrepareError {
    #[error("cannot make a temporary directory")]
    Temporary(#[source] io::Error),
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
}

impl Prepared {
    /// Imports each place that is a ledger directory into a temporary archive. The others have to be archives.
    pub(crate) async fn new(places: &[String], visibility: Visibility) -> Result<Self, PrepareError> {
        let mut prepared = Self {
            locations: Vec::new(),
            _temporary: Vec::new(),
        };
        for place in places {
            if is_ledger(Path::new(place)) {
                let directory = import(place, visibility).await?;
                prepared.locations.push(directory.path().to_string_lossy().into_owned());
                prepared._temporary.push(directory);
            } else {
                check(place).await?;
                prepared.locations.push(place.clone());
            }
        }
        Ok(prepared)
    }

    /// Where the archives are, in the order of the places.
    pub(crate) fn locations(&self) -> &[String] {
        &self.locations
    }
}

/// Imports a ledger directory and shows how far that is.
pub(crate) async fn import_shown(ledger: &Path, out: &str, visibility: Visibility) -> Result<Manifest, ImportError> {
    let progress = Progress::start(visibility, Unit::Bytes, 0, "importing");
    let show = |import: ImportProgress| progress.set(import.bytes_read, import.bytes_total);
    let result = ledger::import(ledger, out, ImportOptions::default(), show).await;
    progress.clear();
    result
}

fn is_ledger(place: &Path) -> bool {
    BLOCKS.iter().any(|name| place.join(name).is_file()) && !place.join(simulator_archive::MANIFEST_NAME).is_file()
}

/// Opens an archive only to say by which name it was given if it is none.
async fn check(place: &str) -> Result<(), PrepareError> {
    match Archive::open(place).await {
        Ok(_archive) => Ok(()),
        Err(error) => Err(PrepareError::Open {
            archive: place.to_owned(),
            source: Box::new(error),
        }),
    }
}

async fn import(place: &str, visibility: Visibility) -> Result<TempDir, PrepareError> {
    let directory = tempfile::Builder::new()
        .prefix("sim-")
        .tempdir()
        .map_err(PrepareError::Temporary)?;
    let out = directory.path().to_string_lossy().into_owned();
    let result = import_shown(Path::new(place), &out, visibility).await;
    result.map_err(|error| PrepareError::Import {
        ledger: place.to_owned(),
        source: Box::new(error),
    })?;
    Ok(directory)
}
