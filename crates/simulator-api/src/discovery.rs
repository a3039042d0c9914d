//! Filters for transactions that a session should announce and can pause at.

use serde::Serialize;
use serde_json::value::RawValue;
use solana_address::Address;

use crate::decode::{Decode, Fields, deserialize_by_decoding};
use crate::{DecodeError, address};

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "value", rename_all = "camelCase")]
pub enum DiscoveryFilter {
    /// Transactions that invoke this program, top level or by CPI.
    ProgramExecuted(#[serde(with = "address::one")] Address),
    /// Transactions that look like a price update (0.28).
    OracleUpdate {
        /// The transaction invokes one of these programs and changes no token balance.
        #[serde(with = "address::list")]
        programs: Vec<Address>,
        /// If there are any: it also writes one of these accounts, or writes through a lookup table that could not
        /// be resolved.
        #[serde(with = "address::list", skip_serializing_if = "Vec::is_empty")]
        accounts: Vec<Address>,
    },
}

/// What a filter needs to know about a transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct TxMatchContext<'a> {
    /// Programs that the transaction invokes, top level or by CPI.
    pub programs: &'a [Address],
    /// Accounts that the transaction locks for writing.
    pub writable_accounts: &'a [Address],
    /// Whether a token balance differs after the transaction.
    pub changes_token_balance: bool,
    /// Whether it writes through a lookup table whose addresses are not known.
    pub writes_through_unresolved_lookup: bool,
}

impl DiscoveryFilter {
    /// Whether a transaction is what this filter looks for.
    pub fn matches(&self, transaction: &TxMatchContext<'_>) -> bool {
        match self {
            Self::ProgramExecuted(program) => transaction.programs.contains(program),
            Self::OracleUpdate { programs, accounts } => {
                !transaction.changes_token_balance
                    && transaction.programs.iter().any(|program| programs.contains(program))
                    && transaction.writes_one_of(accounts)
            }
        }
    }
}

impl TxMatchContext<'_> {
    fn writes_one_of(&self, accounts: &[Address]) -> bool {
        accounts.is_empty()
            || self.writes_through_unresolved_lookup
            || self.writable_accounts.iter().any(|account| accounts.contains(account))
    }
}

impl Decode for DiscoveryFilter {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        match fields.required::<String>("kind")?.as_str() {
            "programExecuted" => Ok(Self::ProgramExecuted(fields.required("value")?)),
            "oracleUpdate" => decode_oracle_update(&fields),
            _ => Err(fields.unexpected_name("kind", "\"programExecuted\" or \"oracleUpdate\"")),
        }
    }
}

deserialize_by_decoding!(DiscoveryFilter);

fn decode_oracle_update(fields: &Fields<'_>) -> Result<DiscoveryFilter, DecodeError> {
    let OracleUpdate { programs, accounts } = fields.required("value")?;
    Ok(DiscoveryFilter::OracleUpdate { programs, accounts })
}

struct OracleUpdate {
    programs: Vec<Address>,
    accounts: Vec<Address>,
}

impl Decode for OracleUpdate {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            programs: fields.required("programs")?,
            accounts: fields.or_default("accounts")?,
        })
    }
}
