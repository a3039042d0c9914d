//! What subscriptions need to know of slots that are not kept any more: whether they would have been told anything
//! there. One to which little happens can go on after its last notification, however long ago that was.

use std::collections::VecDeque;

use simulator_api::Cursor;
use simulator_archive::model::Slot;

use super::slots::{Entry, Start};
use super::topic::Topic;

/// What the subscriptions that there were would have been told in slots that were forgotten.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    /// In the order in which they were first subscribed to.
    topics: VecDeque<Followed>,
    newest: Option<Slot>,
}

/// A topic that was subscribed to.
#[derive(Debug)]
struct Followed {
    topic: Topic,
    /// Of this slot and those before it nothing is known: they were forgotten before.
    unknown_to: Option<Slot>,
    /// The last notification in the other ones, if there was any.
    last: Option<Cursor>,
}

/// Topics that are followed; the oldest is given up for another one.
const MAX_TOPICS: usize = 1024;

impl Forgotten {
    /// The newest slot that was forgotten.
    pub(super) fn newest(&self) -> Option<Slot> {
        self.newest
    }

    /// Follows a topic from now on, if that is worth while.
    pub(super) fn follow(&mut self, topic: &Topic) {
        if !topic.is_sparse() || self.find(topic).is_some() {
            return;
        }
        if self.topics.len() >= MAX_TOPICS {
            self.topics.pop_front();
        }
        self.topics.push_back(Followed {
            topic: topic.clone(),
            unknown_to: self.newest,
            last: None,
        });
    }

    /// A slot with these entries is forgotten. Slots come in their order.
    pub(super) fn add(&mut self, slot: Slot, entries: &[Entry]) {
        for followed in &mut self.topics {
            let told: usize = entries.iter().map(|entry| followed.topic.items(entry).len()).sum();
            if let Some(index) = told.checked_sub(1) {
                let index = index as u64;
                followed.last = Some(Cursor { slot, index });
            }
        }
        self.newest = Some(slot);
    }

    /// Whether a subscription that begins there would have been told nothing in the slots that were forgotten.
    pub(super) fn missed_nothing(&self, topic: &Topic, start: Start) -> bool {
        let Some(followed) = self.find(topic) else { return false };
        let is_known_in = |slot| followed.unknown_to.is_none_or(|unknown| unknown < slot);
        match start {
            Start::From(slot) => is_known_in(slot) && followed.last.is_none_or(|last| last.slot < slot),
            Start::After(cursor) => is_known_in(cursor.slot) && followed.last.is_none_or(|last| last <= cursor),
            Start::Oldest | Start::Now => false,
        }
    }

    fn find(&self, topic: &Topic) -> Option<&Followed> {
        self.topics.iter().find(|followed| followed.topic == *topic)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::record::tests::{key, record};
    use super::super::topic::Whose;
    use super::*;

    fn of(name: u8) -> Topic {
        Topic::Diffs(Whose::Account(key(name)))
    }

    /// Slot `slot` is forgotten, in which these accounts changed, one by one.
    fn forget(forgotten: &mut Forgotten, slot: Slot, changed: &[u8]) {
        let entry = |name: &u8| Entry::Transaction(Arc::new(record(1, &[*name], 0, &[(*name, 1, 9)])));
        let entries: Vec<_> = changed.iter().map(entry).collect();
        forgotten.add(slot, &entries);
    }

    fn after(slot: Slot, index: u64) -> Start {
        Start::After(Cursor { slot, index })
    }

    #[test]
    fn knows_the_last_notification_of_those_that_were_subscribed_to() {
        let mut forgotten = Forgotten::default();
        forget(&mut forgotten, 4, &[1]);
        forgotten.follow(&of(1));
        forgotten.follow(&Topic::Slots);
        assert!(
            !forgotten.missed_nothing(&of(1), after(4, 0)),
            "nobody counted in slot 4"
        );
        forget(&mut forgotten, 5, &[1, 2, 1]);
        forget(&mut forgotten, 6, &[2]);
        for (start, expected) in [
            (after(5, 0), false),
            (after(5, 1), true),
            (after(6, 0), true),
            (Start::From(5), false),
            (Start::From(6), true),
            (Start::Oldest, false),
        ] {
            assert_eq!(forgotten.missed_nothing(&of(1), start), expected, "{start:?}");
        }
        assert!(!forgotten.missed_nothing(&of(2), after(6, 0)), "nobody asked for it");
        assert!(
            !forgotten.missed_nothing(&Topic::Slots, after(6, 0)),
            "there is one in every slot"
        );
        assert_eq!(forgotten.newest(), Some(6));
    }

    #[test]
    fn follows_so_many() {
        let mut forgotten = Forgotten::default();
        forgotten.follow(&of(1));
        let many =
            (0..MAX_TOPICS as u64).map(|name| Topic::Signature(signature(name), super::super::topic::Arrival::Told));
        many.for_each(|topic| forgotten.follow(&topic));
        assert_eq!(forgotten.topics.len(), MAX_TOPICS);
        assert!(forgotten.find(&of(1)).is_none());
    }

    fn signature(name: u64) -> solana_signature::Signature {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&name.to_le_bytes());
        bytes.into()
    }
}
