//! Puts the results of several sessions into slot order, whatever the order in which they arrive.
//!
//! Sessions have numbers in slot order. The results of the first session that has not ended go on to the outputs at
//! once. Those of a session that is ahead of its turn wait in a temporary file, so that memory stays small however far
//! ahead it is.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc;

use crate::output::OutputError;
use crate::report::{Sinks, SlotRecord, SlotRow, Spool};

/// How many slots may be on their way to the outputs. A session that would be further ahead waits.
pub(super) const WINDOW: usize = 64;

/// What a session has to say.
#[derive(Debug)]
pub(super) enum Item {
    /// One slot of a session.
    Slot { session: usize, record: Box<SlotRecord> },
    /// A session has said everything.
    Finished { session: usize },
}

/// Totals of everything that went to the outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) slots: u64,
    /// `slot` is the last slot; the other fields are sums.
    pub(super) totals: SlotRow,
    /// Diverged transactions by class.
    pub(super) diverged_by_class: BTreeMap<String, u64>,
    /// Unverifiable transactions by reason.
    pub(super) unverifiable_by_reason: BTreeMap<String, u64>,
}

/// Writes what sessions say until all of them have ended.
pub(super) struct Collector {
    sinks: Sinks,
    written: Written,
    /// The session whose turn it is.
    turn: usize,
    /// Sessions that have ended before their turn.
    finished: BTreeSet<usize>,
    waiting: BTreeMap<usize, Spool>,
}

impl Collector {
    pub(super) fn new(sinks: Sinks) -> Self {
        Self {
            sinks,
            written: Written::default(),
            turn: 0,
            finished: BTreeSet::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Takes everything that arrives, on a thread that may block. What is left of sessions whose turn did not come is
    /// dropped, so that the outputs have no hole.
    pub(super) fn collect(mut self, mut items: mpsc::Receiver<Item>) -> Result<(Sinks, Written), OutputError> {
        while let Some(item) = items.blocking_recv() {
            self.take(item)?;
        }
        Ok((self.sinks, self.written))
    }

    fn take(&mut self, item: Item) -> Result<(), OutputError> {
        match item {
            Item::Slot { session, record } if session == self.turn => self.write(&record),
            Item::Slot { session, record } => self.keep(session, &record),
            Item::Finished { session } => {
                self.finished.insert(session);
                self.pass_turns()
            }
        }
    }

    fn keep(&mut self, session: usize, record: &SlotRecord) -> Result<(), OutputError> {
        let spool = match self.waiting.remove(&session) {
            Some(spool) => spool,
            None => Spool::new()?,
        };
        self.waiting.entry(session).or_insert(spool).push(record)
    }

    fn pass_turns(&mut self) -> Result<(), OutputError> {
        while self.finished.remove(&self.turn) {
            self.turn += 1;
            if let Some(spool) = self.waiting.remove(&self.turn) {
                spool.drain(|record: SlotRecord| self.write(&record))?;
            }
        }
        Ok(())
    }

    fn write(&mut self, record: &SlotRecord) -> Result<(), OutputError> {
        self.sinks.slot(record)?;
        self.written.add(record);
        Ok(())
    }
}

impl Written {
    /// The last slot that was written, if any was.
    pub(super) fn last_slot(&self) -> Option<u64> {
        (self.slots > 0).then_some(self.totals.slot)
    }

    fn add(&mut self, record: &SlotRecord) {
        let row = &record.totals;
        self.slots += 1;
        self.totals.slot = row.slot;
        self.totals.total += row.total;
        self.totals.successes += row.successes;
        self.totals.failures += row.failures;
        self.totals.matched += row.matched;
        self.totals.diverged += row.diverged;
        self.totals.unverifiable += row.unverifiable;
        self.totals.compute_units += row.compute_units;
        // The rows of one transaction, one for each field, follow each other and are of one class.
        for of_transaction in record.divergences.chunk_by(|one, next| one.index == next.index) {
            let class = of_transaction[0].class.clone();
            *self.diverged_by_class.entry(class).or_default() += 1;
        }
        for (reason, count) in &record.unverifiable_by_reason {
            *self.unverifiable_by_reason.entry(reason.clone()).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::report::{Facts, Sink};

    #[derive(Clone, Default)]
    struct Slots(Arc<Mutex<Vec<u64>>>);

    impl Sink for Slots {
        fn slot(&mut self, record: &SlotRecord) -> Result<(), OutputError> {
            self.0.lock().expect("no panic").push(record.totals.slot);
            Ok(())
        }

        fn finish(self: Box<Self>, _facts: &Facts) -> Result<(), OutputError> {
            Ok(())
        }
    }

    fn slot(session: usize, slot: u64) -> Item {
        let totals = SlotRow {
            slot,
            total: 2,
            matched: 2,
            ..SlotRow::default()
        };
        Item::Slot {
            session,
            record: Box::new(SlotRecord {
                totals,
                divergences: vec![],
                transactions: vec![],
                unverifiable_by_reason: BTreeMap::new(),
            }),
        }
    }

    fn collected(items: Vec<Item>) -> (Vec<u64>, Written) {
        let slots = Slots::default();
        let mut sinks = Sinks::default();
        sinks.push(slots.clone());
        let (sender, receiver) = mpsc::channel(items.len());
        items
            .into_iter()
            .for_each(|item| sender.try_send(item).expect("has room"));
        drop(sender);
        let (_, written) = Collector::new(sinks).collect(receiver).expect("nothing fails");
        let slots = slots.0.lock().expect("no panic").clone();
        (slots, written)
    }

    #[test]
    fn sessions_appear_in_slot_order() {
        let finished = |session| Item::Finished { session };
        let (slots, written) = collected(vec![
            slot(2, 30),
            slot(1, 20),
            slot(0, 10),
            finished(2),
            slot(1, 21),
            slot(0, 11),
            finished(0),
            slot(1, 22),
            finished(1),
        ]);
        assert_eq!(slots, [10, 11, 20, 21, 22, 30]);
        assert_eq!((written.slots, written.totals.total, written.totals.slot), (6, 12, 30));
    }

    #[test]
    fn an_interrupted_session_leaves_no_hole_behind_it() {
        let (slots, _) = collected(vec![slot(1, 20), slot(0, 10), Item::Finished { session: 1 }]);
        assert_eq!(slots, [10]);
    }
}
