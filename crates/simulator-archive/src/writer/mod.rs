//! Writing an archive.

mod index;
mod objects;
mod sorted;

use solana_pubkey::Pubkey;

use crate::codec::{encode_account, encode_block};
use crate::error::{ArchiveError, WriteError};
use crate::location::Location;
use crate::manifest::{Bank, Closure, Coverage, Gap, Manifest, Scope, ScopeEvidence, Segment, SegmentKind, Source};
use crate::manifest_file;
use crate::model::{Account, Block, Slot};
use crate::segment::SegmentBuilder;
use crate::writer::sorted::SortedWriter;

pub use crate::writer::index::{IndexDescription, IndexWriter};

/// How large the pieces of an archive become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLimits {
    /// A segment is closed when it has this many bytes. It is held in memory until then.
    pub segment_bytes: u64,
    /// A block segment is closed when it has this many blocks.
    pub segment_blocks: u32,
    /// A chunk of accounts is closed when it has this many bytes, uncompressed.
    pub chunk_bytes: u32,
}

impl Default for SegmentLimits {
    /// 32 MiB or 4096 blocks a segment, 1 MiB of accounts a chunk.
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            segment_blocks: 4096,
            chunk_bytes: 1 << 20,
        }
    }
}

/// What the manifest says beside what the writer has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The genesis hash of the cluster in base58, where it is known.
    pub genesis_hash: Option<String>,
    /// What the absence of an account means.
    pub scope: Scope,
    /// Why.
    pub scope_evidence: ScopeEvidence,
    /// From what the scope follows, where it was limited to some programs or accounts.
    pub closure: Option<Closure>,
    /// What the bank of the first block's parent knew beside its accounts.
    pub bank: Option<Bank>,
    /// What the archive was made from.
    pub sources: Vec<Source>,
}

/// Writes an archive. Nothing that it writes can be opened before [`ArchiveWriter::finish`], and an archive that is
/// already at the location stays as it is until then. Holds one segment in memory.
#[derive(Debug)]
pub struct ArchiveWriter {
    location: Location,
    limits: SegmentLimits,
    totals: Totals,
    block_segment: Option<SegmentBuilder>,
    blocks: Vec<Segment>,
    keyframes: Vec<Slot>,
    /// The keyframe that is being written.
    keyframe: Option<SortedWriter>,
    /// The segments of those before it.
    accounts: Vec<Segment>,
}

/// What has been written of blocks.
#[derive(Debug, Default)]
struct Totals {
    first: Option<Slot>,
    last: Option<Slot>,
    blocks: u64,
    transactions: u64,
    outcomes: u64,
    coverage: Coverage,
}

impl ArchiveWriter {
    /// Starts to write at a location.
    pub fn new(location: Location, limits: SegmentLimits) -> Self {
        Self {
            location,
            limits,
            totals: Totals::default(),
            block_segment: None,
            blocks: Vec::new(),
            keyframes: Vec::new(),
            keyframe: None,
            accounts: Vec::new(),
        }
    }

    /// Starts the keyframe of the state just before the block of `slot`.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if keyframes are out of order.
    pub async fn start_keyframe(&mut self, slot: Slot) -> Result<(), ArchiveError> {
        self.end_keyframe().await?;
        if self.keyframes.last().is_some_and(|last| *last >= slot) {
            return Err(WriteError::KeyframeOrder { slot }.into());
        }
        self.keyframes.push(slot);
        self.keyframe = Some(SortedWriter::new(SegmentKind::Accounts, slot));
        Ok(())
    }

    /// Adds an account to the keyframe that was started last. One without lamports is left out.
    ///
    /// # Errors
    ///
    /// Fails if the store does, if the account is not sorted, or if no keyframe was started.
    pub async fn account(&mut self, address: &Pubkey, account: &Account) -> Result<(), ArchiveError> {
        let Some(keyframe) = &mut self.keyframe else {
            return Err(WriteError::NoKeyframe.into());
        };
        if account.lamports == 0 {
            return Ok(());
        }
        let record = |to: &mut _| encode_account(to, address, account);
        keyframe.push(&self.location, &self.limits, address, record).await
    }

    /// Takes over the first keyframe from an import that did not end.
    pub(crate) fn resume_keyframe(&mut self, slot: Slot, segments: Vec<Segment>) {
        self.keyframes.push(slot);
        self.accounts = segments;
    }

    /// All accounts of the keyframe have been added: stores what is left of them, and returns its segments.
    pub(crate) async fn finish_keyframe(&mut self) -> Result<Vec<Segment>, ArchiveError> {
        self.end_keyframe().await?;
        Ok(self.accounts.clone())
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// Adds a block.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if the block does not follow the one before it.
    pub async fn block(&mut self, block: &Block) -> Result<(), ArchiveError> {
        self.totals.add(block)?;
        self.flush_keyframe().await?;
        let segment = self
            .block_segment
            .get_or_insert_with(|| SegmentBuilder::new(SegmentKind::Blocks, block.slot));
        segment.push(
            block.slot,
            block.slot,
            block.transactions.len() as u32,
            &encode_block(block),
        )?;
        if segment.size() >= self.limits.segment_bytes || segment.frames() >= self.limits.segment_blocks {
            self.end_block_segment().await?;
        }
        Ok(())
    }

    /// Publishes the archive, then removes segments at the location that do not belong to it.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if there is no block or no keyframe; then nothing is published, and what was
    /// written is removed.
    pub async fn finish(mut self, description: Description) -> Result<Manifest, ArchiveError> {
        match self.complete(description).await {
            Ok(manifest) => self.publish_complete(manifest).await,
            Err(error) => {
                self.discard().await;
                Err(error)
            }
        }
    }

    /// Publishes what [`complete`](Self::complete) gave, then sweeps.
    pub(crate) async fn publish_complete(self, manifest: Manifest) -> Result<Manifest, ArchiveError> {
        match manifest_file::write(&self.location, &manifest).await {
            Ok(()) => {
                objects::sweep(&self.location, &manifest).await;
                Ok(manifest)
            }
            Err(error) => {
                self.discard().await;
                Err(error)
            }
        }
    }

    /// Gives up: removes what was written. Does its best; what stays is removed by the next import.
    pub async fn discard(self) {
        let keyframe = self.keyframe.iter().flat_map(SortedWriter::segments);
        let written = self.blocks.iter().chain(&self.accounts).chain(keyframe);
        objects::discard(&self.location, written).await;
    }

    /// Stores what is left of the segments, and returns the manifest. Nothing is published yet.
    pub(crate) async fn complete(&mut self, description: Description) -> Result<Manifest, ArchiveError> {
        self.end_block_segment().await?;
        self.end_keyframe().await?;
        Ok(self.manifest(description)?)
    }

    fn manifest(&mut self, description: Description) -> Result<Manifest, WriteError> {
        let (first_slot, last_slot) = self.totals.first.zip(self.totals.last).ok_or(WriteError::NoBlocks)?;
        if self.keyframes.first().is_none_or(|keyframe| *keyframe > first_slot) {
            return Err(WriteError::NoKeyframe);
        }
        let mut manifest = Manifest {
            format_version: 0,
            genesis_hash: description.genesis_hash,
            first_slot,
            last_slot,
            blocks: self.totals.blocks,
            transactions: self.totals.transactions,
            outcomes: self.totals.outcomes,
            scope: description.scope,
            scope_evidence: description.scope_evidence,
            closure: description.closure,
            bank: description.bank,
            coverage: self.totals.coverage.clone(),
            keyframes: self.keyframes.clone(),
            sources: description.sources,
            state_index: None,
            segments: self.blocks.iter().chain(&self.accounts).cloned().collect(),
        };
        manifest.format_version = manifest.needed_version();
        Ok(manifest)
    }

    async fn end_block_segment(&mut self) -> Result<(), ArchiveError> {
        if let Some(builder) = self.block_segment.take() {
            let prefix = manifest_file::stream_prefix(SegmentKind::Blocks, builder.first_slot());
            let segment = objects::put(&self.location, builder, &prefix).await?;
            self.blocks.push(segment);
        }
        Ok(())
    }

    async fn end_keyframe(&mut self) -> Result<(), ArchiveError> {
        self.flush_keyframe().await?;
        let segments = self.keyframe.take().map(SortedWriter::into_segments);
        self.accounts.extend(segments.into_iter().flatten());
        Ok(())
    }

    /// Blocks usually come after the accounts: then the accounts need not be held any longer.
    async fn flush_keyframe(&mut self) -> Result<(), ArchiveError> {
        match &mut self.keyframe {
            Some(keyframe) => keyframe.flush(&self.location, &self.limits).await,
            None => Ok(()),
        }
    }
}

impl Totals {
    fn add(&mut self, block: &Block) -> Result<(), WriteError> {
        let (slot, parent_slot) = (block.slot, block.parent_slot);
        if let Some(previous) = self.last.filter(|previous| *previous >= slot) {
            return Err(WriteError::BlockOrder { slot, previous });
        }
        let is_genesis = slot == 0 && parent_slot == 0;
        if (parent_slot >= slot && !is_genesis) || self.last.is_some_and(|previous| parent_slot < previous) {
            return Err(WriteError::Parent {
                slot,
                parent: parent_slot,
            });
        }
        self.coverage.add(self.last, block);
        self.first.get_or_insert(slot);
        self.last = Some(slot);
        self.blocks += 1;
        self.transactions += block.transactions.len() as u64;
        self.outcomes += block.outcomes();
        Ok(())
    }
}

impl Coverage {
    /// Notes what is missing between the block at `previous` and the one after it.
    pub(crate) fn add(&mut self, previous: Option<Slot>, block: &Block) {
        if let Some(after) = previous.filter(|previous| *previous != block.parent_slot) {
            self.gaps += 1;
            self.first_gap.get_or_insert(Gap {
                after,
                slot: block.slot,
                parent_slot: block.parent_slot,
            });
        }
    }
}
