use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use solana_pubkey::{ParsePubkeyError, Pubkey};

/// One account, as a line of a dump holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Line", into = "Line")]
pub struct AccountRecord {
    /// Its address.
    pub address: Pubkey,
    /// Its balance in lamports.
    pub lamports: u64,
    /// The program that owns it.
    pub owner: Pubkey,
    /// Whether it is a program.
    pub executable: bool,
    /// The epoch at which it would next owe rent.
    pub rent_epoch: u64,
    /// Its data.
    pub data: Vec<u8>,
}

/// Why a line holds no account, although it is JSON of the right shape.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// An address is not 32 bytes in base58.
    #[error("`{text}` is not an address")]
    Address {
        /// What stands there.
        text: String,
        /// What is wrong with it.
        #[source]
        source: ParsePubkeyError,
    },
    /// The data is encoded in a way that dumps do not use.
    #[error("data is in {encoding}, not base64")]
    Encoding {
        /// The encoding that the line names.
        encoding: String,
    },
    /// The data is not base64.
    #[error("data is not base64")]
    Base64(#[from] base64::DecodeError),
}

#[derive(Serialize, Deserialize)]
struct Line {
    pubkey: String,
    account: Fields,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    lamports: u64,
    data: (String, String),
    owner: String,
    executable: bool,
    rent_epoch: u64,
    space: Option<usize>,
}

impl TryFrom<Line> for AccountRecord {
    type Error = RecordError;

    fn try_from(line: Line) -> Result<Self, RecordError> {
        let (data, encoding) = line.account.data;
        if encoding != "base64" {
            return Err(RecordError::Encoding { encoding });
        }
        Ok(Self {
            address: address(line.pubkey)?,
            lamports: line.account.lamports,
            owner: address(line.account.owner)?,
            executable: line.account.executable,
            rent_epoch: line.account.rent_epoch,
            data: BASE64_STANDARD.decode(data)?,
        })
    }
}

impl From<AccountRecord> for Line {
    fn from(record: AccountRecord) -> Self {
        let account = Fields {
            lamports: record.lamports,
            data: (BASE64_STANDARD.encode(&record.data), "base64".to_owned()),
            owner: record.owner.to_string(),
            executable: record.executable,
            rent_epoch: record.rent_epoch,
            space: Some(record.data.len()),
        };
        Self {
            pubkey: record.address.to_string(),
            account,
        }
    }
}

fn address(text: String) -> Result<Pubkey, RecordError> {
    text.parse().map_err(|source| RecordError::Address { text, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = r#"{"pubkey":"11111111111111111111111111111111","account":{"lamports":1,"data":["c29sYW5hX3N5c3RlbV9wcm9ncmFt","base64"],"owner":"NativeLoader1111111111111111111111111111111","executable":true,"rentEpoch":18446744073709551615,"space":21}}"#;

    #[test]
    fn a_line_survives() {
        let record: AccountRecord = serde_json::from_str(SYSTEM).unwrap();
        assert_eq!(record.data, b"solana_system_program");
        assert_eq!(record.rent_epoch, u64::MAX);
        assert_eq!(serde_json::to_string(&record).unwrap(), SYSTEM);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, message) in [
            ("NativeLoader", "nativeloader", "is not an address"),
            (r#""base64""#, r#""base58""#, "data is in base58, not base64"),
            ("c29s", "!!!!", "data is not base64"),
        ] {
            let error = serde_json::from_str::<AccountRecord>(&SYSTEM.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
