//! What can be asked of a replay at any time.

use std::sync::Arc;

use simulator_archive::Scope;
use simulator_archive::model::Slot;
use solana_account::AccountSharedData;
use solana_hash::Hash;
use solana_pubkey::Pubkey;

use crate::accounts::Lookup;
use crate::block::DecodedBlock;
use crate::blockhash_queue::BlockhashAge;
use crate::digest::{ResultDigest, StateDigest, StateHasher};
use crate::replay::{BlockhashInfo, Position, Replay};
use crate::report::Summary;

/// Addresses that are sorted at a time where the whole state is gone through.
const STATE_PAGE: usize = 1 << 16;

impl Replay {
    /// Where the replay stands in the open slot.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.open.as_ref().map(|open| Position {
            slot: open.block.block().slot,
            batch: open.next_batch,
            batches: open.block.batches().len(),
        })
    }

    /// The block of the open slot.
    #[must_use]
    pub fn open_block(&self) -> Option<&Arc<DecodedBlock>> {
        self.open.as_ref().map(|open| &open.block)
    }

    /// The open slot, or else the last closed one.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.open.as_ref().map_or(self.tip.slot, |open| open.block.block().slot)
    }

    /// The height of the block of [`slot`](Self::slot). Where no block so far has recorded its height, the slot
    /// number stands in.
    #[must_use]
    pub fn block_height(&self) -> u64 {
        self.open
            .as_ref()
            .map_or(self.tip.block_height, |open| open.block_height)
    }

    /// The blockhash that a transaction sent now should name.
    #[must_use]
    pub fn latest_blockhash(&self) -> BlockhashInfo {
        let blockhash = self.blockhashes.last().blockhash;
        let remaining = self.blockhashes.remaining_blocks(&blockhash).unwrap_or(0);
        BlockhashInfo {
            blockhash,
            last_valid_block_height: self.block_height().saturating_add(remaining),
        }
    }

    /// Whether a transaction sent now may name this blockhash.
    #[must_use]
    pub fn is_blockhash_valid(&self, blockhash: &Hash) -> bool {
        self.blockhashes.age(blockhash) == BlockhashAge::Valid
    }

    /// The rent parameters in force.
    #[must_use]
    pub fn rent(&self) -> &solana_rent::Rent {
        &self.runtime.rent
    }

    /// The account as it stands now.
    #[must_use]
    pub fn account(&self, address: &Pubkey) -> Lookup {
        self.accounts.lookup(address)
    }

    /// Whether an account that is not among those of [`accounts_after`](Self::accounts_after) is known not to exist.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.accounts.scope()
    }

    /// Existing accounts with addresses greater than `after`, sorted by address, at most `limit`.
    #[must_use]
    pub fn accounts_after(&self, after: Option<&Pubkey>, limit: usize) -> Vec<(Pubkey, AccountSharedData)> {
        self.accounts
            .addresses_after(after, limit)
            .into_iter()
            .filter_map(|address| Some((address, self.accounts.get(&address)?.clone())))
            .collect()
    }

    /// Totals since the session's start.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            bank_hashes: self.proof.results(),
            ..self.recorder.summary()
        }
    }

    /// The digest over all outcomes and state changes so far.
    #[must_use]
    pub fn result_digest(&self) -> ResultDigest {
        self.recorder.digest(&self.accounts)
    }

    /// The digest over every account that exists and is known, as it stands now. Takes time in proportion to all of their
    /// data.
    #[must_use]
    pub fn state_digest(&self) -> StateDigest {
        let mut hasher = StateHasher::default();
        let mut after = None;
        loop {
            let page = self.accounts.addresses_after(after.as_ref(), STATE_PAGE);
            for (address, account) in page
                .iter()
                .filter_map(|address| Some((address, self.accounts.get(address)?)))
            {
                hasher.add(address, account);
            }
            match page.last() {
                Some(last) => after = Some(*last),
                None => return hasher.finish(),
            }
        }
    }
}
