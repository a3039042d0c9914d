//! How many connections there may be.
//!
//! When all places are taken, the one that has been without a request for longest gives way: connections that do
//! nothing must not keep others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::traffic::Traffic;

/// The places of all connections.
#[derive(Debug)]
pub(crate) struct Gate {
    max: usize,
    places: Mutex<Places>,
}

/// A connection's place, and its right to it; given back when the last one who holds it drops it.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    pub(super) traffic: Arc<Traffic>,
    /// Present while it is without a request.
    waiting: Mutex<Option<u64>>,
}

#[derive(Debug, Default)]
struct Places {
    taken: usize,
    next: u64,
    /// Connections without a request, in the order in which they began to wait for one.
    waiting: BTreeMap<u64, Arc<Traffic>>,
}

impl Gate {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            places: Mutex::default(),
        })
    }

    /// A place for one more connection, if there is one or one can be made.
    pub(super) fn admit(self: &Arc<Self>, traffic: Arc<Traffic>) -> Option<Arc<Place>> {
        let mut places = lock(&self.places);
        if places.taken >= self.max {
            // Its place becomes free when it has ended, which takes a moment.
            let (_, longest) = places.waiting.pop_first()?;
            longest.evict();
        }
        places.taken += 1;
        let number = places.wait(&traffic);
        Some(Arc::new(Place {
            gate: Arc::clone(self),
            traffic,
            waiting: Mutex::new(Some(number)),
        }))
    }
}

impl Place {
    /// A request is there: the connection need not give way any more.
    pub(super) fn serving(&self) {
        if let Some(number) = lock(&self.waiting).take() {
            lock(&self.gate.places).waiting.remove(&number);
        }
        self.traffic.serving();
    }

    /// The request was answered, and the connection is without one again.
    pub(super) fn answered(&self) {
        let number = lock(&self.gate.places).wait(&self.traffic);
        *lock(&self.waiting) = Some(number);
        self.traffic.answered();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let waiting = lock(&self.waiting).take();
        let mut places = lock(&self.gate.places);
        places.taken -= 1;
        if let Some(number) = waiting {
            places.waiting.remove(&number);
        }
    }
}

impl Places {
    fn wait(&mut self, traffic: &Arc<Traffic>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, Arc::clone(traffic));
        number
    }
}

fn lock<T>(guarded: &Mutex<T>) -> MutexGuard<'_, T> {
    guarded.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::traffic::Patience;
    use super::*;

    fn connection() -> Arc<Traffic> {
        let limits = Patience {
            head: Duration::MAX / 4,
            idle: Duration::MAX / 4,
        };
        Traffic::new(limits, Arc::default())
    }

    fn is_evicted(place: &Place) -> bool {
        place.traffic.is_evicted()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_longest_gives_way() {
        let gate = Gate::new(3);
        let all: Vec<_> = (0..3).map(|_| gate.admit(connection()).unwrap()).collect();
        all[0].serving();
        all[0].answered();
        all[1].serving();
        let fourth = gate.admit(connection()).unwrap();
        let evicted: Vec<_> = all.iter().map(|place| is_evicted(place)).collect();
        assert_eq!(evicted, [false, false, true]);
        all[0].serving();
        fourth.serving();
        assert!(gate.admit(connection()).is_none(), "all of them are busy");
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_given_back() {
        let gate = Gate::new(1);
        let first = gate.admit(connection()).unwrap();
        first.serving();
        assert!(gate.admit(connection()).is_none());
        let held_by_its_socket = Arc::clone(&first);
        drop(first);
        assert!(gate.admit(connection()).is_none());
        drop(held_by_its_socket);
        assert!(gate.admit(connection()).is_some());
        assert!(lock(&gate.places).waiting.is_empty() && lock(&gate.places).taken == 0);
    }
}
