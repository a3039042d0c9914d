//! How a server comes to the sessions of another one that has gone, and keeps its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use simulator_api::{BacktestError, SessionId};
use simulator_archive::{Archive, ArchiveDigest};
use simulator_engine::ENGINE_VERSION;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::directory::StateDirectoryError;
use super::keeping::{Keeping, Unfinished};
use super::store::{Birth, Kept, Orphan, Orphans, SessionStore};
use crate::clock;
use crate::command_log::{CommandLog, MemoryCommandLog};
use crate::config::Limits;
use crate::convert::{SessionSpec, session_spec_again};
use crate::handle::SessionHandle;
use crate::keys::Owner;
use crate::launch::{Launch, launch};
use crate::lifetime::{Creation, Wanted};
use crate::seat::Seat;
use crate::state::State;
use crate::worker::Past;

/// Where a server keeps its sessions.
#[derive(Debug)]
pub(crate) struct Durability {
    pub(super) store: Arc<dyn SessionStore>,
    /// Sessions that are restored at a time: each has a thread of its own that has much to do.
    turns: Semaphore,
    /// Sessions that cannot be restored by this server, and may be by another one.
    parked: Mutex<Vec<Keeping>>,
}

/// What a session is restored from.
struct Remains {
    spec: SessionSpec,
    birth: Birth,
    past: Past,
    commands: Box<dyn CommandLog>,
    keeping: Keeping,
}

/// Why a session cannot be driven or looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Absent {
    /// Unknown, ended and foreign ones look the same.
    #[error("no such session")]
    Unknown,
    /// It will be there soon, here or elsewhere.
    #[error("the session is being restored")]
    Coming,
}

/// Why a session is not restored.
#[derive(Debug, Error)]
pub(super) enum RestoreError {
    #[error("none of the archives that are served is {0}, over which the session runs")]
    NoArchive(ArchiveDigest),
    #[error("there is no place for the session")]
    NoPlace(#[source] BacktestError),
    #[error("the session cannot be brought to where it was")]
    Failed(#[source] BacktestError),
}

impl Durability {
    pub(crate) fn new(store: Arc<dyn SessionStore>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            store,
            turns: Semaphore::new(cores),
            parked: Mutex::default(),
        }
    }
}

/// Keeping.
impl State {
    /// Begins to keep a session that is about to be made.
    ///
    /// # Errors
    /// `internal` if it cannot be written down.
    pub(crate) async fn keep(
        &self,
        id: SessionId,
        wanted: &Wanted,
        archive: &Archive,
    ) -> Result<(Box<dyn CommandLog>, Unfinished), BacktestError> {
        let Some(durability) = &self.durability else {
            let commands = MemoryCommandLog::new(self.limits.command_log_bytes);
            return Ok((Box::new(commands), Unfinished::new(Keeping::default())));
        };
        let birth = Birth {
            id,
            owner: wanted.owner.clone(),
            request: wanted.request.clone(),
            archive: archive.digest(),
            data_bytes: self.limits.data_bytes,
            engine: ENGINE_VERSION.to_owned(),
        };
        let store = Arc::clone(&durability.store);
        // What is returned to nobody takes back what was written.
        let keep = move || {
            let Kept { commands, custody } = store.keep(&birth)?;
            Ok((commands, Unfinished::new(Keeping::new(custody))))
        };
        let kept = tokio::task::spawn_blocking(keep).await;
        kept.map_err(|error| not_kept(&error))?
            .map_err(|error: StateDirectoryError| not_kept(&error))
    }
}

/// Restoring.
impl State {
    /// Takes over the sessions that no process owns, and says that this one lives.
    pub(crate) async fn adopt_orphans(self: &Arc<Self>) {
        let Some(durability) = &self.durability else { return };
        let store = Arc::clone(&durability.store);
        let found = tokio::task::spawn_blocking(move || -> Result<_, StateDirectoryError> {
            let orphans = store.orphans()?;
            store.beat()?;
            Ok(orphans)
        });
        let orphans: Orphans = match found.await {
            Ok(Ok(orphans)) => orphans,
            Ok(Err(error)) => return report("the sessions that are kept cannot be looked through", &error),
            Err(error) => return report("the sessions that are kept were not looked through", &error),
        };
        for group in orphans.groups {
            match group {
                Ok(group) => self.adopt_group(group, clock::now().into()).await,
                Err(error) => report("which sessions belong together is lost", &error),
            }
        }
        for orphan in orphans.sessions {
            match orphan {
                Ok(orphan) => self.adopt(orphan, clock::now().into()).await,
                Err(error) => report("a session is lost", &error),
            }
        }
    }

    /// Takes over what other servers leave behind, until this one stops.
    pub(crate) async fn watch_orphans(self: Arc<Self>) {
        let mut rounds = interval(self.times.adoption);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watch = async {
            loop {
                rounds.tick().await;
                self.adopt_orphans().await;
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = watch => {}
        }
    }

    async fn adopt(self: &Arc<Self>, orphan: Orphan, now: SystemTime) {
        let spec = match session_spec_again(&orphan.birth.request, &self.times) {
            Ok(spec) => spec,
            Err(error) => {
                report("a session cannot be restored", &error);
                return Keeping::new(orphan.kept.custody).set_aside().await;
            }
        };
        let wanted = Wanted {
            request: orphan.birth.request.clone(),
            owner: orphan.birth.owner.clone(),
            spec,
        };
        self.adopt_as(wanted, orphan, now).await;
    }

    /// Begins to restore a session that is to be this one, unless it is too late for that.
    pub(super) async fn adopt_as(
        self: &Arc<Self>,
        wanted: Wanted,
        orphan: Orphan,
        now: SystemTime,
    ) -> Option<Arc<Creation>> {
        let Orphan {
            birth,
            past,
            driven,
            kept: Kept { commands, custody },
        } = orphan;
        let keeping = Keeping::new(custody);
        if is_late(driven, now, wanted.spec.disconnect) {
            tracing::info!("a session to which nobody came back in time has ended");
            keeping.remove().await;
            return None;
        }
        if birth.engine != ENGINE_VERSION {
            tracing::warn!(
                was = birth.engine,
                is = ENGINE_VERSION,
                "a session is restored by another engine"
            );
        }
        let id = birth.id;
        let remains = Remains {
            spec: wanted.spec.clone(),
            birth,
            past,
            commands,
            keeping,
        };
        let restored = Arc::clone(self).restore(remains);
        Some(self.begin_again(wanted, id, restored))
    }

    async fn restore(self: Arc<Self>, remains: Remains) -> Result<Arc<SessionHandle>, BacktestError> {
        let (number, keeping) = (self.registry.next_number(), remains.keeping.clone());
        let events = remains.past.progress.reached;
        match self.relaunch(number, remains).await {
            Ok(session) => {
                tracing::info!(session = number, events, "a session was restored");
                Ok(session)
            }
            Err(error) => {
                report("a session is not restored", &error);
                match &error {
                    RestoreError::Failed(_) => keeping.set_aside().await,
                    RestoreError::NoArchive(_) | RestoreError::NoPlace(_) => self.park(keeping),
                }
                Err(BacktestError::Internal {
                    error: error.to_string(),
                })
            }
        }
    }

    async fn relaunch(&self, number: u64, remains: Remains) -> Result<Arc<SessionHandle>, RestoreError> {
        let Remains { spec, birth, .. } = remains;
        let archive = self.archives.called(birth.archive);
        let archive = archive.ok_or(RestoreError::NoArchive(birth.archive))?;
        let place = self.place(&birth.owner, spec.disconnect).await;
        let place = place.map_err(RestoreError::NoPlace)?;
        let _turn = match &self.durability {
            Some(durability) => durability.turns.acquire().await.ok(),
            None => None,
        };
        let keyframe = self
            .archives
            .keyframe(archive, *spec.range.start(), &spec.options)
            .await;
        let keyframe = keyframe.map_err(|error| RestoreError::Failed(internal(&error)))?;
        let limits = Limits {
            data_bytes: birth.data_bytes,
            ..self.limits.clone()
        };
        let launched = launch(Launch {
            id: birth.id,
            number,
            spec,
            archive,
            keyframe,
            limits: &limits,
            completed_hold: self.times.completed_hold,
            data_grace: self.times.data_grace,
            commands: remains.commands,
            past: Some(remains.past),
            keeping: remains.keeping,
            meter: self.session_meter(&birth.owner, place.key),
            place: place.server,
            data_pool: &self.data_pool,
        });
        launched.await.map_err(RestoreError::Failed)
    }

    /// Keeps others from trying again and again.
    pub(super) fn park(&self, keeping: Keeping) {
        if let Some(durability) = &self.durability {
            let mut parked = durability.parked.lock().unwrap_or_else(PoisonError::into_inner);
            parked.push(keeping);
        }
    }
}

/// Finding.
impl State {
    /// The session with this id, for its data channel. One that is being restored is waited for, for a while.
    ///
    /// # Errors
    /// [`Absent`]
    pub(crate) async fn session(&self, id: SessionId) -> Result<Arc<SessionHandle>, Absent> {
        if let Some(session) = self.registry.get(id) {
            return Ok(session);
        }
        self.arrival(id, None).await?;
        self.registry.get(id).ok_or(Absent::Unknown)
    }

    /// The session with this id, to be driven by its owner. One that is being restored is waited for, for a while.
    ///
    /// # Errors
    /// [`Absent`]
    pub(crate) async fn owned_session(
        &self,
        id: SessionId,
        owner: &Owner,
    ) -> Result<(Arc<SessionHandle>, Arc<Seat>), Absent> {
        if let Some(registered) = self.registry.owned(id, owner) {
            return Ok(registered);
        }
        match self.arrival(id, Some(owner)).await {
            Err(Absent::Unknown) if self.is_elsewhere(id, owner).await => return Err(Absent::Coming),
            arrived => arrived?,
        }
        self.registry.owned(id, owner).ok_or(Absent::Unknown)
    }

    /// Waits for a session that is being restored.
    async fn arrival(&self, id: SessionId, owner: Option<&Owner>) -> Result<(), Absent> {
        let creation = self.registry.expected(id, owner).ok_or(Absent::Unknown)?;
        match timeout(self.times.probe_limit, creation.made()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Absent::Unknown),
            Err(_) => Err(Absent::Coming),
        }
    }

    async fn is_elsewhere(&self, id: SessionId, owner: &Owner) -> bool {
        let Some(durability) = &self.durability else {
            return false;
        };
        let (store, owner) = (Arc::clone(&durability.store), owner.clone());
        let look = tokio::task::spawn_blocking(move || store.is_elsewhere(id, &owner));
        look.await.unwrap_or(false)
    }
}

/// Whether nobody came back to what was last driven then.
pub(super) fn is_late(driven: SystemTime, now: SystemTime, window: Duration) -> bool {
    now.duration_since(driven).unwrap_or_default() > window
}

pub(super) fn report(what: &str, error: &(dyn std::error::Error + 'static)) {
    tracing::error!(error, "{what}");
}

fn internal(error: &dyn std::error::Error) -> BacktestError {
    BacktestError::Internal {
        error: error.to_string(),
    }
}

/// Where sessions are kept is the operator's business.
pub(super) fn not_kept(error: &(dyn std::error::Error + 'static)) -> BacktestError {
    report("a session is not made, because it cannot be kept", error);
    BacktestError::Internal {
        error: "the server cannot write the session down; try again later".to_owned(),
    }
}
