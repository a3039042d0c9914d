//! The file of `--key-file`: a table for each name, with its keys and its limits.
//!
//! ```toml
//! [desk]
//! key = "..."              # or keys = ["...", "..."], of which any will do
//! sessions = 8             # at once
//! connections = 64         # at once
//! message-mib = 16         # largest message
//! ```
//!
//! No message repeats what stands in the file, but for names of keys and fields.

use std::io;
use std::path::{Path, PathBuf};

use simulator_server::{ApiKey, KeyLimits};
use thiserror::Error;
use toml::{Table, Value};

/// Why a key file cannot be used.
#[derive(Debug, Error)]
pub(crate) enum KeyFileError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("line {line} of {} is not TOML", path.display())]
    Syntax { path: PathBuf, line: usize },
    #[error("{}: {problem}", path.display())]
    Content { path: PathBuf, problem: Problem },
}

/// What is wrong with the content of a key file.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Problem {
    #[error("it names no keys; write [NAME] and below it key = \"...\"")]
    Empty,
    #[error("{name} is not a table; write [{name}] and below it key = \"...\"")]
    NoTable { name: String },
    #[error("{name} has no key; write key = \"...\", or keys = [\"...\", ...], with none of them empty")]
    NoKey { name: String },
    #[error("{name}: {field} is a number, 1 or more")]
    Number { name: String, field: &'static str },
    #[error("{name}: unknown field {field:?}; there are key, keys, sessions, connections, message-mib")]
    Unknown { name: String, field: String },
}

/// Reads the keys of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<ApiKey>, KeyFileError> {
    let text = std::fs::read_to_string(path).map_err(|source| KeyFileError::Read {
        path: path.to_owned(),
        source,
    })?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| KeyFileError::Syntax {
        path: path.to_owned(),
        line: line_of(&text, &error),
    })?;
    keys(table).map_err(|problem| KeyFileError::Content {
        path: path.to_owned(),
        problem,
    })
}

fn keys(table: Table) -> Result<Vec<ApiKey>, Problem> {
    let mut keys = Vec::new();
    for (name, value) in table {
        let Value::Table(fields) = value else {
            return Err(Problem::NoTable { name });
        };
        keys.extend(keys_of(name, fields)?);
    }
    if keys.is_empty() {
        return Err(Problem::Empty);
    }
    Ok(keys)
}

/// The keys under one name, each with the limits of that name.
fn keys_of(name: String, mut fields: Table) -> Result<Vec<ApiKey>, Problem> {
    let no_key = || Problem::NoKey { name: name.clone() };
    let given = match (fields.remove("key"), fields.remove("keys")) {
        (Some(key @ Value::String(_)), None) => vec![key],
        (None, Some(Value::Array(keys))) => keys,
        _ => return Err(no_key()),
    };
    let mut number = |field| take_number(&name, &mut fields, field);
    let limits = KeyLimits {
        sessions: number("sessions")?,
        connections: number("connections")?,
        message_bytes: number("message-mib")?.map(|mib| mib.saturating_mul(1 << 20)),
    };
    if let Some((field, _)) = fields.into_iter().next() {
        return Err(Problem::Unknown { name, field });
    }
    let key = |value: &Value| match value {
        Value::String(key) if !key.is_empty() => Some(ApiKey::new(name.clone(), key).with_limits(limits)),
        _ => None,
    };
    let keys: Option<Vec<ApiKey>> = given.iter().map(key).collect();
    keys.filter(|keys| !keys.is_empty()).ok_or_else(no_key)
}

fn take_number(name: &str, fields: &mut Table, field: &'static str) -> Result<Option<usize>, Problem> {
    let Some(value) = fields.remove(field) else {
        return Ok(None);
    };
    let number = value.as_integer().and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| *number > 0)
        .map(Some)
        .ok_or_else(|| Problem::Number {
            name: name.to_owned(),
            field,
        })
}

fn line_of(text: &str, error: &toml::de::Error) -> usize {
    let before = error.span().and_then(|span| text.get(..span.start));
    before.unwrap_or_default().matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<ApiKey>, Problem> {
        keys(text.parse().expect("it is TOML"))
    }

    #[test]
    fn a_name_may_have_several_keys_and_limits() {
        let keys = parse("[desk]\nkeys = [\"old\", \"new\"]\nsessions = 2\n[\"other one\"]\nkey = \"x\"\n");
        assert_eq!(keys.expect("well formed").len(), 3);
    }

    #[test]
    fn what_is_wrong_is_named_and_no_key_is_shown() {
        for (text, told) in [
            ("", "it names no keys"),
            ("desk = \"s3cret\"", "desk is not a table"),
            ("[desk]\n", "desk has no key"),
            ("[desk]\nkey = \"\"", "desk has no key"),
            ("[desk]\nkeys = []", "desk has no key"),
            ("[desk]\nkeys = [\"s3cret\", 7]", "desk has no key"),
            ("[desk]\nkey = \"s3cret\"\nkeys = [\"s3cret\"]", "desk has no key"),
            (
                "[desk]\nkey = \"s3cret\"\nsessions = \"s3cret\"",
                "desk: sessions is a number",
            ),
            (
                "[desk]\nkey = \"s3cret\"\nconnections = 0",
                "desk: connections is a number",
            ),
            ("[desk]\nkey = \"s3cret\"\nmax = 1", "desk: unknown field \"max\""),
        ] {
            let problem = parse(text).expect_err(text).to_string();
            assert!(problem.starts_with(told), "{text:?}: {problem}");
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }

    #[test]
    fn a_file_that_is_not_toml_is_not_shown() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("keys.toml");
        std::fs::write(&path, "[desk]\nkey = s3cret\n").expect("it is written");
        let error = read(&path).expect_err("it is not TOML").to_string();
        assert!(error.starts_with("line 2 of ") && !error.contains("s3cret"), "{error}");
        let missing = read(&directory.path().join("none")).expect_err("there is none");
        assert!(matches!(missing, KeyFileError::Read { .. }));
    }
}
