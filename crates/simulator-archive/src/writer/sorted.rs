//! Segments of records that are sorted by address: the accounts of a keyframe.

use solana_pubkey::Pubkey;

use crate::codec::Encoder;
use crate::error::{ArchiveError, WriteError};
use crate::location::Location;
use crate::manifest::{Segment, SegmentKind};
use crate::manifest_file;
use crate::model::Slot;
use crate::segment::{SegmentBuilder, address_key};
use crate::writer::{SegmentLimits, objects};

/// Writes the records of one keyframe. Holds one segment in memory.
#[derive(Debug)]
pub(super) struct SortedWriter {
    kind: SegmentKind,
    slot: Slot,
    segment: Option<SegmentBuilder>,
    parts: u32,
    chunk: Encoder,
    chunk_key: u64,
    chunk_records: u32,
    last: Option<Pubkey>,
    stored: Vec<Segment>,
}

impl SortedWriter {
    pub(super) fn new(kind: SegmentKind, slot: Slot) -> Self {
        Self {
            kind,
            slot,
            segment: None,
            parts: 0,
            chunk: Encoder::default(),
            chunk_key: 0,
            chunk_records: 0,
            last: None,
            stored: Vec::new(),
        }
    }

    /// Adds the record of an address, which is after the one before it.
    pub(super) async fn push(
        &mut self,
        location: &Location,
        limits: &SegmentLimits,
        address: &Pubkey,
        encode: impl FnOnce(&mut Encoder),
    ) -> Result<(), ArchiveError> {
        if self.last.is_some_and(|last| last >= *address) {
            return Err(WriteError::AccountOrder { address: *address }.into());
        }
        self.last = Some(*address);
        if self.chunk_records == 0 {
            self.chunk_key = address_key(address);
        }
        self.chunk_records += 1;
        encode(&mut self.chunk);
        if self.chunk.len() as u64 >= u64::from(limits.chunk_bytes) {
            self.end_chunk(location, limits).await?;
        }
        Ok(())
    }

    /// Stores what is still in memory.
    pub(super) async fn flush(&mut self, location: &Location, limits: &SegmentLimits) -> Result<(), ArchiveError> {
        self.end_chunk(location, limits).await?;
        self.end_segment(location).await
    }

    /// The segments that have been stored.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.stored
    }

    pub(super) fn into_segments(self) -> Vec<Segment> {
        self.stored
    }

    async fn end_chunk(&mut self, location: &Location, limits: &SegmentLimits) -> Result<(), ArchiveError> {
        if self.chunk_records == 0 {
            return Ok(());
        }
        let (kind, slot) = (self.kind, self.slot);
        let segment = self.segment.get_or_insert_with(|| SegmentBuilder::new(kind, slot));
        let raw = std::mem::take(&mut self.chunk).into_bytes();
        segment.push(slot, self.chunk_key, self.chunk_records, &raw)?;
        self.chunk_records = 0;
        match segment.size() >= limits.segment_bytes {
            true => self.end_segment(location).await,
            false => Ok(()),
        }
    }

    async fn end_segment(&mut self, location: &Location) -> Result<(), ArchiveError> {
        if let Some(builder) = self.segment.take() {
            let prefix = manifest_file::keyframe_prefix(self.kind, self.slot, self.parts);
            self.stored.push(objects::put(location, builder, &prefix).await?);
            self.parts += 1;
        }
        Ok(())
    }
}
