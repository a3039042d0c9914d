//! A block, decoded: what can be done before its slot begins, on any thread.

use simulator_archive::model::{Block, SlotDelta};
use solana_message::VersionedMessage;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use thiserror::Error;

use crate::batch::{self, BatchRange};

/// A recorded block with its transactions decoded and its batches known.
#[derive(Debug)]
pub struct DecodedBlock {
    block: Block,
    transactions: Vec<VersionedTransaction>,
    batches: Vec<BatchRange>,
    delta: Option<SlotDelta>,
}

/// A transaction of a block cannot be decoded.
#[derive(Debug, Error)]
#[error("slot {slot}, transaction {index}: {source}")]
pub struct DecodeError {
    /// The block's slot.
    pub slot: u64,
    /// The transaction's index in the block.
    pub index: usize,
    /// What is wrong with it.
    #[source]
    pub source: TransactionDecodeError,
}

/// Bytes that are not a transaction.
#[derive(Debug, Error)]
pub enum TransactionDecodeError {
    /// The bytes do not have the layout of a transaction.
    #[error("not a transaction in Solana's wire encoding")]
    Malformed(#[source] wincode::ReadError),
    /// The transaction has no signature.
    #[error("the transaction has no signature")]
    Unsigned,
}

impl DecodedBlock {
    /// Decodes the transactions of a block and divides them into batches. Depends on nothing but the block.
    ///
    /// # Errors
    /// Names the first transaction that cannot be decoded.
    pub fn decode(block: Block) -> Result<Self, DecodeError> {
        let transactions = block
            .transactions
            .iter()
            .enumerate()
            .map(|(index, recorded)| {
                decode_transaction(&recorded.wire).map_err(|source| DecodeError {
                    slot: block.slot,
                    index,
                    source,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let batches = batch::partition(&transactions, &block.transactions);
        Ok(Self {
            block,
            transactions,
            batches,
            delta: None,
        })
    }

    /// The same with what its slot changed, as an archive with an index holds it.
    #[must_use]
    pub fn with_delta(mut self, delta: SlotDelta) -> Self {
        debug_assert_eq!(delta.slot, self.block.slot, "the delta is that of another slot");
        self.delta = Some(delta);
        self
    }

    /// The block as it was recorded.
    #[must_use]
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// The transactions, in block order.
    #[must_use]
    pub fn transactions(&self) -> &[VersionedTransaction] {
        &self.transactions
    }

    /// The batches: each a range of transaction indexes, together the whole block.
    #[must_use]
    pub fn batches(&self) -> &[BatchRange] {
        &self.batches
    }

    /// What the slot changed on the chain, if that was read with the block.
    #[must_use]
    pub fn delta(&self) -> Option<&SlotDelta> {
        self.delta.as_ref()
    }
}

/// Decodes one transaction.
///
/// # Errors
/// The bytes are not a transaction, or it has no signature.
pub fn decode_transaction(wire: &[u8]) -> Result<VersionedTransaction, TransactionDecodeError> {
    let transaction: VersionedTransaction = wincode::deserialize(wire).map_err(TransactionDecodeError::Malformed)?;
    if transaction.signatures.is_empty() {
        return Err(TransactionDecodeError::Unsigned);
    }
    Ok(transaction)
}

/// The signature by which a transaction is known.
pub(crate) fn first_signature(transaction: &VersionedTransaction) -> Signature {
    transaction.signatures.first().copied().unwrap_or_default()
}

/// Whether a message loads addresses from lookup tables.
pub(crate) fn uses_lookup_tables(message: &VersionedMessage) -> bool {
    message
        .address_table_lookups()
        .is_some_and(|lookups| !lookups.is_empty())
}
