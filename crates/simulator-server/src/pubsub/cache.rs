//! Results that were written lately. Connections that follow a session at about the same time are told the same: each
//! result is written once for all of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::slots::Position;

/// The latest results, as many as fit into a number of bytes.
#[derive(Debug)]
pub(super) struct Cache(Mutex<Results>);

/// Which result of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CacheKey {
    pub(super) position: Position,
    pub(super) form: Form,
}

/// The forms of a result that are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// A transaction in Solana's default encoding.
    Transaction,
    /// The log of a transaction.
    Logs,
    /// The change of an account, by its place in the record.
    Diff(usize),
    /// What became of an action.
    Action,
}

#[derive(Debug)]
struct Results {
    by_key: BTreeMap<CacheKey, Arc<str>>,
    oldest_first: VecDeque<CacheKey>,
    bytes: usize,
    max_bytes: usize,
}

impl Cache {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self(Mutex::new(Results {
            by_key: BTreeMap::new(),
            oldest_first: VecDeque::new(),
            bytes: 0,
            max_bytes,
        }))
    }

    /// The result that was written before, or else this one. Two connections that need it at the same moment may both
    /// write it.
    pub(super) fn get_or_write(&self, key: CacheKey, write: impl FnOnce() -> String) -> Arc<str> {
        let found = self.with(|results| results.by_key.get(&key).cloned());
        found.unwrap_or_else(|| {
            let written = Arc::from(write());
            self.with(|results| results.add(key, &written));
            written
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Results) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Results {
    fn add(&mut self, key: CacheKey, result: &Arc<str>) {
        if self.by_key.insert(key, Arc::clone(result)).is_none() {
            self.bytes += result.len();
            self.oldest_first.push_back(key);
        }
        while self.bytes > self.max_bytes
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            let forgotten = self.by_key.remove(&oldest);
            self.bytes -= forgotten.map_or(0, |result| result.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(entry: usize) -> CacheKey {
        CacheKey {
            position: Position { slot: 1, entry },
            form: Form::Logs,
        }
    }

    #[test]
    fn writes_once_and_forgets_the_oldest() {
        let cache = Cache::new(10);
        let get = |entry, text: &str| cache.get_or_write(key(entry), || text.to_owned());
        assert_eq!(&*get(1, "first"), "first");
        assert_eq!(&*get(1, "other"), "first");
        get(2, "12345");
        get(3, "6");
        assert_eq!(&*get(1, "again"), "again");
        cache.with(|results| assert!(results.bytes <= 10 && results.by_key.len() == results.oldest_first.len()));
    }
}
