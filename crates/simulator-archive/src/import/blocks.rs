//! The blocks of a ledger.

use solana_hash::Hash;

use super::convert::convert_all;
use super::error::{ImportError, LineError};
use super::json::{BlockLine, TransactionJson};
use super::lines::Lines;
use super::transaction::{Shape, wire};
use crate::model::{Block, Outcome, RecordedTransaction, Slot};

/// Whether blocks may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gaps {
    Refuse,
    Record,
}

/// Reads the blocks of a ledger, and checks that each follows from the one before it.
pub(super) struct BlockLines {
    lines: Lines,
    previous: Option<(Slot, Hash)>,
}

/// A block, and the shape of each of its transactions.
#[derive(Debug)]
pub(super) struct LedgerBlock {
    pub(super) block: Block,
    pub(super) shapes: Vec<Shape>,
}

impl BlockLines {
    pub(super) fn new(lines: Lines) -> Self {
        Self { lines, previous: None }
    }

    pub(super) fn next(&mut self, gaps: Gaps) -> Result<Option<LedgerBlock>, ImportError> {
        let Some(line) = self.lines.next::<BlockLine>()? else {
            return Ok(None);
        };
        let block = self.check(line, gaps).map_err(|source| self.lines.error(source))?;
        self.previous = Some((block.block.slot, block.block.blockhash));
        Ok(Some(block))
    }

    pub(super) fn lines(&self) -> &Lines {
        &self.lines
    }

    fn check(&self, line: BlockLine, gaps: Gaps) -> Result<LedgerBlock, LineError> {
        let slot = line.slot.ok_or(LineError::MissingSlot)?;
        self.check_chain(slot, &line, gaps)?;
        let (mut transactions, mut shapes) = (Vec::new(), Vec::new());
        for (index, json) in line.transactions.into_iter().enumerate() {
            let (transaction, shape) =
                transaction(json).map_err(|source| LineError::Transaction { slot, index, source })?;
            transactions.push(transaction);
            shapes.push(shape);
        }
        let block = Block {
            slot,
            parent_slot: line.parent_slot,
            blockhash: line.blockhash.0,
            previous_blockhash: line.previous_blockhash.0,
            block_height: line.block_height,
            block_time: line.block_time,
            bank_hash: None,
            rewards: convert_all(line.rewards.unwrap_or_default()),
            num_reward_partitions: line.num_reward_partitions,
            transactions,
        };
        Ok(LedgerBlock { block, shapes })
    }

    fn check_chain(&self, slot: Slot, line: &BlockLine, gaps: Gaps) -> Result<(), LineError> {
        let parent = line.parent_slot;
        if let Some((previous, _)) = self.previous.as_ref().filter(|(previous, _)| *previous >= slot) {
            return Err(LineError::SlotOrder {
                slot,
                previous: *previous,
            });
        }
        if parent >= slot && (slot, parent) != (0, 0) {
            return Err(LineError::ParentOrder { slot, parent });
        }
        let Some((previous, blockhash)) = &self.previous else {
            return Ok(());
        };
        let (previous, found) = (*previous, &line.previous_blockhash.0);
        match gaps {
            _ if parent < previous => Err(LineError::Fork { slot, parent, previous }),
            Gaps::Refuse if parent > previous => Err(LineError::MissingBlocks { slot, parent, previous }),
            _ if parent == previous && found != blockhash => Err(LineError::PreviousBlockhash {
                slot,
                found: *found,
                expected: *blockhash,
            }),
            _ => Ok(()),
        }
    }
}

fn transaction(json: TransactionJson) -> Result<(RecordedTransaction, Shape), super::error::TransactionProblem> {
    let wire = wire(&json.transaction)?;
    let shape = Shape::parse(&wire)?;
    let outcome = json.meta.map(Outcome::from);
    if let Some(outcome) = &outcome {
        shape.check(outcome)?;
    }
    Ok((RecordedTransaction { wire, outcome }, shape))
}
