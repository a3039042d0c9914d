//! The outcome records that a session keeps until its reader has them.
//!
//! The worker adds one record a slot, `getReplayOutcomes` reads them. Reading after a slot acknowledges it and
//! everything before; what is not acknowledged can be read again. When too much waits, the worker pauses: nothing is
//! ever dropped.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::value::RawValue;
use simulator_archive::model::Slot;
use tokio::sync::Notify;

use crate::watched::Watched;

/// The outcome records of one session.
#[derive(Debug)]
pub(crate) struct OutcomeQueue {
    records: Watched<Records>,
    added: Notify,
    acknowledged: Notify,
}

/// The answer to one read.
#[derive(Clone, Debug)]
pub(crate) struct OutcomePage {
    /// Records in slot order.
    pub(crate) records: Vec<Arc<RawValue>>,
    /// Whether there is nothing after these, now or ever.
    pub(crate) complete: bool,
}

/// What one read asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutcomeRequest {
    /// Acknowledges everything up to this slot, and asks for what comes after.
    pub(crate) after: Option<Slot>,
    /// Most records to return.
    pub(crate) max_slots: usize,
    /// Most bytes to return; one record is returned whatever its size.
    pub(crate) max_bytes: usize,
}

/// What [`OutcomeQueue`] guards.
#[derive(Debug)]
struct Records {
    waiting: VecDeque<Record>,
    /// Nothing up to this slot is wanted.
    acknowledged: Option<Slot>,
    bytes: usize,
    max_bytes: usize,
    sealed: bool,
}

#[derive(Debug)]
struct Record {
    slot: Slot,
    json: Arc<RawValue>,
}

impl OutcomeQueue {
    /// An empty queue that has room until `max_bytes` wait. Its reader has everything up to the given slot.
    pub(crate) fn after(acknowledged: Option<Slot>, max_bytes: usize) -> Self {
        let records = Records {
            waiting: VecDeque::new(),
            acknowledged,
            bytes: 0,
            max_bytes,
            sealed: false,
        };
        Self {
            records: Watched::new(records),
            added: Notify::new(),
            acknowledged: Notify::new(),
        }
    }

    /// Adds the record of a slot. A writer asks for room before it closes the slot, so that the limit may be exceeded by
    /// one record.
    pub(crate) fn add(&self, slot: Slot, json: Box<RawValue>) {
        self.records.lock().add(Record {
            slot,
            json: json.into(),
        });
        self.added.notify_waiters();
    }

    /// No record will be added any more.
    pub(crate) fn seal(&self) {
        self.records.lock().sealed = true;
        self.added.notify_waiters();
        self.acknowledged.notify_waiters();
    }

    /// The last slot that was acknowledged.
    pub(crate) fn acknowledged(&self) -> Option<Slot> {
        self.records.lock().acknowledged
    }

    /// Whether another slot may be closed.
    pub(crate) fn has_room(&self) -> bool {
        self.records.lock().has_room()
    }

    /// Waits until another slot may be closed.
    pub(crate) async fn room(&self) {
        self.records
            .until(&self.acknowledged, |records| records.has_room().then_some(()))
            .await;
    }

    /// Waits until every record has been acknowledged and no more will come.
    pub(crate) async fn drained(&self) {
        self.records
            .until(&self.acknowledged, |records| records.is_drained().then_some(()))
            .await;
    }

    /// Acknowledges and reads, without waiting.
    pub(crate) fn read(&self, request: OutcomeRequest) -> OutcomePage {
        let page = self.records.lock().read(request);
        self.acknowledged.notify_waiters();
        page
    }

    /// Acknowledges, waits until there is something to read, and reads.
    pub(crate) async fn next(&self, request: OutcomeRequest) -> OutcomePage {
        self.read(request);
        let has_answer = |page: &OutcomePage| page.complete || !page.records.is_empty();
        self.records
            .until(&self.added, |records| Some(records.page(request)).filter(has_answer))
            .await
    }
}

impl Records {
    fn add(&mut self, record: Record) {
        if self.acknowledged.is_some_and(|slot| record.slot <= slot) {
            return;
        }
        self.bytes += record.size();
        self.waiting.push_back(record);
    }

    fn has_room(&self) -> bool {
        self.sealed || self.bytes < self.max_bytes
    }

    fn is_drained(&self) -> bool {
        self.sealed && self.waiting.is_empty()
    }

    fn read(&mut self, request: OutcomeRequest) -> OutcomePage {
        if let Some(after) = request.after {
            self.acknowledge(after);
        }
        self.page(request)
    }

    fn acknowledge(&mut self, slot: Slot) {
        self.acknowledged = self.acknowledged.max(Some(slot));
        while let Some(record) = self.waiting.pop_front_if(|record| record.slot <= slot) {
            self.bytes -= record.size();
        }
    }

    fn page(&self, request: OutcomeRequest) -> OutcomePage {
        let mut bytes = 0;
        let fits = |record: &&Record| {
            bytes += record.size();
            bytes <= request.max_bytes || bytes == record.size()
        };
        let records: Vec<_> = self
            .waiting
            .iter()
            .take(request.max_slots)
            .take_while(fits)
            .map(|record| record.json.clone())
            .collect();
        let complete = self.sealed && records.len() == self.waiting.len();
        OutcomePage { records, complete }
    }
}

impl Record {
    fn size(&self) -> usize {
        self.json.get().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn queue(slots: std::ops::RangeInclusive<Slot>) -> OutcomeQueue {
        let queue = OutcomeQueue::after(None, 20);
        slots.for_each(|slot| queue.add(slot, record(&format!("\"{slot:08}\""))));
        queue
    }

    fn after(after: impl Into<Option<Slot>>) -> OutcomeRequest {
        OutcomeRequest {
            after: after.into(),
            max_slots: 10,
            max_bytes: 1000,
        }
    }

    #[test]
    fn reads_again_what_is_not_acknowledged() {
        let queue = queue(1..=3);
        assert_eq!(queue.read(after(None)).records.len(), 3);
        assert_eq!(queue.read(after(1)).records.len(), 2);
        let page = queue.read(after(1));
        assert_eq!((page.records.len(), page.complete), (2, false));
        queue.seal();
        assert!(queue.read(after(1)).complete);
        assert!(queue.read(after(3)).records.is_empty());
    }

    #[test]
    fn limits_a_page() {
        let queue = queue(1..=3);
        queue.seal();
        let page = queue.read(OutcomeRequest {
            max_slots: 2,
            ..after(None)
        });
        assert_eq!((page.records.len(), page.complete), (2, false));
        assert_eq!(
            queue
                .read(OutcomeRequest {
                    max_bytes: 25,
                    ..after(None)
                })
                .records
                .len(),
            2
        );
        assert_eq!(
            queue
                .read(OutcomeRequest {
                    max_bytes: 1,
                    ..after(None)
                })
                .records
                .len(),
            1
        );
    }

    #[tokio::test]
    async fn makes_room_by_acknowledgement_or_the_end() {
        let queue = queue(1..=2);
        assert!(!queue.has_room());
        queue.read(after(1));
        queue.room().await;
        queue.add(3, record("\"00000003\""));
        assert!(!queue.has_room());
        queue.seal();
        queue.room().await;
        queue.read(after(3));
        queue.drained().await;
    }

    #[tokio::test]
    async fn a_read_waits_for_the_next_record() {
        let queue = Arc::new(queue(1..=1));
        let reader = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next(after(1)).await }
        });
        tokio::task::yield_now().await;
        queue.add(2, record("2"));
        assert_eq!(reader.await.unwrap().records[0].get(), "2");
        let reader = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next(after(2)).await }
        });
        tokio::task::yield_now().await;
        queue.seal();
        assert!(reader.await.unwrap().complete);
    }
}
