//! Authorities that the user trusts, from a file.

use std::io;
use std::path::{Path, PathBuf};

use simulator_client::{RootCertificates, RootCertificatesError};
use thiserror::Error;

/// Why a file with certificates of authorities cannot be used.
#[derive(Debug, Error)]
pub(crate) enum AuthoritiesError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} holds no certificates of authorities in PEM", path.display())]
    Content {
        path: PathBuf,
        #[source]
        source: RootCertificatesError,
    },
}

/// The authorities in a file; none without a file.
pub(super) fn authorities(file: Option<&Path>) -> Result<RootCertificates, AuthoritiesError> {
    let Some(path) = file else {
        return Ok(RootCertificates::default());
    };
    let pem = std::fs::read(path).map_err(|source| AuthoritiesError::Read {
        path: path.to_owned(),
        source,
    })?;
    RootCertificates::from_pem(&pem).map_err(|source| AuthoritiesError::Content {
        path: path.to_owned(),
        source,
    })
}
