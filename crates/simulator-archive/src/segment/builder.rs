//! Building a segment in memory. Its size is bounded, so that this needs no more than that.

use bytes::Bytes;
use object_store::PutPayload;

use super::format::{Entry, encode_head, encode_tail};
use super::frame::compress;
use crate::digest::Digest;
use crate::error::WriteError;
use crate::manifest::{Segment, SegmentKind};
use crate::model::Slot;

/// A segment that is being built.
#[derive(Debug)]
pub(crate) struct SegmentBuilder {
    kind: SegmentKind,
    first_slot: Slot,
    last_slot: Slot,
    pieces: Vec<Bytes>,
    entries: Vec<Entry>,
    size: u64,
}

impl SegmentBuilder {
    pub(crate) fn new(kind: SegmentKind, slot: Slot) -> Self {
        let head = encode_head(kind);
        let size = head.len() as u64;
        Self {
            kind,
            first_slot: slot,
            last_slot: slot,
            pieces: vec![head.into()],
            entries: Vec::new(),
            size,
        }
    }

    /// Adds a frame of `records` records. `slot` is that of the block, or of the keyframe.
    pub(crate) fn push(&mut self, slot: Slot, key: u64, records: u32, raw: &[u8]) -> Result<(), WriteError> {
        let stored = compress(raw)?;
        self.entries.push(Entry {
            key,
            offset: self.size,
            stored: stored.len() as u32,
            size: raw.len() as u32,
            records,
            digest: Digest::of(&stored),
        });
        self.size += stored.len() as u64;
        self.last_slot = slot;
        self.pieces.push(stored.into());
        Ok(())
    }

    /// Size so far in bytes, without the index.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The slot of the first block, or of the keyframe.
    pub(crate) fn first_slot(&self) -> Slot {
        self.first_slot
    }

    pub(crate) fn frames(&self) -> u32 {
        self.entries.len() as u32
    }

    /// The finished segment, and its bytes. `prefix` is what its name starts with.
    pub(crate) fn finish(mut self, prefix: &str) -> (Segment, PutPayload) {
        let tail = encode_tail(self.size, &self.entries);
        let index_digest = Digest::of(&tail);
        self.size += tail.len() as u64;
        self.pieces.push(tail.into());
        let digest = self.digest();
        let segment = Segment {
            name: format!("{prefix}-{}.seg", digest.short()),
            kind: self.kind,
            first_slot: self.first_slot,
            last_slot: self.last_slot,
            frames: self.frames(),
            records: self.entries.iter().map(|entry| u64::from(entry.records)).sum(),
            size: self.size,
            digest,
            index_digest,
        };
        (segment, self.pieces.into_iter().collect())
    }

    fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for piece in &self.pieces {
            hasher.update(piece);
        }
        hasher.finalize().into()
    }
}
