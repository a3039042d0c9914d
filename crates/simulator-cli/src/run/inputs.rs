//! Files that the user gives to change what is replayed.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use simulator_archive::Digest;
use simulator_client::{ElfError, check_elf};
use solana_pubkey::{ParsePubkeyError, Pubkey};
use thiserror::Error;

/// Why a file of the user's cannot be used.
#[derive(Debug, Error)]
pub(crate) enum InputError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} cannot be loaded as a program", path.display())]
    Program {
        path: PathBuf,
        #[source]
        source: ElfError,
    },
    #[error("{} is not an account as `solana account --output json` writes it", path.display())]
    Account {
        path: PathBuf,
        #[source]
        source: AccountFileError,
    },
    #[error("{}, line {line}: {text:?} is not a feature id", path.display())]
    Feature {
        path: PathBuf,
        line: usize,
        text: String,
        #[source]
        source: ParsePubkeyError,
    },
}

/// What is wrong with an account's file.
#[derive(Debug, Error)]
pub(crate) enum AccountFileError {
    #[error("it does not have the shape of one")]
    Shape(#[from] serde_json::Error),
    #[error("its owner {owner:?} is not an address")]
    Owner {
        owner: String,
        #[source]
        source: ParsePubkeyError,
    },
    #[error("its data has the encoding {0:?}, and only base64 can be read")]
    Encoding(String),
    #[error("its data is not base64")]
    Data(#[from] base64::DecodeError),
}

/// An account of the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccountFile {
    pub(crate) lamports: u64,
    pub(crate) data: Vec<u8>,
    pub(crate) owner: Pubkey,
    pub(crate) executable: bool,
}

/// A file of the user's that was read, and what was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input<T> {
    pub(crate) path: PathBuf,
    /// BLAKE3 of the file.
    pub(crate) digest: Digest,
    pub(crate) value: T,
}

/// Reads a program.
pub(crate) fn program(path: &Path) -> Result<Input<Vec<u8>>, InputError> {
    let file = read(path)?;
    check_elf(&file.value).map_err(|source| InputError::Program {
        path: path.to_owned(),
        source,
    })?;
    Ok(file)
}

/// Reads an account.
pub(crate) fn account(path: &Path) -> Result<Input<AccountFile>, InputError> {
    read(path)?.parse(|bytes| {
        parse_account(bytes).map_err(|source| InputError::Account {
            path: path.to_owned(),
            source,
        })
    })
}

/// Reads a list of features: one id a line; empty lines and what follows a `#` do not count.
pub(crate) fn features(path: &Path) -> Result<Input<BTreeSet<Pubkey>>, InputError> {
    read(path)?.parse(|bytes| parse_features(path, bytes))
}

/// Reads a file and does not look into it.
pub(crate) fn read(path: &Path) -> Result<Input<Vec<u8>>, InputError> {
    let bytes = std::fs::read(path).map_err(|source| InputError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(Input {
        path: path.to_owned(),
        digest: Digest::of(&bytes),
        value: bytes,
    })
}

impl<T> Input<T> {
    /// The same file, read as something else.
    pub(crate) fn map<U>(self, read: impl FnOnce(T) -> U) -> Input<U> {
        let Self { path, digest, value } = self;
        let value = read(value);
        Input { path, digest, value }
    }
}

impl Input<Vec<u8>> {
    fn parse<T>(self, parse: impl FnOnce(&[u8]) -> Result<T, InputError>) -> Result<Input<T>, InputError> {
        let Self { path, digest, value } = self;
        let value = parse(&value)?;
        Ok(Input { path, digest, value })
    }
}

fn parse_features(path: &Path, bytes: &[u8]) -> Result<BTreeSet<Pubkey>, InputError> {
    let text = String::from_utf8_lossy(bytes);
    let mut features = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let id = line.split('#').next().unwrap_or_default().trim();
        if id.is_empty() {
            continue;
        }
        let feature = id.parse().map_err(|source| InputError::Feature {
            path: path.to_owned(),
            line: index + 1,
            text: id.to_owned(),
            source,
        })?;
        features.insert(feature);
    }
    Ok(features)
}

#[derive(Deserialize)]
struct AccountJson {
    account: AccountStateJson,
}

#[derive(Deserialize)]
struct AccountStateJson {
    lamports: u64,
    data: (String, String),
    owner: String,
    executable: bool,
}

fn parse_account(bytes: &[u8]) -> Result<AccountFile, AccountFileError> {
    let AccountJson { account } = serde_json::from_slice(bytes)?;
    let (data, encoding) = account.data;
    if encoding != "base64" {
        return Err(AccountFileError::Encoding(encoding));
    }
    let owner = match account.owner.parse() {
        Ok(owner) => owner,
        Err(source) => {
            return Err(AccountFileError::Owner {
                owner: account.owner,
                source,
            });
        }
    };
    Ok(AccountFile {
        lamports: account.lamports,
        data: STANDARD.decode(data)?,
        owner,
        executable: account.executable,
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    const SYSTEM: &str = "11111111111111111111111111111111";

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("input");
        std::fs::write(&path, content).expect("written");
        (directory, path)
    }

    fn account_error(content: &str) -> String {
        let (_directory, path) = file(content.as_bytes());
        account(&path)
            .expect_err("not an account")
            .source()
            .expect("has a cause")
            .to_string()
    }

    #[test]
    fn account_of_the_solana_tool_is_read() {
        let text = format!(
            r#"{{"pubkey":"{SYSTEM}","account":{{"lamports":5,"data":["AQI=","base64"],"owner":"{SYSTEM}",
                "executable":false,"rentEpoch":18446744073709551615,"space":2}}}}"#
        );
        let (_directory, path) = file(text.as_bytes());
        let expected = AccountFile {
            lamports: 5,
            data: vec![1, 2],
            owner: Pubkey::default(),
            executable: false,
        };
        let account = account(&path).expect("well formed");
        assert_eq!((account.digest, account.value), (Digest::of(text.as_bytes()), expected));
    }

    #[test]
    fn what_is_wrong_with_an_account_is_said() {
        let account = |data: &str, owner: &str| {
            account_error(&format!(
                r#"{{"account":{{"lamports":5,"data":{data},"owner":"{owner}","executable":false}}}}"#
            ))
        };
        assert_eq!(account(r#"["AQI","base64"]"#, SYSTEM), "its data is not base64");
        assert_eq!(
            account(r#"["5","base58"]"#, SYSTEM),
            r#"its data has the encoding "base58", and only base64 can be read"#
        );
        assert_eq!(account(r#"["","base64"]"#, "x"), r#"its owner "x" is not an address"#);
        assert_eq!(account_error("{}"), "it does not have the shape of one");
    }

    #[test]
    fn features_stand_one_a_line() {
        let (_directory, path) = file(format!("# all of them\n\n{SYSTEM} # the first\n").as_bytes());
        assert_eq!(
            features(&path).expect("well formed").value,
            BTreeSet::from([Pubkey::default()])
        );
        let (_directory, path) = file(b"\nnope\n");
        let error = features(&path).expect_err("not an id").to_string();
        assert!(
            error.ends_with("input, line 2: \"nope\" is not a feature id"),
            "{error}"
        );
    }

    #[test]
    fn program_is_an_elf_file() {
        for (content, expected) in [
            (&b"#!/bin/sh"[..], "it is not an ELF file"),
            (
                b"\x7fELF...",
                "it was cut off: its header ends at byte 64, and the file has 7",
            ),
        ] {
            let (_directory, path) = file(content);
            let Err(InputError::Program { source, .. }) = program(&path) else {
                panic!("{content:?}")
            };
            assert!(source.to_string().starts_with(expected), "{source}");
        }
    }
}
