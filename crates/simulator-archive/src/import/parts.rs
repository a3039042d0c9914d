//! Transactions that `getBlock` returned in the encoding `json`: in parts, from which their bytes can be made again.
//!
//! The encoding `jsonParsed` drops the bytes of instructions, so that there is no way back from it.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::TransactionProblem;
use super::fields::{Address, Base58, Blockhash, Text, TextVisitor};
use crate::codec::Encoder;

/// The first byte of a message of version 0, which no older message can begin with.
const VERSION_0: u8 = 0x80;

/// A transaction in one of the encodings of `getBlock`.
#[derive(Clone, Debug)]
pub(super) enum TransactionJson {
    /// Its bytes as text.
    Encoded(Text),
    /// Its parts.
    Parts(Box<Parts>),
}

/// `"legacy"`, or a number.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub(super) enum Version {
    Legacy,
    Number(u64),
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Parts {
    signatures: Vec<Base58>,
    message: MessageParts,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageParts {
    header: HeaderParts,
    account_keys: Vec<Address>,
    recent_blockhash: Blockhash,
    instructions: Vec<InstructionParts>,
    address_table_lookups: Option<Vec<LookupParts>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeaderParts {
    num_required_signatures: u8,
    num_readonly_signed_accounts: u8,
    num_readonly_unsigned_accounts: u8,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstructionParts {
    program_id_index: u8,
    accounts: Vec<u8>,
    data: Base58,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LookupParts {
    account_key: Address,
    writable_indexes: Vec<u8>,
    readonly_indexes: Vec<u8>,
}

impl Parts {
    /// The bytes of the transaction. Where the version is not said, lookup tables tell it.
    pub(super) fn wire(&self, version: Option<Version>) -> Result<Bytes, TransactionProblem> {
        let message = &self.message;
        let lookups = match (version, &message.address_table_lookups) {
            (Some(Version::Number(0)), lookups) => Some(lookups.as_deref().unwrap_or_default()),
            (None, Some(lookups)) => Some(lookups.as_slice()),
            (None | Some(Version::Legacy), None) => None,
            _ => return Err(TransactionProblem::Version),
        };
        let mut to = Encoder::default();
        short_list(&mut to, &self.signatures, |to, signature| to.raw(&signature.0))?;
        if lookups.is_some() {
            to.u8(VERSION_0);
        }
        message.header.encode(&mut to);
        short_list(&mut to, &message.account_keys, |to, key| to.raw(key.0.as_array()))?;
        to.raw(message.recent_blockhash.0.as_bytes());
        encode_instructions(&mut to, &message.instructions)?;
        if let Some(lookups) = lookups {
            encode_lookups(&mut to, lookups)?;
        }
        Ok(to.into_bytes().into())
    }
}

impl HeaderParts {
    fn encode(self, to: &mut Encoder) {
        to.u8(self.num_required_signatures);
        to.u8(self.num_readonly_signed_accounts);
        to.u8(self.num_readonly_unsigned_accounts);
    }
}

fn encode_instructions(to: &mut Encoder, instructions: &[InstructionParts]) -> Result<(), TransactionProblem> {
    short_length(to, instructions.len())?;
    for instruction in instructions {
        to.u8(instruction.program_id_index);
        short_bytes(to, &instruction.accounts)?;
        short_bytes(to, &instruction.data.0)?;
    }
    Ok(())
}

fn encode_lookups(to: &mut Encoder, lookups: &[LookupParts]) -> Result<(), TransactionProblem> {
    short_length(to, lookups.len())?;
    for lookup in lookups {
        to.raw(lookup.account_key.0.as_array());
        short_bytes(to, &lookup.writable_indexes)?;
        short_bytes(to, &lookup.readonly_indexes)?;
    }
    Ok(())
}

fn short_list<T>(
    to: &mut Encoder,
    list: &[T],
    mut each: impl FnMut(&mut Encoder, &T),
) -> Result<(), TransactionProblem> {
    short_length(to, list.len())?;
    for value in list {
        each(to, value);
    }
    Ok(())
}

fn short_bytes(to: &mut Encoder, bytes: &[u8]) -> Result<(), TransactionProblem> {
    short_length(to, bytes.len())?;
    to.raw(bytes);
    Ok(())
}

/// Seven bits a byte, the lowest first, at most 16 bits.
fn short_length(to: &mut Encoder, length: usize) -> Result<(), TransactionProblem> {
    let mut left = u16::try_from(length).map_err(|_| TransactionProblem::Wire { size: length })?;
    while left >= 0x80 {
        to.u8(left as u8 | 0x80);
        left >>= 7;
    }
    to.u8(left as u8);
    Ok(())
}

impl TryFrom<serde_json::Value> for Version {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        match (value.as_u64(), value.as_str()) {
            (Some(number), _) => Ok(Self::Number(number)),
            (None, Some("legacy")) => Ok(Self::Legacy),
            _ => Err("a version is \"legacy\" or a number"),
        }
    }
}

impl<'de> Deserialize<'de> for TransactionJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TransactionVisitor)
    }
}

struct TransactionVisitor;

impl<'de> Visitor<'de> for TransactionVisitor {
    type Value = TransactionJson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a transaction as getBlock returns it with the encoding base64, base58 or json")
    }

    /// What `getBlock` returned for `binary`, and returns where no encoding is asked for.
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(TransactionJson::Encoded(Text {
            text: text.to_owned(),
            encoding: "base58".to_owned(),
        }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        TextVisitor.visit_seq(seq).map(TransactionJson::Encoded)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Parts::deserialize(MapAccessDeserializer::new(map)).map(|parts| TransactionJson::Parts(Box::new(parts)))
    }
}
