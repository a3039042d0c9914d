//! The sessions that live, and how many more there may be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use simulator_api::{ControlSessionId, SessionId};

use crate::group::Group;
use crate::handle::SessionHandle;
use crate::keys::Owner;
use crate::lifetime::Creation;
use crate::places::{Places, Whose};
use crate::seat::Seat;

/// The sessions of a server.
#[derive(Debug)]
pub(crate) struct Registry {
    known: Mutex<Known>,
    /// How many may live.
    pub(crate) places: Places,
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
            places: Places::new(Whose::Server, max_sessions),
            numbered: AtomicU64::new(0),
        }
    }

    /// A number for the next session, by which the log can name it: its id is a secret.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbered.fetch_add(1, Ordering::Relaxed) + 1
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
