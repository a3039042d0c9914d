//! Frames: compressed pieces of a segment (`docs/archive.md`, section 3).

use std::io::{self, Read};

use bytes::Bytes;

use crate::error::{MalformedError, WriteError};

/// The most bytes that a frame decompresses to. The largest blocks of mainnet take some 10 MiB.
pub(crate) const MAX_FRAME: u32 = 256 << 20;

/// The zstd level at which frames are compressed: the default, which costs little.
const LEVEL: i32 = 3;

pub(super) fn compress(raw: &[u8]) -> Result<Vec<u8>, WriteError> {
    if raw.len() as u64 > u64::from(MAX_FRAME) {
        return Err(WriteError::RecordTooLarge {
            size: raw.len() as u64,
            limit: MAX_FRAME.into(),
        });
    }
    Ok(zstd::bulk::compress(raw, LEVEL).expect("zstd compresses any bytes into a buffer that it sizes itself"))
}

/// The buffer grows with what really comes out, so that a false size costs no memory.
pub(super) fn decompress(stored: &[u8], expected: u32) -> Result<Bytes, MalformedError> {
    let mut raw = Vec::new();
    let result = read_all(stored, expected, &mut raw);
    match result {
        Ok(()) if raw.len() as u64 == u64::from(expected) && expected <= MAX_FRAME => Ok(raw.into()),
        result => Err(MalformedError::Decompress {
            expected,
            source: result.err(),
        }),
    }
}

/// Reads one byte more than expected at most, which is enough to see that the frame is too long.
fn read_all(stored: &[u8], expected: u32, raw: &mut Vec<u8>) -> io::Result<()> {
    let limit = u64::from(expected.min(MAX_FRAME)) + 1;
    zstd::stream::read::Decoder::with_buffer(stored)?
        .take(limit)
        .read_to_end(raw)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_what_was_compressed() {
        for raw in [Vec::new(), vec![7; 100_000], (0..=255).collect()] {
            let stored = compress(&raw).unwrap();
            assert_eq!(decompress(&stored, raw.len() as u32).unwrap(), raw);
        }
    }

    #[test]
    fn refuses_a_size_that_is_not_true() {
        let stored = compress(&[1; 1000]).unwrap();
        for expected in [0, 999, 1001, MAX_FRAME, u32::MAX] {
            assert!(decompress(&stored, expected).is_err(), "{expected}");
        }
    }

    #[test]
    fn stops_a_bomb_at_the_size_that_was_announced() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], LEVEL).unwrap();
        assert!(bomb.len() < 16 << 10);
        let mut raw = Vec::new();
        read_all(&bomb, 1000, &mut raw).unwrap();
        assert_eq!(raw.len(), 1001);
    }
}
