//! Reading JSON by hand, so that an error can name the field.
//!
//! Values are taken apart as raw text, level by level: what nobody asks for is never interpreted, and what is
//! unknown can be kept verbatim.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use solana_address::Address;

use crate::{DecodeError, Problem};

/// A type that is decoded field by field.
pub(crate) trait Decode: Sized {
    /// Decodes one JSON value; the error's path starts at that value.
    fn decode(raw: &RawValue) -> Result<Self, DecodeError>;
}

/// Decodes a whole text.
pub(crate) fn decode_text<T: Decode>(text: &str) -> Result<T, DecodeError> {
    let raw: &RawValue = serde_json::from_str(text).map_err(Problem::Syntax)?;
    T::decode(raw)
}

/// The fields of one JSON object, not yet interpreted.
pub(crate) struct Fields<'a> {
    entries: BTreeMap<String, &'a RawValue>,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(raw: &'a RawValue) -> Result<Self, DecodeError> {
        let entries = serde_json::from_str(raw.get()).map_err(|_| unexpected("an object", raw))?;
        Ok(Self { entries })
    }

    pub(crate) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.entries.get(key).copied()
    }

    /// A field that must be there.
    pub(crate) fn required<T: Decode>(&self, key: &str) -> Result<T, DecodeError> {
        match self.raw(key) {
            Some(raw) => T::decode(raw).map_err(|error| error.within(key)),
            None => Err(DecodeError::missing().within(key)),
        }
    }

    /// A field that must be there under one of two spellings; the first wins.
    pub(crate) fn required_either<T: Decode>(&self, key: &str, other: &str) -> Result<T, DecodeError> {
        self.required(self.spelling(key, other))
    }

    /// A field that may be absent or null.
    pub(crate) fn optional<T: Decode>(&self, key: &str) -> Result<Option<T>, DecodeError> {
        self.or_default(key)
    }

    /// A field that may be absent or null, under one of two spellings; the first wins.
    pub(crate) fn optional_either<T: Decode>(&self, key: &str, other: &str) -> Result<Option<T>, DecodeError> {
        self.optional(self.spelling(key, other))
    }

    /// A field that may be absent, but not null, under one of two spellings; the first wins.
    pub(crate) fn or_default_either<T: Decode + Default>(&self, key: &str, other: &str) -> Result<T, DecodeError> {
        self.or_default(self.spelling(key, other))
    }

    /// A field that may be absent, but not null.
    pub(crate) fn or_default<T: Decode + Default>(&self, key: &str) -> Result<T, DecodeError> {
        self.or(key, T::default())
    }

    /// A field that may be absent, but not null, with its default.
    pub(crate) fn or<T: Decode>(&self, key: &str, default: T) -> Result<T, DecodeError> {
        if self.raw(key).is_some() {
            self.required(key)
        } else {
            Ok(default)
        }
    }

    /// The error for a field whose text is none of the names that it may be.
    pub(crate) fn unexpected_name(&self, key: &str, expected: &'static str) -> DecodeError {
        self.raw(key)
            .map_or_else(DecodeError::missing, |raw| unexpected_name(expected, raw))
            .within(key)
    }

    fn spelling<'k>(&self, key: &'k str, other: &'k str) -> &'k str {
        if self.raw(key).is_none() && self.raw(other).is_some() {
            other
        } else {
            key
        }
    }

    pub(crate) fn into_entries(self) -> BTreeMap<String, &'a RawValue> {
        self.entries
    }
}

/// The error for a value that is not what it should be.
pub(crate) fn unexpected(expected: &'static str, raw: &RawValue) -> DecodeError {
    Problem::Unexpected {
        expected,
        got: describe(raw),
    }
    .into()
}

/// The error for a text that is none of the names that it may be; it repeats the text.
pub(crate) fn unexpected_name(expected: &'static str, raw: &RawValue) -> DecodeError {
    let got = if raw.get().starts_with('"') {
        shortened(raw.get())
    } else {
        describe(raw)
    };
    Problem::Unexpected { expected, got }.into()
}

/// Decodes a type that derives its deserializer; the error has serde's text and the path of the whole value.
pub(crate) fn derived<T: DeserializeOwned>(raw: &RawValue) -> Result<T, DecodeError> {
    serde_json::from_str(raw.get()).map_err(|error| Problem::Shape(error).into())
}

/// Longest number or text that an error repeats.
const DESCRIBED_CHARS: usize = 40;

fn describe(raw: &RawValue) -> String {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') => "an object".into(),
        Some(b'[') => "an array".into(),
        Some(b'"') => "a string".into(),
        Some(b'n') => "null".into(),
        Some(b't' | b'f') => format!("the boolean {text}"),
        _ => format!("the number {}", shortened(text)),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(DESCRIBED_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

impl Decode for bool {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        raw.get().parse().map_err(|_| unexpected("a boolean", raw))
    }
}

macro_rules! decode_integers {
    ($($integer:ty => $expected:literal,)*) => {$(
        impl Decode for $integer {
            fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
                serde_json::from_str(raw.get()).map_err(|_| unexpected($expected, raw))
            }
        }
    )*};
}

decode_integers! {
    u16 => "an unsigned 16-bit integer",
    u32 => "an unsigned 32-bit integer",
    u64 => "an unsigned 64-bit integer",
    i64 => "a signed 64-bit integer",
}

impl Decode for String {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        serde_json::from_str(raw.get()).map_err(|_| unexpected("a string", raw))
    }
}

impl Decode for Address {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let text = String::decode(raw).map_err(|_| unexpected("a base58 address", raw))?;
        text.parse().map_err(|source| Problem::Address { source }.into())
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        if raw.get() == "null" {
            Ok(None)
        } else {
            T::decode(raw).map(Some)
        }
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| unexpected("an array", raw))?;
        let decode_item = |(index, item)| T::decode(item).map_err(|error| error.within(&format!("[{index}]")));
        items.into_iter().enumerate().map(decode_item).collect()
    }
}

impl<K: FromStr<Err: Into<Problem>> + Ord, T: Decode> Decode for BTreeMap<K, T> {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let entries = Fields::of(raw)?.into_entries();
        entries
            .into_iter()
            .map(|(key, value)| decode_entry(&key, value).map_err(|error| error.within(&key)))
            .collect()
    }
}

fn decode_entry<K: FromStr<Err: Into<Problem>>, T: Decode>(key: &str, value: &RawValue) -> Result<(K, T), DecodeError> {
    let key = key.parse().map_err(|error: K::Err| DecodeError::from(error.into()))?;
    Ok((key, T::decode(value)?))
}

/// Implements serde's `Deserialize` for types that are decoded by hand. It works with serde_json's own
/// deserializers, the only ones that keep raw text.
macro_rules! deserialize_by_decoding {
    ($($decoded:ty),* $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $decoded {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
                <Self as $crate::decode::Decode>::decode(&raw).map_err(serde::de::Error::custom)
            }
        }
    )*};
}
pub(crate) use deserialize_by_decoding;
