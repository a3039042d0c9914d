//! Writing an archive.

use std::collections::BTreeSet;

use object_store::ObjectStoreExt;
use solana_pubkey::Pubkey;

use crate::codec::{Encoder, encode_account, encode_block};
use crate::error::{ArchiveError, WriteError};
use crate::import::CHECKPOINT_NAME;
use crate::location::Location;
use crate::manifest::{Bank, Closure, Coverage, Gap, Manifest, Scope, ScopeEvidence, Segment, SegmentKind, Source};
use crate::manifest_file;
use crate::model::{Account, Block, Slot};
use crate::segment::{SegmentBuilder, address_key};

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
    keyframe: KeyframeBuilder,
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

/// The keyframe that is being written.
#[derive(Debug, Default)]
struct KeyframeBuilder {
    segment: Option<SegmentBuilder>,
    parts: u32,
    chunk: Encoder,
    chunk_key: u64,
    chunk_records: u32,
    last: Option<Pubkey>,
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
            keyframe: KeyframeBuilder::default(),
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
        Ok(())
    }

    /// Adds an account to the keyframe that was started last. One without lamports is left out.
    ///
    /// # Errors
    ///
    /// Fails if the store does, if the account is not sorted, or if no keyframe was started.
    pub async fn account(&mut self, address: &Pubkey, account: &Account) -> Result<(), ArchiveError> {
        if self.keyframes.is_empty() {
            return Err(WriteError::NoKeyframe.into());
        }
        if account.lamports == 0 {
            return Ok(());
        }
        self.keyframe.push(address, account)?;
        if self.keyframe.chunk.len() as u64 >= u64::from(self.limits.chunk_bytes) {
            self.end_chunk().await?;
        }
        Ok(())
    }

    /// Takes over the first keyframe from an import that did not end.
    pub(crate) fn resume_keyframe(&mut self, slot: Slot, segments: Vec<Segment>) {
        self.keyframes.push(slot);
        self.accounts = segments;
    }

    /// All accounts of the keyframe have been added: stores what is left of them, and returns its segments.
    pub(crate) async fn finish_keyframe(&mut self) -> Result<Vec<Segment>, ArchiveError> {
        self.flush_keyframe().await?;
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
        match self.publish(description).await {
            Ok(manifest) => {
                sweep(&self.location, &manifest).await;
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
        let kept = match manifest_file::read(&self.location).await {
            Ok((manifest, _)) => names(&manifest),
            Err(ArchiveError::NotAnArchive { .. }) => BTreeSet::new(),
            // Without its manifest nobody knows what the old archive needs.
            Err(_) => return,
        };
        for segment in self
            .blocks
            .iter()
            .chain(&self.accounts)
            .filter(|segment| !kept.contains(&segment.name))
        {
            let _ = self.location.store.delete(&self.location.object(&segment.name)).await;
        }
        let _ = self.location.store.delete(&self.location.object(CHECKPOINT_NAME)).await;
    }

    async fn publish(&mut self, description: Description) -> Result<Manifest, ArchiveError> {
        self.end_block_segment().await?;
        self.end_keyframe().await?;
        let manifest = self.manifest(description)?;
        manifest_file::write(&self.location, &manifest).await?;
        Ok(manifest)
    }

    fn manifest(&mut self, description: Description) -> Result<Manifest, WriteError> {
        let (first_slot, last_slot) = self.totals.first.zip(self.totals.last).ok_or(WriteError::NoBlocks)?;
        if self.keyframes.first().is_none_or(|keyframe| *keyframe > first_slot) {
            return Err(WriteError::NoKeyframe);
        }
        Ok(Manifest {
            format_version: crate::FORMAT_VERSION,
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
            segments: self.blocks.iter().chain(&self.accounts).cloned().collect(),
        })
    }

    async fn end_block_segment(&mut self) -> Result<(), ArchiveError> {
        if let Some(builder) = self.block_segment.take() {
            let prefix = format!("blocks-{:012}", builder.first_slot());
            let segment = put(&self.location, builder, &prefix).await?;
            self.blocks.push(segment);
        }
        Ok(())
    }

    async fn end_keyframe(&mut self) -> Result<(), ArchiveError> {
        self.flush_keyframe().await?;
        self.keyframe = KeyframeBuilder::default();
        Ok(())
    }

    /// Blocks usually come after the accounts: then the accounts need not be held any longer.
    async fn flush_keyframe(&mut self) -> Result<(), ArchiveError> {
        self.end_chunk().await?;
        self.end_account_segment().await
    }

    async fn end_chunk(&mut self) -> Result<(), ArchiveError> {
        let Some(slot) = self.keyframes.last() else {
            return Ok(());
        };
        if self.keyframe.end_chunk(*slot)? >= self.limits.segment_bytes {
            self.end_account_segment().await?;
        }
        Ok(())
    }

    async fn end_account_segment(&mut self) -> Result<(), ArchiveError> {
        if let Some(builder) = self.keyframe.segment.take() {
            let prefix = format!("accounts-{:012}-{:05}", builder.first_slot(), self.keyframe.parts);
            let segment = put(&self.location, builder, &prefix).await?;
            self.accounts.push(segment);
            self.keyframe.parts += 1;
        }
        Ok(())
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

impl KeyframeBuilder {
    fn push(&mut self, address: &Pubkey, account: &Account) -> Result<(), WriteError> {
        if self.last.is_some_and(|last| last >= *address) {
            return Err(WriteError::AccountOrder { address: *address });
        }
        self.last = Some(*address);
        if self.chunk_records == 0 {
            self.chunk_key = address_key(address);
        }
        self.chunk_records += 1;
        encode_account(&mut self.chunk, address, account);
        Ok(())
    }

    /// Adds the chunk to the segment, and returns the segment's size.
    fn end_chunk(&mut self, slot: Slot) -> Result<u64, WriteError> {
        if self.chunk_records > 0 {
            let segment = self
                .segment
                .get_or_insert_with(|| SegmentBuilder::new(SegmentKind::Accounts, slot));
            let raw = std::mem::take(&mut self.chunk).into_bytes();
            segment.push(slot, self.chunk_key, self.chunk_records, &raw)?;
            self.chunk_records = 0;
        }
        Ok(self.segment.as_ref().map_or(0, SegmentBuilder::size))
    }
}

async fn put(location: &Location, builder: SegmentBuilder, prefix: &str) -> Result<Segment, ArchiveError> {
    let (segment, payload) = builder.finish(prefix);
    let object = location.object(&segment.name);
    location
        .store
        .put(&object, payload)
        .await
        .map_err(|source| ArchiveError::Io { object, source })?;
    Ok(segment)
}

/// Removes segments that the manifest does not name: those of the archive which it replaced, and of imports that died.
/// The archive is complete, so that a failure here is none; the next import tries again.
async fn sweep(location: &Location, manifest: &Manifest) {
    let kept = names(manifest);
    let is_ours = |name: &str| manifest_file::is_written_name(name) || name == CHECKPOINT_NAME;
    let is_orphan = |name: &str| is_ours(name) && !kept.contains(name);
    let prefix = Some(&location.prefix).filter(|prefix| !prefix.is_root());
    let Ok(listing) = location.store.list_with_delimiter(prefix).await else {
        return;
    };
    for object in listing.objects {
        if object.location.filename().is_some_and(is_orphan) {
            let _ = location.store.delete(&object.location).await;
        }
    }
}

fn names(manifest: &Manifest) -> BTreeSet<String> {
    manifest.segments.iter().map(|segment| segment.name.clone()).collect()
}
