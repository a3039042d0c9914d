//! An account as JSON-RPC shows it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use solana_address::Address;

/// An account, read with its data in base64.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RpcAccount {
    /// Balance in lamports.
    pub lamports: u64,
    /// The data.
    #[serde(deserialize_with = "data")]
    pub data: Vec<u8>,
    /// The program that owns the account.
    #[serde(deserialize_with = "address")]
    pub owner: Address,
    /// Whether the account is a program.
    pub executable: bool,
    /// The epoch in which rent is due; 18446744073709551615 for an account that is exempt.
    #[serde(default)]
    pub rent_epoch: u64,
}

fn data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let (text, encoding) = <(String, String)>::deserialize(deserializer)?;
    if encoding != "base64" {
        return Err(D::Error::custom(format_args!(
            "expected data in base64, got {encoding}"
        )));
    }
    STANDARD.decode(text).map_err(D::Error::custom)
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
