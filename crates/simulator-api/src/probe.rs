//! Diagnostic probes of a session (0.28).

use serde::Serialize;
use serde_json::value::RawValue;
use solana_address::Address;

use crate::action::every_n_slots;
use crate::decode::{Decode, Fields, deserialize_by_decoding};
use crate::{DecodeError, address};

/// Quotes to take from markets at certain points of a session. The numbers of markets and values that the published
/// protocol allows (1 to 64 and 1 to 16) are for the server to check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosticProbe {
    /// When to take them.
    pub anchor: ProbeAnchor,
    /// The markets.
    #[serde(with = "address::list")]
    pub markets: Vec<Address>,
    /// The sizes, in US dollars.
    pub usd_values: Vec<u32>,
    /// A name to recognise the results by.
    pub label: Option<String>,
}

/// When a probe runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "at", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProbeAnchor {
    /// After these slots.
    AfterSlot {
        /// Base64 of zstd of a JSON array of slots.
        slots: String,
    },
    /// After every n-th slot.
    AfterEverySlot {
        /// The n, at least 1.
        every_n_slots: u64,
    },
}

impl Decode for DiagnosticProbe {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            anchor: fields.required("anchor")?,
            markets: fields.required("markets")?,
            usd_values: fields.required("usdValues")?,
            label: fields.optional("label")?,
        })
    }
}

impl Decode for ProbeAnchor {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        match fields.required::<String>("at")?.as_str() {
            "afterSlot" => Ok(Self::AfterSlot {
                slots: fields.required("slots")?,
            }),
            "afterEverySlot" => Ok(Self::AfterEverySlot {
                every_n_slots: every_n_slots(&fields)?,
            }),
            _ => Err(fields.unexpected_name("at", "\"afterSlot\" or \"afterEverySlot\"")),
        }
    }
}

deserialize_by_decoding!(DiagnosticProbe, ProbeAnchor);
