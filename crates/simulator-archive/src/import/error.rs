//! Why an import fails.

use crate::error::ArchiveError;

/// Why an import fails. Names the file, the line and the field where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The archive cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}
