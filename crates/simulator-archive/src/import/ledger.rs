//! The importer for ledger directories: plain files of blocks and accounts.

use std::path::Path;

use super::{ImportError, ImportOptions, ImportProgress};
use crate::location::Location;
use crate::manifest::Manifest;

/// Imports a ledger directory into the archive at `out`, a directory or `file://` URL. An archive that is already there
/// is replaced once the new one is complete.
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
    let location = Location::create(out).map_err(crate::error::ArchiveError::from)?;
    import_into(ledger, location, options, progress).await
}

/// Imports a ledger directory into the archive at a location.
///
/// # Errors
///
/// As [`import`].
pub async fn import_into(
    _ledger: &Path,
    _location: Location,
    _options: ImportOptions,
    _progress: impl FnMut(ImportProgress) + Send,
) -> Result<Manifest, ImportError> {
    todo!()
}
