//! Values of options that are more than a number, a word or a path.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use solana_pubkey::{ParsePubkeyError, Pubkey};
use thiserror::Error;

/// `ADDRESS=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressFile {
    pub(crate) address: Pubkey,
    pub(crate) file: PathBuf,
}

/// Why a value is not `ADDRESS=FILE`.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum AddressFileError {
    #[error("write it as ADDRESS=FILE")]
    Shape,
    #[error("{address:?} is not an address: {source}")]
    Address { address: String, source: ParsePubkeyError },
}

impl FromStr for AddressFile {
    type Err = AddressFileError;

    fn from_str(text: &str) -> Result<Self, AddressFileError> {
        let (address, file) = text.split_once('=').ok_or(AddressFileError::Shape)?;
        if file.is_empty() {
            return Err(AddressFileError::Shape);
        }
        let parsed = address.parse().map_err(|source| AddressFileError::Address {
            address: address.to_owned(),
            source,
        })?;
        Ok(Self {
            address: parsed,
            file: PathBuf::from(file),
        })
    }
}

/// A key for a server. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKey(String);

impl ApiKey {
    /// The key itself, for the header that carries it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApiKey {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(..)")
    }
}

/// `NAME=KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedKey {
    pub(crate) name: String,
    pub(crate) key: ApiKey,
}

/// A value is not `NAME=KEY`. It may be a key all the same, so that nothing of it is shown.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a key of --api-key or SIM_API_KEYS is not written as NAME=KEY, with neither empty")]
pub(crate) struct NamedKeyError;

impl NamedKey {
    /// Splits a value. The parser of the command line must not do that: it repeats what it cannot read.
    pub(crate) fn parse(value: &ApiKey) -> Result<Self, NamedKeyError> {
        match value.0.split_once('=') {
            Some((name, key)) if !name.is_empty() && !key.is_empty() => Ok(Self {
                name: name.to_owned(),
                key: ApiKey(key.to_owned()),
            }),
            _ => Err(NamedKeyError),
        }
    }
}

/// `accounts`, `all`, or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FeaturesArg {
    Accounts,
    All,
    File(PathBuf),
}

impl FromStr for FeaturesArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "accounts" => Self::Accounts,
            "all" => Self::All,
            file => Self::File(PathBuf::from(file)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = "11111111111111111111111111111111";

    #[test]
    fn address_and_file_are_split_at_the_first_equals_sign() {
        let value: AddressFile = format!("{SYSTEM}=a=b.json").parse().expect("well formed");
        assert_eq!(
            value,
            AddressFile {
                address: Pubkey::default(),
                file: PathBuf::from("a=b.json")
            }
        );
    }

    #[test]
    fn address_without_file_is_refused() {
        assert_eq!(SYSTEM.parse::<AddressFile>(), Err(AddressFileError::Shape));
        assert_eq!(
            format!("{SYSTEM}=").parse::<AddressFile>(),
            Err(AddressFileError::Shape)
        );
    }

    #[test]
    fn wrong_address_is_named() {
        let error = "nope=file".parse::<AddressFile>().expect_err("not an address");
        assert!(error.to_string().starts_with("\"nope\" is not an address"), "{error}");
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let named = |text: &str| NamedKey::parse(&ApiKey(text.to_owned()));
        let desk = named("desk=secret").expect("well formed");
        assert_eq!((desk.name.as_str(), desk.key.reveal()), ("desk", "secret"));
        assert!(!format!("{desk:?}").contains("secret"));
        assert_eq!(named("=secret"), Err(NamedKeyError));
        assert_eq!(named("desk="), Err(NamedKeyError));
        assert!(!format!("{:?}", ApiKey("secret".to_owned())).contains("secret"));
    }

    #[test]
    fn features_are_a_word_or_a_file() {
        assert_eq!("all".parse(), Ok(FeaturesArg::All));
        assert_eq!("accounts".parse(), Ok(FeaturesArg::Accounts));
        assert_eq!("./all".parse(), Ok(FeaturesArg::File(PathBuf::from("./all"))));
    }
}
