//! Opening and reading an archive.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use solana_pubkey::Pubkey;

use crate::digest::ArchiveDigest;
use crate::error::ArchiveError;
use crate::location::Location;
use crate::manifest::{Manifest, Segment};
use crate::manifest_file;
use crate::model::{Account, Block, Slot};
use crate::segment::{AccountRecords, SegmentReader, decode_block_frame};

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
        let overlaps = |segment: &&Segment| segment.first_slot <= *range.end() && segment.last_slot >= *range.start();
        let segments = self.manifest().block_segments().filter(overlaps).cloned().collect();
        BlockReader {
            location: self.location().clone(),
            range,
            segments,
            current: None,
        }
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
}

/// Reads blocks one after the other. Holds one block and what is read ahead, about 1 MiB.
#[derive(Debug)]
pub struct BlockReader {
    location: Location,
    range: RangeInclusive<Slot>,
    segments: VecDeque<Segment>,
    current: Option<SegmentReader>,
}

impl BlockReader {
    /// The next block, or `None` after the last.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if what it returns is damaged.
    pub async fn next(&mut self) -> Result<Option<Block>, ArchiveError> {
        loop {
            if let Some(segment) = &mut self.current {
                if let Some(frame) = segment.next().await? {
                    return decode_block_frame(&frame).map(Some);
                }
                self.current = None;
            }
            let Some(segment) = self.segments.front() else {
                return Ok(None);
            };
            let mut reader = SegmentReader::open(&self.location, segment).await?;
            reader.restrict(*self.range.start(), *self.range.end());
            self.current = Some(reader);
            self.segments.pop_front();
        }
    }
}

/// Reads the accounts of a keyframe one after the other. Holds one chunk of accounts and what is read ahead, each
/// about 1 MiB.
#[derive(Debug)]
pub struct AccountReader {
    location: Location,
    segments: VecDeque<Segment>,
    current: Option<SegmentReader>,
    records: AccountRecords,
}

impl AccountReader {
    /// Reads the segments of one keyframe, which are in order of address.
    pub(crate) fn new(location: Location, segments: impl IntoIterator<Item = Segment>) -> Self {
        Self {
            location,
            segments: segments.into_iter().collect(),
            current: None,
            records: AccountRecords::default(),
        }
    }

    /// The next account in order of address, or `None` after the last.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if what it returns is damaged.
    pub async fn next(&mut self) -> Result<Option<(Pubkey, Account)>, ArchiveError> {
        loop {
            if let Some(account) = self.records.next()? {
                return Ok(Some(account));
            }
            if let Some(segment) = &mut self.current {
                if let Some(frame) = segment.next().await? {
                    self.records.start(frame)?;
                    continue;
                }
                self.current = None;
            }
            let Some(segment) = self.segments.front() else {
                return Ok(None);
            };
            self.current = Some(SegmentReader::open(&self.location, segment).await?);
            self.segments.pop_front();
        }
    }
}
