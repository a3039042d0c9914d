//! The directory of one session, or of what several have in common.

use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::files::{
    Lock, Locked, StateDirectoryError, failed, lock, make_directory, modified, names, sync_directory, write_mark,
};
use super::{ALIVE, SET_ASIDE};
use crate::durable::store::Custody;

pub(super) const OWNER: &str = "owner";
pub(super) const VACANT: &str = "vacant";
/// What the names of directories begin with that are not complete yet, or not any more.
const UNNAMED: &str = ".";

/// A directory that holds a place for each of many things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// Of sessions.
    Sessions,
    /// Of what the sessions of a parallel session have in common.
    Groups,
}

/// Somebody's own directory, as long as this process owns it.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
    folder: Folder,
    name: String,
    lock: Arc<Lock>,
}

/// Whose a place is.
pub(super) enum Found {
    /// This process's own from now on.
    Here(Place),
    Elsewhere,
    /// Nobody's: there is none.
    Gone,
}

impl Folder {
    pub(super) fn path(self, root: &Path) -> PathBuf {
        root.join(match self {
            Self::Sessions => "sessions",
            Self::Groups => "groups",
        })
    }

    /// The names of the places in it, in order.
    pub(super) fn names(self, root: &Path) -> Result<Vec<String>, StateDirectoryError> {
        let mut names = names(&self.path(root))?;
        names.retain(|name| !name.starts_with(UNNAMED));
        Ok(names)
    }

    /// Removes what processes have left behind that died while they made a place, or took one apart. One that lives and
    /// has made its directory, but not yet locked it, finds it gone or locked, and tells its client to try again. What
    /// cannot be removed stays: it is in nobody's way.
    pub(super) fn sweep(self, root: &Path) -> Result<(), StateDirectoryError> {
        let folder = self.path(root);
        for name in names(&folder)?.iter().filter(|name| name.starts_with(UNNAMED)) {
            let path = folder.join(name);
            if path.is_dir()
                && let Err(error) = sweep_up(&path)
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what a crash left behind is still there"
                );
            }
        }
        Ok(())
    }
}

/// Removes a place without a name, unless a living process is at work there.
fn sweep_up(path: &Path) -> Result<(), StateDirectoryError> {
    match lock(&path.join(OWNER))? {
        Locked::Here(_lock) => remove_locked(path),
        Locked::Elsewhere | Locked::Gone => Ok(()),
    }
}

/// Removes a place that this process has locked. The lock is the last to go: whatever is left by a crash can be locked
/// and removed by others.
fn remove_locked(path: &Path) -> Result<(), StateDirectoryError> {
    for name in names(path)?.iter().filter(|name| *name != OWNER) {
        let inside = path.join(name);
        fs::remove_file(&inside).map_err(failed("remove", &inside))?;
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

impl Place {
    /// Makes a place, with what `fill` writes into it: it is there as a whole, or not at all.
    pub(super) fn make<T>(
        root: &Path,
        folder: Folder,
        name: String,
        fill: impl FnOnce(&Path) -> Result<T, StateDirectoryError>,
    ) -> Result<(Self, T), StateDirectoryError> {
        let all = folder.path(root);
        let unnamed = all.join(format!("{UNNAMED}{name}"));
        let made = || {
            make_directory(&unnamed, &mut DirBuilder::new())?;
            let owner = unnamed.join(OWNER);
            let Locked::Here(lock) = lock(&owner)? else {
                return Err(failed("lock", &owner)(io::ErrorKind::WouldBlock.into()));
            };
            let content = fill(&unnamed)?;
            sync_directory(&unnamed)?;
            let named = all.join(&name);
            fs::rename(&unnamed, &named).map_err(failed("make", &named))?;
            sync_directory(&all)?;
            Ok((lock, content))
        };
        let (lock, content) = made().inspect_err(|_| {
            // Nobody knows it yet; what is left is swept up at the next start.
            drop(fs::remove_dir_all(&unnamed));
        })?;
        let root = root.to_owned();
        let place = Self {
            root,
            folder,
            name,
            lock,
        };
        Ok((place, content))
    }

    /// Takes a place over, if nobody owns it.
    pub(super) fn take(root: &Path, folder: Folder, name: &str) -> Result<Found, StateDirectoryError> {
        let locked = lock(&folder.path(root).join(name).join(OWNER))?;
        Ok(match locked {
            Locked::Here(lock) => Found::Here(Self {
                root: root.to_owned(),
                folder,
                name: name.to_owned(),
                lock,
            }),
            Locked::Elsewhere => Found::Elsewhere,
            Locked::Gone => Found::Gone,
        })
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.folder.path(&self.root).join(&self.name)
    }

    pub(super) fn lock(&self) -> &Arc<Lock> {
        &self.lock
    }

    /// When a connection was last there: until the place became vacant, or until no server was alive any more.
    pub(super) fn driven_until(&self) -> Result<SystemTime, StateDirectoryError> {
        let vacant = self.mark();
        match modified(&vacant) {
            Ok(since) => Ok(since),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let alive = self.root.join(ALIVE);
                modified(&alive).map_err(failed("read the time of", &alive))
            }
            Err(error) => Err(failed("read the time of", &vacant)(error)),
        }
    }

    /// Where it is when it has been set aside.
    pub(super) fn aside(&self) -> PathBuf {
        self.root.join(SET_ASIDE).join(&self.name)
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
        let unnamed = self.folder.path(&self.root).join(format!("{UNNAMED}{}", self.name));
        fs::rename(self.directory(), &unnamed).map_err(failed("remove", &self.directory()))?;
        remove_locked(&unnamed)
    }

    fn set_aside(&self) -> Result<(), StateDirectoryError> {
        fs::rename(self.directory(), self.aside()).map_err(failed("set aside", &self.directory()))
    }
}
