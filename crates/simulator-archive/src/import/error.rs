//! Why an import fails.

use std::io;
use std::path::PathBuf;

use solana_hash::Hash;
use solana_pubkey::Pubkey;

use super::car::CarProblem;
use super::snapshot::SnapshotProblem;
use crate::error::ArchiveError;
use crate::model::Slot;

/// Why an import fails. Names the file, the line and the field where there is one.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no ledger directory.
    #[error("{path} is not a directory that can be read; give the directory that holds blocks.jsonl", path = path.display())]
    Directory {
        /// The path that was given.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file of the ledger is missing.
    #[error("{directory} has no {file}, {file}.gz or {file}.zst", directory = directory.display())]
    MissingFile {
        /// The ledger directory.
        directory: PathBuf,
        /// The missing file.
        file: &'static str,
    },
    /// A file of the ledger is there twice.
    #[error("{directory} has both {first} and {second}; remove one of them", directory = directory.display())]
    AmbiguousFile {
        /// The ledger directory.
        directory: PathBuf,
        /// One of the files.
        first: String,
        /// Another.
        second: String,
    },
    /// A file cannot be opened.
    #[error("{path} is not a file that can be read", path = path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A ledger directory has more than one snapshot.
    #[error("{directory} has both {first} and {second}; remove one of them", directory = directory.display())]
    AmbiguousSnapshot {
        /// The ledger directory.
        directory: PathBuf,
        /// One of the snapshots.
        first: String,
        /// Another.
        second: String,
    },
    /// A snapshot is wrong.
    #[error("cannot import the snapshot {file}")]
    Snapshot {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: Box<SnapshotProblem>,
    },
    /// A CAR file is wrong.
    #[error("{file}, byte {offset}")]
    Car {
        /// The file.
        file: String,
        /// Where the node starts that is wrong.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: Box<CarProblem>,
    },
    /// No files of blocks were given.
    #[error("no files of blocks were given")]
    NoBlockFiles,
    /// A file cannot be read.
    #[error("cannot read {file} after line {line}")]
    Read {
        /// The file.
        file: String,
        /// The last line that was read.
        line: u64,
        /// What the system or the decompressor says.
        #[source]
        source: io::Error,
    },
    /// A line is wrong.
    #[error("{file}, line {line}")]
    Line {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: LineError,
    },
    /// An account is listed twice.
    #[error("{file}: account {address} is on line {first} and again on line {second}; keep one of them")]
    DuplicateAccount {
        /// The file.
        file: String,
        /// The account's address.
        address: Pubkey,
        /// The first line that lists it.
        first: u64,
        /// Another line that does.
        second: u64,
    },
    /// There is no block.
    #[error("{file} holds no block")]
    NoBlocks {
        /// The file.
        file: String,
    },
    /// The state is not that before the first block.
    #[error(
        "{file}: its Clock stands at slot {clock}, and the first block {first} follows slot {parent}; use the accounts as \
         they were after slot {parent}"
    )]
    StartState {
        /// The file of accounts.
        file: String,
        /// The slot of its Clock.
        clock: Slot,
        /// The slot of the first block.
        first: Slot,
        /// The slot of that block's parent.
        parent: Slot,
    },
    /// The snapshot is not the state before the first block.
    #[error(
        "{file} is the state after slot {slot}, and the first block {first} follows slot {parent}; {advice}",
        advice = match slot < parent {
            true => "add the blocks between the two",
            false => "leave out the blocks up to that slot, or give an older snapshot",
        }
    )]
    NotParent {
        /// The snapshot.
        file: String,
        /// The slot after which it was taken.
        slot: Slot,
        /// The slot of the first block.
        first: Slot,
        /// The slot of that block's parent.
        parent: Slot,
    },
    /// The snapshot is of another cluster than the blocks.
    #[error(
        "{file} ends slot {slot} with the blockhash {blockhash}, and block {first} follows {named}: they are of two clusters, \
         or of two forks"
    )]
    OtherCluster {
        /// The snapshot.
        file: String,
        /// The slot after which it was taken.
        slot: Slot,
        /// The blockhash of that slot in the snapshot.
        blockhash: Hash,
        /// The slot of the first block.
        first: Slot,
        /// The blockhash that the block names.
        named: Hash,
    },
    /// The temporary files for sorting failed, for lack of space for instance.
    #[error("cannot sort in the system's temporary directory; set TMPDIR to one with more space")]
    Sort(#[source] io::Error),
    /// The archive cannot be written.
    #[error("cannot write the archive")]
    Archive(#[from] ArchiveError),
}

/// What is wrong with a line of a ledger.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Longer than any block.
    #[error("it is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// Not JSON.
    #[error("it is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON of another shape.
    #[error("it is not what such a line should be")]
    Shape(#[source] serde_json::Error),
    /// A field is wrong.
    #[error("{field} does not parse")]
    Field {
        /// The path of the field, such as `transactions[3].meta.fee`.
        field: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A block without its slot.
    #[error("slot is missing; add it to each result of getBlock, which does not hold it")]
    MissingSlot,
    /// A block that does not follow from the one before it.
    #[error(transparent)]
    Chain(#[from] ChainProblem),
    /// A transaction is wrong.
    #[error("transactions[{index}] of block {slot}")]
    Transaction {
        /// The slot of the block.
        slot: Slot,
        /// The index of the transaction.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: TransactionProblem,
    },
    /// An account's `space` is not the size of its data.
    #[error("account.space is {space}, and account.data has {size} bytes")]
    Space {
        /// What the line says.
        space: u64,
        /// The size of the data.
        size: usize,
    },
    /// The Clock's data is too short to hold a slot.
    #[error("account.data of the Clock sysvar has {size} bytes, too few for a slot")]
    Clock {
        /// The size of the data.
        size: usize,
    },
}

/// Why a block does not follow from the one before it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainProblem {
    /// A block out of order.
    #[error("slot {slot} is not after slot {previous} of the block before it; sort the blocks by slot")]
    SlotOrder {
        /// The slot of the block.
        slot: Slot,
        /// The slot of the block before it.
        previous: Slot,
    },
    /// A block before its parent.
    #[error("parentSlot {parent} is not before slot {slot}")]
    ParentOrder {
        /// The slot of the block.
        slot: Slot,
        /// The slot of its parent.
        parent: Slot,
    },
    /// A block of another fork.
    #[error(
        "parentSlot {parent} of block {slot} is before block {previous}, which is on another fork; remove one of them"
    )]
    Fork {
        /// The slot of the block.
        slot: Slot,
        /// The slot of its parent.
        parent: Slot,
        /// The slot of the block before it in the file.
        previous: Slot,
    },
    /// Blocks are missing where none may be.
    #[error(
        "parentSlot {parent} of block {slot} is missing: the block before it in the file is {previous}, and a ledger that lists \
         every account needs every block; add the missing blocks, or import with the scope `listed`"
    )]
    MissingBlocks {
        /// The slot of the block.
        slot: Slot,
        /// The slot of its parent.
        parent: Slot,
        /// The slot of the block before it in the file.
        previous: Slot,
    },
    /// A block that does not follow the one before it.
    #[error("previousBlockhash {found} of block {slot} is not the blockhash {expected} of the block before it")]
    PreviousBlockhash {
        /// The slot of the block.
        slot: Slot,
        /// What it says.
        found: Hash,
        /// The blockhash of its parent.
        expected: Hash,
    },
}

/// What is wrong with a transaction of a ledger.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionProblem {
    /// The encoding is not one of those that getBlock knows.
    #[error("transaction: the encoding {encoding:?} is unknown; use base64")]
    Encoding {
        /// The encoding.
        encoding: String,
    },
    /// The text is not of its encoding.
    #[error("transaction: it is not {encoding}")]
    Text {
        /// The encoding.
        encoding: &'static str,
    },
    /// The transaction is in parts, and of a version whose bytes cannot be made from them.
    #[error("transaction: its bytes cannot be made from its parts; ask getBlock for the encoding base64")]
    Version,
    /// The bytes are not a transaction.
    #[error("transaction: its {size} bytes are not a transaction")]
    Wire {
        /// Number of bytes.
        size: usize,
    },
    /// The transaction refers to accounts or signatures that it does not have.
    #[error("transaction: it refers to accounts or signatures that it does not have")]
    Insane,
    /// An array of the outcome does not fit the transaction.
    #[error("meta.{field}: {found} where the transaction has {expected}")]
    Length {
        /// The field.
        field: &'static str,
        /// The length of the array, or an index in it.
        found: usize,
        /// The length it must have, or that an index must be below.
        expected: usize,
    },
}
