//! The blockhashes that a transaction may name, and the age rule.

use ahash::HashMap;
use solana_hash::Hash;

/// A blockhash may be used for this many blocks after the one that it closed.
/// (Agave: `MAX_PROCESSING_AGE`, `solana_clock`.)
pub(crate) const MAX_PROCESSING_AGE: u64 = 150;

/// Entries older than this are forgotten. (Agave: `MAX_RECENT_BLOCKHASHES`, `solana_clock`.)
const MAX_QUEUE_AGE: u64 = 300;

/// One entry of the RecentBlockhashes sysvar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecentBlockhash {
    pub(crate) blockhash: Hash,
    pub(crate) lamports_per_signature: u64,
}

/// The most recent blockhashes, numbered in the order of their blocks.
#[derive(Debug)]
pub(crate) struct BlockhashQueue {
    /// The index of each blockhash.
    entries: HashMap<Hash, u64>,
    last_index: u64,
    last: RecentBlockhash,
    /// Until the newest entry is past this one, hashes that are still valid may be missing from the queue.
    incomplete_until: Option<u64>,
}

/// What the queue says of a blockhash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockhashAge {
    /// It may be used.
    Valid,
    /// It is not in the queue, but valid hashes are missing from it: that of age 150, which the sysvar of the start
    /// state does not hold, or those of blocks that are not in the archive. Only a transaction that is known to have
    /// been in a block may be given the benefit of the doubt.
    PossiblyMissing,
    /// It may not be used.
    Invalid,
}

impl BlockhashQueue {
    /// Builds the queue from the RecentBlockhashes sysvar, newest entry first.
    pub(crate) fn from_sysvar(recent: &[RecentBlockhash]) -> Option<Self> {
        let last = *recent.first()?;
        let last_index = recent.len() as u64 - 1;
        let entries = recent
            .iter()
            .enumerate()
            .map(|(position, recent)| (recent.blockhash, last_index - position as u64))
            .collect();
        Some(Self {
            entries,
            last_index,
            last,
            // One entry less than the age rule reaches: the oldest valid hash is missing in the first block.
            incomplete_until: (last_index + 1 >= MAX_PROCESSING_AGE).then_some(last_index),
        })
    }

    /// Adds the blockhash of a block that was just closed.
    pub(crate) fn register(&mut self, blockhash: Hash, lamports_per_signature: u64) {
        self.last_index += 1;
        self.last = RecentBlockhash {
            blockhash,
            lamports_per_signature,
        };
        self.entries.insert(blockhash, self.last_index);
        let oldest = self.last_index.saturating_sub(MAX_QUEUE_AGE);
        self.entries.retain(|_, index| *index >= oldest);
    }

    /// Takes over a longer list, newest first, if it begins with the same one.
    pub(crate) fn extend_to(&mut self, blockhashes: &[Hash]) {
        if blockhashes.len() > self.entries.len() && blockhashes.first() == Some(&self.last.blockhash) {
            self.replace(blockhashes.iter().copied().zip(0..), None);
        }
    }

    /// All entries, newest first, each with the number of blocks since.
    pub(crate) fn by_age(&self) -> Vec<(Hash, u64)> {
        let entries = self.entries.iter();
        let mut entries: Vec<_> = entries.map(|(hash, index)| (*hash, self.last_index - index)).collect();
        entries.sort_unstable_by_key(|(_, age)| *age);
        entries
    }

    /// For how many blocks from the newest one on hashes that are valid may be missing.
    pub(crate) fn incomplete_for(&self) -> Option<u64> {
        self.incomplete_until?.checked_sub(self.last_index)
    }

    /// Takes over other entries that end with the same one, as [`by_age`](Self::by_age) and
    /// [`incomplete_for`](Self::incomplete_for) gave them.
    pub(crate) fn replace(&mut self, entries: impl Iterator<Item = (Hash, u64)>, incomplete_for: Option<u64>) {
        self.last_index = MAX_QUEUE_AGE;
        self.entries = entries
            .filter_map(|(hash, age)| Some((hash, MAX_QUEUE_AGE.checked_sub(age)?)))
            .collect();
        self.incomplete_until = incomplete_for.map(|blocks| self.last_index.saturating_add(blocks));
    }

    /// The newest blockhash.
    pub(crate) fn last(&self) -> RecentBlockhash {
        self.last
    }

    pub(crate) fn age(&self, blockhash: &Hash) -> BlockhashAge {
        match self.entries.get(blockhash) {
            Some(index) if self.last_index - index <= MAX_PROCESSING_AGE => BlockhashAge::Valid,
            Some(_) => BlockhashAge::Invalid,
            None if self.is_incomplete() => BlockhashAge::PossiblyMissing,
            None => BlockhashAge::Invalid,
        }
    }

    /// Notes that blocks are missing before the next one that will be registered.
    pub(crate) fn note_gap(&mut self) {
        self.incomplete_until = Some(self.last_index + MAX_PROCESSING_AGE);
    }

    fn is_incomplete(&self) -> bool {
        self.incomplete_until.is_some_and(|index| self.last_index <= index)
    }

    /// How many more blocks the blockhash may be used for, if it may be used now.
    pub(crate) fn remaining_blocks(&self, blockhash: &Hash) -> Option<u64> {
        let index = self.entries.get(blockhash)?;
        MAX_PROCESSING_AGE.checked_sub(self.last_index - index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> Hash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Hash::new_from_array(bytes)
    }

    fn queue(entries: u64) -> BlockhashQueue {
        let recent: Vec<_> = (0..entries)
            .rev()
            .map(|number| RecentBlockhash {
                blockhash: hash(number),
                lamports_per_signature: 5000 + number,
            })
            .collect();
        BlockhashQueue::from_sysvar(&recent).expect("at least one entry")
    }

    #[test]
    fn a_blockhash_is_valid_for_150_blocks_after_its_own() {
        let mut queue = queue(1);
        for number in 1..=150 {
            queue.register(hash(number), 5000);
        }
        assert_eq!(queue.age(&hash(0)), BlockhashAge::Valid);
        assert_eq!(queue.remaining_blocks(&hash(0)), Some(0));
        queue.register(hash(151), 5000);
        assert_eq!(queue.age(&hash(0)), BlockhashAge::Invalid);
        assert_eq!(queue.remaining_blocks(&hash(0)), None);
    }

    #[test]
    fn the_sysvar_gives_newest_first() {
        let queue = queue(3);
        assert_eq!(
            queue.last(),
            RecentBlockhash {
                blockhash: hash(2),
                lamports_per_signature: 5002
            }
        );
        assert_eq!(queue.remaining_blocks(&hash(2)), Some(150));
        assert_eq!(queue.remaining_blocks(&hash(0)), Some(148));
    }

    #[test]
    fn only_the_first_block_after_a_full_sysvar_lacks_the_oldest_hash() {
        let mut full = queue(150);
        assert_eq!(full.age(&hash(999)), BlockhashAge::PossiblyMissing);
        full.register(hash(150), 5000);
        assert_eq!(full.age(&hash(999)), BlockhashAge::Invalid);
        assert_eq!(queue(20).age(&hash(999)), BlockhashAge::Invalid);
    }

    #[test]
    fn a_longer_list_of_the_same_chain_completes_a_full_sysvar() {
        let longer: Vec<_> = (0..151).rev().map(|number| hash(number + 1000)).collect();
        let recent: Vec<_> = longer[..150]
            .iter()
            .map(|blockhash| RecentBlockhash {
                blockhash: *blockhash,
                lamports_per_signature: 5000,
            })
            .collect();
        let mut queue = BlockhashQueue::from_sysvar(&recent).expect("at least one entry");
        assert_eq!(queue.age(&hash(1000)), BlockhashAge::PossiblyMissing);
        queue.extend_to(&[hash(7), hash(8)]);
        queue.extend_to(&longer);
        assert_eq!(queue.age(&hash(1000)), BlockhashAge::Valid);
        assert_eq!(queue.age(&hash(999)), BlockhashAge::Invalid);
        assert_eq!(queue.remaining_blocks(&hash(1150)), Some(150));
    }

    #[test]
    fn after_a_gap_hashes_may_be_missing_for_150_blocks() {
        let mut queue = queue(20);
        queue.note_gap();
        for number in 0..150 {
            queue.register(hash(1000 + number), 5000);
            assert_eq!(queue.age(&hash(999)), BlockhashAge::PossiblyMissing);
        }
        queue.register(hash(2000), 5000);
        assert_eq!(queue.age(&hash(999)), BlockhashAge::Invalid);
    }

    #[test]
    fn entries_are_forgotten_after_300_blocks() {
        let mut queue = queue(1);
        for number in 1..=301 {
            queue.register(hash(number), 5000);
        }
        assert!(!queue.entries.contains_key(&hash(0)));
        assert_eq!(queue.entries.len(), 301);
    }
}
