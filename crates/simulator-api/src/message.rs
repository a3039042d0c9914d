//! The shape that every control message has: a `method` and its `params`.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::DecodeError;
use crate::decode::{Decode, Fields, decode_text, deserialize_by_decoding, unexpected};

/// JSON text that is kept as it was received. Two of them are equal when their texts are.
#[derive(Clone)]
pub struct RawJson(Box<RawValue>);

/// A message whose `method` this version does not know, kept verbatim. It encodes back to the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMessage {
    method: String,
    raw: RawJson,
}

impl RawJson {
    /// Takes any JSON text.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the text is not JSON.
    pub fn from_json(text: &str) -> Result<Self, DecodeError> {
        decode_text(text)
    }

    /// The text.
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

impl UnknownMessage {
    /// Takes any JSON object with a string `method` as a message.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the text is not JSON, not an object, or has no `method`.
    pub fn from_json(text: &str) -> Result<Self, DecodeError> {
        decode_text(text)
    }

    /// The method that is not known.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The text of the whole message; that of an event is without the keys of the sequence wrapper.
    pub fn text(&self) -> &str {
        self.raw.get()
    }
}

/// A message whose `params` have not been interpreted yet.
pub(crate) struct Envelope<'a> {
    pub(crate) method: String,
    raw: &'a RawValue,
    fields: Fields<'a>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn of(raw: &'a RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            method: fields.required("method")?,
            raw,
            fields,
        })
    }

    pub(crate) fn fields(&self) -> &Fields<'a> {
        &self.fields
    }

    /// The content of a message that has one.
    pub(crate) fn params<T: Decode>(&self) -> Result<T, DecodeError> {
        self.fields.required("params")
    }

    /// The content of a message that has one, taken apart by `decode`.
    pub(crate) fn params_with<T>(
        &self,
        decode: impl FnOnce(&RawValue) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let raw = self
            .fields
            .raw("params")
            .ok_or_else(|| DecodeError::missing().within("params"))?;
        decode(raw).map_err(|error| error.within("params"))
    }

    /// Passes `message` on if the message has no content, as it must.
    pub(crate) fn bare<T>(&self, message: T) -> Result<T, DecodeError> {
        match self.fields.raw("params") {
            Some(raw) if raw.get() != "null" => Err(unexpected("no params", raw).within("params")),
            _ => Ok(message),
        }
    }

    /// Keeps the message as it is.
    pub(crate) fn verbatim(&self) -> UnknownMessage {
        UnknownMessage {
            method: self.method.clone(),
            raw: RawJson(self.raw.to_owned()),
        }
    }

    /// Keeps the message as it is, but for the keys of the sequence wrapper.
    pub(crate) fn unwrapped(&self) -> UnknownMessage {
        let mut message = self.verbatim();
        if WRAPPER_KEYS.iter().any(|key| self.fields.raw(key).is_some()) {
            message.raw = self.raw_without_wrapper();
        }
        message
    }

    fn raw_without_wrapper(&self) -> RawJson {
        let mut entries: BTreeMap<String, &RawValue> =
            Fields::of(self.raw).map(Fields::into_entries).unwrap_or_default();
        entries.retain(|key, _| !WRAPPER_KEYS.contains(&key.as_str()));
        RawJson(serde_json::value::to_raw_value(&entries).expect("an object of JSON texts is JSON"))
    }
}

/// The top-level keys of a sequenced message beside `method` and `params`.
pub(crate) const WRAPPER_KEYS: [&str; 3] = ["seqId", "requestId", "replayed"];

/// A message that can write its `method` and `params` beside other keys.
pub(crate) trait WriteMessage {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

/// Serializes a message that stands alone.
pub(crate) fn serialize_message<S: Serializer>(message: &impl WriteMessage, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    message.write(&mut map)?;
    map.end()
}

/// Writes a message without content.
pub(crate) fn write_bare<M: SerializeMap>(map: &mut M, method: &str) -> Result<(), M::Error> {
    map.serialize_entry("method", method)
}

/// Writes a message with content.
pub(crate) fn write_params<M: SerializeMap>(
    map: &mut M,
    method: &str,
    params: &(impl Serialize + ?Sized),
) -> Result<(), M::Error> {
    map.serialize_entry("method", method)?;
    map.serialize_entry("params", params)
}

/// Beside a sequence wrapper, whose keys are not written twice.
impl WriteMessage for UnknownMessage {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let fields = Fields::of(&self.raw.0).map_err(serde::ser::Error::custom)?;
        let entries = fields.into_entries().into_iter();
        for (key, value) in entries.filter(|(key, _)| !WRAPPER_KEYS.contains(&key.as_str())) {
            map.serialize_entry(&key, value)?;
        }
        Ok(())
    }
}

impl Serialize for UnknownMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

impl Decode for UnknownMessage {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        Ok(Envelope::of(raw)?.verbatim())
    }
}

impl Decode for RawJson {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        Ok(Self(raw.to_owned()))
    }
}

deserialize_by_decoding!(RawJson, UnknownMessage);

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for RawJson {}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}
