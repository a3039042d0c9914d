//! Files that appear whole or not at all, and the kinds of report there are.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::exit::Exit;

/// Where a report goes, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OutputKind {
    /// One JSON object.
    Json(PathBuf),
    /// One JSON object a line, written while the replay goes on.
    JsonLines(PathBuf),
    /// A directory of Parquet tables.
    Parquet(PathBuf),
}

/// A name from which the kind of report cannot be told.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "cannot write {}: the name has to end in .json or .jsonl, or be that of a directory for Parquet tables",
    path.display()
)]
pub(crate) struct OutputNameError {
    path: PathBuf,
}

impl OutputKind {
    /// The kind that the path asks for. A directory is one that exists, or a name without an extension.
    pub(crate) fn from_path(path: PathBuf) -> Result<Self, OutputNameError> {
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy().into_owned());
        match extension.as_deref() {
            _ if path.is_dir() || path.as_os_str().to_string_lossy().ends_with('/') => Ok(Self::Parquet(path)),
            None => Ok(Self::Parquet(path)),
            Some("json") => Ok(Self::Json(path)),
            Some("jsonl") => Ok(Self::JsonLines(path)),
            Some(_) => Err(OutputNameError { path }),
        }
    }
}

/// A file of the user's that could not be written.
#[derive(Debug, Error)]
#[error("cannot write {}", path.display())]
pub(crate) struct OutputError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl OutputError {
    /// Says that it was standard output.
    pub(crate) fn stdout(source: io::Error) -> Self {
        Self {
            path: PathBuf::from("standard output"),
            source,
        }
    }

    /// The exit code for this error: that the reader went away is none of ours.
    pub(crate) fn exit(&self) -> Exit {
        match self.source.kind() {
            io::ErrorKind::BrokenPipe => Exit::Done,
            _ => Exit::Failed,
        }
    }

    /// Says which file it was.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

/// A file that gets its name when it is complete. Until then it has the same name with `.tmp` behind it; it disappears
/// if it is never completed. A device or a pipe, which has no such moment, is written directly.
#[derive(Debug)]
pub(crate) struct WholeFile {
    writer: BufWriter<File>,
    completion: Completion,
    path: PathBuf,
}

/// What makes a file complete.
#[derive(Debug)]
enum Completion {
    /// It takes its name.
    Rename(Temporary),
    /// Nothing: every byte is where it belongs at once.
    Written,
}

/// The name of a file that is not complete.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // A complete file has another name by now, and one that cannot be removed harms nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl WholeFile {
    /// Begins the file, in place of one that an earlier run did not complete.
    pub(crate) fn create(path: &Path) -> Result<Self, OutputError> {
        let (file, completion, path) = if std::fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
            let file = File::options().write(true).open(path).map_err(OutputError::at(path))?;
            (file, Completion::Written, path.to_owned())
        } else {
            // A link stays a link: it is the file behind it that is replaced.
            let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(".tmp");
            let temporary = Temporary(path.with_file_name(name));
            let file = File::create(&temporary.0).map_err(OutputError::at(&path))?;
            (file, Completion::Rename(temporary), path)
        };
        let writer = BufWriter::new(file);
        Ok(Self {
            writer,
            completion,
            path,
        })
    }

    /// The name that the file will have.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the complete file its name.
    pub(crate) fn publish(self) -> Result<(), OutputError> {
        let Self {
            writer,
            completion,
            path,
        } = self;
        let publish = || {
            let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
            match &completion {
                Completion::Rename(temporary) => {
                    file.sync_all()?;
                    std::fs::rename(&temporary.0, &path)
                }
                Completion::Written => Ok(()),
            }
        };
        publish().map_err(OutputError::at(&path))
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Result<OutputKind, OutputNameError> {
        OutputKind::from_path(PathBuf::from(name))
    }

    #[test]
    fn kind_follows_from_the_name() {
        assert_eq!(kind("a.json"), Ok(OutputKind::Json("a.json".into())));
        assert_eq!(kind("a.b.jsonl"), Ok(OutputKind::JsonLines("a.b.jsonl".into())));
        assert_eq!(kind("tables"), Ok(OutputKind::Parquet("tables".into())));
        assert_eq!(kind("v1.0/"), Ok(OutputKind::Parquet("v1.0/".into())));
        assert_eq!(kind("src"), Ok(OutputKind::Parquet("src".into())));
        assert!(kind("a.txt").is_err());
    }

    #[test]
    fn file_appears_when_it_is_complete() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("report.json");
        let mut file = WholeFile::create(&path).expect("can be written");
        file.write_all(b"{}").expect("written");
        assert!(!path.exists());
        file.publish().expect("published");
        assert_eq!(std::fs::read(&path).expect("there"), b"{}");
        assert_eq!(std::fs::read_dir(directory.path()).expect("there").count(), 1);
    }

    #[test]
    fn file_that_is_not_completed_disappears() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = WholeFile::create(&directory.path().join("report.json")).expect("can be written");
        assert_eq!(std::fs::read_dir(directory.path()).expect("there").count(), 1);
        drop(file);
        assert_eq!(std::fs::read_dir(directory.path()).expect("there").count(), 0);
    }

    #[test]
    fn devices_are_written_and_links_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut full = WholeFile::create(Path::new("/dev/full")).expect("can be opened");
        full.write_all(b"{}").expect("buffered");
        assert!(full.publish().is_err());
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        std::fs::write(&target, b"old").expect("written");
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        let mut file = WholeFile::create(&link).expect("can be written");
        file.write_all(b"new").expect("written");
        file.publish().expect("published");
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&target).expect("there"), b"new");
    }

    #[test]
    fn directory_that_is_missing_is_an_error() {
        let error = WholeFile::create(Path::new("no/such/report.json")).expect_err("no directory");
        assert_eq!(error.to_string(), "cannot write no/such/report.json");
    }
}
