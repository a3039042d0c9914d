//! An account as an account diff shows it.

use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use solana_address::Address;
use solana_address::error::ParseAddressError;
use thiserror::Error;

use super::MalformedNotification;

/// The whole state of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// Balance in lamports.
    pub lamports: u64,
    /// The program that owns the account.
    pub owner: Address,
    /// The data.
    pub data: Vec<u8>,
    /// Whether the account is a program.
    pub executable: bool,
    /// The epoch in which rent is due; 18446744073709551615 for an account that is exempt.
    pub rent_epoch: u64,
    /// Length of the data in bytes as the server says it, or as it is where the server says nothing.
    pub space: u64,
}

/// Why an account cannot be decoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AccountStateError {
    /// The notification that shows it cannot be read.
    #[error(transparent)]
    Notification(#[from] MalformedNotification),
    /// It is not JSON, or not an account with its data in a binary encoding.
    #[error("not an account with binary data")]
    Json(#[from] serde_json::Error),
    /// The owner is no address.
    #[error("the owner is no address")]
    Owner(#[source] ParseAddressError),
    /// The data is in an encoding that this version does not know.
    #[error("the data is in an unknown encoding: {0}")]
    Encoding(String),
    /// The data is not base64.
    #[error("the data is not base64")]
    Base64(#[source] base64::DecodeError),
    /// The data is not base58.
    #[error("the data is not base58")]
    Base58(#[source] bs58::decode::Error),
    /// The data is not zstd.
    #[error("the data is not zstd")]
    Zstd(#[source] io::Error),
    /// The data is larger than an account can be, or than base58 is good for.
    #[error("the data is too large")]
    TooLarge,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UiAccount<'a> {
    lamports: u64,
    #[serde(borrow)]
    owner: &'a str,
    #[serde(borrow)]
    data: UiData<'a>,
    executable: bool,
    #[serde(default)]
    rent_epoch: u64,
    space: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum UiData<'a> {
    Named(&'a str, &'a str),
    Legacy(&'a str),
}

/// The largest account that there can be.
const MAX_DATA: usize = 10 << 20;
/// Solana itself refuses base58 for more than 128 bytes, because decoding takes a time that grows with the square.
const MAX_BASE58: usize = 1024;

impl AccountState {
    /// Reads an account from JSON text.
    pub(super) fn from_json(text: &str) -> Result<Self, AccountStateError> {
        let account: UiAccount<'_> = serde_json::from_str(text)?;
        let data = match account.data {
            UiData::Named(text, "base64") => from_base64(text)?,
            UiData::Named(text, "base64+zstd") => from_zstd(&from_base64(text)?)?,
            UiData::Named(text, "base58") | UiData::Legacy(text) => from_base58(text)?,
            UiData::Named(_, other) => return Err(AccountStateError::Encoding(other.to_owned())),
        };
        Ok(Self {
            lamports: account.lamports,
            owner: account.owner.parse().map_err(AccountStateError::Owner)?,
            executable: account.executable,
            rent_epoch: account.rent_epoch,
            space: account.space.unwrap_or(data.len() as u64),
            data,
        })
    }
}

fn from_base64(text: &str) -> Result<Vec<u8>, AccountStateError> {
    STANDARD.decode(text).map_err(AccountStateError::Base64)
}

fn from_base58(text: &str) -> Result<Vec<u8>, AccountStateError> {
    if text.len() > MAX_BASE58 {
        return Err(AccountStateError::TooLarge);
    }
    bs58::decode(text).into_vec().map_err(AccountStateError::Base58)
}

fn from_zstd(compressed: &[u8]) -> Result<Vec<u8>, AccountStateError> {
    let mut data = Vec::new();
    let decoder = zstd::Decoder::with_buffer(compressed).map_err(AccountStateError::Zstd)?;
    decoder
        .take(MAX_DATA as u64 + 1)
        .read_to_end(&mut data)
        .map_err(AccountStateError::Zstd)?;
    if data.len() > MAX_DATA {
        return Err(AccountStateError::TooLarge);
    }
    Ok(data)
}
