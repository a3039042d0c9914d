//! Reading the frames of a segment, all or some, with range requests.

use std::ops::Range;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::format::{Entry, HEAD_SIZE, check_head, decode_tail, tail_offset};
use super::frame::decompress;
use crate::digest::Digest;
use crate::error::{ArchiveError, MalformedError};
use crate::location::Location;
use crate::manifest::{Segment, SegmentKind};

/// How much is read at once when frames are read in order, in bytes. A larger frame is read alone.
const READ_AHEAD: u64 = 1 << 20;

/// Reads the frames of one segment in order.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    location: Location,
    object: Path,
    head: Bytes,
    tail: Bytes,
    entries: Vec<Entry>,
    /// The frames that are still to be read.
    pending: Range<usize>,
    /// Bytes of the object from `window_start` on that have been read already.
    window: Bytes,
    window_start: u64,
}

/// One frame as it is stored, its digest checked.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) object: Path,
    pub(crate) entry: Entry,
    pub(crate) stored: Bytes,
}

impl SegmentReader {
    /// Reads and checks the head, index and footer.
    pub(crate) async fn open(location: &Location, segment: &Segment) -> Result<Self, ArchiveError> {
        let object = location.object(&segment.name);
        check_size(location, &object, segment.size).await?;
        let offset = tail_offset(segment.size, segment.frames).ok_or_else(|| index_error(&object, 0))?;
        let ranges = [0..HEAD_SIZE, offset..segment.size];
        let mut parts = location
            .store
            .get_ranges(&object, &ranges)
            .await
            .map_err(|e| io_error(&object, e))?
            .into_iter();
        let (head, tail) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        check_head(&object, &head, segment.kind)?;
        if Digest::of(&tail) != segment.index_digest {
            return Err(ArchiveError::ChecksumMismatch { object, offset });
        }
        let entries = decode_tail(tail.clone(), offset, segment.frames, segment.records).map_err(|source| {
            ArchiveError::Malformed {
                object: object.clone(),
                offset,
                source,
            }
        })?;
        if !keys_fit(&entries, segment) {
            return Err(index_error(&object, offset));
        }
        let pending = 0..entries.len();
        let location = location.clone();
        Ok(Self {
            location,
            object,
            head,
            tail,
            entries,
            pending,
            window: Bytes::new(),
            window_start: 0,
        })
    }

    /// Leaves out the frames whose keys are not in the range.
    pub(crate) fn restrict(&mut self, first: u64, last: u64) {
        self.pending.start = self.entries.partition_point(|entry| entry.key < first);
        self.pending.end = self.entries.partition_point(|entry| entry.key <= last);
    }

    /// The next frame, or `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, ArchiveError> {
        let Some(entry) = self.pending.clone().next().map(|next| self.entries[next]) else {
            return Ok(None);
        };
        let stored = self.read(&entry).await?;
        if Digest::of(&stored) != entry.digest {
            return Err(ArchiveError::ChecksumMismatch {
                object: self.object.clone(),
                offset: entry.offset,
            });
        }
        self.pending.start += 1;
        Ok(Some(Frame {
            object: self.object.clone(),
            entry,
            stored,
        }))
    }

    pub(crate) fn object(&self) -> &Path {
        &self.object
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(crate) fn tail(&self) -> &[u8] {
        &self.tail
    }

    async fn read(&mut self, entry: &Entry) -> Result<Bytes, ArchiveError> {
        let window_end = self.window_start + self.window.len() as u64;
        if entry.offset < self.window_start || entry.end() > window_end {
            let range = entry.offset..entry.end().max(self.last_end().min(entry.offset + READ_AHEAD));
            self.window = get_range(&self.location, &self.object, range).await?;
            self.window_start = entry.offset;
        }
        let start = (entry.offset - self.window_start) as usize;
        Ok(self.window.slice(start..start + entry.stored as usize))
    }

    /// Where the last of the frames ends that are to be read.
    fn last_end(&self) -> u64 {
        self.entries[..self.pending.end].last().map_or(0, Entry::end)
    }
}

impl Frame {
    pub(crate) fn decompress(&self) -> Result<Bytes, ArchiveError> {
        decompress(&self.stored, self.entry.size).map_err(|source| self.malformed(source))
    }

    pub(crate) fn malformed(&self, source: impl Into<MalformedError>) -> ArchiveError {
        ArchiveError::Malformed {
            object: self.object.clone(),
            offset: self.entry.offset,
            source: source.into(),
        }
    }
}

/// What a failure of the store means for an object that should be there.
pub(crate) fn io_error(object: &Path, source: object_store::Error) -> ArchiveError {
    let object = object.clone();
    match source {
        object_store::Error::NotFound { .. } => ArchiveError::NotFound { object },
        source => ArchiveError::Io { object, source },
    }
}

async fn check_size(location: &Location, object: &Path, expected: u64) -> Result<(), ArchiveError> {
    let found = location.store.head(object).await.map_err(|e| io_error(object, e))?.size;
    match found {
        _ if found < expected => Err(ArchiveError::Truncated {
            object: object.clone(),
            expected,
            found,
        }),
        _ if found > expected => Err(ArchiveError::Trailing {
            object: object.clone(),
            expected,
            found,
        }),
        _ => Ok(()),
    }
}

async fn get_range(location: &Location, object: &Path, range: Range<u64>) -> Result<Bytes, ArchiveError> {
    let bytes = location
        .store
        .get_range(object, range.clone())
        .await
        .map_err(|e| io_error(object, e))?;
    match bytes.len() as u64 == range.end - range.start {
        true => Ok(bytes),
        false => Err(ArchiveError::Truncated {
            object: object.clone(),
            expected: range.end,
            found: range.start + bytes.len() as u64,
        }),
    }
}

fn index_error(object: &Path, offset: u64) -> ArchiveError {
    ArchiveError::Malformed {
        object: object.clone(),
        offset,
        source: MalformedError::Index,
    }
}

/// Keys ascend, and those that are slots are the ones that the manifest says. Only deltas and chunks of accounts may
/// share one.
fn keys_fit(entries: &[Entry], segment: &Segment) -> bool {
    let ends = entries.first().zip(entries.last());
    let has_slots = ends.is_some_and(|(first, last)| (first.key, last.key) == (segment.first_slot, segment.last_slot));
    let ascend = entries.windows(2).all(|pair| pair[0].key <= pair[1].key);
    let ascend_strictly = entries.windows(2).all(|pair| pair[0].key < pair[1].key);
    match segment.kind {
        SegmentKind::Blocks | SegmentKind::Contexts => has_slots && ascend_strictly,
        SegmentKind::Deltas => has_slots && ascend,
        SegmentKind::Accounts | SegmentKind::Differences => ascend,
    }
}
