//! The first signature of a transaction, in any of the encodings that Solana has for it.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// Finds it in the JSON text of a transaction and of its array of signatures, if it is shown as JSON.
pub(super) fn first_signature<'a>(transaction: &'a str, signatures: Option<&'a str>) -> Option<Cow<'a, str>> {
    if let Some(signatures) = signatures {
        return first_of_array(signatures);
    }
    let bytes = match serde_json::from_str(transaction).ok()? {
        Encoded::Named(text, Encoding::Base64) => beginning_of_base64(text)?,
        Encoded::Named(text, Encoding::Base58) | Encoded::Legacy(text) => whole_of_base58(text)?,
    };
    from_wire(&bytes)
}

/// A transaction as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Encoded<'a> {
    Named(&'a str, Encoding),
    Legacy(&'a str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Encoding {
    Base64,
    Base58,
}

const SIGNATURE_BYTES: usize = 64;
/// The count of signatures takes one byte, or two or three if there are more than 127.
const COUNT_BYTES: usize = 3;
/// Characters of base64 that hold the count and the first signature; whole groups of four.
const BASE64_BEGINNING: usize = (COUNT_BYTES + SIGNATURE_BYTES).div_ceil(3) * 4;
/// Decoding base58 takes a time that grows with the square of the length; no transaction is longer than this.
const BASE58_MAX: usize = 2048;

fn first_of_array(signatures: &str) -> Option<Cow<'_, str>> {
    let inside = signatures.strip_prefix('[')?.trim_start().strip_prefix('"')?;
    inside.split_once('"').map(|(first, _)| Cow::Borrowed(first))
}

fn beginning_of_base64(text: &str) -> Option<Vec<u8>> {
    let beginning = text.get(..BASE64_BEGINNING).unwrap_or(text);
    STANDARD.decode(beginning).ok()
}

fn whole_of_base58(text: &str) -> Option<Vec<u8>> {
    if text.len() > BASE58_MAX {
        return None;
    }
    bs58::decode(text).into_vec().ok()
}

/// From the beginning of a transaction as it travels between validators.
fn from_wire(bytes: &[u8]) -> Option<Cow<'static, str>> {
    let count_bytes = bytes.iter().take(COUNT_BYTES).position(|byte| byte & 0x80 == 0)? + 1;
    if bytes[0] == 0 {
        return None;
    }
    let signature = bytes.get(count_bytes..count_bytes + SIGNATURE_BYTES)?;
    Some(Cow::Owned(bs58::encode(signature).into_string()))
}
