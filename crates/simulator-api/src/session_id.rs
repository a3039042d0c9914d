//! Names of sessions.
//!
//! An id is a prefix and the 32 lower-case hexadecimal digits of a UUID. The id is the only secret of a session's
//! data channel, so ids are made as version 4, whose 122 random bits leave nothing to guess; the time in a version 7
//! would take 48 of them. Any version is accepted when reading, in any of the textual forms of a UUID, with or
//! without the prefix.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use thiserror::Error;
use uuid::Uuid;

use crate::decode::{Decode, unexpected};
use crate::{DecodeError, Problem};

/// The id of one session: `backtest_` and 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Uuid);

/// The id of a control connection over several sessions: `parallel_` and 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ControlSessionId(Uuid);

/// A text that is not the id that was expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected an id of the form {prefix}<uuid>, got {text:?}")]
pub struct InvalidSessionId {
    prefix: &'static str,
    text: String,
    #[source]
    source: uuid::Error,
}

impl InvalidSessionId {
    /// The text that was given.
    pub fn text(&self) -> &str {
        &self.text
    }
}

macro_rules! id_type {
    ($id:ident, $prefix:literal) => {
        impl $id {
            /// What the canonical form begins with.
            pub const PREFIX: &str = $prefix;

            /// Makes an id from 16 random bytes, of which it keeps 122 bits.
            pub fn from_random_bytes(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }

            /// The UUID without its prefix.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $id {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        /// The canonical form.
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", Self::PREFIX, self.0.simple())
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        /// Reads any textual form of a UUID, with or without the prefix.
        impl FromStr for $id {
            type Err = InvalidSessionId;

            fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
                let uuid = text.strip_prefix(Self::PREFIX).unwrap_or(text).parse();
                uuid.map(Self).map_err(|source| InvalidSessionId {
                    prefix: Self::PREFIX,
                    text: text.to_owned(),
                    source,
                })
            }
        }

        impl Decode for $id {
            fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
                let text = String::decode(raw).map_err(|_| unexpected("an id", raw))?;
                text.parse().map_err(|error| Problem::SessionId(error).into())
            }
        }

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type!(SessionId, "backtest_");
id_type!(ControlSessionId, "parallel_");
