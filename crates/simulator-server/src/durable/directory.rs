//! A directory that keeps sessions, for one server or several on the same machine.
//!
//! ```text
//! alive                       written every second by each server that runs
//! sessions/NAME/commands      what the session was made from, and its commands
//! sessions/NAME/owner         locked by the server that runs the session
//! sessions/NAME/vacant        there while no connection drives it; its time says since when
//! set-aside/NAME              sessions that cannot be restored
//! ```
//!
//! The name of a session is a digest of its id, so that a path tells nothing about the id, which is a secret. Everything
//! can be read by the user of the server only. A directory gets its name when it is complete, and loses it before it is
//! taken apart.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use simulator_api::SessionId;
use thiserror::Error;

use super::file_log::FileLog;
use super::frame::{self, FrameError};
use super::store::{Birth, Custody, Kept, Orphan, SessionStore};
use super::stored::{ContentError, Record};
use crate::command_log::Command;
use crate::keys::Owner;
use crate::worker::Past;

const SESSIONS: &str = "sessions";
const SET_ASIDE: &str = "set-aside";
const ALIVE: &str = "alive";
const COMMANDS: &str = "commands";
const OWNER: &str = "owner";
const VACANT: &str = "vacant";
/// How much of a file is read to see whose session it is.
const BEGINNING_BYTES: u64 = 1 << 20;
/// What the names of directories begin with that are not complete yet, or not any more.
const UNNAMED: &str = ".";

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
}

/// What is wrong with a file.
#[derive(Debug, Error)]
enum FileError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the record at byte {offset} is none")]
    Content {
        offset: usize,
        #[source]
        source: ContentError,
    },
    #[error("it does not begin with what the session is made from, or says so twice")]
    Birth,
}

/// A directory of sessions.
#[derive(Debug)]
pub(crate) struct StateDirectory {
    root: PathBuf,
    /// How large a session's file may become, in bytes.
    limit: usize,
}

/// A session's own directory, as long as this process owns it.
#[derive(Debug)]
struct Place {
    root: PathBuf,
    name: String,
    _lock: Arc<Lock>,
}

/// The lock on a session. It ends with the process, however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// What a session's file says.
struct Contents {
    birth: Birth,
    past: Past,
    is_closed: bool,
    /// Bytes of whole records.
    length: u64,
}

impl StateDirectory {
    /// Opens a directory of sessions, or makes one.
    ///
    /// # Errors
    /// It cannot be made or written to.
    pub(crate) fn open(root: &Path, limit: usize) -> Result<Self, StateDirectoryError> {
        for directory in [root.to_owned(), root.join(SESSIONS), root.join(SET_ASIDE)] {
            make_directory(&directory, DirBuilder::new().recursive(true))?;
        }
        let directory = Self {
            root: root.to_owned(),
            limit,
        };
        if !directory.root.join(ALIVE).exists() {
            directory.beat()?;
        }
        Ok(directory)
    }

    /// Notes that a server runs: whoever was connected to it is not gone for longer than since then.
    pub(crate) fn beat(&self) -> Result<(), StateDirectoryError> {
        write_mark(&self.root.join(ALIVE))
    }

    fn sessions(&self) -> PathBuf {
        self.root.join(SESSIONS)
    }

    /// Takes a session over, if there is one that nobody owns.
    fn adopt(&self, name: &str) -> Result<Option<Orphan>, StateDirectoryError> {
        let directory = self.sessions().join(name);
        let Some(lock) = lock(&directory.join(OWNER))? else {
            return Ok(None);
        };
        let place = Place {
            root: self.root.clone(),
            name: name.to_owned(),
            _lock: Arc::clone(&lock),
        };
        let path = directory.join(COMMANDS);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            // Its owner has just removed it, or had begun to.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let contents = match contents(&bytes) {
            Ok(contents) if contents.is_closed => {
                place.remove()?;
                return Ok(None);
            }
            Ok(contents) => contents,
            Err(error) => {
                place.set_aside()?;
                let path = self.root.join(SET_ASIDE).join(name).join(COMMANDS);
                let source = Box::new(error);
                return Err(StateDirectoryError::Unreadable { path, source });
            }
        };
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(failed("open", &path))?;
        file.set_len(contents.length).map_err(failed("mend", &path))?;
        let commands = FileLog::new(file, contents.length, self.limit, Some(lock));
        Ok(Some(Orphan {
            birth: contents.birth,
            past: contents.past,
            driven: self.driven(&directory)?,
            kept: Kept {
                commands: Box::new(commands),
                custody: Box::new(place),
            },
        }))
    }

    /// When a connection last drove a session: until it became vacant, or until no server was alive any more.
    fn driven(&self, directory: &Path) -> Result<SystemTime, StateDirectoryError> {
        let vacant = directory.join(VACANT);
        match modified(&vacant) {
            Ok(since) => Ok(since),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let alive = self.root.join(ALIVE);
                modified(&alive).map_err(failed("read the time of", &alive))
            }
            Err(error) => Err(failed("read the time of", &vacant)(error)),
        }
    }

    fn make_session(&self, directory: &Path, birth: &Birth) -> Result<(Arc<Lock>, File, u64), StateDirectoryError> {
        make_directory(directory, &mut DirBuilder::new())?;
        let owner = directory.join(OWNER);
        let lock = lock(&owner)?.ok_or_else(|| failed("lock", &owner)(io::ErrorKind::WouldBlock.into()))?;
        let path = directory.join(COMMANDS);
        let bytes = first_bytes(birth).ok_or_else(|| failed("write", &path)(io::ErrorKind::FileTooLarge.into()))?;
        let mut file = private(OpenOptions::new().append(true).create_new(true))
            .open(&path)
            .map_err(failed("make", &path))?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .map_err(failed("write", &path))?;
        sync_directory(directory)?;
        Ok((lock, file, bytes.len() as u64))
    }
}

impl SessionStore for StateDirectory {
    fn keep(&self, birth: &Birth) -> Result<Kept, StateDirectoryError> {
        let name = name(birth.id);
        let unnamed = self.sessions().join(format!("{UNNAMED}{name}"));
        let made = self.make_session(&unnamed, birth);
        let made = made.and_then(|made| {
            let named = self.sessions().join(&name);
            fs::rename(&unnamed, &named).map_err(failed("make", &named))?;
            sync_directory(&self.sessions())?;
            Ok(made)
        });
        let (lock, file, length) = made.inspect_err(|_| {
            // Nobody knows it yet; what is left does not disturb.
            drop(fs::remove_dir_all(&unnamed));
        })?;
        Ok(Kept {
            commands: Box::new(FileLog::new(file, length, self.limit, Some(Arc::clone(&lock)))),
            custody: Box::new(Place {
                root: self.root.clone(),
                name,
                _lock: lock,
            }),
        })
    }

    fn orphans(&self) -> Result<Vec<Result<Orphan, StateDirectoryError>>, StateDirectoryError> {
        let sessions = self.sessions();
        let mut names = Vec::new();
        for entry in fs::read_dir(&sessions).map_err(failed("read", &sessions))? {
            let entry = entry.map_err(failed("read", &sessions))?;
            names.extend(entry.file_name().into_string().ok());
        }
        names.retain(|name| !name.starts_with(UNNAMED));
        names.sort();
        Ok(names.iter().filter_map(|name| self.adopt(name).transpose()).collect())
    }

    fn is_elsewhere(&self, id: SessionId, owner: &Owner) -> bool {
        let path = self.sessions().join(name(id)).join(COMMANDS);
        let mut beginning = Vec::new();
        let read = File::open(path).and_then(|file| file.take(BEGINNING_BYTES).read_to_end(&mut beginning));
        let contents = read.ok().and_then(|_| contents(&beginning).ok());
        contents.is_some_and(|contents| contents.birth.owner == *owner)
    }

    fn beat(&self) -> Result<(), StateDirectoryError> {
        Self::beat(self)
    }
}

impl Place {
    fn directory(&self) -> PathBuf {
        self.root.join(SESSIONS).join(&self.name)
    }

    fn mark(&self) -> PathBuf {
        self.directory().join(VACANT)
    }
}

impl Custody for Place {
    fn driven(&self) -> Result<(), StateDirectoryError> {
        match fs::remove_file(self.mark()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &self.mark())(error)),
            _ => Ok(()),
        }
    }

    fn vacant(&self) -> Result<(), StateDirectoryError> {
        write_mark(&self.mark())
    }

    fn remove(&self) -> Result<(), StateDirectoryError> {
        let unnamed = self.root.join(SESSIONS).join(format!("{UNNAMED}{}", self.name));
        fs::rename(self.directory(), &unnamed).map_err(failed("remove", &self.directory()))?;
        fs::remove_dir_all(&unnamed).map_err(failed("remove", &unnamed))
    }

    fn set_aside(&self) -> Result<(), StateDirectoryError> {
        let aside = self.root.join(SET_ASIDE).join(&self.name);
        fs::rename(self.directory(), &aside).map_err(failed("set aside", &self.directory()))
    }
}

/// What a session's file begins with.
fn first_bytes(birth: &Birth) -> Option<Vec<u8>> {
    let mut bytes = frame::preamble();
    bytes.extend(frame::record(&Record::Birth(birth.clone()).to_bytes())?);
    Some(bytes)
}

fn contents(bytes: &[u8]) -> Result<Contents, FileError> {
    let frames = frame::read(bytes)?;
    let (mut birth, mut past, mut is_closed) = (None, Past::default(), false);
    for range in frames.records {
        let offset = range.start;
        match Record::from_bytes(&bytes[range]).map_err(|source| FileError::Content { offset, source })? {
            Record::Birth(first) => {
                if birth.replace(first).is_some() {
                    return Err(FileError::Birth);
                }
            }
            Record::Command(logged) => {
                is_closed |= logged.command == Command::Close;
                past.commands.push(logged);
            }
            Record::Progress(progress) => past.progress = progress,
        }
    }
    Ok(Contents {
        birth: birth.ok_or(FileError::Birth)?,
        past,
        is_closed,
        length: frames.end as u64,
    })
}

/// The lock of a session, unless another process has it, or the session is gone.
fn lock(path: &Path) -> Result<Option<Arc<Lock>>, StateDirectoryError> {
    let opened = private(OpenOptions::new().create(true).truncate(false).write(true)).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(Arc::new(Lock { _file: file }))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed("lock", path)(error)),
    }
}

/// A name that says nothing about the id.
fn name(id: SessionId) -> String {
    let digest = blake3::hash(id.to_string().as_bytes());
    digest.to_hex().as_str()[..32].to_owned()
}

/// Writes a file whose time is all that it says.
fn write_mark(path: &Path) -> Result<(), StateDirectoryError> {
    private(OpenOptions::new().create(true).truncate(true).write(true))
        .open(path)
        .and_then(|mut file| file.write_all(b"\n"))
        .map_err(failed("write", path))
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

fn make_directory(path: &Path, builder: &mut DirBuilder) -> Result<(), StateDirectoryError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path).map_err(failed("make", path))
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// What was made or renamed in a directory survives whatever happens to the machine.
fn sync_directory(path: &Path) -> Result<(), StateDirectoryError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("write", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateDirectoryError {
    let path = path.to_owned();
    move |source| StateDirectoryError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::stored::tests::{birth, commands};
    use super::*;
    use crate::command_log::Progress;

    fn store() -> (TempDir, StateDirectory) {
        let root = tempfile::tempdir().unwrap();
        let store = StateDirectory::open(root.path(), usize::MAX).unwrap();
        (root, store)
    }

    fn orphans(store: &StateDirectory) -> Vec<Result<Orphan, StateDirectoryError>> {
        store.orphans().unwrap()
    }

    fn commands_of(store: &StateDirectory) -> PathBuf {
        store.sessions().join(name(birth().id)).join(COMMANDS)
    }

    /// Everything but the end.
    fn open_commands() -> Vec<crate::command_log::LoggedCommand> {
        let mut all = commands();
        all.pop();
        all
    }

    #[test]
    fn finds_what_it_kept_when_nobody_owns_it() {
        let (_root, store) = store();
        let mut kept = store.keep(&birth()).unwrap();
        for command in open_commands() {
            kept.commands.append(command).unwrap();
        }
        let progress = Progress {
            reached: 9,
            ..Progress::default()
        };
        kept.commands.note(progress);
        assert!(orphans(&store).is_empty(), "it is owned");
        assert!(store.is_elsewhere(birth().id, &birth().owner));
        assert!(!store.is_elsewhere(birth().id, &Owner::Anyone));
        let Kept { commands, custody } = kept;
        drop(custody);
        assert!(orphans(&store).is_empty(), "something may still be written");
        drop(commands);
        let mut found = orphans(&store);
        let found = found.pop().unwrap().unwrap();
        assert_eq!(found.birth, birth());
        assert_eq!(
            found.past,
            Past {
                commands: open_commands(),
                progress
            }
        );
        assert!(orphans(&store).is_empty(), "it is owned again");
        found.kept.custody.remove().unwrap();
        drop(found);
        assert!(orphans(&store).is_empty());
        assert_eq!(fs::read_dir(store.sessions()).unwrap().count(), 0);
    }

    #[test]
    fn goes_on_after_a_torn_end() {
        let (_root, store) = store();
        let [first, second, ..] = &open_commands()[..] else {
            panic!("there are more")
        };
        drop(store.keep(&birth()).unwrap());
        let whole = fs::read(commands_of(&store)).unwrap();
        let torn = frame::record(&Record::Command(first.clone()).to_bytes()).unwrap();
        for end in 0..torn.len() {
            fs::write(commands_of(&store), [&whole[..], &torn[..end]].concat()).unwrap();
            let mut found = orphans(&store).pop().unwrap().unwrap();
            assert_eq!(found.past.commands, []);
            found.kept.commands.append(second.clone()).unwrap();
            drop(found);
            let found = orphans(&store).pop().unwrap().unwrap();
            assert_eq!(found.past.commands, std::slice::from_ref(second));
        }
    }

    #[test]
    fn sets_aside_what_is_damaged_and_names_it() {
        let (root, store) = store();
        drop(store.keep(&birth()).unwrap());
        let mut bytes = fs::read(commands_of(&store)).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(commands_of(&store), &bytes).unwrap();
        let error = orphans(&store).pop().unwrap().err().unwrap();
        let StateDirectoryError::Unreadable { path, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(fs::read(path).unwrap(), bytes);
        assert!(orphans(&store).is_empty());
        assert_eq!(fs::read_dir(root.path().join(SET_ASIDE)).unwrap().count(), 1);
    }

    #[test]
    fn forgets_what_was_closed() {
        let (_root, store) = store();
        let mut kept = store.keep(&birth()).unwrap();
        kept.commands.append(commands().pop().unwrap()).unwrap();
        drop(kept);
        assert!(orphans(&store).is_empty());
        assert_eq!(fs::read_dir(store.sessions()).unwrap().count(), 0);
    }

    #[test]
    fn knows_since_when_nobody_drives() {
        let (_root, store) = store();
        let kept = store.keep(&birth()).unwrap();
        let directory = store.sessions().join(name(birth().id));
        let alive = modified(&store.root.join(ALIVE)).unwrap();
        assert_eq!(store.driven(&directory).unwrap(), alive);
        kept.custody.vacant().unwrap();
        assert_eq!(
            store.driven(&directory).unwrap(),
            modified(&directory.join(VACANT)).unwrap()
        );
        kept.custody.driven().unwrap();
        kept.custody.driven().unwrap();
        assert_eq!(store.driven(&directory).unwrap(), alive);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let (root, store) = store();
        let kept = store.keep(&birth()).unwrap();
        kept.custody.vacant().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let session = store.sessions().join(name(birth().id));
        for directory in [root.path().join(SESSIONS), root.path().join(SET_ASIDE), session.clone()] {
            assert_eq!(mode(&directory), 0o700, "{}", directory.display());
        }
        for file in [
            root.path().join(ALIVE),
            session.join(COMMANDS),
            session.join(OWNER),
            session.join(VACANT),
        ] {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        let content = fs::read(session.join(COMMANDS)).unwrap();
        assert!(
            !session
                .to_string_lossy()
                .contains(&birth().id.uuid().simple().to_string())
        );
        assert!(content.windows(4).any(|window| window == b"desk"));
    }
}
