//! Addresses as base58 text, for `#[serde(with = "...")]`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};
use solana_address::Address;

/// An address that serde reads and writes as base58 text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Base58(pub(crate) Address);

impl Serialize for Base58 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Base58 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base58Visitor)
    }
}

struct Base58Visitor;

impl Visitor<'_> for Base58Visitor {
    type Value = Base58;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a base58 address")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Base58, E> {
        text.parse()
            .map(Base58)
            .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// One address.
pub(crate) mod one {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
        Base58(*address).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        Base58::deserialize(deserializer).map(|address| address.0)
    }
}

/// An address or null.
pub(crate) mod option {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(address: &Option<Address>, serializer: S) -> Result<S::Ok, S::Error> {
        address.map(Base58).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
        Ok(Option::<Base58>::deserialize(deserializer)?.map(|address| address.0))
    }
}

/// Any collection of addresses.
pub(crate) mod list {
    use super::*;

    pub(crate) fn serialize<'a, C, S>(addresses: &'a C, serializer: S) -> Result<S::Ok, S::Error>
    where
        &'a C: IntoIterator<Item = &'a Address>,
        S: Serializer,
    {
        serializer.collect_seq(addresses.into_iter().map(|address| Base58(*address)))
    }

    pub(crate) fn deserialize<'de, C, D>(deserializer: D) -> Result<C, D::Error>
    where
        C: FromIterator<Address>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<Base58>::deserialize(deserializer)?
            .into_iter()
            .map(|address| address.0)
            .collect())
    }
}

/// An object whose keys are addresses.
pub(crate) mod map {
    use std::collections::BTreeMap;

    use super::*;

    pub(crate) fn serialize<T, S>(entries: &BTreeMap<Address, T>, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: Serialize,
        S: Serializer,
    {
        serializer.collect_map(entries.iter().map(|(address, value)| (Base58(*address), value)))
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<BTreeMap<Address, T>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        let entries = BTreeMap::<Base58, T>::deserialize(deserializer)?;
        Ok(entries.into_iter().map(|(address, value)| (address.0, value)).collect())
    }
}
