//! The sessions that live, and how many more there may be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use simulator_api::{BacktestError, ControlSessionId, SessionId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::group::Group;
use crate::handle::SessionHandle;
use crate::keys::Owner;
use crate::lifetime::Creation;
use crate::seat::Seat;

/// The sessions of a server.
#[derive(Debug)]
pub(crate) struct Registry {
    known: Mutex<Known>,
    places: Arc<Semaphore>,
    max_sessions: usize,
    /// How many sessions were numbered.
    numbered: AtomicU64,
}

/// What [`Registry`] guards.
#[derive(Debug, Default)]
struct Known {
    sessions: BTreeMap<SessionId, Registered>,
    groups: BTreeMap<ControlSessionId, Arc<Group>>,
    creations: BTreeMap<CreateToken, Making>,
    /// Those that are being restored.
    expected: BTreeMap<SessionId, (Owner, Arc<Creation>)>,
}

/// A session, and who may drive it.
#[derive(Clone, Debug)]
struct Registered {
    handle: Arc<SessionHandle>,
    seat: Arc<Seat>,
    owner: Owner,
}

/// What a create has begun.
#[derive(Clone, Debug)]
pub(crate) enum Making {
    /// A session.
    Session(Arc<Creation>),
    /// Several.
    Group(Arc<Group>),
}

impl Making {
    fn seat(&self) -> &Arc<Seat> {
        match self {
            Self::Session(creation) => &creation.seat,
            Self::Group(group) => &group.seat,
        }
    }
}

/// A create token counts for one key only.
pub(crate) type CreateToken = (Owner, String);

impl Registry {
    pub(crate) fn new(max_sessions: usize) -> Self {
        Self {
            known: Mutex::default(),
            places: Arc::new(Semaphore::new(max_sessions)),
            max_sessions,
            numbered: AtomicU64::new(0),
        }
    }

    /// A number for the next session, by which the log can name it: its id is a secret.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbered.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A place for one more session, within a time.
    ///
    /// # Errors
    /// `invalidRequest` if none became free.
    pub(crate) async fn place(&self, patience: Duration) -> Result<OwnedSemaphorePermit, BacktestError> {
        self.acquire(1, patience).await
    }

    /// Places for several sessions, all of them or none, within a time.
    ///
    /// # Errors
    /// `invalidRequest` if too few became free, or there never are so many.
    pub(crate) async fn places(
        &self,
        count: usize,
        patience: Duration,
    ) -> Result<Vec<OwnedSemaphorePermit>, BacktestError> {
        if count > self.max_sessions {
            return Err(BacktestError::InvalidRequest {
                error: format!(
                    "the range lies in {count} archives, and this server has at most {} sessions: ask for a part of it",
                    self.max_sessions
                ),
            });
        }
        let mut all = self.acquire(count, patience).await?;
        let others = (1..count).map_while(|_| all.split(1)).collect::<Vec<_>>();
        Ok(others.into_iter().chain([all]).collect())
    }

    async fn acquire(&self, count: usize, patience: Duration) -> Result<OwnedSemaphorePermit, BacktestError> {
        let permits = u32::try_from(count).unwrap_or(u32::MAX);
        if let Ok(places) = Arc::clone(&self.places).try_acquire_many_owned(permits) {
            return Ok(places);
        }
        let waiting = tokio::time::timeout(patience, Arc::clone(&self.places).acquire_many_owned(permits)).await;
        waiting
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| BacktestError::InvalidRequest {
                error: format!(
                    "all {} sessions of this server are in use; try again later, or set capacityWaitTimeoutSecs",
                    self.max_sessions
                ),
            })
    }

    /// Makes a session known.
    pub(crate) fn insert(&self, handle: Arc<SessionHandle>, seat: Arc<Seat>, owner: Owner) {
        let id = handle.id;
        let mut known = self.lock();
        known.expected.remove(&id);
        known.sessions.insert(id, Registered { handle, seat, owner });
    }

    /// Makes known that a session is being restored.
    pub(crate) fn expect(&self, id: SessionId, owner: Owner, creation: Arc<Creation>) {
        self.lock().expected.insert(id, (owner, creation));
    }

    /// A session cannot be restored.
    pub(crate) fn expect_no_more(&self, id: SessionId) {
        self.lock().expected.remove(&id);
    }

    /// Whether any session is being restored.
    pub(crate) fn is_expecting(&self) -> bool {
        !self.lock().expected.is_empty()
    }

    /// The session with this id that is being restored; with an owner, only if it is that one's.
    pub(crate) fn expected(&self, id: SessionId, owner: Option<&Owner>) -> Option<Arc<Creation>> {
        let known = self.lock();
        let (owned_by, creation) = known.expected.get(&id)?;
        owner
            .is_none_or(|owner| owner == owned_by)
            .then(|| Arc::clone(creation))
    }

    /// Forgets a session.
    pub(crate) fn remove(&self, id: SessionId) {
        self.lock().sessions.remove(&id);
    }

    /// The session with this id.
    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<SessionHandle>> {
        let known = self.lock();
        known.sessions.get(&id).map(|registered| Arc::clone(&registered.handle))
    }

    /// The session with this id, to be driven by its owner.
    pub(crate) fn owned(&self, id: SessionId, owner: &Owner) -> Option<(Arc<SessionHandle>, Arc<Seat>)> {
        let known = self.lock();
        let registered = known
            .sessions
            .get(&id)
            .filter(|registered| registered.owner == *owner)?;
        Some((Arc::clone(&registered.handle), Arc::clone(&registered.seat)))
    }

    /// Reserves a token for what a create begins, unless an earlier one has it that is not over; returns that one.
    pub(crate) fn reserve(&self, token: &CreateToken, making: &Making) -> Option<Making> {
        let mut known = self.lock();
        if let Some(earlier) = known.creations.get(token)
            && !earlier.seat().is_over()
        {
            return Some(earlier.clone());
        }
        known.creations.insert(token.clone(), making.clone());
        None
    }

    /// Frees a token, unless it is a later one's by now than that of this seat.
    pub(crate) fn release(&self, token: &CreateToken, seat: &Arc<Seat>) {
        let mut known = self.lock();
        if known
            .creations
            .get(token)
            .is_some_and(|current| Arc::ptr_eq(current.seat(), seat))
        {
            known.creations.remove(token);
        }
    }

    /// Makes a parallel session known.
    pub(crate) fn insert_group(&self, group: &Arc<Group>) {
        self.lock().groups.insert(group.id, Arc::clone(group));
    }

    /// Forgets a parallel session. Its sessions are not touched.
    pub(crate) fn remove_group(&self, id: ControlSessionId) {
        self.lock().groups.remove(&id);
    }

    /// The parallel session with this id, to be driven by its owner.
    pub(crate) fn owned_group(&self, id: ControlSessionId, owner: &Owner) -> Option<Arc<Group>> {
        let known = self.lock();
        known.groups.get(&id).filter(|group| group.owner == *owner).cloned()
    }

    /// Every session.
    pub(crate) fn all(&self) -> Vec<Arc<SessionHandle>> {
        self.lock()
            .sessions
            .values()
            .map(|registered| Arc::clone(&registered.handle))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
