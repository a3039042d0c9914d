//! Which requests a session has seen.

use std::collections::{BTreeSet, VecDeque};

use simulator_api::RequestId;

/// How many request ids a session remembers: a client repeats a request after a reconnect, not thousands later.
pub(crate) const REMEMBERED_REQUESTS: usize = 4096;

/// The latest request ids of a session, so that a repeated one is not applied twice.
#[derive(Debug, Default)]
pub(crate) struct SeenRequests {
    ids: BTreeSet<RequestId>,
    oldest_first: VecDeque<RequestId>,
}

impl SeenRequests {
    pub(crate) fn contains(&self, id: &RequestId) -> bool {
        self.ids.contains(id)
    }

    pub(crate) fn remember(&mut self, id: &RequestId) {
        if !self.ids.insert(id.clone()) {
            return;
        }
        self.oldest_first.push_back(id.clone());
        if self.oldest_first.len() > REMEMBERED_REQUESTS
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_only() {
        let id = |n: usize| RequestId::new(n.to_string()).unwrap();
        let mut seen = SeenRequests::default();
        (0..=REMEMBERED_REQUESTS).for_each(|n| seen.remember(&id(n)));
        assert!(!seen.contains(&id(0)));
        assert!(seen.contains(&id(1)));
        assert!(seen.contains(&id(REMEMBERED_REQUESTS)));
    }
}
