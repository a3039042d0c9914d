//! Where an archive is: a directory, or a prefix in an object store.
//!
//! This is the only place that knows of a disk. Everything else sees an [`ObjectStore`] and a prefix.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use url::Url;

use crate::manifest_file::is_segment_name;

/// An object store and the prefix of an archive in it.
#[derive(Clone, Debug)]
pub struct Location {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// What the names of the archive's objects start with; empty for a directory.
    pub prefix: Path,
    /// How the user named it, for messages.
    pub name: String,
}

/// Why a location cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// Only directories can be used so far.
    #[error("{location}: stores of the kind {scheme}:// are not built in yet; use a directory or a file:// URL")]
    UnsupportedScheme {
        /// The location.
        location: String,
        /// The scheme of its URL.
        scheme: String,
    },
    /// Not a URL.
    #[error("{location} is not a URL; use a directory or a file:// URL")]
    Url {
        /// The location.
        location: String,
        /// What is wrong with it.
        #[source]
        source: url::ParseError,
    },
    /// A `file://` URL that names another machine or no absolute path.
    #[error("{location} does not name a directory of this machine")]
    NotLocal {
        /// The location.
        location: String,
    },
    /// Nothing is there.
    #[error("{location} does not exist; check the path")]
    NotFound {
        /// The location.
        location: String,
    },
    /// A file is there.
    #[error("{location} is not a directory; give the directory that holds manifest.json")]
    NotADirectory {
        /// The location.
        location: String,
    },
    /// The directory cannot be made or used.
    #[error("cannot use {location}")]
    Io {
        /// The location.
        location: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be used.
    #[error("cannot use {location}")]
    Store {
        /// The location.
        location: String,
        /// What the store says.
        #[source]
        source: object_store::Error,
    },
}

impl Location {
    /// A place in a store, such as one in memory.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, name: impl Into<String>) -> Self {
        let name = name.into();
        Self { store, prefix, name }
    }

    /// The place that a path or URL names, to read from.
    ///
    /// # Errors
    ///
    /// Fails if there is nothing, or if the URL has a scheme that is not built in.
    pub fn existing(location: &str) -> Result<Self, LocationError> {
        let path = directory(location)?;
        let metadata = std::fs::metadata(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => LocationError::NotFound {
                location: location.to_owned(),
            },
            _ => LocationError::Io {
                location: location.to_owned(),
                source,
            },
        })?;
        if !metadata.is_dir() {
            return Err(LocationError::NotADirectory {
                location: location.to_owned(),
            });
        }
        open(location, path)
    }

    /// The place that a path or URL names, to write to. A directory is created if there is none.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be created, or if the URL has a scheme that is not built in.
    pub fn create(location: &str) -> Result<Self, LocationError> {
        let path = directory(location)?;
        std::fs::create_dir_all(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => LocationError::NotADirectory {
                location: location.to_owned(),
            },
            _ => LocationError::Io {
                location: location.to_owned(),
                source,
            },
        })?;
        remove_staged(&path);
        open(location, path)
    }

    /// The path of one of the archive's objects.
    pub(crate) fn object(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Removes what writers that died left half-written: `object_store` writes an object as `NAME#NUMBER` and renames it, and
/// never lists such a file. Does its best; nothing reads these files.
fn remove_staged(directory: &std::path::Path) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_staged) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(object, number)| {
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        is_number && (object == crate::MANIFEST_NAME || is_segment_name(object))
    })
}

/// Flushes every object before it is published, so that a power failure cannot leave a name without its bytes.
fn open(location: &str, path: PathBuf) -> Result<Location, LocationError> {
    let store = LocalFileSystem::new_with_prefix(path)
        .map_err(|source| LocationError::Store {
            location: location.to_owned(),
            source,
        })?
        .with_fsync(true);
    Ok(Location::new(Arc::new(store), Path::default(), location))
}

fn directory(location: &str) -> Result<PathBuf, LocationError> {
    if !location.contains("://") {
        return Ok(PathBuf::from(location));
    }
    let url = Url::parse(location).map_err(|source| LocationError::Url {
        location: location.to_owned(),
        source,
    })?;
    if url.scheme() != "file" {
        return Err(LocationError::UnsupportedScheme {
            location: location.to_owned(),
            scheme: url.scheme().to_owned(),
        });
    }
    url.to_file_path().map_err(|()| LocationError::NotLocal {
        location: location.to_owned(),
    })
}
