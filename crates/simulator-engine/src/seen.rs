//! Transactions that have been processed, so that none is processed twice.

use std::collections::VecDeque;

use ahash::HashSet;
use solana_hash::Hash;

use crate::blockhash_queue::MAX_PROCESSING_AGE;

/// A transaction can only be repeated while its blockhash is valid; a nonce transaction while its nonce is. The
/// runtime remembers them for as many slots as it keeps blockhashes. (Agave: `MAX_CACHE_ENTRIES`, status cache.)
const REMEMBERED_BLOCKS: usize = 300;

/// The message hashes of recent transactions.
#[derive(Debug, Default)]
pub(crate) struct SeenTransactions {
    hashes: HashSet<Hash>,
    blocks: VecDeque<Vec<Hash>>,
    open: Vec<Hash>,
}

impl SeenTransactions {
    pub(crate) fn contains(&self, message_hash: &Hash) -> bool {
        self.hashes.contains(message_hash)
    }

    pub(crate) fn insert(&mut self, message_hash: Hash) {
        if self.hashes.insert(message_hash) {
            self.open.push(message_hash);
        }
    }

    /// What was inserted in each of the blocks that can still matter, oldest first: later, a blockhash that a transaction
    /// named there is too old, and its nonce has moved on.
    pub(crate) fn recent(&self) -> impl Iterator<Item = Vec<Hash>> {
        let passed = self.blocks.len().saturating_sub(MAX_PROCESSING_AGE as usize + 1);
        self.blocks.iter().skip(passed).cloned()
    }

    /// Ends a block and forgets the oldest one.
    pub(crate) fn close_block(&mut self) {
        self.blocks.push_back(std::mem::take(&mut self.open));
        if self.blocks.len() > REMEMBERED_BLOCKS {
            for hash in self.blocks.pop_front().into_iter().flatten() {
                self.hashes.remove(&hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_remembered_for_300_blocks() {
        let mut seen = SeenTransactions::default();
        let hash = Hash::new_from_array([7; 32]);
        seen.insert(hash);
        for _ in 0..300 {
            seen.close_block();
        }
        assert!(seen.contains(&hash));
        seen.close_block();
        assert!(!seen.contains(&hash));
        assert!(seen.hashes.is_empty());
    }
}
