//! Names that users give to their sessions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::decode::{Decode, unexpected};
use crate::{DecodeError, Problem};

/// The name of a session: 1 to 100 of `a-z`, `0-9`, `.`, `_` and `-`, the first and last a letter or digit.
/// Upper-case letters become lower-case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SessionName(String);

/// A text that cannot name a session.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected a session name of 1 to {max} letters, digits and \".\", \"_\", \"-\" that begins and ends with a letter \
     or digit, got {text:?}",
    max = SessionName::MAX_LEN
)]
pub struct InvalidSessionName {
    text: String,
}

impl SessionName {
    /// Most characters a name may have.
    pub const MAX_LEN: usize = 100;

    /// The name as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionName {
    type Err = InvalidSessionName;

    fn from_str(text: &str) -> Result<Self, InvalidSessionName> {
        let name = text.to_ascii_lowercase();
        if is_valid(&name) {
            Ok(Self(name))
        } else {
            Err(InvalidSessionName { text: text.to_owned() })
        }
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Decode for SessionName {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let text = String::decode(raw).map_err(|_| unexpected("a session name", raw))?;
        text.parse().map_err(|error| Problem::SessionName(error).into())
    }
}

impl<'de> Deserialize<'de> for SessionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

fn is_valid(name: &str) -> bool {
    let bytes = name.as_bytes();
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= SessionName::MAX_LEN
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}
