//! Values that Solana's JSON writes as text: addresses, hashes, encoded bytes, amounts, transaction errors.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, de::Error as _};
use serde_json::Value;
use solana_hash::Hash;
use solana_pubkey::Pubkey;
use solana_transaction_error::TransactionError;

/// The most bytes that compressed account data may become: Solana's limit for an account.
const MAX_ACCOUNT: usize = 10 << 20;

/// 32 bytes in base58.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address(pub(super) Pubkey);

/// 32 bytes in base58.
#[derive(Clone, Debug)]
pub(super) struct Blockhash(pub(super) Hash);

/// Bytes in base58.
#[derive(Clone, Debug)]
pub(super) struct Base58(pub(super) Bytes);

/// A pair of a text and its encoding, decoded.
#[derive(Clone, Debug)]
pub(super) struct Encoded(pub(super) Bytes);

/// A pair of a text and its encoding.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) encoding: String,
}

/// A number of token units, written as text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount(pub(super) u64);

/// An epoch. `u64::MAX` is often written as a number that has passed through floating point.
#[derive(Clone, Copy, Debug)]
pub(super) struct RentEpoch(pub(super) u64);

/// `null` for success, or a transaction error.
#[derive(Clone, Debug)]
pub(super) struct Status(pub(super) Result<(), TransactionError>);

/// An address, or an empty text where old records have none.
pub(super) fn address_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => array(text).map(|bytes| Some(Address(Pubkey::new_from_array(bytes)))),
    }
}

/// The bytes that a text in one of getBlock's encodings stands for, or `None` if it is not of that encoding.
pub(super) fn decode(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Base58 => bs58::decode(text).into_vec().ok(),
        Encoding::Base64 => STANDARD.decode(text).ok(),
        Encoding::Base64Zstd => zstd::bulk::decompress(&STANDARD.decode(text).ok()?, MAX_ACCOUNT).ok(),
    }
}

/// The encodings of bytes as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Base58,
    Base64,
    Base64Zstd,
}

impl Encoding {
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Base58, Self::Base64, Self::Base64Zstd]
            .into_iter()
            .find(|encoding| encoding.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Base58 => "base58",
            Self::Base64 => "base64",
            Self::Base64Zstd => "base64+zstd",
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_str(deserializer, "an address in base58", |text| {
            array(text).map(|bytes| Self(Pubkey::new_from_array(bytes)))
        })
    }
}

impl<'de> Deserialize<'de> for Blockhash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_str(deserializer, "a hash in base58", |text| {
            array(text).map(|bytes| Self(Hash::new_from_array(bytes)))
        })
    }
}

impl<'de> Deserialize<'de> for Base58 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_str(deserializer, "bytes in base58", |text| {
            let bytes = decode(text, Encoding::Base58).ok_or_else(|| D::Error::custom("it is not base58"))?;
            Ok(Self(bytes.into()))
        })
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_str(deserializer, "a number as text", |text| {
            text.parse().map(Self).map_err(D::Error::custom)
        })
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text { text, encoding } = Text::deserialize(deserializer)?;
        let encoding = Encoding::named(&encoding)
            .ok_or_else(|| D::Error::custom(format_args!("the encoding {encoding:?} is unknown")))?;
        let bytes =
            decode(&text, encoding).ok_or_else(|| D::Error::custom(format_args!("it is not {}", encoding.name())))?;
        Ok(Self(bytes.into()))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for RentEpoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EpochVisitor)
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(error) = Option::<Value>::deserialize(deserializer)? else {
            return Ok(Self(Ok(())));
        };
        TransactionError::deserialize(current_form(error))
            .map(|error| Self(Err(error)))
            .map_err(D::Error::custom)
    }
}

/// Old versions wrote a text with this error, which is not part of it any more.
fn current_form(mut error: Value) -> Value {
    if let Some(inner) = error.pointer_mut("/InstructionError/1")
        && inner.get("BorshIoError").is_some()
    {
        *inner = Value::from("BorshIoError");
    }
    error
}

fn array<E: de::Error>(text: &str) -> Result<[u8; 32], E> {
    let mut bytes = [0; 32];
    match bs58::decode(text).onto(&mut bytes) {
        Ok(32) => Ok(bytes),
        _ => Err(E::custom(format_args!("{text:?} is not 32 bytes in base58"))),
    }
}

/// Parses a text without copying it, wherever it comes from.
fn from_str<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expecting: &'static str,
    parse: impl FnOnce(&str) -> Result<T, D::Error>,
) -> Result<T, D::Error> {
    let text = deserializer.deserialize_str(StrVisitor {
        expecting,
        lifetime: PhantomData,
    })?;
    parse(&text)
}

struct StrVisitor<'a> {
    expecting: &'static str,
    lifetime: PhantomData<&'a ()>,
}

impl<'de> Visitor<'de> for StrVisitor<'de> {
    type Value = std::borrow::Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(text.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.to_owned().into())
    }
}

pub(super) struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text and its encoding, such as [\"AQID\", \"base64\"]; ask getBlock for the encoding base64")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
        let text = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let encoding = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        Ok(Text { text, encoding })
    }
}

struct EpochVisitor;

impl Visitor<'_> for EpochVisitor {
    type Value = RentEpoch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an epoch")
    }

    fn visit_u64<E: de::Error>(self, epoch: u64) -> Result<RentEpoch, E> {
        Ok(RentEpoch(epoch))
    }

    fn visit_f64<E: de::Error>(self, epoch: f64) -> Result<RentEpoch, E> {
        match epoch == u64::MAX as f64 {
            true => Ok(RentEpoch(u64::MAX)),
            false => Err(E::invalid_value(de::Unexpected::Float(epoch), &self)),
        }
    }
}
