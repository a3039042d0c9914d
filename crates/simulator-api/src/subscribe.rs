//! Options of a data-channel subscription.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::DecodeError;
use crate::decode::{Decode, Fields, deserialize_by_decoding, unexpected_name};

/// The options that stand beside those of Solana's own PubSub in the second parameter of a subscribe request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscribeOptions {
    /// Sends everything of this slot and later again, then what is new. Inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_from_slot: Option<i64>,
    /// Sends everything after this notification, then what is new; wins over `replay_from_slot`. An extension of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_after: Option<Cursor>,
    /// How notifications are compressed; `None` does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Whether every change of an account is sent, not only the last of a slot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub intra_slot_updates: bool,
    /// The commitment that was asked for. In a replay everything is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commitment: Option<String>,
    /// What the address of an account-diff subscription names; `None` is a single account.
    #[serde(rename = "address_type", skip_serializing_if = "Option::is_none")]
    pub address_type: Option<AddressType>,
}

/// Options and what was wrong with the others.
#[derive(Debug, Default)]
pub struct SubscribeOptionsParsed {
    /// The options that could be read.
    pub options: SubscribeOptions,
    /// One error for every option that could not be read and has its default instead.
    pub rejected: Vec<DecodeError>,
}

/// Where a notification stands in its stream. The same for every connection, because replays are deterministic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cursor {
    /// The slot.
    pub slot: u64,
    /// The notification's number within the slot, from 0, in the order of the stream.
    pub index: u64,
}

/// A compression of notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Compression {
    /// One zstd stream for each connection, flushed after each notification.
    Zstd,
}

/// What the address of an account-diff subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AddressType {
    /// A program, whose accounts are meant.
    Program,
}

impl SubscribeOptions {
    /// Reads options from JSON text, each key on its own: one malformed value does not take the others with it.
    /// Keys that are not listed here belong to Solana's own options and are ignored.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the text is not JSON or not an object.
    pub fn from_json(text: &str) -> Result<SubscribeOptionsParsed, DecodeError> {
        crate::decode::decode_text(text)
    }
}

impl SubscribeOptionsParsed {
    /// Keeps what can be read and notes what cannot.
    fn keep<T: Default>(&mut self, read: Result<T, DecodeError>) -> T {
        read.unwrap_or_else(|error| {
            self.rejected.push(error);
            T::default()
        })
    }
}

impl Decode for SubscribeOptionsParsed {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        let mut parsed = Self::default();
        parsed.options = SubscribeOptions {
            replay_from_slot: parsed.keep(fields.optional("replayFromSlot")),
            replay_after: parsed.keep(fields.optional("replayAfter")),
            compression: parsed.keep(fields.optional("compression")),
            intra_slot_updates: parsed.keep(fields.or_default("intraSlotUpdates")),
            commitment: parsed.keep(fields.optional("commitment")),
            address_type: parsed.keep(fields.optional("address_type")),
        };
        Ok(parsed)
    }
}

impl Decode for Cursor {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            slot: fields.required("slot")?,
            index: fields.required("index")?,
        })
    }
}

impl Decode for Compression {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        match raw.get() {
            "\"zstd\"" => Ok(Self::Zstd),
            _ => Err(unexpected_name("\"zstd\"", raw)),
        }
    }
}

impl Decode for AddressType {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        match raw.get() {
            "\"program\"" => Ok(Self::Program),
            _ => Err(unexpected_name("\"program\"", raw)),
        }
    }
}

deserialize_by_decoding!(SubscribeOptionsParsed, Compression, AddressType);
