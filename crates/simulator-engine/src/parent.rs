//! What an archive knows of the parent of its first block beside the accounts, where a snapshot told.

use simulator_archive::Bank;
use simulator_archive::model::Slot;
use solana_hash::Hash;

/// The bank that the first block of an archive follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParentBank {
    pub(crate) slot: Slot,
    pub(crate) hash: Hash,
    pub(crate) block_height: u64,
    /// Newest first: one more than transactions may name, where the sysvar has one less.
    pub(crate) blockhashes: Vec<Hash>,
}

impl ParentBank {
    /// What the manifest says; none if its hashes are none.
    pub(crate) fn parse(bank: &Bank) -> Option<Self> {
        let blockhashes = bank.blockhashes.iter();
        let blockhashes: Result<Vec<Hash>, _> = blockhashes.map(|recent| recent.blockhash.parse()).collect();
        Some(Self {
            slot: bank.slot,
            hash: bank.hash.parse().ok()?,
            block_height: bank.block_height,
            blockhashes: blockhashes.ok()?,
        })
    }
}
