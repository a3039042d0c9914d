//! Old Faithful's CAR files: the blocks of an epoch, or some of them, as a tree of nodes of which each comes after its parts.

mod cbor;
mod error;
mod node;
mod oldest;
mod protobuf;
mod record;
mod section;

use std::collections::BTreeMap;
use std::io::BufRead;

use bytes::Bytes;
use solana_hash::Hash;

use super::chain::{Chain, Gaps, LedgerBlock, Place};
use super::error::ImportError;
use super::input::{InputFile, Meter};
use super::transaction::Shape;
use crate::model::{Block, RecordedTransaction};
pub use error::{CarProblem, RecordProblem};
use node::{BlockNode, Frame, Identifier, Node, TransactionNode};
use record::Rewards;
use section::Sections;

/// The most bytes of nodes that are kept for a block. The largest blocks of mainnet have some 20 MiB.
const MAX_PARTS: usize = 512 << 20;

/// Reads the blocks of one file.
pub(super) struct CarBlocks {
    file: String,
    sections: Sections<Box<dyn BufRead>>,
    meter: Meter,
    parts: Parts,
}

/// The nodes since the last block.
#[derive(Debug, Default)]
struct Parts {
    nodes: BTreeMap<Identifier, Node>,
    size: usize,
}

/// A block whose parts have been put together.
struct Assembled<'a> {
    parts: &'a mut Parts,
    node: &'a BlockNode,
}

impl CarBlocks {
    pub(super) fn open(file: &InputFile) -> Result<Self, ImportError> {
        let (reader, meter) = file.open()?;
        let sections = Sections::open(reader).map_err(|source| ImportError::Car {
            file: file.name().to_owned(),
            offset: 0,
            source: Box::new(source),
        })?;
        Ok(Self {
            file: file.name().to_owned(),
            sections,
            meter,
            parts: Parts::default(),
        })
    }

    /// The next block of the file, or `None` after the last.
    pub(super) fn next(&mut self, chain: &Chain, gaps: Gaps) -> Result<Option<LedgerBlock>, ImportError> {
        let offset = self.sections.offset();
        let wrong = |offset, source| ImportError::Car {
            file: self.file.clone(),
            offset,
            source: Box::new(source),
        };
        let mut at = offset;
        loop {
            let section = self.sections.next().map_err(|source| wrong(at, source))?;
            let Some(section) = section else {
                return Ok(None);
            };
            at = section.offset;
            let node = Node::parse(&section.node).map_err(|source| wrong(at, source))?;
            let taken = match node {
                Node::Block(node) => {
                    let mut parts = std::mem::take(&mut self.parts);
                    let mut assembled = Assembled {
                        parts: &mut parts,
                        node: &node,
                    };
                    return assembled
                        .block(chain, gaps)
                        .map(Some)
                        .map_err(|source| wrong(at, source));
                }
                Node::Index => Ok(()),
                node => self.parts.keep(section.identifier, node, section.node.len()),
            };
            taken.map_err(|source| wrong(at, source))?;
            at = self.sections.offset();
        }
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }
}

impl Parts {
    fn keep(&mut self, identifier: Identifier, node: Node, size: usize) -> Result<(), CarProblem> {
        self.size += size;
        if self.size > MAX_PARTS {
            return Err(CarProblem::TooLarge { limit: MAX_PARTS });
        }
        self.nodes.insert(identifier, node);
        Ok(())
    }
}

impl Assembled<'_> {
    fn block(&mut self, chain: &Chain, gaps: Gaps) -> Result<LedgerBlock, CarProblem> {
        let BlockNode {
            slot,
            parent,
            time,
            height,
            ..
        } = *self.node;
        let place = Place {
            slot,
            parent,
            previous_blockhash: None,
        };
        let previous_blockhash = chain.check(place, gaps)?;
        let rewards = self.rewards()?;
        let (mut blockhash, mut transactions, mut shapes) = (None, Vec::new(), Vec::new());
        for identifier in &self.node.entries {
            let Some(Node::Entry(entry)) = self.parts.nodes.remove(identifier) else {
                return Err(self.missing("an entry"));
            };
            blockhash = Some(Hash::new_from_array(entry.hash));
            for identifier in entry.transactions {
                let (transaction, shape) = self.transaction(&identifier, transactions.len())?;
                transactions.push(transaction);
                shapes.push(shape);
            }
        }
        let block = Block {
            slot,
            parent_slot: parent,
            blockhash: blockhash.ok_or(CarProblem::NoEntries { slot })?,
            previous_blockhash,
            block_height: height,
            block_time: Some(time).filter(|time| *time != 0),
            bank_hash: None,
            rewards: rewards.rewards,
            num_reward_partitions: rewards.partitions,
            transactions,
        };
        Ok(LedgerBlock { block, shapes })
    }

    fn transaction(
        &mut self,
        identifier: &Identifier,
        index: usize,
    ) -> Result<(RecordedTransaction, Shape), CarProblem> {
        let slot = self.node.slot;
        let Some(Node::Transaction(node)) = self.parts.nodes.remove(identifier) else {
            return Err(self.missing("a transaction"));
        };
        let TransactionNode { wire, metadata, .. } = node;
        if node.slot != slot || node.index.is_some_and(|named| named != index as u64) {
            return Err(CarProblem::Node {
                what: "a transaction of the block belongs elsewhere",
            });
        }
        let wire = Bytes::from(self.data(wire)?);
        let metadata = self.data(metadata)?;
        let outcome = record::outcome(&metadata).map_err(|source| CarProblem::Metadata { slot, index, source })?;
        Shape::recorded(wire, outcome).map_err(|source| CarProblem::Transaction { slot, index, source })
    }

    fn rewards(&mut self) -> Result<Rewards, CarProblem> {
        let slot = self.node.slot;
        let Some(identifier) = &self.node.rewards else {
            return Ok(Rewards::default());
        };
        let Some(Node::Rewards(node)) = self.parts.nodes.remove(identifier) else {
            return Err(self.missing("its rewards"));
        };
        if node.slot != slot {
            return Err(CarProblem::Node {
                what: "the rewards of the block belong elsewhere",
            });
        }
        let data = self.data(node.data)?;
        record::rewards(&data).map_err(|source| CarProblem::Rewards { slot, source })
    }

    /// Puts the pieces of some data together: those that a piece names come after it, in their order.
    fn data(&mut self, first: Frame) -> Result<Vec<u8>, CarProblem> {
        let (mut data, mut pieces) = (first.data, 1_u64);
        let mut next: Vec<Identifier> = first.next.into_iter().rev().collect();
        while let Some(identifier) = next.pop() {
            let Some(Node::Frame(frame)) = self.parts.nodes.remove(&identifier) else {
                return Err(self.missing("a piece of its data"));
            };
            data.extend_from_slice(&frame.data);
            next.extend(frame.next.into_iter().rev());
            pieces += 1;
        }
        match first.total.is_none_or(|total| total == pieces) {
            true => Ok(data),
            false => Err(self.missing("a piece of its data")),
        }
    }

    fn missing(&self, what: &'static str) -> CarProblem {
        CarProblem::Missing {
            slot: self.node.slot,
            what,
        }
    }
}
