//! One slot, as it is kept.

use std::mem::size_of;
use std::sync::Arc;

use simulator_archive::model::{Block, Reward, Slot};
use solana_hash::Hash;

use super::record::{Done, Record};
use super::slots::Entry;

/// A slot that is kept, with everything that was executed in it.
#[derive(Clone, Debug)]
pub(crate) struct KeptSlot {
    pub(crate) head: Arc<SlotHead>,
    /// In the order in which it was done.
    pub(crate) done: Arc<Vec<Done>>,
    pub(crate) is_closed: bool,
}

/// What opens a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotHead {
    pub(crate) slot: Slot,
    pub(crate) parent: Slot,
    /// The block's time in seconds.
    pub(crate) block_time: Option<i64>,
    pub(crate) block_height: Option<u64>,
    pub(crate) blockhash: Hash,
    pub(crate) previous_blockhash: Hash,
    /// As recorded.
    pub(crate) rewards: Vec<Reward>,
    pub(crate) num_reward_partitions: Option<u64>,
}

/// A slot that is kept, and what it takes.
#[derive(Debug)]
pub(super) struct SlotLog {
    pub(super) head: Arc<SlotHead>,
    pub(super) done: Arc<Vec<Done>>,
    pub(super) bytes: usize,
    /// What the user's transactions and actions take of it.
    pub(super) user_bytes: usize,
    pub(super) is_closed: bool,
}

impl KeptSlot {
    /// The transactions that were executed in it, in order.
    pub(crate) fn transactions(&self) -> impl DoubleEndedIterator<Item = &Arc<Record>> {
        self.done.iter().filter_map(Done::transaction)
    }
}

impl SlotHead {
    /// The head of a block's slot.
    pub(crate) fn of(block: &Block) -> Self {
        Self {
            slot: block.slot,
            parent: block.parent_slot,
            block_time: block.block_time,
            block_height: block.block_height,
            blockhash: block.blockhash,
            previous_blockhash: block.previous_blockhash,
            rewards: block.rewards.clone(),
            num_reward_partitions: block.num_reward_partitions,
        }
    }
}

impl SlotLog {
    /// A slot that was opened.
    pub(super) fn open(head: SlotHead) -> Self {
        let bytes = size_of::<Self>() + size_of::<SlotHead>() + size_of_val(head.rewards.as_slice());
        Self {
            head: Arc::new(head),
            done: Arc::default(),
            bytes,
            user_bytes: 0,
            is_closed: false,
        }
    }

    pub(super) fn entry(&self, index: usize) -> Option<Entry> {
        let Some(index) = index.checked_sub(1) else {
            return Some(Entry::Opened(Arc::clone(&self.head)));
        };
        match self.done.get(index) {
            Some(Done::Transaction(record)) => Some(Entry::Transaction(Arc::clone(record))),
            Some(Done::Changes(changes)) => Some(Entry::Changes(Arc::clone(changes))),
            Some(Done::Action(record)) => Some(Entry::Action(Arc::clone(record))),
            None => (self.is_closed && index == self.done.len())
                .then(|| Entry::Closed(Arc::clone(&self.head), Arc::clone(&self.done))),
        }
    }

    pub(super) fn entries(&self) -> usize {
        1 + self.done.len() + usize::from(self.is_closed)
    }
}
