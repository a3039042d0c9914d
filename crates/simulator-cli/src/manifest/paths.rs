//! Paths relative to a manifest, so that a directory with a manifest and its files can be moved as a whole.

use std::io;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// Why a path cannot be written down.
#[derive(Debug, Error)]
pub(crate) enum PathError {
    #[error("{} cannot be found any more", path.display())]
    Gone {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not text, and cannot be written into a manifest; give the file another name", path.display())]
    NotText { path: PathBuf },
}

/// The directory that a manifest stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base(PathBuf);

impl Base {
    /// The directory of a manifest with this path.
    pub(super) fn of(manifest: &Path) -> Self {
        match manifest.parent() {
            Some(parent) if parent != Path::new("") => Self(parent.to_owned()),
            _ => Self(PathBuf::from(".")),
        }
    }

    /// A place as it is written: URLs as they are, paths relative to the manifest.
    pub(super) fn place(&self, place: &str) -> Result<String, PathError> {
        match is_url(place) {
            true => Ok(place.to_owned()),
            false => self.relative(Path::new(place)),
        }
    }

    /// A path as it is written.
    pub(super) fn relative(&self, path: &Path) -> Result<String, PathError> {
        let (from, to) = (canonical(&self.0)?, canonical(path)?);
        let relative = between(&from, &to);
        let text = relative.to_str().map(str::to_owned);
        text.ok_or_else(|| PathError::NotText { path: path.to_owned() })
    }

    /// A place that was written, as it is from here.
    pub(super) fn resolve_place(&self, place: &str) -> String {
        match is_url(place) {
            true => place.to_owned(),
            false => self.resolve(place).to_string_lossy().into_owned(),
        }
    }

    /// A path that was written, as it is from here.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        match self.0 == Path::new(".") {
            true => PathBuf::from(path),
            false => self.0.join(path),
        }
    }
}

fn is_url(place: &str) -> bool {
    place.contains("://")
}

fn canonical(path: &Path) -> Result<PathBuf, PathError> {
    std::fs::canonicalize(path).map_err(|source| PathError::Gone {
        path: path.to_owned(),
        source,
    })
}

/// The way from one absolute path to another.
fn between(from: &Path, to: &Path) -> PathBuf {
    let shared = from
        .components()
        .zip(to.components())
        .take_while(|(one, other)| one == other);
    let shared = shared.count();
    if shared == 0 {
        return to.to_owned();
    }
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    let down = to.components().skip(shared);
    let way: PathBuf = up.chain(down).collect();
    match way == Path::new("") {
        true => PathBuf::from("."),
        false => way,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_goes_up_and_down_again() {
        let way = |from: &str, to: &str| between(Path::new(from), Path::new(to)).to_string_lossy().into_owned();
        assert_eq!(way("/a/b", "/a/b/c"), "c");
        assert_eq!(way("/a/b", "/a/c/d"), "../c/d");
        assert_eq!(way("/a/b", "/x"), "../../x");
        assert_eq!(way("/a/b", "/a/b"), ".");
        assert_eq!(way("/a/b", "/a"), "..");
    }

    #[test]
    fn what_is_written_is_found_again_from_elsewhere() {
        let directory = tempfile::tempdir().expect("a directory");
        let (inner, file) = (directory.path().join("inner"), directory.path().join("file"));
        std::fs::create_dir(&inner).expect("made");
        std::fs::write(&file, "x").expect("written");
        let base = Base::of(&inner.join("run.json"));
        let written = base.relative(&file).expect("text");
        assert_eq!(written, "../file");
        assert_eq!(std::fs::read(base.resolve(&written)).expect("found"), b"x");
    }

    #[test]
    fn urls_stay_as_they_are() {
        let base = Base::of(Path::new("some/run.json"));
        let url = "file:///data/archive";
        assert_eq!(base.place(url).expect("a URL"), url);
        assert_eq!(base.resolve_place(url), url);
        assert_eq!(base.resolve_place("../archive"), "some/../archive");
        assert_eq!(Base::of(Path::new("run.json")).resolve_place("archive"), "archive");
    }

    #[test]
    #[cfg(unix)]
    fn a_name_that_is_not_text_is_refused() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join(OsStr::from_bytes(b"\xff"));
        std::fs::write(&file, "x").expect("written");
        let error = Base::of(&directory.path().join("run.json")).relative(&file);
        assert!(matches!(error, Err(PathError::NotText { .. })), "{error:?}");
    }
}
