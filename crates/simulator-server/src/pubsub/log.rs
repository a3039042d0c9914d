//! What a session's subscribers are told, by slot, for as long as there is room.
//!
//! The session's worker adds, connections read, each at its own pace. The oldest slots are forgotten first, but none
//! that a connection still has to read: when too much waits for one, the worker pauses.

use std::sync::Arc;

use simulator_archive::model::Slot;
use tokio::sync::Notify;

use super::cache::Cache;
use super::pool::{DataPool, Share};
use super::record::{Changes, Done, Record};
use super::slot::{KeptSlot, SlotHead};
use super::slots::{Begin, DataLimits, Next, Position, Slots, Start, StartError};
use super::topic::Topic;
use crate::actions::ActionRecord;
use crate::watched::Watched;

/// The data of one session.
#[derive(Debug)]
pub(crate) struct DataLog {
    pub(super) cache: Cache,
    slots: Watched<Slots>,
    /// What it wants to hold at most, and its part of what all logs together may hold.
    log_bytes: usize,
    share: Share,
    appended: Notify,
    read: Notify,
}

/// One connection's hold on a log; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    log: Arc<DataLog>,
    id: u64,
}

/// Writing.
impl DataLog {
    pub(crate) fn new(limits: DataLimits, pool: &Arc<DataPool>) -> Self {
        Self {
            cache: Cache::new(limits.cache_bytes),
            log_bytes: limits.log_bytes,
            share: Share::new(pool),
            slots: Watched::new(Slots::new(limits)),
            appended: Notify::new(),
            read: Notify::new(),
        }
    }

    /// A slot was opened.
    pub(crate) fn open_slot(&self, head: SlotHead) {
        self.change(|slots| slots.open(head));
    }

    /// A transaction was executed in the open slot.
    pub(crate) fn add(&self, record: Record) {
        self.change(|slots| slots.add(Done::Transaction(Arc::new(record))));
    }

    /// Accounts of the open slot changed outside of transactions.
    pub(crate) fn add_changes(&self, changes: Changes) {
        self.change(|slots| slots.add(Done::Changes(Arc::new(changes))));
    }

    /// An action ran in the open slot, or did not.
    pub(crate) fn add_action(&self, record: ActionRecord) {
        self.change(|slots| slots.add(Done::Action(Arc::new(record))));
    }

    /// Whether the user may add another transaction to the open slot: nothing of a slot is forgotten while it is open.
    pub(crate) fn takes_more(&self) -> bool {
        self.slots.lock().takes_more()
    }

    /// Every slot that is kept, oldest first.
    pub(crate) fn kept(&self) -> Vec<KeptSlot> {
        self.slots.lock().kept()
    }

    /// About how many bytes are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.lock().bytes()
    }

    /// The open slot was closed.
    pub(crate) fn close_slot(&self) {
        self.change(Slots::close);
    }

    /// Nothing will be added any more; what there is can be read.
    pub(crate) fn seal(&self) {
        self.change(Slots::seal);
        self.read.notify_waiters();
    }

    /// The session is gone: only those who read it now may read to the end.
    pub(crate) fn end(&self) {
        self.change(Slots::end);
        self.read.notify_waiters();
    }

    /// The first slot that is kept for a connection that has not been sent all of it.
    pub(crate) fn needed(&self) -> Option<Slot> {
        self.slots.lock().needed()
    }

    /// Keeps what comes from this slot on as for a lost connection, until this is dropped or another reader begins there.
    pub(crate) fn expect_back(self: &Arc<Self>, slot: Slot) -> Option<Reader> {
        let reader = Reader::new(self)?;
        reader.hold(Some(Position { slot, entry: 0 }));
        reader.lose();
        Some(reader)
    }

    /// Whether another slot may be added.
    pub(crate) fn has_room(&self) -> bool {
        self.slots.lock().has_room()
    }

    /// Waits until another slot may be added.
    pub(crate) async fn room(&self) {
        self.slots
            .until(&self.read, |slots| slots.has_room().then_some(()))
            .await;
    }

    /// Whether every connection has been sent everything, and no more will come.
    pub(crate) fn is_drained(&self) -> bool {
        self.slots.lock().is_drained()
    }

    /// Waits until every connection has been sent everything.
    pub(crate) async fn drained(&self) {
        self.slots
            .until(&self.read, |slots| slots.is_drained().then_some(()))
            .await;
    }

    /// Looks anew at how much may be kept: it depends on the other sessions.
    pub(crate) fn trim(&self) {
        self.update(Slots::forget);
        // A worker may have more room than before, too.
        self.read.notify_waiters();
    }

    fn change(&self, change: impl FnOnce(&mut Slots)) {
        self.update(change);
        self.appended.notify_waiters();
    }

    /// Changes the slots, which hold as much as they may.
    fn update<T>(&self, change: impl FnOnce(&mut Slots) -> T) -> T {
        let mut slots = self.slots.lock();
        slots.allow(self.share.allowed(self.log_bytes));
        let changed = change(&mut slots);
        self.share.set(slots.bytes());
        changed
    }
}

/// Reading.
impl Reader {
    /// A place for one more connection, if there is one.
    pub(crate) fn new(log: &Arc<DataLog>) -> Option<Self> {
        let id = log.slots.lock().add_reader()?;
        let log = Arc::clone(log);
        Some(Self { log, id })
    }

    pub(super) fn log(&self) -> &Arc<DataLog> {
        &self.log
    }

    /// Finds where a subscription begins, and keeps that from being forgotten until the next [`Reader::hold`].
    pub(super) fn start(&self, start: Start, topic: &Topic) -> Result<Begin, StartError> {
        self.log.slots.lock().start(self.id, start, topic)
    }

    /// Everything before `position` has been sent; with none, everything.
    pub(super) fn hold(&self, position: Option<Position>) {
        self.log.update(|slots| slots.hold(self.id, position));
        self.log.read.notify_waiters();
    }

    /// The connection is lost, but its client may come back: what it has not been sent is kept until this is dropped, or
    /// another reader begins there.
    pub(super) fn lose(&self) {
        self.log.slots.lock().lose_reader(self.id);
    }

    /// Waits for what comes next after what has been sent.
    pub(super) async fn next(&self, position: Position) -> Next {
        self.log
            .slots
            .until(&self.log.appended, |slots| slots.next(position))
            .await
    }

    /// What comes next, if it is there.
    #[cfg(test)]
    pub(super) fn peek(&self, position: Position) -> Option<Next> {
        self.log.slots.lock().next(position)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.log.update(|slots| slots.remove_reader(self.id));
        self.log.read.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
