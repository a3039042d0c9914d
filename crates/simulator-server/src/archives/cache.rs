//! States that are loaded once for all sessions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use simulator_archive::ArchiveDigest;
use simulator_archive::model::Slot;
use tokio::sync::OnceCell;

/// A state: which archive, and which of its keyframes.
pub(super) type Key = (ArchiveDigest, Slot);

/// Where a state is, or will be.
pub(super) type Cell<T> = Arc<OnceCell<Arc<T>>>;

/// States by keyframe.
#[derive(Debug)]
pub(super) struct Cache<T> {
    cells: Mutex<BTreeMap<Key, Cell<T>>>,
    max_idle: usize,
}

impl<T> Cache<T> {
    /// A cache that keeps so many states which no session uses.
    pub(super) fn new(max_idle: usize) -> Self {
        Self {
            cells: Mutex::new(BTreeMap::new()),
            max_idle,
        }
    }

    /// The place of a state. States that no session uses give way above the limit, the first by key.
    pub(super) fn cell(&self, key: Key) -> Cell<T> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        // A load that failed or was given up leaves nothing worth keeping.
        cells.retain(|_, cell| Arc::strong_count(cell) > 1 || cell.get().is_some());
        let cell = Arc::clone(cells.entry(key).or_default());
        let is_idle = |cell: &Cell<T>| {
            Arc::strong_count(cell) == 1 && cell.get().is_none_or(|state| Arc::strong_count(state) == 1)
        };
        let idle = cells.iter().filter(|(_, cell)| is_idle(cell));
        let idle: Vec<Key> = idle.map(|(key, _)| *key).collect();
        for key in idle.iter().take(idle.len().saturating_sub(self.max_idle)) {
            cells.remove(key);
        }
        cell
    }
}
