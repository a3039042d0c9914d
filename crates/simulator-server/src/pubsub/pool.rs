//! What the data of all sessions takes together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory that the logs of all sessions share.
#[derive(Debug)]
pub(crate) struct DataPool {
    max: usize,
    used: AtomicUsize,
    logs: AtomicUsize,
}

/// One log's part of it, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    pool: Arc<DataPool>,
    bytes: AtomicUsize,
}

impl DataPool {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            used: AtomicUsize::new(0),
            logs: AtomicUsize::new(0),
        })
    }

    /// Bytes that all logs hold, about.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How much one log may hold: what it wants, or an equal share if they hold too much together. Logs of sessions that
    /// have ended count as well, as long as somebody reads them.
    fn allowed(&self, wanted: usize) -> usize {
        if self.used() <= self.max {
            return wanted;
        }
        let logs = self.logs.load(Ordering::Relaxed).max(1);
        wanted.min(self.max / logs)
    }
}

impl Share {
    pub(super) fn new(pool: &Arc<DataPool>) -> Self {
        pool.logs.fetch_add(1, Ordering::Relaxed);
        Self {
            pool: Arc::clone(pool),
            bytes: AtomicUsize::new(0),
        }
    }

    /// How much the log may hold now.
    pub(super) fn allowed(&self, wanted: usize) -> usize {
        self.pool.allowed(wanted)
    }

    /// The log holds so much now.
    pub(super) fn set(&self, bytes: usize) {
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        self.pool.used.fetch_add(bytes, Ordering::Relaxed);
        self.pool.used.fetch_sub(before, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
        self.pool.logs.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_equal_when_there_is_too_little() {
        let pool = DataPool::new(100);
        let (one, other) = (Share::new(&pool), Share::new(&pool));
        one.set(80);
        other.set(20);
        assert_eq!(one.allowed(90), 90);
        other.set(21);
        assert_eq!((one.allowed(90), other.allowed(90), other.allowed(10)), (50, 50, 10));
        drop(one);
        assert_eq!((pool.used(), other.allowed(90)), (21, 90));
        drop(other);
        assert_eq!(pool.used(), 0);
    }
}
