//! The slots that a session keeps for its subscribers, and who has read how much of them. No waiting.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use simulator_api::Cursor;
use simulator_archive::model::Slot;

use super::forgotten::Forgotten;
use super::record::{Changes, Done, Record};
use super::slot::{KeptSlot, SlotHead, SlotLog};
use super::topic::Topic;
use crate::actions::ActionRecord;

/// How much a session's data may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataLimits {
    /// Bytes that are kept, about; the worker pauses when a connection has not read them.
    pub(crate) log_bytes: usize,
    /// Bytes of notifications that are kept for the next connection that needs the same.
    pub(crate) cache_bytes: usize,
    /// Connections at a time.
    pub(crate) connections: usize,
}

/// A place in the log: before an entry of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) slot: Slot,
    pub(super) entry: usize,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A slot was opened; the first entry of every slot.
    Opened(Arc<SlotHead>),
    /// A transaction was executed.
    Transaction(Arc<Record>),
    /// Accounts changed outside of transactions.
    Changes(Arc<Changes>),
    /// An action ran, or did not.
    Action(Arc<ActionRecord>),
    /// The slot was closed; the last entry, with all that was done in it.
    Closed(Arc<SlotHead>, Arc<Vec<Done>>),
}

/// What a reader finds.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// The first entry at or after where it stands, and where that is.
    Entry(Position, Entry),
    /// Nothing, now or ever.
    End,
}

/// Where a subscription wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With the oldest that there is.
    Oldest,
    /// With what comes next.
    Now,
    /// With this slot.
    From(Slot),
    /// After this notification.
    After(Cursor),
}

/// Where a subscription begins to read. It reads its first slot from its beginning, because it has to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) position: Position,
    /// What it reads and does not tell.
    pub(super) silent: Silent,
}

/// What a subscription reads and does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silent {
    Nothing,
    /// Everything before this entry.
    Before(Position),
    /// Everything up to this notification.
    Through(Cursor),
}

/// Why a subscription cannot begin where it wants to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StartError {
    #[error("what follows there is not retained any more; the oldest cursor is slot {}, index {}", oldest.slot, oldest.index)]
    NotRetained { oldest: Cursor },
    #[error("the session has ended")]
    Ended,
}

/// The slots of a session and who reads them.
#[derive(Debug)]
pub(super) struct Slots {
    slots: VecDeque<SlotLog>,
    bytes: usize,
    limits: DataLimits,
    /// How much may be kept now: less than the limit, where other sessions need the memory.
    allowed: usize,
    forgotten: Forgotten,
    /// What each connection has not been sent yet begins here; none for one that waits for nothing.
    readers: BTreeMap<u64, Option<Position>>,
    /// Those of them whose connection is lost, and whose client may come back.
    lost: BTreeSet<u64>,
    next_reader: u64,
    phase: Phase,
}

/// Whether a log grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Growing,
    /// Nothing is added any more.
    Sealed,
    /// And nobody new may read.
    Ended,
}

impl Position {
    /// Where to go on after this entry.
    pub(super) fn after(self, entry: &Entry) -> Self {
        match entry {
            Entry::Opened(_) | Entry::Transaction(_) | Entry::Changes(_) | Entry::Action(_) => Self {
                entry: self.entry + 1,
                ..self
            },
            Entry::Closed(..) => Self {
                slot: self.slot + 1,
                entry: 0,
            },
        }
    }
}

impl Slots {
    pub(super) fn new(limits: DataLimits) -> Self {
        Self {
            slots: VecDeque::new(),
            bytes: 0,
            allowed: limits.log_bytes,
            limits,
            forgotten: Forgotten::default(),
            readers: BTreeMap::new(),
            lost: BTreeSet::new(),
            next_reader: 0,
            phase: Phase::Growing,
        }
    }

    /// Bytes that are kept, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// From now on so much may be kept. What follows for the session is when it waits, and nothing else.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.allowed = if self.phase == Phase::Ended { 0 } else { bytes };
    }

    pub(super) fn open(&mut self, head: SlotHead) {
        let opened = SlotLog::open(head);
        self.bytes += opened.bytes;
        self.slots.push_back(opened);
        self.forget();
    }

    pub(super) fn add(&mut self, done: Done) {
        let Some(open) = self.slots.back_mut().filter(|slot| !slot.is_closed) else {
            return;
        };
        let size = done.size();
        open.bytes += size;
        if done.is_of_user() {
            open.user_bytes += size;
        }
        self.bytes += size;
        Arc::make_mut(&mut open.done).push(done);
        self.forget();
    }

    /// Every slot that has not been forgotten, oldest first.
    pub(super) fn kept(&self) -> Vec<KeptSlot> {
        let kept = |slot: &SlotLog| KeptSlot {
            head: Arc::clone(&slot.head),
            done: Arc::clone(&slot.done),
            is_closed: slot.is_closed,
        };
        self.slots.iter().map(kept).collect()
    }

    pub(super) fn takes_more(&self) -> bool {
        let is_full = |open: &SlotLog| open.user_bytes >= self.limits.log_bytes;
        !self.slots.back().is_some_and(is_full)
    }

    pub(super) fn close(&mut self) {
        if let Some(open) = self.slots.back_mut() {
            open.is_closed = true;
        }
    }

    /// Nothing will be added any more.
    pub(super) fn seal(&mut self) {
        if self.phase == Phase::Growing {
            self.phase = Phase::Sealed;
        }
    }

    /// Only those who read now may read to the end.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Ended;
        self.allowed = 0;
        self.forget();
    }

    /// The number of a new reader, if there is a place for one.
    pub(super) fn add_reader(&mut self) -> Option<u64> {
        if self.readers.len() - self.lost.len() >= self.limits.connections {
            return None;
        }
        let id = self.next_reader;
        self.next_reader += 1;
        self.readers.insert(id, None);
        Some(id)
    }

    pub(super) fn remove_reader(&mut self, id: u64) {
        self.readers.remove(&id);
        self.lost.remove(&id);
        self.forget();
    }

    /// Keeps what a reader holds until it is removed, or another one has it.
    pub(super) fn lose_reader(&mut self, id: u64) {
        if self.lost.len() >= self.limits.connections
            && let Some(longest) = self.lost.pop_first()
        {
            self.readers.remove(&longest);
        }
        if self.readers.contains_key(&id) {
            self.lost.insert(id);
        }
    }

    /// Keeps everything from here on for a reader.
    pub(super) fn hold(&mut self, id: u64, position: Option<Position>) {
        self.readers.insert(id, position);
        self.forget();
    }

    /// Finds where a subscription of a reader begins, and keeps what follows there as well.
    pub(super) fn start(&mut self, id: u64, start: Start, topic: &Topic) -> Result<Begin, StartError> {
        let begin = self.begin(start, topic)?;
        self.forgotten.follow(topic);
        let held = self.readers.entry(id).or_default();
        *held = Some(held.map_or(begin.position, |held| held.min(begin.position)));
        if start != Start::Now {
            self.replace_lost(begin.position);
        }
        Ok(begin)
    }

    /// Whoever reads from here has what lost readers behind it were kept for.
    fn replace_lost(&mut self, from: Position) {
        let Self { lost, readers, .. } = self;
        lost.retain(|id| {
            let is_replaced = readers.get(id).is_none_or(|held| held.is_none_or(|held| held >= from));
            if is_replaced {
                readers.remove(id);
            }
            !is_replaced
        });
    }

    pub(super) fn has_room(&self) -> bool {
        let has_read = |position: &Position| self.next(*position).is_none();
        self.phase != Phase::Growing || self.bytes <= self.allowed || self.readers.values().flatten().all(has_read)
    }

    pub(super) fn is_drained(&self) -> bool {
        self.phase != Phase::Growing && self.readers.values().all(Option::is_none)
    }

    pub(super) fn next(&self, position: Position) -> Option<Next> {
        let first = self.slots.partition_point(|slot| slot.head.slot < position.slot);
        for log in self.slots.range(first..) {
            let slot = log.head.slot;
            let entry = if slot == position.slot { position.entry } else { 0 };
            if let Some(found) = log.entry(entry) {
                return Some(Next::Entry(Position { slot, entry }, found));
            }
        }
        (self.phase != Phase::Growing).then_some(Next::End)
    }

    /// Forgets the oldest slots that do not fit and that nobody reads. The newest one stays.
    pub(super) fn forget(&mut self) {
        let needed = self.needed();
        let is_needed = |slot: Slot| needed.is_some_and(|needed| slot >= needed);
        while self.bytes > self.allowed && self.slots.len() > 1 {
            let Some(oldest) = self.slots.pop_front_if(|oldest| !is_needed(oldest.head.slot)) else {
                return;
            };
            self.bytes -= oldest.bytes;
            let entries: Vec<_> = (0..oldest.entries()).filter_map(|index| oldest.entry(index)).collect();
            self.forgotten.add(oldest.head.slot, &entries);
        }
    }

    /// The first slot that a reader still has to read.
    pub(super) fn needed(&self) -> Option<Slot> {
        self.readers.values().flatten().map(|position| position.slot).min()
    }

    fn begin(&self, start: Start, topic: &Topic) -> Result<Begin, StartError> {
        if self.phase == Phase::Ended {
            return Err(StartError::Ended);
        }
        let at = |slot| Position { slot, entry: 0 };
        let (position, silent) = match start {
            Start::Oldest => (at(self.oldest().slot), Silent::Nothing),
            Start::From(slot) => (at(slot), Silent::Nothing),
            Start::After(cursor) => (at(cursor.slot), Silent::Through(cursor)),
            Start::Now => {
                let now = self.now();
                (at(now.slot), Silent::Before(now))
            }
        };
        let forgotten = self.forgotten.newest();
        if start == Start::Now || forgotten.is_none_or(|forgotten| position.slot > forgotten) {
            return Ok(Begin { position, silent });
        }
        if self.forgotten.missed_nothing(topic, start) {
            let position = at(self.oldest().slot);
            return Ok(Begin {
                position,
                silent: Silent::Nothing,
            });
        }
        Err(StartError::NotRetained { oldest: self.oldest() })
    }

    fn oldest(&self) -> Cursor {
        let slot = self.slots.front().map_or(0, |slot| slot.head.slot);
        Cursor { slot, index: 0 }
    }

    /// After everything that there is.
    fn now(&self) -> Position {
        self.slots.back().map_or_else(Position::default, |slot| Position {
            slot: slot.head.slot,
            entry: slot.entries(),
        })
    }
}
