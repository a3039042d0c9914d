//! Where strings in JSON text end, eight bytes at a time.

use memchr::memchr2;

/// Words of a string that are looked at before the vectorised search takes over.
const SHORT_WORDS: usize = 6;
const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);

/// The first quote, backslash or control character from `at` on, or the end of the bytes.
#[inline]
pub(super) fn special_byte(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*chunk);
        let special = equal_to(word, b'"') | equal_to(word, b'\\') | below_space(word);
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let is_special = |&&byte: &&u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let tail = bytes.get(at..).unwrap_or_default();
    at + tail.iter().take_while(|byte| !is_special(byte)).count()
}

/// The position behind the quote that ends a string; nothing in the string is looked at.
#[inline]
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = quote_or_backslash(bytes, at)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Most strings are short, for which calling the vectorised search costs more than it saves.
#[inline]
fn quote_or_backslash(bytes: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..SHORT_WORDS {
        let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            break;
        };
        let word = u64::from_le_bytes(*chunk);
        let special = equal_to(word, b'"') | equal_to(word, b'\\');
        if special != 0 {
            return Some(at + (special.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    memchr2(b'"', b'\\', bytes.get(at..)?).map(|offset| at + offset)
}

/// The high bit of each byte that equals `byte`. Bits above the lowest one may be wrong; nobody looks at them.
#[inline]
fn equal_to(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * u64::from(byte));
    difference.wrapping_sub(ONES) & !difference & HIGHS
}

/// The high bit of each control character, with the same restriction.
#[inline]
fn below_space(word: u64) -> u64 {
    word.wrapping_sub(ONES * 0x20) & !word & HIGHS
}
