//! The names that were given to sessions: a line of JSON for each, in the order in which they were given.
//!
//! A line is there as a whole before its session is announced. What a crash leaves of one is cut off: its session was not
//! announced.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use simulator_api::SessionName;

use super::directory::{StateDirectoryError, failed, private};
use super::stored::{load_owner, store_owner};
use crate::keys::Owner;

/// Where the file is in a state directory.
const FILE_NAME: &str = "names.jsonl";

/// A file of names.
#[derive(Debug)]
pub(crate) struct NamesFile {
    path: PathBuf,
    file: Mutex<File>,
}

/// A name that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GivenName {
    pub(crate) owner: Owner,
    pub(crate) name: SessionName,
    /// The digest of the token of the create that it was given to.
    pub(crate) token: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    /// The name of the key; none where the server had none.
    owner: Option<String>,
    name: String,
    token: Option<String>,
}

impl NamesFile {
    /// Opens the file of a state directory, or makes one, and reads it.
    ///
    /// # Errors
    /// [`StateDirectoryError`]: it cannot be read, or a line in it is none. It is left as it is then.
    pub(crate) fn open(state: &Path) -> Result<(Self, Vec<GivenName>), StateDirectoryError> {
        let path = state.join(FILE_NAME);
        let mut file = private(OpenOptions::new().create(true).truncate(false).read(true).append(true))
            .open(&path)
            .map_err(failed("open", &path))?;
        let given = locked(&mut file, &path, |file| mend(file, &path))?;
        let file = Mutex::new(file);
        Ok((Self { path, file }, given))
    }

    /// Adds a name, which is on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written; what was written of it is taken back.
    pub(crate) fn add(&self, given: &GivenName) -> Result<(), StateDirectoryError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        locked(&mut file, &self.path, |file| append(file, &self.path, given))
    }
}

/// Does something while no other server over the directory does anything to the file: what one of them has written of a
/// line is not to be taken for what a crash left.
fn locked<T>(
    file: &mut File,
    path: &Path,
    work: impl FnOnce(&mut File) -> Result<T, StateDirectoryError>,
) -> Result<T, StateDirectoryError> {
    file.lock().map_err(failed("lock", path))?;
    let done = work(file);
    file.unlock().map_err(failed("unlock", path))?;
    done
}

/// Reads the whole lines of a file, and cuts off what a crash left of another one.
fn mend(file: &mut File, path: &Path) -> Result<Vec<GivenName>, StateDirectoryError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed("read", path))?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let given = read(&bytes[..whole]).map_err(|line| StateDirectoryError::Names {
        path: path.to_owned(),
        line,
    })?;
    file.set_len(whole as u64).map_err(failed("mend", path))?;
    Ok(given)
}

fn append(file: &mut File, path: &Path, given: &GivenName) -> Result<(), StateDirectoryError> {
    let length = file.metadata().map_err(failed("read", path))?.len();
    let written = file.write_all(&line(given)).and_then(|()| file.sync_data());
    written.map_err(|error| {
        // If that fails, too, the next start says so.
        drop(file.set_len(length));
        failed("write", path)(error)
    })
}

fn line(given: &GivenName) -> Vec<u8> {
    let line = Line {
        owner: store_owner(&given.owner),
        name: given.name.to_string(),
        token: given.token.clone(),
    };
    let mut line = serde_json::to_vec(&line).expect("texts always serialise");
    line.push(b'\n');
    line
}

/// The names in whole lines, or the number of the first line that is none.
fn read(bytes: &[u8]) -> Result<Vec<GivenName>, usize> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    (1..)
        .zip(lines)
        .map(|(number, line)| given(line).ok_or(number))
        .collect()
}

fn given(line: &[u8]) -> Option<GivenName> {
    let Line { owner, name, token } = serde_json::from_slice(line).ok()?;
    Some(GivenName {
        owner: load_owner(owner),
        name: name.parse().ok()?,
        token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str) -> GivenName {
        GivenName {
            owner: Owner::Key("desk".to_owned()),
            name: name.parse().unwrap(),
            token: Some("00ff".to_owned()),
        }
    }

    #[test]
    fn what_was_added_is_there_again_wherever_a_crash_tore_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let (file, none) = NamesFile::open(directory.path()).unwrap();
        assert_eq!(none, []);
        file.add(&given("first")).unwrap();
        let anyone = GivenName {
            owner: Owner::Anyone,
            token: None,
            ..given("second")
        };
        file.add(&anyone).unwrap();
        let path = directory.path().join(FILE_NAME);
        let whole = std::fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for end in first..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let (file, found) = NamesFile::open(directory.path()).unwrap();
            assert_eq!(found, [given("first")], "torn at {end}");
            file.add(&given("third")).unwrap();
            let (_, found) = NamesFile::open(directory.path()).unwrap();
            assert_eq!(found, [given("first"), given("third")], "torn at {end}");
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(NamesFile::open(directory.path()).unwrap().1, [given("first"), anyone]);
    }

    #[test]
    fn a_damaged_line_is_named_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let text =
            b"{\"owner\":null,\"name\":\"a\",\"token\":null}\n{\"owner\":null,\"name\":\"-\",\"token\":null}\ntorn";
        std::fs::write(&path, text).unwrap();
        let error = NamesFile::open(directory.path()).unwrap_err();
        assert!(matches!(error, StateDirectoryError::Names { line: 2, .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), text);
    }
}
