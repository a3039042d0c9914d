//! Deterministic replay of recorded Solana slots in the validator's own virtual machine.
//!
//! A [`Replay`] is a pure function of its accounts, its options, the blocks it is given and the commands in between.
//! It has no clock, no randomness, no threads and no network: the same input gives the same bytes on any machine.
//!
//! ```text
//! AccountBase ──► Replay::new ──► open_slot ──► execute_batch* ──► (inject, set_account)* ──► close_slot ──► ...
//!                                     ▲
//! Block ──► DecodedBlock::decode ─────┘        (on any thread, ahead of time)
//! ```

mod accounts;
mod balances;
mod bank_hash;
mod batch;
mod block;
mod blockhash_queue;
mod bundle;
mod callbacks;
mod cause;
mod check;
mod checkpoint;
#[cfg(feature = "conformance")]
pub mod conformance;
mod deltas;
mod deployment;
mod digest;
mod divergence;
mod epoch;
mod execute;
mod features;
mod fees;
mod form;
mod historical;
mod lineage;
mod lookup;
mod natives;
mod outcome;
mod outside;
mod parent;
mod proof;
mod reads;
mod recorded;
mod recorder;
mod replay;
mod report;
mod runtime;
mod seen;
mod slot;
mod sysvars;
mod user;
mod view;
mod votes;

pub use accounts::{AccountBase, Lookup, to_shared};
pub use batch::{BatchRange, MAX_BATCH_LEN};
pub use block::{DecodeError, DecodedBlock, TransactionDecodeError, decode_transaction};
pub use bundle::{Bundle, BundleOutcome};
pub use checkpoint::{Checkpoint, ContextError};
pub use digest::{ResultDigest, StateDigest};
pub use features::{FeatureChoice, known_features};
pub use replay::{BlockTransactions, BlockhashInfo, Position, Replay, ReplayOptions, SlotError};
pub use report::{
    AccountDiff, AccountDiffs, BankHashDifference, BankHashes, Divergence, DivergenceClass, Execution, Occurrences,
    OutcomeField, ProofUnavailable, Skip, SlotReport, Summary, TransactionReport, Unreproduced, Unverifiable, Verdict,
};
pub use runtime::SetupError;
pub use sysvars::SysvarError;
pub use user::{BlockhashCheck, InjectedTransaction, SimulateOptions, SimulatedTransaction};

/// What executed a replay: a result digest can only be compared with one of the same version.
pub const ENGINE_VERSION: &str = concat!("simulator-engine ", env!("CARGO_PKG_VERSION"), ", solana-svm 4.2.2");
