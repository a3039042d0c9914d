//! Accounts as they travel over the control channel.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use solana_address::Address;

use crate::decode::{Decode, Fields, deserialize_by_decoding, unexpected};
use crate::decode_error::excerpt;
use crate::{DecodeError, EncodedBinary, Problem, address};

/// The whole state of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountData {
    /// The account's data.
    pub data: EncodedBinary,
    /// Whether the account holds a program.
    pub executable: bool,
    /// Balance in lamports.
    pub lamports: u64,
    /// The program that owns the account.
    #[serde(with = "address::one")]
    pub owner: Address,
    /// Length of the data in bytes, by convention; nothing enforces it.
    pub space: u64,
}

/// Accounts to replace, by address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AccountModifications(#[serde(with = "address::map")] pub BTreeMap<Address, AccountData>);

impl AccountModifications {
    /// Number of accounts.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no account.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The accounts, by address.
    pub fn iter(&self) -> impl Iterator<Item = (&Address, &AccountData)> {
        self.0.iter()
    }

    /// Adds an account, or replaces it.
    pub fn insert(&mut self, address: Address, account: AccountData) {
        self.0.insert(address, account);
    }
}

impl From<BTreeMap<Address, AccountData>> for AccountModifications {
    fn from(accounts: BTreeMap<Address, AccountData>) -> Self {
        Self(accounts)
    }
}

impl FromIterator<(Address, AccountData)> for AccountModifications {
    fn from_iter<I: IntoIterator<Item = (Address, AccountData)>>(accounts: I) -> Self {
        Self(accounts.into_iter().collect())
    }
}

impl IntoIterator for AccountModifications {
    type Item = (Address, AccountData);
    type IntoIter = std::collections::btree_map::IntoIter<Address, AccountData>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Decode for AccountData {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            data: fields.required("data")?,
            executable: fields.required("executable")?,
            lamports: fields.required("lamports")?,
            owner: fields.required("owner")?,
            space: fields.required("space")?,
        })
    }
}

impl Decode for AccountModifications {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw).map_err(|_| unexpected("an object of accounts by address", raw))?;
        fields
            .into_entries()
            .into_iter()
            .map(|(key, account)| decode_entry(&key, account))
            .collect()
    }
}

deserialize_by_decoding!(AccountData, AccountModifications);

fn decode_entry(key: &str, account: &RawValue) -> Result<(Address, AccountData), DecodeError> {
    let address: Address = key.parse().map_err(|source| {
        DecodeError::from(Problem::ModifiedAccountKey {
            key: excerpt(key.into()),
            source,
        })
        .within(&excerpt(key.into()))
    })?;
    let account = AccountData::decode(account)
        .map_err(|error| error.map_problem(|problem| name_account(problem, key)).within(key))?;
    Ok((address, account))
}

/// Adds the account to problems for which the protocol has an error of their own.
fn name_account(problem: Problem, account: &str) -> Problem {
    let account = account.to_owned();
    match problem {
        Problem::Address { source } => Problem::ModifiedAccountOwner { account, source },
        Problem::Encoding { encoding } => Problem::ModifiedAccountEncoding { account, encoding },
        other => other,
    }
}
