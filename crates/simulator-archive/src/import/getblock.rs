//! Blocks as `getBlock` returns them, one a line.

use super::chain::{Chain, Gaps, LedgerBlock, Place};
use super::convert::convert_all;
use super::error::{ImportError, LineError, TransactionProblem};
use super::input::{InputFile, Meter};
use super::json::{BlockLine, TransactionLine};
use super::lines::Lines;
use super::transaction::{Shape, wire};
use crate::model::{Block, Outcome, RecordedTransaction};

/// Reads the blocks of one file.
pub(super) struct BlockLines {
    lines: Lines,
}

impl BlockLines {
    pub(super) fn open(file: &InputFile) -> Result<Self, ImportError> {
        Ok(Self {
            lines: Lines::open(file)?,
        })
    }

    pub(super) fn next(&mut self, chain: &Chain, gaps: Gaps) -> Result<Option<LedgerBlock>, ImportError> {
        let Some(line) = self.lines.next::<BlockLine>()? else {
            return Ok(None);
        };
        let block = convert(line, chain, gaps).map_err(|source| self.lines.error(source))?;
        Ok(Some(block))
    }

    pub(super) fn meter(&self) -> &Meter {
        self.lines.meter()
    }
}

fn convert(line: BlockLine, chain: &Chain, gaps: Gaps) -> Result<LedgerBlock, LineError> {
    let slot = line.slot.ok_or(LineError::MissingSlot)?;
    let place = Place {
        slot,
        parent: line.parent_slot,
        previous_blockhash: Some(line.previous_blockhash.0),
    };
    let previous_blockhash = chain.check(place, gaps)?;
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
        previous_blockhash,
        block_height: line.block_height,
        block_time: line.block_time,
        bank_hash: None,
        rewards: convert_all(line.rewards.unwrap_or_default()),
        num_reward_partitions: line.num_reward_partitions,
        transactions,
    };
    Ok(LedgerBlock { block, shapes })
}

fn transaction(json: TransactionLine) -> Result<(RecordedTransaction, Shape), TransactionProblem> {
    let wire = wire(&json)?;
    let outcome = json.meta.map(Outcome::from);
    Shape::recorded(wire, outcome)
}
