//! Files and directories that only the user of the server can read, and their locks.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use thiserror::Error;

/// Why the directory of sessions, or a session in it, cannot be used.
#[derive(Debug, Error)]
pub enum StateDirectoryError {
    /// The system says no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A session's file is damaged, or one that this version does not read.
    #[error("the session in {} cannot be restored", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The names that were given are not known. The file is left as it is.
    #[error("line {line} of {} is no name of a session; move the file away to forget all names", path.display())]
    Names {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
}

/// The lock on what is kept. It ends with the process, however that ends.
#[derive(Debug)]
pub(in crate::durable) struct Lock {
    _file: File,
}

/// What became of an attempt to lock something.
#[derive(Debug)]
pub(super) enum Locked {
    /// This process has it now.
    Here(Arc<Lock>),
    /// Somebody has it already.
    Elsewhere,
    /// There is nothing to lock any more.
    Gone,
}

/// Locks what this file stands for, and makes it where there is none.
pub(super) fn lock(path: &Path) -> Result<Locked, StateDirectoryError> {
    let file = match private(OpenOptions::new().create(true).truncate(false).write(true)).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Locked::Gone),
        Err(error) => return Err(failed("open", path)(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Locked::Here(Arc::new(Lock { _file: file }))),
        Err(TryLockError::WouldBlock) => Ok(Locked::Elsewhere),
        Err(TryLockError::Error(error)) => Err(failed("lock", path)(error)),
    }
}

/// Writes a new file, which is on disk when this returns.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<File, StateDirectoryError> {
    let mut file = private(OpenOptions::new().append(true).create_new(true))
        .open(path)
        .map_err(failed("make", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed("write", path))?;
    Ok(file)
}

/// Writes a file whose time is all that it says.
pub(super) fn write_mark(path: &Path) -> Result<(), StateDirectoryError> {
    private(OpenOptions::new().create(true).truncate(true).write(true))
        .open(path)
        .and_then(|mut file| file.write_all(b"\n"))
        .map_err(failed("write", path))
}

pub(super) fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

/// The names in a directory, in order. Those that are no text are none of ours.
pub(super) fn names(path: &Path) -> Result<Vec<String>, StateDirectoryError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(failed("read", path))? {
        let entry = entry.map_err(failed("read", path))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

pub(super) fn make_directory(path: &Path, builder: &mut DirBuilder) -> Result<(), StateDirectoryError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path).map_err(failed("make", path))
}

pub(in crate::durable) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// What was made or renamed in a directory survives whatever happens to the machine.
pub(super) fn sync_directory(path: &Path) -> Result<(), StateDirectoryError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("write", path))
}

pub(in crate::durable) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateDirectoryError {
    let path = path.to_owned();
    move |source| StateDirectoryError::Io { action, path, source }
}
