//! `sim.toml`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use thiserror::Error;
use toml::{Table, Value};

/// Name of the file, looked up in the current directory.
pub(crate) const FILE_NAME: &str = "sim.toml";

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub(crate) enum SettingsFileError {
    #[error("cannot read {FILE_NAME}")]
    Read(#[source] io::Error),
    /// The error is no source, because its text repeats the line, and the line may hold a key.
    #[error("{FILE_NAME}, line {line} is not TOML: {}", error.message())]
    Syntax { line: usize, error: Box<toml::de::Error> },
    #[error("{FILE_NAME}: unknown key {key:?}; keys are options without the dashes in front: {}", known.join(", "))]
    UnknownKey { key: String, known: Vec<String> },
    #[error(
        "{FILE_NAME}: the value of {key:?} is {found}; write a string, a number, true or false, or an array of them"
    )]
    Type { key: String, found: &'static str },
}

/// Settings by name; a name that is repeated on the command line may have several values.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingsFile {
    values: BTreeMap<String, Vec<String>>,
}

impl SettingsFile {
    /// Reads the file, if there is one. Every key has to be in `known`.
    pub(crate) fn read(path: &Path, known: &[String]) -> Result<Self, SettingsFileError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, known),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(SettingsFileError::Read(error)),
        }
    }

    pub(super) fn parse(text: &str, known: &[String]) -> Result<Self, SettingsFileError> {
        let table: Table = text.parse().map_err(|error| syntax(text, error))?;
        let mut values = BTreeMap::new();
        for (key, value) in table {
            if !known.contains(&key) {
                return Err(SettingsFileError::UnknownKey {
                    key,
                    known: sorted(known),
                });
            }
            let texts = texts(&value).map_err(|found| SettingsFileError::Type {
                key: key.clone(),
                found,
            })?;
            values.insert(key, texts);
        }
        Ok(Self { values })
    }

    /// The values of one setting.
    pub(crate) fn get(&self, name: &str) -> Option<&[String]> {
        self.values.get(name).map(Vec::as_slice)
    }
}

fn syntax(text: &str, error: toml::de::Error) -> SettingsFileError {
    let before = error.span().and_then(|span| text.get(..span.start));
    SettingsFileError::Syntax {
        line: before.unwrap_or_default().matches('\n').count() + 1,
        error: Box::new(error),
    }
}

/// A value, or each of an array, as it would stand on the command line. The error names the type that does not fit.
fn texts(value: &Value) -> Result<Vec<String>, &'static str> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        single => Ok(vec![text(single)?]),
    }
}

fn text(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        other => Err(other.type_str()),
    }
}

fn sorted(known: &[String]) -> Vec<String> {
    let mut known = known.to_vec();
    known.sort();
    known.dedup();
    known
}
