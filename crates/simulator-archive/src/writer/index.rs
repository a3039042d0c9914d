//! Adding to an archive how its accounts developed.

use bytes::Bytes;
use solana_pubkey::Pubkey;

use crate::codec::{Encoder, encode_change, encode_difference};
use crate::digest::ArchiveDigest;
use crate::error::{ArchiveError, WriteError};
use crate::location::Location;
use crate::manifest::{Manifest, Segment, SegmentKind, StateIndex};
use crate::manifest_file;
use crate::model::{Account, Slot, SlotDelta};
use crate::reader::Archive;
use crate::segment::SegmentBuilder;
use crate::writer::sorted::SortedWriter;
use crate::writer::{SegmentLimits, objects};

/// Adds deltas and inner keyframes to an archive, in place of those that it has. The archive stays as it is until
/// [`IndexWriter::finish`]. Holds one segment of each kind in memory.
#[derive(Debug)]
pub struct IndexWriter {
    location: Location,
    limits: SegmentLimits,
    /// The manifest without an index.
    manifest: Manifest,
    /// What is to be replaced, if it is this archive itself.
    expected: Option<ArchiveDigest>,
    last_delta: Option<Slot>,
    changes: u64,
    deltas: Stream,
    keyframes: Vec<Slot>,
    differences: Vec<Segment>,
    contexts: Stream,
}

/// What the manifest says of an index beside what its writer has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDescription {
    /// What replayed the archive.
    pub engine: String,
    /// The least number of slots from one keyframe to the next.
    pub interval: u64,
    /// Whether the deltas hold every change of the accounts in scope.
    pub exact: bool,
}

/// Segments of one kind in slot order.
#[derive(Debug)]
struct Stream {
    kind: SegmentKind,
    segment: Option<SegmentBuilder>,
    stored: Vec<Segment>,
}

impl IndexWriter {
    /// Starts to write the index of an archive.
    pub fn new(archive: &Archive, limits: SegmentLimits) -> Self {
        let manifest = archive.manifest().without_index();
        Self {
            expected: Some(archive.digest()),
            ..Self::over(archive.location().clone(), manifest, limits)
        }
    }

    /// Starts to write the index of an archive whose segments are at a location.
    pub(crate) fn over(location: Location, manifest: Manifest, limits: SegmentLimits) -> Self {
        Self {
            location,
            limits,
            manifest,
            expected: None,
            last_delta: None,
            changes: 0,
            deltas: Stream::new(SegmentKind::Deltas),
            keyframes: Vec::new(),
            differences: Vec::new(),
            contexts: Stream::new(SegmentKind::Contexts),
        }
    }

    /// Adds what a slot changed.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if the slot is not after the one before it.
    pub async fn delta(&mut self, delta: &SlotDelta) -> Result<(), ArchiveError> {
        let slot = delta.slot;
        if let Some(previous) = self.last_delta.filter(|previous| *previous >= slot) {
            return Err(WriteError::BlockOrder { slot, previous }.into());
        }
        self.last_delta = Some(slot);
        self.changes += delta.changes.len() as u64;
        let mut chunk = Encoder::default();
        let mut records = 0;
        for change in &delta.changes {
            encode_change(&mut chunk, change);
            records += 1;
            if chunk.len() as u64 >= u64::from(self.limits.chunk_bytes) {
                let raw = std::mem::take(&mut chunk).into_bytes();
                self.deltas.push(slot, records, &raw)?;
                records = 0;
            }
        }
        // A slot that changed nothing has a delta, too.
        if records > 0 || delta.changes.is_empty() {
            self.deltas.push(slot, records, &chunk.into_bytes())?;
        }
        self.deltas.end_large(&self.location, &self.limits).await
    }

    /// Adds an inner keyframe: the state just before the block of `slot`, as what differs from the archive's first
    /// keyframe, sorted by address; none is an account that is known not to exist. `context` is what the engine knows
    /// beside the accounts.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if the keyframe or its accounts are out of order.
    pub async fn keyframe(
        &mut self,
        slot: Slot,
        differences: impl IntoIterator<Item = (Pubkey, Option<Account>)>,
        context: Bytes,
    ) -> Result<(), ArchiveError> {
        let after = self.keyframes.last().or(self.manifest.keyframes.first());
        if after.is_some_and(|last| *last >= slot) {
            return Err(WriteError::KeyframeOrder { slot }.into());
        }
        let mut writer = SortedWriter::new(SegmentKind::Differences, slot);
        let written = self.differences(&mut writer, differences).await;
        // What was stored counts as written even if the rest was not.
        self.differences.extend(writer.into_segments());
        written?;
        self.keyframes.push(slot);
        self.contexts.push(slot, 1, &context)?;
        self.contexts.end_large(&self.location, &self.limits).await
    }

    async fn differences(
        &self,
        writer: &mut SortedWriter,
        differences: impl IntoIterator<Item = (Pubkey, Option<Account>)>,
    ) -> Result<(), ArchiveError> {
        for (address, account) in differences {
            let record = |to: &mut Encoder| encode_difference(to, &address, account.as_ref());
            writer.push(&self.location, &self.limits, &address, record).await?;
        }
        writer.flush(&self.location, &self.limits).await
    }

    /// Publishes the archive with its index, then removes segments at the location that do not belong to it.
    ///
    /// # Errors
    ///
    /// Fails if the store does; then the archive is as it was.
    pub async fn finish(mut self, description: IndexDescription) -> Result<Manifest, ArchiveError> {
        match self.publish(description).await {
            Ok(manifest) => {
                objects::sweep(&self.location, &manifest).await;
                Ok(manifest)
            }
            Err(error) => {
                self.discard().await;
                Err(error)
            }
        }
    }

    /// Gives up: removes what was written. Does its best; what stays is removed by the next writer.
    pub async fn discard(self) {
        objects::discard(&self.location, self.segments()).await;
    }

    async fn publish(&mut self, description: IndexDescription) -> Result<Manifest, ArchiveError> {
        self.deltas.end(&self.location).await?;
        self.contexts.end(&self.location).await?;
        let mut manifest = self.manifest.clone();
        manifest.segments.extend(self.segments().cloned());
        manifest.state_index = Some(StateIndex {
            engine: description.engine,
            interval: description.interval,
            exact: description.exact,
            keyframes: self.keyframes.clone(),
            changes: self.changes,
        });
        manifest.format_version = manifest.needed_version();
        self.check_unchanged().await?;
        manifest_file::write(&self.location, &manifest).await?;
        Ok(manifest)
    }

    /// The blocks and accounts that the index belongs to must still be there.
    async fn check_unchanged(&self) -> Result<(), ArchiveError> {
        let Some(expected) = self.expected else { return Ok(()) };
        let (_, found) = manifest_file::read(&self.location).await?;
        match found == expected {
            true => Ok(()),
            false => Err(ArchiveError::ReplacedMeanwhile {
                location: self.location.to_string(),
            }),
        }
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        let deltas = self.deltas.stored.iter();
        deltas.chain(&self.differences).chain(&self.contexts.stored)
    }
}

impl Manifest {
    fn without_index(&self) -> Self {
        let mut manifest = self.clone();
        manifest.state_index = None;
        manifest.format_version = manifest.needed_version();
        manifest
            .segments
            .retain(|segment| segment.kind <= SegmentKind::Accounts);
        manifest
    }
}

impl Stream {
    fn new(kind: SegmentKind) -> Self {
        Self {
            kind,
            segment: None,
            stored: Vec::new(),
        }
    }

    fn push(&mut self, slot: Slot, records: u32, raw: &[u8]) -> Result<(), WriteError> {
        let kind = self.kind;
        let segment = self.segment.get_or_insert_with(|| SegmentBuilder::new(kind, slot));
        segment.push(slot, slot, records, raw)
    }

    /// Stores the segment if it is large enough. The frames of a slot are never divided among segments.
    async fn end_large(&mut self, location: &Location, limits: &SegmentLimits) -> Result<(), ArchiveError> {
        let is_large = |segment: &SegmentBuilder| {
            segment.size() >= limits.segment_bytes || segment.frames() >= limits.segment_blocks
        };
        match self.segment.as_ref().is_some_and(is_large) {
            true => self.end(location).await,
            false => Ok(()),
        }
    }

    async fn end(&mut self, location: &Location) -> Result<(), ArchiveError> {
        if let Some(builder) = self.segment.take() {
            let prefix = manifest_file::stream_prefix(self.kind, builder.first_slot());
            self.stored.push(objects::put(location, builder, &prefix).await?);
        }
        Ok(())
    }
}
