//! The book on disk: one small file, replaced as a whole. Several servers may add to it, one after the other.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::book::{Book, BookError};

/// Its name in the state directory.
const FILE_NAME: &str = "usage.json";
/// Locked by whoever replaces it.
const LOCK_NAME: &str = "usage.lock";

/// Why what was used cannot be read or written.
#[derive(Debug, Error)]
pub enum UsageFileError {
    /// The state directory cannot be made.
    #[error("the state directory {} cannot be made", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file is damaged, or of a later version. It is never overwritten then.
    #[error("{} is not a usage file that can be used: {reason}; move it away to begin anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Where the book is kept.
#[derive(Debug)]
pub(super) struct UsageFile {
    directory: PathBuf,
    path: PathBuf,
}

impl UsageFile {
    /// The file of a state directory, which is made if it is missing.
    pub(super) fn open(directory: &Path) -> Result<Self, UsageFileError> {
        fs::create_dir_all(directory).map_err(|source| UsageFileError::Directory {
            path: directory.to_owned(),
            source,
        })?;
        Ok(Self {
            directory: directory.to_owned(),
            path: directory.join(FILE_NAME),
        })
    }

    /// The book, or a new one if there is none yet.
    pub(super) fn read(&self, now: DateTime<Utc>) -> Result<Book, UsageFileError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Book::from_json(&text).map_err(|error| self.damaged(&error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Book::new(now)),
            Err(source) => Err(UsageFileError::Read {
                path: self.path.clone(),
                source,
            }),
        }
    }

    /// Adds to the book, and returns it as it is then. Whatever happens on the way, the file is the old one or the new
    /// one. Waits while another server adds to it.
    pub(super) fn add(&self, more: &Book, now: DateTime<Utc>) -> Result<Book, UsageFileError> {
        let failed = |source| UsageFileError::Write {
            path: self.path.clone(),
            source,
        };
        // Closing it gives the lock back.
        let lock = File::create(self.directory.join(LOCK_NAME)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut book = self.read(now)?;
        book.merge(more);
        self.replace(&book.to_json()).map_err(failed)?;
        Ok(book)
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        // Nobody else writes to it: the lock is held.
        let temporary = self.path.with_extension("json.tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        // The name is in the directory, which has to reach the disk as well.
        File::open(&self.directory)?.sync_all()
    }

    fn damaged(&self, error: &BookError) -> UsageFileError {
        UsageFileError::Damaged {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn slots(slots: u64) -> Book {
        let mut book = Book::new(now());
        let counts = Counts {
            slots,
            ..Counts::default()
        };
        book.add("desk", now().date_naive(), counts);
        book
    }

    #[test]
    fn servers_that_share_it_add_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("made/on/the/way");
        let [one, other] = [(); 2].map(|()| UsageFile::open(&place).unwrap());
        assert!(one.read(now()).unwrap().is_empty());
        let later = now() + chrono::TimeDelta::days(1);
        one.add(&slots(1), now()).unwrap();
        other.add(&slots(10), later).unwrap();
        let all = one.add(&slots(100), later).unwrap();
        assert_eq!(all, slots(111));
        assert_eq!(UsageFile::open(&place).unwrap().read(later).unwrap(), all);
        let mut names: Vec<_> = fs::read_dir(&place)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, [FILE_NAME, LOCK_NAME], "nothing temporary is left");
    }

    #[test]
    fn a_damaged_one_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        fs::write(&path, "{\"version\":1,").unwrap();
        let error = UsageFile::open(directory.path()).unwrap().read(now()).unwrap_err();
        assert!(matches!(error, UsageFileError::Damaged { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"version\":1,");
    }
}
