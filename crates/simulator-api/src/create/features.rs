//! The choice of active features.

use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;
use solana_address::Address;

use crate::decode::{Decode, deserialize_by_decoding, unexpected_name};
use crate::{DecodeError, address};

/// Which of Solana's features are active in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeatureSelection {
    /// Those whose feature accounts say so.
    Accounts,
    /// All that the engine knows.
    All,
    /// Exactly these.
    Listed(Vec<Address>),
}

impl Serialize for FeatureSelection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Accounts => serializer.serialize_str("accounts"),
            Self::All => serializer.serialize_str("all"),
            Self::Listed(features) => address::list::serialize(features, serializer),
        }
    }
}

impl Decode for FeatureSelection {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        match raw.get() {
            "\"accounts\"" => Ok(Self::Accounts),
            "\"all\"" => Ok(Self::All),
            text if text.starts_with('[') => Vec::decode(raw).map(Self::Listed),
            _ => Err(unexpected_name(
                "\"accounts\", \"all\" or an array of feature addresses",
                raw,
            )),
        }
    }
}

deserialize_by_decoding!(FeatureSelection);
