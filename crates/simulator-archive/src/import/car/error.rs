//! What is wrong with a CAR file.

use std::io;

use crate::import::error::{ChainProblem, TransactionProblem};
use crate::model::Slot;

/// What is wrong with a CAR file.
#[derive(Debug, thiserror::Error)]
pub enum CarProblem {
    /// The file cannot be read or decompressed.
    #[error("it cannot be read or decompressed")]
    Read(#[source] io::Error),
    /// The file ends in the middle of a node.
    #[error("it ends in the middle of a node; copy it again")]
    Truncated,
    /// The file does not begin as a CAR file does.
    #[error("it is no CAR file of version 1: {what}")]
    Header {
        /// What is wrong.
        what: &'static str,
    },
    /// A node is not laid out as a node is.
    #[error("{what}")]
    Node {
        /// What is wrong.
        what: &'static str,
    },
    /// A node is not the one that its identifier names.
    #[error("the node is damaged: its bytes are not those that its identifier names")]
    Digest,
    /// A block refers to a node that is not among those before it.
    #[error("block {slot}: {what} is missing; an import needs whole blocks, each after its parts")]
    Missing {
        /// The slot of the block.
        slot: Slot,
        /// What is missing.
        what: &'static str,
    },
    /// The parts of a block are larger together than any block.
    #[error("the nodes before a block take more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A block does not follow from the one before it.
    #[error(transparent)]
    Chain(#[from] ChainProblem),
    /// A block without an entry has no blockhash.
    #[error("block {slot} has no entry")]
    NoEntries {
        /// The slot of the block.
        slot: Slot,
    },
    /// The rewards of a block are wrong.
    #[error("the rewards of block {slot}")]
    Rewards {
        /// The slot of the block.
        slot: Slot,
        /// What is wrong with them.
        #[source]
        source: RecordProblem,
    },
    /// The record of a transaction is wrong.
    #[error("the metadata of transaction {index} of block {slot}")]
    Metadata {
        /// The slot of the block.
        slot: Slot,
        /// The index of the transaction.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: RecordProblem,
    },
    /// A transaction is wrong, or its record does not fit it.
    #[error("transaction {index} of block {slot}")]
    Transaction {
        /// The slot of the block.
        slot: Slot,
        /// The index of the transaction.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: TransactionProblem,
    },
}

/// What is wrong with a record of Solana's ledger: metadata or rewards.
#[derive(Debug, thiserror::Error)]
pub enum RecordProblem {
    /// The record cannot be decompressed, or takes more than any record.
    #[error("it cannot be decompressed")]
    Decompress(#[source] io::Error),
    /// The record has more bytes than any record.
    #[error("it has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The record is laid out in none of the ways that Solana's ledger has used.
    #[error("it is malformed: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// A field has a value that it cannot have.
    #[error("{field} has a value that it cannot have")]
    Field {
        /// The field.
        field: &'static str,
    },
}
