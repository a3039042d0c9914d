//! Values that travel as one text: base64 of zstd of JSON.

use std::io::{self, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use thiserror::Error;

use crate::decode::{Decode, decode_text};
use crate::{DecodeError, Problem};

/// How many bytes may be unpacked. A short text can hold a long one, so that whoever unpacks what a stranger sent sets a
/// limit for all of it together.
#[derive(Clone, Debug)]
pub struct UnpackBudget {
    left: usize,
    max: usize,
}

/// Why a text cannot be unpacked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It is not base64.
    #[error("not valid base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// What it encodes is not compressed with zstd, or not whole.
    #[error("not valid zstd: {0}")]
    Zstd(#[source] io::Error),
    /// It holds more than may be unpacked.
    #[error("more than {max} bytes when it is unpacked, all parts together")]
    TooLarge {
        /// Bytes that may be unpacked.
        max: usize,
    },
    /// What was compressed is not UTF-8.
    #[error("not UTF-8 when it is unpacked")]
    NotText,
}

/// The largest window that a compressed text may ask memory for, as a power of two: 8 MiB, which every level of zstd
/// below 20 stays within.
const MAX_WINDOW_LOG: u32 = 23;
/// Zstd's own default.
const LEVEL: i32 = 3;

impl UnpackBudget {
    /// A budget of so many bytes.
    pub fn new(max: usize) -> Self {
        Self { left: max, max }
    }

    fn unpack(&mut self, text: &str) -> Result<String, UnpackError> {
        let compressed = STANDARD.decode(text)?;
        let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed.as_slice()).map_err(UnpackError::Zstd)?;
        decoder.window_log_max(MAX_WINDOW_LOG).map_err(UnpackError::Zstd)?;
        let mut unpacked = Vec::new();
        let limit = u64::try_from(self.left).unwrap_or(u64::MAX).saturating_add(1);
        decoder
            .take(limit)
            .read_to_end(&mut unpacked)
            .map_err(UnpackError::Zstd)?;
        self.left = self
            .left
            .checked_sub(unpacked.len())
            .ok_or(UnpackError::TooLarge { max: self.max })?;
        String::from_utf8(unpacked).map_err(|_| UnpackError::NotText)
    }
}

/// Packs a value.
pub(crate) fn pack(value: &(impl Serialize + ?Sized)) -> String {
    let json = serde_json::to_vec(value).expect("wire types have text keys only, so that they always serialise");
    let compressed = zstd::encode_all(json.as_slice(), LEVEL).expect("memory can always be written to");
    STANDARD.encode(compressed)
}

/// Unpacks a value; the error's path starts at that value.
pub(crate) fn unpack<T: Decode>(text: &str, budget: &mut UnpackBudget) -> Result<T, DecodeError> {
    let json = budget.unpack(text).map_err(Problem::from)?;
    decode_text(&json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(text: &str, max: usize) -> Result<Vec<u64>, String> {
        unpack(text, &mut UnpackBudget::new(max)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let slots = vec![402_000_010, u64::MAX];
        assert_eq!(unpacked(&pack(&slots), 100), Ok(slots));
        // As another implementation has written it.
        assert_eq!(
            unpacked("KLUv/QBYqQAAWzQwMjAwMDAxMCw0MDIwMDAwMjBd", 100),
            Ok(vec![402_000_010, 402_000_020])
        );
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(unpacked("%", 9).unwrap_err().starts_with("not valid base64: "));
        assert!(unpacked("AAAA", 9).unwrap_err().starts_with("not valid zstd: "));
        let whole = STANDARD.decode(pack(&vec![7_u64; 50])).unwrap();
        let cut = STANDARD.encode(&whole[..whole.len() - 1]);
        assert!(unpacked(&cut, 999).unwrap_err().starts_with("not valid zstd: "));
        let latin = STANDARD.encode(zstd::encode_all([0xe9].as_slice(), LEVEL).unwrap());
        assert_eq!(unpacked(&latin, 9).unwrap_err(), "not UTF-8 when it is unpacked");
        assert_eq!(
            unpacked(&pack(&["x"]), 9).unwrap_err(),
            "[0]: expected an unsigned 64-bit integer, got a string"
        );
    }

    #[test]
    fn a_budget_holds_for_all_parts_together() {
        let bomb = pack(&"0".repeat(1 << 24));
        assert!(bomb.len() < 4096);
        let too_large = "more than 1000 bytes when it is unpacked, all parts together";
        assert_eq!(unpacked(&bomb, 1000).unwrap_err(), too_large);
        let part = pack(&vec![1_u64; 200]);
        let mut budget = UnpackBudget::new(1000);
        unpack::<Vec<u64>>(&part, &mut budget).unwrap();
        unpack::<Vec<u64>>(&part, &mut budget).unwrap();
        let third = unpack::<Vec<u64>>(&part, &mut budget).unwrap_err();
        assert_eq!(third.to_string(), too_large);
    }
}
