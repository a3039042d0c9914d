//! What is wrong with a snapshot.

use std::io;

use solana_hash::Hash;

use crate::model::Slot;

/// What is wrong with a snapshot. Offsets count from the start of the named entry, or of what the file unpacks to.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotProblem {
    /// The file cannot be read or decompressed.
    #[error("it cannot be read or decompressed; compare it with its source")]
    Read(#[source] io::Error),
    /// The file ends early.
    #[error("it ends in the middle, after {offset} bytes of what it unpacks to; copy it again")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// The file is no tar archive.
    #[error("at byte {offset} of what it unpacks to, {what}")]
    Tar {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An entry is not what such an entry should be.
    #[error("{entry}, byte {offset}: {what}")]
    Malformed {
        /// The name of the entry.
        entry: String,
        /// Where in the entry.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An entry that every snapshot has is missing.
    #[error("it has no {entry}")]
    Missing {
        /// The name of the entry.
        entry: String,
    },
    /// An entry is there twice.
    #[error("it has {entry} twice")]
    Twice {
        /// The name of the entry.
        entry: String,
    },
    /// An entry is not part of a full snapshot.
    #[error("it has {entry}, which is no part of a full snapshot")]
    Unexpected {
        /// The name of the entry.
        entry: String,
    },
    /// A file of accounts is shorter than the bank says.
    #[error("{entry} has {found} bytes, and the bank lists {listed}")]
    Short {
        /// The name of the entry.
        entry: String,
        /// The length that the bank lists.
        listed: u64,
        /// The length of the entry.
        found: u64,
    },
    /// Another version of the format.
    #[error("its version is {found:?}, and this program reads 1.2.0")]
    Version {
        /// What the version file holds.
        found: String,
    },
    /// A snapshot of changes only.
    #[error("it is an incremental snapshot, which holds changes only; give the full one")]
    Incremental,
    /// The name of the file names another slot.
    #[error("its name says slot {named}, and its bank is that of slot {found}")]
    NamedSlot {
        /// The slot in the name.
        named: Slot,
        /// The slot of the bank.
        found: Slot,
    },
    /// The name of the file names another state.
    #[error("its name says {named}, which is not the hash of its accounts")]
    NamedHash {
        /// The hash in the name.
        named: Hash,
    },
    /// The accounts are not those that the bank was made from.
    #[error("its accounts add up to the hash {found}, and the bank says {expected}: accounts are missing or changed")]
    Accounts {
        /// The checksum of the bank's lattice hash.
        expected: Hash,
        /// That of the accounts in the snapshot.
        found: Hash,
    },
}
