//! Sessions that outlive the process: their commands on disk, and who owns them.
//!
//! A session is a function of its archive, its create and its commands. [`SessionStore`] keeps these, and hands the
//! sessions that nobody owns to whoever asks; the one there is keeps them in a [directory](StateDirectory), so that
//! servers which share it never run a session twice. What is written when, and what that guarantees, is in
//! `docs/durability.md`; the format of the file is in `frame` and `stored`.

mod directory;
mod file_log;
mod frame;
mod keeping;
mod names_file;
mod regroup;
mod restore;
mod store;
mod stored;

pub use directory::StateDirectoryError;

pub(crate) use directory::StateDirectory;
pub(crate) use keeping::Keeping;
pub(crate) use names_file::{GivenName, NamesFile};
pub(crate) use restore::{Absent, Durability};
pub(crate) use store::{GroupBirth, PartBirth};
