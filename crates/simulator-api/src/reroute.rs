//! Rerouting of swaps (0.28).

use serde::Serialize;
use serde_json::value::RawValue;
use solana_address::Address;

use crate::decode::{Decode, Fields, deserialize_by_decoding, unexpected, unexpected_name};
use crate::{DecodeError, RawJson, address};

/// Which swaps are given another route, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RerouteParams {
    /// Whose swaps.
    pub aggregators: Vec<Aggregator>,
    /// Which of their swaps; `None` takes all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<RerouteFilter>,
    /// Whether swaps that failed on the chain count too.
    pub detect_failed_l1_swaps: bool,
    /// Whether swaps that end in the mint they begin with count too.
    pub circular_arbs: bool,
    /// Whether quotes are renewed.
    pub requote: bool,
    /// Templates of direct fills, kept as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub direct_fill: Vec<RawJson>,
    /// Markets to consider besides the known ones.
    #[serde(with = "address::list", skip_serializing_if = "Vec::is_empty")]
    pub extra_markets: Vec<Address>,
}

/// A swap aggregator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Aggregator {
    /// Jupiter.
    Jupiter,
    /// OKX.
    Okx,
    /// Titan.
    Titan,
    /// DFlow.
    Dflow,
}

/// Which swaps are given another route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RerouteFilter {
    /// Swaps between these mints.
    #[serde(serialize_with = "serialize_pairs")]
    pub pairs: Vec<[Address; 2]>,
}

impl Default for RerouteParams {
    fn default() -> Self {
        Self {
            aggregators: vec![Aggregator::Jupiter],
            filter: None,
            detect_failed_l1_swaps: false,
            circular_arbs: false,
            requote: true,
            direct_fill: Vec::new(),
            extra_markets: Vec::new(),
        }
    }
}

impl Decode for RerouteParams {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        let default = Self::default();
        Ok(Self {
            aggregators: fields.or("aggregators", default.aggregators)?,
            filter: fields.optional("filter")?,
            detect_failed_l1_swaps: fields.or_default("detectFailedL1Swaps")?,
            circular_arbs: fields.or_default("circularArbs")?,
            requote: fields.or("requote", default.requote)?,
            direct_fill: fields.or_default("directFill")?,
            extra_markets: fields.or_default("extraMarkets")?,
        })
    }
}

impl Decode for Aggregator {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        match raw.get() {
            "\"jupiter\"" => Ok(Self::Jupiter),
            "\"okx\"" => Ok(Self::Okx),
            "\"titan\"" => Ok(Self::Titan),
            "\"dflow\"" => Ok(Self::Dflow),
            _ => Err(unexpected_name("\"jupiter\", \"okx\", \"titan\" or \"dflow\"", raw)),
        }
    }
}

impl Decode for RerouteFilter {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        Ok(Self {
            pairs: Fields::of(raw)?.required("pairs")?,
        })
    }
}

impl Decode for [Address; 2] {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        <[Address; 2]>::try_from(Vec::decode(raw)?).map_err(|_| unexpected("an array of two mints", raw))
    }
}

deserialize_by_decoding!(RerouteParams, Aggregator, RerouteFilter);

fn serialize_pairs<S: serde::Serializer>(pairs: &[[Address; 2]], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(pairs.iter().map(|pair| pair.map(address::Base58)))
}
