//! A directory that keeps sessions, for one server or several on the same machine.
//!
//! ```text
//! alive                       written every second by each server that runs
//! sessions/NAME/commands      what the session was made from, and its commands
//! sessions/NAME/owner         locked by the server that runs the session
//! sessions/NAME/vacant        there while no connection drives it; its time says since when
//! groups/NAME/group           which sessions a parallel create has made, and from what
//! groups/NAME/owner           locked by the server that runs them
//! groups/NAME/vacant          there while no connection drives them together
//! set-aside/NAME              what cannot be restored
//! ```
//!
//! The name of a session, or of several, is a digest of its id, so that a path tells nothing about the id, which is a
//! secret. Everything can be read by the user of the server only. A directory gets its name when it is complete, and
//! loses it before it is taken apart.

mod files;
mod group_file;
mod place;
mod session_file;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use simulator_api::{ControlSessionId, SessionId};

pub(super) use self::files::Lock;
pub use self::files::StateDirectoryError;
pub(super) use self::files::{failed, private};
use self::files::{make_directory, write_mark, write_new};
use self::place::{Folder, Found, Place};
use self::session_file::{contents, first_bytes};
use super::file_log::FileLog;
use super::store::{Birth, Custody as _, GroupBirth, Kept, Orphan, OrphanGroup, Orphans, SessionStore};
use crate::keys::Owner;

const SET_ASIDE: &str = "set-aside";
const ALIVE: &str = "alive";
const COMMANDS: &str = "commands";
const GROUP: &str = "group";
/// How much of a file is read to see whose session it is.
const BEGINNING_BYTES: u64 = 1 << 20;

/// A directory of sessions.
#[derive(Debug)]
pub(crate) struct StateDirectory {
    root: PathBuf,
    /// How large a session's file may become, in bytes.
    limit: usize,
}

/// What became of an attempt to take a session over.
enum Adopted {
    Orphan(Box<Orphan>),
    /// Another process has it.
    Elsewhere,
    /// It has ended.
    Over,
}

impl StateDirectory {
    /// Opens a directory of sessions, or makes one. What is left in it of unfinished work is removed.
    ///
    /// # Errors
    /// It cannot be made or written to.
    pub(crate) fn open(root: &Path, limit: usize) -> Result<Self, StateDirectoryError> {
        let folders = [Folder::Sessions, Folder::Groups];
        let directories = folders.map(|folder| folder.path(root));
        for directory in directories.iter().chain([&root.to_owned(), &root.join(SET_ASIDE)]) {
            make_directory(directory, DirBuilder::new().recursive(true))?;
        }
        for folder in folders {
            folder.sweep(root)?;
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

    /// Takes a session over, if there is one that nobody owns.
    fn adopt(&self, name: &str) -> Result<Adopted, StateDirectoryError> {
        let place = match Place::take(&self.root, Folder::Sessions, name)? {
            Found::Here(place) => place,
            Found::Elsewhere => return Ok(Adopted::Elsewhere),
            Found::Gone => return Ok(Adopted::Over),
        };
        let path = place.directory().join(COMMANDS);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            // Its owner has just removed it, or had begun to.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Adopted::Over),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let contents = match contents(&bytes) {
            Ok(contents) if contents.is_closed => {
                place.remove()?;
                return Ok(Adopted::Over);
            }
            Ok(contents) => contents,
            Err(error) => return Err(unreadable(&place, COMMANDS, error)),
        };
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(failed("open", &path))?;
        file.set_len(contents.length).map_err(failed("mend", &path))?;
        let commands = FileLog::new(file, contents.length, self.limit, Some(Arc::clone(place.lock())));
        Ok(Adopted::Orphan(Box::new(Orphan {
            birth: contents.birth,
            past: contents.past,
            driven: place.driven_until()?,
            kept: Kept {
                commands: Box::new(commands),
                custody: Box::new(place),
            },
        })))
    }

    /// Takes several sessions over that belong together, all that there still are, if nobody owns them.
    fn adopt_group(&self, name: &str) -> Result<Option<OrphanGroup>, StateDirectoryError> {
        let Found::Here(place) = Place::take(&self.root, Folder::Groups, name)? else {
            return Ok(None);
        };
        let path = place.directory().join(GROUP);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let birth = group_file::read(&bytes).map_err(|error| unreadable(&place, GROUP, error))?;
        let mut parts = Vec::new();
        for part in &birth.parts {
            parts.push(match self.adopt(&session_name(part.id)) {
                Ok(Adopted::Orphan(orphan)) => Ok(Some(*orphan)),
                Ok(Adopted::Over) => Ok(None),
                // Somebody is looking at it: all of them the next time.
                Ok(Adopted::Elsewhere) => return Ok(None),
                Err(error) => Err(error),
            });
        }
        Ok(Some(OrphanGroup {
            birth,
            driven: place.driven_until()?,
            custody: Box::new(place),
            parts,
        }))
    }

    /// The names of all sessions that belong to others, whoever has them.
    fn grouped(&self) -> Result<BTreeSet<String>, StateDirectoryError> {
        let names = Folder::Groups.names(&self.root)?;
        let groups = names.iter().filter_map(|name| self.group(name));
        Ok(groups
            .flat_map(|group| group.parts)
            .map(|part| session_name(part.id))
            .collect())
    }

    /// What the file of a parallel session says, if it can be read.
    fn group(&self, name: &str) -> Option<GroupBirth> {
        let path = Folder::Groups.path(&self.root).join(name).join(GROUP);
        group_file::read(&fs::read(path).ok()?).ok()
    }
}

impl SessionStore for StateDirectory {
    fn keep(&self, birth: &Birth) -> Result<Kept, StateDirectoryError> {
        let (place, (file, length)) = Place::make(&self.root, Folder::Sessions, session_name(birth.id), |directory| {
            let path = directory.join(COMMANDS);
            let bytes = first_bytes(birth).ok_or_else(|| too_large(&path))?;
            Ok((write_new(&path, &bytes)?, bytes.len() as u64))
        })?;
        let commands = FileLog::new(file, length, self.limit, Some(Arc::clone(place.lock())));
        Ok(Kept {
            commands: Box::new(commands),
            custody: Box::new(place),
        })
    }

    fn keep_group(&self, group: &GroupBirth) -> Result<Box<dyn super::store::Custody>, StateDirectoryError> {
        let (place, _file) = Place::make(&self.root, Folder::Groups, group_name(group.id), |directory| {
            let path = directory.join(GROUP);
            let bytes = group_file::bytes(group).ok_or_else(|| too_large(&path))?;
            write_new(&path, &bytes)
        })?;
        Ok(Box::new(place))
    }

    fn orphans(&self) -> Result<Orphans, StateDirectoryError> {
        let groups = Folder::Groups.names(&self.root)?;
        let groups = groups.iter().filter_map(|name| self.adopt_group(name).transpose());
        let groups = groups.collect();
        let grouped = self.grouped()?;
        let mut sessions = Vec::new();
        for name in Folder::Sessions.names(&self.root)? {
            if !grouped.contains(&name) {
                sessions.push((self.adopt(&name), name));
            }
        }
        // What belongs together is taken over together. Which sessions do may have been written down meanwhile.
        let grouped = if sessions.is_empty() { grouped } else { self.grouped()? };
        sessions.retain(|(_, name)| !grouped.contains(name));
        let sessions = sessions.into_iter().filter_map(|(adopted, _)| match adopted {
            Ok(Adopted::Orphan(orphan)) => Some(Ok(*orphan)),
            Ok(Adopted::Elsewhere | Adopted::Over) => None,
            Err(error) => Some(Err(error)),
        });
        Ok(Orphans {
            groups,
            sessions: sessions.collect(),
        })
    }

    fn is_elsewhere(&self, id: SessionId, owner: &Owner) -> bool {
        let path = Folder::Sessions.path(&self.root).join(session_name(id)).join(COMMANDS);
        let mut beginning = Vec::new();
        let read = File::open(path).and_then(|file| file.take(BEGINNING_BYTES).read_to_end(&mut beginning));
        let contents = read.ok().and_then(|_| contents(&beginning).ok());
        contents.is_some_and(|contents| contents.birth.owner == *owner)
    }

    fn is_group_elsewhere(&self, id: ControlSessionId, owner: &Owner) -> bool {
        self.group(&group_name(id)).is_some_and(|group| group.owner == *owner)
    }

    fn beat(&self) -> Result<(), StateDirectoryError> {
        Self::beat(self)
    }
}

/// Sets aside what cannot be read, and says what is wrong with it, and where it is.
fn unreadable(place: &Place, file: &str, error: impl std::error::Error + Send + Sync + 'static) -> StateDirectoryError {
    let path = place.aside().join(file);
    match place.set_aside() {
        Ok(()) => StateDirectoryError::Unreadable {
            path,
            source: Box::new(error),
        },
        Err(failed) => failed,
    }
}

fn too_large(path: &Path) -> StateDirectoryError {
    failed("write", path)(io::ErrorKind::FileTooLarge.into())
}

/// A name that says nothing about the id.
fn session_name(id: SessionId) -> String {
    digest_name(&id.to_string())
}

fn group_name(id: ControlSessionId) -> String {
    digest_name(&id.to_string())
}

fn digest_name(id: &str) -> String {
    blake3::hash(id.as_bytes()).to_hex().as_str()[..32].to_owned()
}

#[cfg(test)]
mod tests;
