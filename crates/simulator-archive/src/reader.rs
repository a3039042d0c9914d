//! Opening and reading an archive.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use solana_pubkey::Pubkey;

use crate::digest::ArchiveDigest;
use crate::error::{ArchiveError, MalformedError};
use crate::location::Location;
use crate::manifest::{Manifest, Segment, SegmentKind};
use crate::manifest_file;
use crate::model::{Account, Block, Slot, SlotDelta};
use crate::segment::{Frame, SegmentReader, SortedRecords, State, decode_block_frame, decode_changes_frame};

/// An open archive. Cheap to clone; its clones share everything.
#[derive(Clone, Debug)]
pub struct Archive {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    location: Location,
    manifest: Manifest,
    digest: ArchiveDigest,
}

impl Archive {
    /// Opens the archive at a path or `file://` URL. Reads the manifest only.
    ///
    /// # Errors
    ///
    /// Fails if there is no archive, or if its manifest is damaged or of a newer format.
    pub async fn open(location: &str) -> Result<Self, ArchiveError> {
        Self::open_at(Location::existing(location)?).await
    }

    /// Opens the archive at a location.
    ///
    /// # Errors
    ///
    /// As [`Archive::open`].
    pub async fn open_at(location: Location) -> Result<Self, ArchiveError> {
        let (manifest, digest) = manifest_file::read(&location).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                location,
                manifest,
                digest,
            }),
        })
    }

    /// What the archive holds.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// The digest of the manifest, which names the archive.
    pub fn digest(&self) -> ArchiveDigest {
        self.inner.digest
    }

    /// Where the archive is.
    pub fn location(&self) -> &Location {
        &self.inner.location
    }

    /// The blocks whose slots are in `range`, in slot order.
    pub fn blocks(&self, range: RangeInclusive<Slot>) -> BlockReader {
        BlockReader {
            frames: self.frames(SegmentKind::Blocks, range),
        }
    }

    /// What the slots in `range` changed, in slot order. Nothing if the archive has no [`Manifest::state_index`].
    pub fn deltas(&self, range: RangeInclusive<Slot>) -> DeltaReader {
        DeltaReader {
            frames: self.frames(SegmentKind::Deltas, range),
            next: None,
        }
    }

    fn frames(&self, kind: SegmentKind, range: RangeInclusive<Slot>) -> Frames {
        let overlaps = |segment: &&Segment| segment.first_slot <= *range.end() && segment.last_slot >= *range.start();
        let segments = self.manifest().segments_of(kind).filter(overlaps).cloned();
        Frames::new(self.location().clone(), segments, Some(range.clone()))
    }

    /// The block of one slot, or `None` if the archive has none there.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if what it returns is damaged.
    pub async fn block(&self, slot: Slot) -> Result<Option<Block>, ArchiveError> {
        self.blocks(slot..=slot).next().await
    }

    /// The newest keyframe at or before `slot`: its slot, and the accounts just before the block of that slot.
    ///
    /// # Errors
    ///
    /// Fails with [`ArchiveError::NoKeyframe`] if the first keyframe is after `slot`.
    pub fn accounts_at(&self, slot: Slot) -> Result<(Slot, AccountReader), ArchiveError> {
        let keyframes = &self.manifest().keyframes;
        let Some(keyframe) = keyframes.iter().rev().copied().find(|keyframe| *keyframe <= slot) else {
            let first = keyframes.first().copied().unwrap_or_default();
            return Err(ArchiveError::NoKeyframe { slot, first });
        };
        let segments = self.manifest().keyframe_segments(keyframe).cloned();
        Ok((keyframe, AccountReader::new(self.location().clone(), segments)))
    }

    /// The slot of the newest inner keyframe at or before `slot`, if the archive has one there.
    pub fn inner_keyframe_before(&self, slot: Slot) -> Option<Slot> {
        let keyframes = &self.manifest().state_index.as_ref()?.keyframes;
        keyframes.iter().rev().copied().find(|keyframe| *keyframe <= slot)
    }

    /// What differs at the inner keyframe of this slot from the first keyframe; none is an account that is known not to
    /// exist. Nothing if there is no such keyframe.
    pub fn differences_at(&self, keyframe: Slot) -> DifferenceReader {
        let segments = self.manifest().difference_segments(keyframe).cloned();
        DifferenceReader::new(self.location().clone(), segments)
    }

    /// What the engine knew at the inner keyframe of this slot beside the accounts, in its own encoding.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if what it returns is damaged.
    pub async fn context_at(&self, keyframe: Slot) -> Result<Option<Bytes>, ArchiveError> {
        let mut frames = self.frames(SegmentKind::Contexts, keyframe..=keyframe);
        match frames.next().await? {
            Some(frame) => frame.decompress().map(Some),
            None => Ok(None),
        }
    }
}

/// Reads the frames of several segments one after the other. Holds about 1 MiB that is read ahead.
#[derive(Debug)]
struct Frames {
    location: Location,
    segments: VecDeque<Segment>,
    /// The keys of the frames that are wanted, unless all are.
    range: Option<RangeInclusive<u64>>,
    current: Option<SegmentReader>,
}

impl Frames {
    fn new(
        location: Location,
        segments: impl IntoIterator<Item = Segment>,
        range: Option<RangeInclusive<u64>>,
    ) -> Self {
        Self {
            location,
            segments: segments.into_iter().collect(),
            range,
            current: None,
        }
    }

    async fn next(&mut self) -> Result<Option<Frame>, ArchiveError> {
        loop {
            if let Some(segment) = &mut self.current {
                if let Some(frame) = segment.next().await? {
                    return Ok(Some(frame));
                }
                self.current = None;
            }
            let Some(segment) = self.segments.front() else {
                return Ok(None);
            };
            let mut reader = SegmentReader::open(&self.location, segment).await?;
            if let Some(range) = &self.range {
                reader.restrict(*range.start(), *range.end());
            }
            self.current = Some(reader);
            self.segments.pop_front();
        }
    }
}

/// Reads blocks one after the other. Holds one block and what is read ahead, about 1 MiB.
#[derive(Debug)]
pub struct BlockReader {
    frames: Frames,
}

impl BlockReader {
    /// The next block, or `None` after the last.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if what it returns is damaged.
    pub async fn next(&mut self) -> Result<Option<Block>, ArchiveError> {
        match self.frames.next().await? {
            Some(frame) => decode_block_frame(&frame).map(Some),
            None => Ok(None),
        }
    }
}

/// Reads deltas one after the other. Holds one delta and what is read ahead, about 1 MiB.
#[derive(Debug)]
pub struct DeltaReader {
    frames: Frames,
    /// The first frame of the next slot.
    next: Option<Frame>,
}

impl DeltaReader {
    /// What the next slot changed, or `None` after the last.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if what it returns is damaged.
    pub async fn next(&mut self) -> Result<Option<SlotDelta>, ArchiveError> {
        let first = match self.next.take() {
            Some(frame) => Some(frame),
            None => self.frames.next().await?,
        };
        let Some(first) = first else { return Ok(None) };
        let slot = first.entry.key;
        let mut changes = decode_changes_frame(&first)?;
        while let Some(frame) = self.frames.next().await? {
            if frame.entry.key != slot {
                self.next = Some(frame);
                break;
            }
            let more = decode_changes_frame(&frame)?;
            let ends = changes.last().zip(more.first());
            if ends.is_some_and(|(last, next)| last.writer > next.writer) {
                return Err(frame.malformed(MalformedError::Records));
            }
            changes.extend(more);
        }
        Ok(Some(SlotDelta { slot, changes }))
    }
}

/// Reads the accounts of a complete keyframe.
pub type AccountReader = KeyframeReader<Account>;

/// Reads what an inner keyframe changes.
pub type DifferenceReader = KeyframeReader<Option<Account>>;

/// Reads the records of a keyframe one after the other, in order of address. Holds one chunk of them and what is read
/// ahead, each about 1 MiB.
#[derive(Debug)]
pub struct KeyframeReader<S> {
    frames: Frames,
    records: SortedRecords,
    state: PhantomData<fn() -> S>,
}

#[expect(private_bounds, reason = "the states there are have names of their own")]
impl<S: State> KeyframeReader<S> {
    /// Reads the segments of one keyframe, which are in order of address.
    pub(crate) fn new(location: Location, segments: impl IntoIterator<Item = Segment>) -> Self {
        Self {
            frames: Frames::new(location, segments, None),
            records: SortedRecords::default(),
            state: PhantomData,
        }
    }

    /// The next address with its state, or `None` after the last.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if what it returns is damaged.
    pub async fn next(&mut self) -> Result<Option<(Pubkey, S)>, ArchiveError> {
        loop {
            if let Some(record) = self.records.next()? {
                return Ok(Some(record));
            }
            match self.frames.next().await? {
                Some(frame) => self.records.start(frame)?,
                None => return Ok(None),
            }
        }
    }

    /// All addresses that are left, with their states. They are in memory together.
    ///
    /// # Errors
    ///
    /// As [`KeyframeReader::next`].
    pub async fn all(mut self) -> Result<Vec<(Pubkey, S)>, ArchiveError> {
        let mut records = Vec::new();
        while let Some(record) = self.next().await? {
            records.push(record);
        }
        Ok(records)
    }
}
