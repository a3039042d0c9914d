//! The seams to whatever keeps sessions: a directory, or one day a log that several machines share.

use std::fmt;
use std::time::SystemTime;

use simulator_api::{CreateBacktestSessionRequest, SessionId};
use simulator_archive::ArchiveDigest;

use super::directory::StateDirectoryError;
use crate::command_log::CommandLog;
use crate::keys::Owner;
use crate::worker::Past;

/// Where sessions are kept so that they outlive the process. What it does may take as long as a disk takes.
pub(crate) trait SessionStore: fmt::Debug + Send + Sync {
    /// Begins to keep a session, which is this process's own from now on. When this returns, it is not lost any more.
    fn keep(&self, birth: &Birth) -> Result<Kept, StateDirectoryError>;

    /// Takes over the sessions that no process owns. Those that cannot be read are set aside.
    fn orphans(&self) -> Result<Vec<Result<Orphan, StateDirectoryError>>, StateDirectoryError>;

    /// Says that this process lives.
    fn beat(&self) -> Result<(), StateDirectoryError>;

    /// Whether a session of this owner is here, and another process has it.
    fn is_elsewhere(&self, id: SessionId, owner: &Owner) -> bool;
}

/// The ownership of one session. No other process has it until this, and the session's log, are dropped.
pub(crate) trait Custody: fmt::Debug + Send + Sync {
    /// A connection drives the session.
    fn driven(&self) -> Result<(), StateDirectoryError>;

    /// From now on no connection drives the session.
    fn vacant(&self) -> Result<(), StateDirectoryError>;

    /// The session has ended: nothing of it is kept.
    fn remove(&self) -> Result<(), StateDirectoryError>;

    /// The session cannot go on: it is kept for whoever looks into it, and is no session any more.
    fn set_aside(&self) -> Result<(), StateDirectoryError>;
}

/// What a session is made from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Birth {
    pub(crate) id: SessionId,
    /// The name of the key only.
    pub(crate) owner: Owner,
    /// As the client sent it.
    pub(crate) request: Box<CreateBacktestSessionRequest>,
    pub(crate) archive: ArchiveDigest,
    /// How much of its own data a client may send in one slot: it decides what is refused.
    pub(crate) data_bytes: usize,
    /// What executes the session.
    pub(crate) engine: String,
}

/// A session that is kept.
pub(crate) struct Kept {
    pub(crate) commands: Box<dyn CommandLog>,
    pub(crate) custody: Box<dyn Custody>,
}

/// A session whose process has gone.
pub(crate) struct Orphan {
    pub(crate) birth: Birth,
    pub(crate) past: Past,
    /// When a connection last drove it, as far as that is known.
    pub(crate) driven: SystemTime,
    pub(crate) kept: Kept,
}
