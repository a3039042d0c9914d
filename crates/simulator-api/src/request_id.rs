//! Names that a client gives to its requests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::decode::{Decode, unexpected};
use crate::{DecodeError, Problem};

/// The id of a request: 1 to 64 characters, chosen by the client, unique in its session.
///
/// A server that announces [`Capability::RequestId`](crate::Capability::RequestId) applies an id once, however often
/// it is sent, and echoes it on every event that the request produced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RequestId(String);

/// A text that is empty or too long for a request id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected a request id of 1 to {max} characters, got {length}", max = RequestId::MAX_CHARS)]
pub struct InvalidRequestId {
    length: usize,
}

impl RequestId {
    /// Most characters an id may have.
    pub const MAX_CHARS: usize = 64;

    /// Takes a text as an id.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestId`] if the text is empty or longer than [`RequestId::MAX_CHARS`].
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidRequestId> {
        let text = text.into();
        match text.chars().count() {
            1..=Self::MAX_CHARS => Ok(Self(text)),
            length => Err(InvalidRequestId { length }),
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(text: &str) -> Result<Self, InvalidRequestId> {
        Self::new(text)
    }
}

impl Decode for RequestId {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let text = String::decode(raw).map_err(|_| unexpected("a request id", raw))?;
        Self::new(text).map_err(|error| Problem::RequestId(error).into())
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
