//! The sessions that live, and how many more there may be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use simulator_api::{BacktestError, SessionId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    creations: BTreeMap<CreateToken, Arc<Creation>>,
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
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let waiting = tokio::time::timeout(patience, Arc::clone(&self.places).acquire_owned()).await;
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

    /// Reserves a token for a creation, unless an earlier one has it that is not over; returns that one.
    pub(crate) fn reserve(&self, token: &CreateToken, creation: &Arc<Creation>) -> Option<Arc<Creation>> {
        let mut known = self.lock();
        if let Some(earlier) = known.creations.get(token)
            && !earlier.seat.is_over()
        {
            return Some(Arc::clone(earlier));
        }
        known.creations.insert(token.clone(), Arc::clone(creation));
        None
    }

    /// Frees the token of a creation, unless it is a later one's by now.
    pub(crate) fn release(&self, token: &CreateToken, creation: &Arc<Creation>) {
        let mut known = self.lock();
        if known
            .creations
            .get(token)
            .is_some_and(|current| Arc::ptr_eq(current, creation))
        {
            known.creations.remove(token);
        }
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
