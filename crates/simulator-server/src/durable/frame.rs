//! Files of records: each is there as a whole, or is the torn end of a write that did not finish.
//!
//! ```text
//! file    magic of its kind (8 bytes), version u32, records
//! record  length u32, check of the length (4 bytes), check of the content (8 bytes), content
//! ```
//!
//! Numbers are little-endian; a check is the beginning of a BLAKE3 digest. The length has a check of its own, so that a
//! damaged one is not mistaken for a record that goes on behind the end of the file.

use std::ops::Range;

use thiserror::Error;

/// The version of the formats, of frames and contents together.
const VERSION: u32 = 1;

const MAGIC_BYTES: usize = 8;
const PREAMBLE_BYTES: usize = MAGIC_BYTES + size_of::<u32>();
const LENGTH_BYTES: usize = size_of::<u32>();
const LENGTH_CHECK_BYTES: usize = 4;
const CONTENT_CHECK_BYTES: usize = 8;
const HEAD_BYTES: usize = LENGTH_BYTES + LENGTH_CHECK_BYTES + CONTENT_CHECK_BYTES;

/// What a file is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// One session: what it is made from, and its commands.
    Session,
    /// Several sessions that belong together.
    Group,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frames {
    /// Where the content of each record is.
    pub(super) records: Vec<Range<usize>>,
    /// Where the last whole record ends. What comes after that is torn.
    pub(super) end: usize,
}

/// Why a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum FrameError {
    #[error("it is a file of another kind")]
    Foreign,
    #[error("it has version {found} of the format, and this server reads version {VERSION}")]
    Version { found: u32 },
    #[error("the record at byte {offset} is damaged")]
    Damaged { offset: usize },
}

impl FileKind {
    /// What a file of this kind begins with.
    fn magic(self) -> [u8; MAGIC_BYTES] {
        match self {
            Self::Session => *b"simsesn\n",
            Self::Group => *b"simgrup\n",
        }
    }
}

/// What a new file begins with.
pub(super) fn preamble(kind: FileKind) -> Vec<u8> {
    [&kind.magic()[..], &VERSION.to_le_bytes()].concat()
}

/// A record with this content; none if it is too large for one.
pub(super) fn record(content: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(content.len()).ok()?.to_le_bytes();
    let length_check: [u8; LENGTH_CHECK_BYTES] = check(&length);
    let content_check: [u8; CONTENT_CHECK_BYTES] = check(content);
    Some([&length[..], &length_check, &content_check, content].concat())
}

/// Finds the records of a file.
///
/// # Errors
/// The file is another one, or damaged otherwise than by a write that did not finish.
pub(super) fn read(kind: FileKind, bytes: &[u8]) -> Result<Frames, FrameError> {
    let (magic, rest) = bytes.split_first_chunk().ok_or(FrameError::Foreign)?;
    let (version, _) = rest.split_first_chunk().ok_or(FrameError::Foreign)?;
    if *magic != kind.magic() {
        return Err(FrameError::Foreign);
    }
    match u32::from_le_bytes(*version) {
        VERSION => {}
        found => return Err(FrameError::Version { found }),
    }
    let mut frames = Frames {
        records: Vec::new(),
        end: PREAMBLE_BYTES,
    };
    while let Some(content) = next(bytes, frames.end)? {
        frames.end = content.end;
        frames.records.push(content);
    }
    Ok(frames)
}

/// The content of the record at `offset`, if there is a whole one.
fn next(bytes: &[u8], offset: usize) -> Result<Option<Range<usize>>, FrameError> {
    let rest = &bytes[offset..];
    // A file may have become longer before what was written arrived.
    if rest.len() < HEAD_BYTES || rest.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let damaged = FrameError::Damaged { offset };
    let (length, rest) = rest.split_at(LENGTH_BYTES);
    let (length_check, rest) = rest.split_at(LENGTH_CHECK_BYTES);
    let (content_check, rest) = rest.split_at(CONTENT_CHECK_BYTES);
    if length_check != check::<LENGTH_CHECK_BYTES>(length) {
        return Err(damaged);
    }
    let length = length.try_into().map(u32::from_le_bytes).map_err(|_| damaged)?;
    let length = usize::try_from(length).map_err(|_| damaged)?;
    let Some(content) = rest.get(..length) else {
        return Ok(None);
    };
    if content_check != check::<CONTENT_CHECK_BYTES>(content) {
        return Err(damaged);
    }
    let start = offset + HEAD_BYTES;
    Ok(Some(start..start + length))
}

fn check<const BYTES: usize>(content: &[u8]) -> [u8; BYTES] {
    let digest = blake3::hash(content);
    std::array::from_fn(|index| digest.as_bytes()[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENTS: [&[u8]; 4] = [b"first", b"", b"a longer one, with some more bytes", b"last"];

    fn file() -> Vec<u8> {
        let records = CONTENTS.iter().map(|content| record(content).unwrap());
        [preamble(FileKind::Session)]
            .into_iter()
            .chain(records)
            .flatten()
            .collect()
    }

    fn contents(bytes: &[u8]) -> Vec<&[u8]> {
        let frames = read(FileKind::Session, bytes).unwrap();
        frames.records.into_iter().map(|range| &bytes[range]).collect()
    }

    #[test]
    fn reads_what_it_wrote() {
        let file = file();
        assert_eq!(contents(&file), CONTENTS);
        assert_eq!(read(FileKind::Session, &file).unwrap().end, file.len());
    }

    #[test]
    fn a_file_that_is_torn_anywhere_holds_every_whole_record() {
        let file = file();
        let whole = read(FileKind::Session, &file).unwrap();
        for end in PREAMBLE_BYTES..file.len() {
            let torn = read(FileKind::Session, &file[..end]).unwrap();
            let expected: Vec<_> = whole.records.iter().filter(|range| range.end <= end).cloned().collect();
            assert_eq!(torn.end, expected.last().map_or(PREAMBLE_BYTES, |last| last.end));
            assert_eq!(torn.records, expected, "torn at {end}");
        }
        for end in 0..PREAMBLE_BYTES {
            assert_eq!(read(FileKind::Session, &file[..end]), Err(FrameError::Foreign));
        }
    }

    #[test]
    fn a_file_that_became_longer_first_is_torn_too() {
        let mut file = file();
        let end = file.len();
        file.resize(end + 5000, 0);
        assert_eq!(read(FileKind::Session, &file).unwrap().end, end);
        assert_eq!(contents(&file), CONTENTS);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let file = file();
        let whole = read(FileKind::Session, &file).unwrap();
        for index in 0..file.len() {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[index] ^= 1 << bit;
                let found = read(FileKind::Session, &damaged).unwrap_err();
                let offset = whole.records.iter().map(|range| range.start - HEAD_BYTES);
                let expected = match index {
                    0..8 => FrameError::Foreign,
                    8..PREAMBLE_BYTES => FrameError::Version {
                        found: VERSION ^ (1 << (8 * (index - 8) + bit)),
                    },
                    _ => FrameError::Damaged {
                        offset: offset.filter(|offset| *offset <= index).max().unwrap(),
                    },
                };
                assert_eq!(found, expected, "bit {bit} of byte {index}");
            }
        }
    }
}
