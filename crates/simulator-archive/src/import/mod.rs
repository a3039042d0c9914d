//! Importers: programs that make an archive from something else.

mod accounts;
mod blocks;
mod car;
mod chain;
mod checkpoint;
mod closure;
mod convert;
mod error;
mod fields;
pub mod files;
mod getblock;
mod input;
mod json;
pub mod ledger;
mod lines;
mod parts;
mod reading;
mod run;
mod scope;
mod snapshot;
mod sort;
mod state;
mod transaction;

pub use car::{CarProblem, RecordProblem};
pub(crate) use checkpoint::CHECKPOINT_NAME;
pub(crate) use closure::Closure;
pub use closure::Seeds;
pub use error::{ChainProblem, ImportError, LineError, TransactionProblem};
pub use snapshot::SnapshotProblem;

use crate::writer::SegmentLimits;

/// How to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// What the absence of an account from the ledger means.
    pub scope: ScopeChoice,
    /// Where it is not empty, only the accounts that the transactions of these addresses touch are kept.
    pub seeds: Seeds,
    /// The genesis hash of the cluster in base58, where it is known.
    pub genesis_hash: Option<String>,
    /// How large the pieces of the archive become.
    pub limits: SegmentLimits,
    /// How much memory sorting may use, in bytes. What does not fit is spilled to the system's temporary directory.
    pub sort_memory: usize,
}

impl Default for ImportOptions {
    /// The scope from evidence, default sizes, 64 MiB to sort.
    fn default() -> Self {
        Self {
            scope: ScopeChoice::Auto,
            seeds: Seeds::default(),
            genesis_hash: None,
            limits: SegmentLimits::default(),
            sort_memory: 64 << 20,
        }
    }
}

/// What the absence of an account from a ledger means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScopeChoice {
    /// Decide from what the ledger holds, and record the evidence.
    #[default]
    Auto,
    /// The ledger lists every account of the chain.
    All,
    /// The ledger lists some accounts; others are unknown.
    Listed,
}

/// What has been imported so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Accounts of the keyframe.
    pub accounts: u64,
    /// Blocks.
    pub blocks: u64,
    /// Transactions in the blocks.
    pub transactions: u64,
    /// Bytes read of the files, as stored.
    pub bytes_read: u64,
    /// Bytes of all the files, as stored.
    pub bytes_total: u64,
}
