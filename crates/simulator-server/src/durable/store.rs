//! The seams to whatever keeps sessions: a directory, or one day a log that several machines share.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::SystemTime;

use simulator_api::{ControlSessionId, CreateBacktestSessionRequest, SessionId};
use simulator_archive::ArchiveDigest;
use simulator_archive::model::Slot;

use super::directory::StateDirectoryError;
use crate::command_log::CommandLog;
use crate::keys::Owner;
use crate::worker::Past;

/// Where sessions are kept so that they outlive the process. What it does may take as long as a disk takes.
pub(crate) trait SessionStore: fmt::Debug + Send + Sync {
    /// Begins to keep a session, which is this process's own from now on. When this returns, it is not lost any more.
    fn keep(&self, birth: &Birth) -> Result<Kept, StateDirectoryError>;

    /// Begins to keep that sessions, each of which is kept, belong together.
    fn keep_group(&self, group: &GroupBirth) -> Result<Box<dyn Custody>, StateDirectoryError>;

    /// Takes over the sessions that no process owns. Those that cannot be read are set aside.
    fn orphans(&self) -> Result<Orphans, StateDirectoryError>;

    /// Says that this process lives.
    fn beat(&self) -> Result<(), StateDirectoryError>;

    /// Whether a session of this owner is here, and another process has it.
    fn is_elsewhere(&self, id: SessionId, owner: &Owner) -> bool;

    /// Whether several sessions of this owner are here that belong together, and another process has them.
    fn is_group_elsewhere(&self, id: ControlSessionId, owner: &Owner) -> bool;
}

/// The ownership of one session, or of what several have in common. No other process has it until this, and the session's
/// log, are dropped.
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

/// What several sessions have in common.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupBirth {
    pub(crate) id: ControlSessionId,
    /// The name of the key only.
    pub(crate) owner: Owner,
    /// As the client sent it.
    pub(crate) request: Box<CreateBacktestSessionRequest>,
    /// In slot order.
    pub(crate) parts: Vec<PartBirth>,
}

/// One of several sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartBirth {
    pub(crate) id: SessionId,
    pub(crate) range: RangeInclusive<Slot>,
}

/// Several sessions that belong together, whose process has gone.
pub(crate) struct OrphanGroup {
    pub(crate) birth: GroupBirth,
    /// When a connection last drove them together, as far as that is known.
    pub(crate) driven: SystemTime,
    pub(crate) custody: Box<dyn Custody>,
    /// As many as it was born with: each is there, has ended, or cannot be read.
    pub(crate) parts: Vec<Result<Option<Orphan>, StateDirectoryError>>,
}

/// What processes that have gone left behind.
pub(crate) struct Orphans {
    pub(crate) groups: Vec<Result<OrphanGroup, StateDirectoryError>>,
    /// Those that belong to no others.
    pub(crate) sessions: Vec<Result<Orphan, StateDirectoryError>>,
}
