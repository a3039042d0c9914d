use std::num::NonZeroU64;

use crate::text::Packing;

/// What [`generate`](super::generate) makes. Change what matters to the test, and take the rest from the default.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    /// Determines addresses, hashes and who pays whom.
    pub seed: u64,
    /// The first slot, at least 1: the state at the start is that after the slot before it.
    pub start_slot: u64,
    /// Number of slots, skipped ones included.
    pub slots: u64,
    /// Transactions in a block that is not empty.
    pub transactions_per_block: u64,
    /// With `k`, every `k`-th slot has no block.
    pub skip_every: Option<NonZeroU64>,
    /// With `k`, every `k`-th block is empty.
    pub empty_every: Option<NonZeroU64>,
    /// Accounts that pay each other, at least 2 where there are transactions.
    pub wallets: u64,
    /// What each of them holds at the start, in lamports.
    pub wallet_lamports: u64,
    /// Length of an epoch. The default is so long that no replay gets past the first.
    pub slots_per_epoch: u64,
    /// What the blocks say about their transactions.
    pub outcomes: Outcomes,
    /// Which feature accounts there are.
    pub features: Features,
    /// How both files are packed.
    pub packing: Packing,
}

/// What a ledger says about the transactions in its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcomes {
    /// Nothing: `meta` is null.
    Unknown,
    /// What really happens to them.
    Recorded,
}

/// Which feature accounts a ledger has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// None.
    Absent,
    /// Those of the sample `agave-small`: the features of mainnet-beta in August 2026.
    OfSample,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            start_slot: 1000,
            slots: 16,
            transactions_per_block: 4,
            skip_every: None,
            empty_every: None,
            wallets: 16,
            wallet_lamports: 10_000_000_000,
            slots_per_epoch: 1 << 32,
            outcomes: Outcomes::Unknown,
            features: Features::OfSample,
            packing: Packing::Plain,
        }
    }
}
