//! What one transaction did, and how that compares with the record.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use solana_address::Address;

use crate::decode::{Decode, deserialize_by_decoding, unexpected_name};
use crate::open_names::open_names;
use crate::{AccountData, DecodeError, address};

/// How much a session keeps of every outcome. Each level includes the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OutcomeDetail {
    /// Counts and differences.
    Divergences,
    /// Every transaction.
    Transactions,
    /// Every transaction with the accounts that it changed.
    AccountDiffs,
}

/// What one historical transaction did when it was executed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionOutcome {
    /// The slot of its block.
    pub slot: u64,
    /// Its index within the block.
    pub index: u32,
    /// Its first signature, base58.
    pub signature: String,
    /// Whether it succeeded.
    pub success: bool,
    /// Why it failed, as Solana's RPC writes it; `None` if it succeeded.
    pub error: Option<Value>,
    /// The fee in lamports.
    pub fee: u64,
    /// Compute units that it used.
    pub compute_units: u64,
    /// What it logged.
    pub logs: Vec<String>,
    /// The programs that it invoked, top level or by CPI.
    #[serde(with = "address::list")]
    pub programs: Vec<Address>,
    /// How it compares with the record.
    pub verdict: Verdict,
    /// Why nothing can be said, where the verdict is [`Verdict::Unverifiable`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverifiable_reason: Option<String>,
    /// Changes of balance in lamports, by account.
    #[serde(with = "address::map")]
    pub sol_changes: BTreeMap<Address, i64>,
    /// Changes of token balance in base units, by owner and mint.
    #[serde(with = "token_changes")]
    pub token_changes: BTreeMap<Address, BTreeMap<Address, SignedAmount>>,
    /// The accounts that it changed, where the session keeps them.
    #[serde(default, with = "account_diffs", skip_serializing_if = "Option::is_none")]
    pub account_diffs: Option<BTreeMap<Address, AccountDiff>>,
}

/// How a transaction compares with the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Everything is as recorded.
    Matched,
    /// Something differs.
    Diverged,
    /// There is no record to compare with.
    Unverifiable,
}

/// An account before and after a transaction; `None` where it did not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDiff {
    /// Before.
    pub before: Option<AccountData>,
    /// After.
    pub after: Option<AccountData>,
}

/// One field in which a transaction differs from the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// The slot of its block.
    pub slot: u64,
    /// The transaction's index within the block.
    pub index: u32,
    /// The transaction's first signature, base58.
    pub signature: String,
    /// What differs.
    pub field: String,
    /// What the chain recorded.
    pub recorded: Value,
    /// What the replay computed.
    pub computed: Value,
    /// Why.
    pub class: DivergenceClass,
    /// The account or the feature that is to blame, base58, where it began and can be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<String>,
    /// Whether it began here; `false` if an earlier difference led to it.
    pub root: bool,
}

open_names! {
    /// Why a transaction differs from the record.
    pub enum DivergenceClass {
        /// It used an account that the archive does not know.
        UnknownAccount = "unknownAccount",
        /// It used an account or program that the user changed.
        Overridden = "overridden",
        /// An account had another balance on the chain: the archive does not hold what the chain had.
        Archive = "archive",
        /// Another set of features was active.
        Feature = "feature",
        /// Nothing but what execution costs differs, by rules that have changed without a feature.
        CostRules = "costRules",
        /// A sysvar could not be reproduced, which it may have read.
        Sysvar = "sysvar",
        /// The engine is wrong.
        Engine = "engine",
    }
}

/// An amount that may be negative, as a JSON string, because it may not fit into a JSON number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignedAmount(pub i128);

impl fmt::Display for SignedAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for SignedAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SignedAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl Decode for OutcomeDetail {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        match raw.get() {
            "\"divergences\"" => Ok(Self::Divergences),
            "\"transactions\"" => Ok(Self::Transactions),
            "\"accountDiffs\"" => Ok(Self::AccountDiffs),
            _ => Err(unexpected_name(
                "\"divergences\", \"transactions\" or \"accountDiffs\"",
                raw,
            )),
        }
    }
}

deserialize_by_decoding!(OutcomeDetail);

mod token_changes {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct ByMint(#[serde(with = "address::map")] BTreeMap<Address, SignedAmount>);

    type Changes = BTreeMap<Address, BTreeMap<Address, SignedAmount>>;

    pub(super) fn serialize<S: Serializer>(changes: &Changes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            changes
                .iter()
                .map(|(owner, mints)| (address::Base58(*owner), ByMint(mints.clone()))),
        )
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Changes, D::Error> {
        let changes: BTreeMap<Address, ByMint> = address::map::deserialize(deserializer)?;
        Ok(changes.into_iter().map(|(owner, mints)| (owner, mints.0)).collect())
    }
}

mod account_diffs {
    use super::*;

    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Diffs(#[serde(with = "address::map")] BTreeMap<Address, AccountDiff>);

    pub(super) fn serialize<S: Serializer>(
        diffs: &Option<BTreeMap<Address, AccountDiff>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match diffs {
            Some(diffs) => address::map::serialize(diffs, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<BTreeMap<Address, AccountDiff>>, D::Error> {
        Ok(Option::<Diffs>::deserialize(deserializer)?.map(|diffs| diffs.0))
    }
}
