//! The sessions that live, and how many more there may be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use simulator_api::{BacktestError, SessionId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::handle::SessionHandle;
use crate::keys::Owner;

/// The sessions of a server.
#[derive(Debug)]
pub(crate) struct Registry {
    sessions: Mutex<BTreeMap<SessionId, Registered>>,
    places: Arc<Semaphore>,
    max_sessions: usize,
    /// How many sessions were numbered.
    numbered: AtomicU64,
}

/// A session and where it came from.
#[derive(Clone, Debug)]
struct Registered {
    handle: Arc<SessionHandle>,
    token: Option<CreateToken>,
}

/// A create token counts for one key only.
pub(crate) type CreateToken = (Owner, String);

impl Registry {
    pub(crate) fn new(max_sessions: usize) -> Self {
        Self {
            sessions: Mutex::default(),
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
    pub(crate) fn insert(&self, handle: Arc<SessionHandle>, token: Option<CreateToken>) {
        self.lock().insert(handle.id, Registered { handle, token });
    }

    /// Forgets a session.
    pub(crate) fn remove(&self, id: SessionId) {
        self.lock().remove(&id);
    }

    /// The session with this id.
    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<SessionHandle>> {
        self.lock().get(&id).map(|registered| Arc::clone(&registered.handle))
    }

    /// The session that was made with this token.
    pub(crate) fn with_token(&self, token: &CreateToken) -> Option<Arc<SessionHandle>> {
        let sessions = self.lock();
        let made = sessions
            .values()
            .find(|registered| registered.token.as_ref() == Some(token))?;
        Some(Arc::clone(&made.handle))
    }

    /// Every session.
    pub(crate) fn all(&self) -> Vec<Arc<SessionHandle>> {
        self.lock()
            .values()
            .map(|registered| Arc::clone(&registered.handle))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SessionId, Registered>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
