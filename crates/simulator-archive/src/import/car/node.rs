//! The nodes of an Old Faithful archive: lists whose first element is their kind. (Yellowstone Faithful, `ledger.ipldsch`)

use super::cbor::Cbor;
use super::error::CarProblem;
use super::section::identifier;
use crate::model::Slot;

/// The identifier of a node.
pub(super) type Identifier = [u8; 36];

/// A node, as far as it is used.
#[derive(Debug)]
pub(super) enum Node {
    Transaction(TransactionNode),
    Entry(EntryNode),
    Block(BlockNode),
    Rewards(RewardsNode),
    Frame(Frame),
    /// An index over blocks.
    Index,
}

#[derive(Debug)]
pub(super) struct TransactionNode {
    pub(super) wire: Frame,
    pub(super) metadata: Frame,
    pub(super) slot: Slot,
    pub(super) index: Option<u64>,
}

#[derive(Debug)]
pub(super) struct EntryNode {
    pub(super) hash: [u8; 32],
    pub(super) transactions: Vec<Identifier>,
}

#[derive(Debug)]
pub(super) struct BlockNode {
    pub(super) slot: Slot,
    pub(super) entries: Vec<Identifier>,
    pub(super) parent: Slot,
    /// In seconds; 0 where it is not known.
    pub(super) time: i64,
    pub(super) height: Option<u64>,
    pub(super) rewards: Option<Identifier>,
}

#[derive(Debug)]
pub(super) struct RewardsNode {
    pub(super) slot: Slot,
    pub(super) data: Frame,
}

/// A piece of data, and the pieces after it.
#[derive(Debug)]
pub(super) struct Frame {
    /// Number of pieces, where there are several.
    pub(super) total: Option<u64>,
    pub(super) data: Vec<u8>,
    pub(super) next: Vec<Identifier>,
}

/// The elements of a list, the last of which may be missing.
struct Tuple<'a, 'b> {
    cbor: &'a mut Cbor<'b>,
    left: u64,
}

impl Node {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CarProblem> {
        let mut cbor = Cbor::new(bytes);
        let mut tuple = Tuple::new(&mut cbor)?;
        let node = match tuple.next(Cbor::unsigned)? {
            0 => Self::Transaction(transaction(&mut tuple)?),
            1 => Self::Entry(entry(&mut tuple)?),
            2 => Self::Block(block(&mut tuple)?),
            3 | 4 => Self::Index,
            5 => Self::Rewards(rewards(&mut tuple)?),
            6 => Self::Frame(frame(&mut tuple)?),
            _ => return Err(node("its kind is unknown")),
        };
        tuple.finish()?;
        cbor.finish()?;
        Ok(node)
    }
}

fn transaction(tuple: &mut Tuple<'_, '_>) -> Result<TransactionNode, CarProblem> {
    Ok(TransactionNode {
        wire: tuple.next(inner_frame)?,
        metadata: tuple.next(inner_frame)?,
        slot: tuple.next(Cbor::unsigned)?,
        index: tuple.optional(Cbor::unsigned)?,
    })
}

fn entry(tuple: &mut Tuple<'_, '_>) -> Result<EntryNode, CarProblem> {
    tuple.next(Cbor::unsigned)?;
    let hash = tuple.next(Cbor::bytes)?;
    Ok(EntryNode {
        hash: hash
            .try_into()
            .map_err(|_| node("the hash of an entry has not 32 bytes"))?,
        transactions: tuple.next(known_links)?,
    })
}

fn block(tuple: &mut Tuple<'_, '_>) -> Result<BlockNode, CarProblem> {
    let slot = tuple.next(Cbor::unsigned)?;
    tuple.next(|cbor| cbor.skip(1))?;
    let entries = tuple.next(known_links)?;
    let (parent, time, height) = tuple.next(slot_meta)?;
    let link = tuple.next(Cbor::link)?;
    Ok(BlockNode {
        slot,
        entries,
        parent,
        time,
        height,
        rewards: identifier(link)?,
    })
}

fn slot_meta(cbor: &mut Cbor<'_>) -> Result<(Slot, i64, Option<u64>), CarProblem> {
    let mut tuple = Tuple::new(cbor)?;
    let meta = (
        tuple.next(Cbor::unsigned)?,
        tuple.next(Cbor::signed)?,
        tuple.optional(Cbor::unsigned)?,
    );
    tuple.finish()?;
    Ok(meta)
}

fn rewards(tuple: &mut Tuple<'_, '_>) -> Result<RewardsNode, CarProblem> {
    Ok(RewardsNode {
        slot: tuple.next(Cbor::unsigned)?,
        data: tuple.next(inner_frame)?,
    })
}

/// A frame inside another node: its own list, with its own kind.
fn inner_frame(cbor: &mut Cbor<'_>) -> Result<Frame, CarProblem> {
    let mut tuple = Tuple::new(cbor)?;
    if tuple.next(Cbor::unsigned)? != 6 {
        return Err(node("there is no data where some should be"));
    }
    let frame = frame(&mut tuple)?;
    tuple.finish()?;
    Ok(frame)
}

/// The hash of all pieces together is not needed: the identifiers cover them.
fn frame(tuple: &mut Tuple<'_, '_>) -> Result<Frame, CarProblem> {
    tuple.next(|cbor| cbor.skip(1))?;
    tuple.next(|cbor| cbor.skip(1))?;
    Ok(Frame {
        total: tuple.next(|cbor| cbor.nullable(Cbor::unsigned))?,
        data: tuple.next(Cbor::bytes)?.to_vec(),
        next: tuple.optional(known_links)?.unwrap_or_default(),
    })
}

fn known_links(cbor: &mut Cbor<'_>) -> Result<Vec<Identifier>, CarProblem> {
    let links = cbor.links()?;
    let known = |link| identifier(link)?.ok_or_else(|| node("a link leads nowhere"));
    links.into_iter().map(known).collect()
}

impl<'a, 'b> Tuple<'a, 'b> {
    fn new(cbor: &'a mut Cbor<'b>) -> Result<Self, CarProblem> {
        let left = cbor.list()?;
        Ok(Self { cbor, left })
    }

    fn next<T>(&mut self, read: impl FnOnce(&mut Cbor<'b>) -> Result<T, CarProblem>) -> Result<T, CarProblem> {
        self.left = self.left.checked_sub(1).ok_or_else(|| node("a field is missing"))?;
        read(self.cbor)
    }

    /// An element that may be null, or missing together with all after it.
    fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Cbor<'b>) -> Result<T, CarProblem>,
    ) -> Result<Option<T>, CarProblem> {
        match self.left {
            0 => Ok(None),
            _ => self.next(|cbor| cbor.nullable(read)),
        }
    }

    /// Passes over what later versions may add.
    fn finish(self) -> Result<(), CarProblem> {
        self.cbor.skip(self.left)
    }
}

fn node(what: &'static str) -> CarProblem {
    CarProblem::Node { what }
}
