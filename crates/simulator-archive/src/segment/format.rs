//! The fixed structures of a segment: head, index entries, footer (`docs/archive.md`, section 3).

use bytes::Bytes;
use object_store::path::Path;

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::digest::Digest;
use crate::error::{ArchiveError, MalformedError};
use crate::manifest::SegmentKind;

/// The first bytes of a segment. The first is no ASCII, the last are changed by programs that translate line ends.
pub(crate) const HEAD_MAGIC: [u8; 8] = *b"\x89SIMSG\r\n";

/// The version of this layout, in the head and the footer.
const SEGMENT_VERSION: u32 = 1;

/// The last bytes of a segment.
pub(crate) const FOOTER_MAGIC: [u8; 8] = *b"SIMSGEND";

/// Magic, version, kind.
pub(crate) const HEAD_SIZE: u64 = 8 + 4 + 4;

/// Key, offset, stored size, size, records, digest.
pub(crate) const ENTRY_SIZE: u64 = 8 + 8 + 4 + 4 + 4 + 32;

/// Offset of the index, entries, version, records, magic.
pub(crate) const FOOTER_SIZE: u64 = 8 + 4 + 4 + 8 + 8;

/// One frame of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The slot of the block, delta or context, or the first eight bytes of the first address as a big-endian number.
    pub(crate) key: u64,
    /// Where the frame starts in the object.
    pub(crate) offset: u64,
    /// Its size in the object.
    pub(crate) stored: u32,
    /// Its size when decompressed.
    pub(crate) size: u32,
    /// Number of transactions, accounts, changes or contexts.
    pub(crate) records: u32,
    /// BLAKE3 of the frame as stored.
    pub(crate) digest: Digest,
}

impl Entry {
    pub(crate) fn end(&self) -> u64 {
        self.offset + u64::from(self.stored)
    }

    fn encode(&self, to: &mut Encoder) {
        to.u64(self.key);
        to.u64(self.offset);
        to.u32(self.stored);
        to.u32(self.size);
        to.u32(self.records);
        to.raw(&self.digest.0);
    }

    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            key: from.u64()?,
            offset: from.u64()?,
            stored: from.u32()?,
            size: from.u32()?,
            records: from.u32()?,
            digest: Digest(from.array()?),
        })
    }
}

pub(crate) fn encode_head(kind: SegmentKind) -> Vec<u8> {
    let mut to = Encoder::default();
    to.raw(&HEAD_MAGIC);
    to.u32(SEGMENT_VERSION);
    to.u32(kind_tag(kind));
    to.into_bytes()
}

pub(crate) fn check_head(object: &Path, head: &[u8], kind: SegmentKind) -> Result<(), ArchiveError> {
    let malformed = |source| ArchiveError::Malformed {
        object: object.clone(),
        offset: 0,
        source,
    };
    let mut from = Decoder::new(Bytes::copy_from_slice(head));
    let magic: [u8; 8] = from.array().map_err(|_| malformed(MalformedError::Magic))?;
    if magic != HEAD_MAGIC {
        return Err(malformed(MalformedError::Magic));
    }
    let version = from.u32().map_err(|source| malformed(source.into()))?;
    check_version(object, version)?;
    let tag = from.u32().map_err(|source| malformed(source.into()))?;
    match tag == kind_tag(kind) {
        true => Ok(()),
        false => Err(malformed(MalformedError::Kind { expected: kind })),
    }
}

/// The index and footer of a segment whose frames end at `offset`.
pub(crate) fn encode_tail(offset: u64, entries: &[Entry]) -> Vec<u8> {
    let mut to = Encoder::default();
    for entry in entries {
        entry.encode(&mut to);
    }
    to.u64(offset);
    to.u32(entries.len() as u32);
    to.u32(SEGMENT_VERSION);
    to.u64(entries.iter().map(|entry| u64::from(entry.records)).sum());
    to.raw(&FOOTER_MAGIC);
    to.into_bytes()
}

/// Where the index of a segment starts that has this size and number of frames.
pub(crate) fn tail_offset(size: u64, frames: u32) -> Option<u64> {
    let tail = u64::from(frames) * ENTRY_SIZE + FOOTER_SIZE;
    size.checked_sub(tail).filter(|offset| *offset >= HEAD_SIZE)
}

/// Reads the index and footer, which start at `offset` of the object. Their digest has been checked.
pub(crate) fn decode_tail(tail: Bytes, offset: u64, frames: u32, records: u64) -> Result<Vec<Entry>, MalformedError> {
    let mut from = Decoder::new(tail);
    let entries = (0..frames)
        .map(|_| Entry::decode(&mut from))
        .collect::<Result<Vec<_>, _>>()?;
    let footer = (from.u64()?, from.u32()?, from.u32()?, from.u64()?, from.array()?);
    from.finish()?;
    let fits = footer == (offset, frames, SEGMENT_VERSION, records, FOOTER_MAGIC);
    let sum: u64 = entries.iter().map(|entry| u64::from(entry.records)).sum();
    match fits && sum == records && are_contiguous(&entries, offset) {
        true => Ok(entries),
        false => Err(MalformedError::Index),
    }
}

/// Frames follow each other without holes from the head to the index, so that every byte is covered.
fn are_contiguous(entries: &[Entry], end: u64) -> bool {
    let mut offset = HEAD_SIZE;
    for entry in entries {
        if entry.offset != offset || entry.stored == 0 {
            return false;
        }
        offset = entry.end();
    }
    offset == end
}

fn check_version(object: &Path, found: u32) -> Result<(), ArchiveError> {
    let supported = SEGMENT_VERSION;
    match found > supported {
        true => Err(ArchiveError::NewerFormat {
            object: object.clone(),
            found,
            supported,
        }),
        false if found == supported => Ok(()),
        false => Err(ArchiveError::Malformed {
            object: object.clone(),
            offset: 8,
            source: MalformedError::Magic,
        }),
    }
}

fn kind_tag(kind: SegmentKind) -> u32 {
    match kind {
        SegmentKind::Blocks => 1,
        SegmentKind::Accounts => 2,
        SegmentKind::Deltas => 3,
        SegmentKind::Differences => 4,
        SegmentKind::Contexts => 5,
    }
}
