//! The accounts that a session knows, and how they are read.

use serde::{Deserialize, Serialize};
use solana_address::Address;

use crate::{BinaryDecodeError, BinaryEncoding, address};

/// The JSON-RPC method that reads accounts: one [`GetReplayAccountsParams`] in, [`ReplayAccounts`] out.
pub const GET_REPLAY_ACCOUNTS: &str = "getReplayAccounts";

/// Which accounts to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetReplayAccountsParams {
    /// The last address that was read; `None` begins with the first.
    #[serde(with = "address::option")]
    pub after: Option<Address>,
    /// Most accounts to return.
    pub limit: u32,
}

/// A page of accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayAccounts {
    /// Sorted by the bytes of their addresses.
    pub accounts: Vec<ReplayAccountEntry>,
    /// Whether these are the last.
    pub complete: bool,
}

/// One account with its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayAccountEntry {
    /// The address.
    #[serde(with = "address::one")]
    pub pubkey: Address,
    /// The account.
    pub account: ReplayAccount,
}

/// An account in the shape that Solana's tools write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayAccount {
    /// Balance in lamports.
    pub lamports: u64,
    /// The data.
    pub data: AccountBytes,
    /// The program that owns the account.
    #[serde(with = "address::one")]
    pub owner: Address,
    /// Whether the account holds a program.
    pub executable: bool,
    /// The epoch at which the account owes rent next.
    pub rent_epoch: u64,
    /// Length of the data in bytes.
    pub space: u64,
}

/// Bytes in the shape that Solana's RPC writes: `["AQID", "base64"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountBytes(String, BinaryEncoding);

impl GetReplayAccountsParams {
    /// Accounts of a page when the request does not say.
    pub const DEFAULT_LIMIT: u32 = 1000;
}

impl Default for GetReplayAccountsParams {
    fn default() -> Self {
        Self {
            after: None,
            limit: Self::DEFAULT_LIMIT,
        }
    }
}

impl AccountBytes {
    /// Encodes bytes as base64.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(BinaryEncoding::Base64.encode(bytes), BinaryEncoding::Base64)
    }

    /// The bytes.
    ///
    /// # Errors
    ///
    /// [`BinaryDecodeError`] if the text is not in the encoding that it names.
    pub fn decode(&self) -> Result<Vec<u8>, BinaryDecodeError> {
        self.1.decode(&self.0)
    }
}
