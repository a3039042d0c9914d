//! Why a message could not be decoded, and where.

use solana_address::error::ParseAddressError;
use thiserror::Error;

use crate::{BacktestError, InvalidRequestId, InvalidSessionId, InvalidSessionName, UnpackError};

/// A message that could not be decoded: the path of the value that is wrong, and what is wrong with it.
///
/// The path is written as in JavaScript, from the top of the message (`params.transactions[2]`), and is empty when
/// the whole message is meant.
#[derive(Debug, Error)]
#[error("{path}{}{problem}", if path.is_empty() { "" } else { ": " })]
pub struct DecodeError {
    path: String,
    #[source]
    problem: Problem,
}

/// What is wrong with a value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not JSON.
    #[error("not valid JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    /// A required field is absent.
    #[error("required field is missing")]
    Missing,
    /// The value has another type, or is outside the range of its type.
    #[error("expected {expected}, got {got}")]
    Unexpected {
        /// What the field holds, with its article.
        expected: &'static str,
        /// What was found instead.
        got: String,
    },
    /// The value has the right type but does not fit the type's rules.
    #[error("{0}")]
    Shape(#[source] serde_json::Error),
    /// A text that is not an address.
    #[error("expected a base58 address")]
    Address {
        /// What is wrong with it.
        #[from]
        source: ParseAddressError,
    },
    /// A text that is not a session id.
    #[error(transparent)]
    SessionId(#[from] InvalidSessionId),
    /// A text that is not a request id.
    #[error(transparent)]
    RequestId(#[from] InvalidRequestId),
    /// A text that is not a session name.
    #[error(transparent)]
    SessionName(#[from] InvalidSessionName),
    /// A packed text that cannot be unpacked.
    #[error(transparent)]
    Packed(#[from] UnpackError),
    /// An account to modify whose address is not an address.
    #[error("expected a base58 address as key")]
    ModifiedAccountKey {
        /// The key that was found.
        key: String,
        /// What is wrong with it.
        #[source]
        source: ParseAddressError,
    },
    /// An account to modify whose owner is not an address.
    #[error("expected a base58 address")]
    ModifiedAccountOwner {
        /// The address of the account to modify.
        account: String,
        /// What is wrong with it.
        #[source]
        source: ParseAddressError,
    },
    /// Binary data in an encoding that this protocol does not have.
    #[error("expected \"base64\", got {encoding:?}")]
    Encoding {
        /// The encoding that was named.
        encoding: String,
    },
    /// An account to modify whose data is in an encoding that this protocol does not have.
    #[error("expected \"base64\", got {encoding:?}")]
    ModifiedAccountEncoding {
        /// The address of the account to modify.
        account: String,
        /// The encoding that was named.
        encoding: String,
    },
}

/// The most characters of a wrong text that an error repeats.
const MAX_EXCERPT: usize = 64;

/// The beginning of a text that is wrong: errors are answered, kept and logged, whatever the length of the request.
pub(crate) fn excerpt(text: String) -> String {
    match text.char_indices().nth(MAX_EXCERPT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

impl DecodeError {
    /// Where the value stands that is wrong; empty for the whole message.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    pub(crate) fn missing() -> Self {
        Problem::Missing.into()
    }

    /// Puts `segment`, a field name or an `[index]`, in front of the path.
    pub(crate) fn within(mut self, segment: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{segment}{separator}{}", self.path);
        self
    }

    /// Replaces the problem, keeping the path.
    pub(crate) fn map_problem(mut self, change: impl FnOnce(Problem) -> Problem) -> Self {
        self.problem = change(self.problem);
        self
    }
}

impl From<Problem> for DecodeError {
    fn from(problem: Problem) -> Self {
        Self {
            path: String::new(),
            problem,
        }
    }
}

/// The answer that a server gives to a request that it cannot decode.
impl From<&DecodeError> for BacktestError {
    fn from(error: &DecodeError) -> Self {
        match error.problem() {
            Problem::ModifiedAccountKey { key, source } => Self::InvalidAccountPubkey {
                address: key.clone(),
                error: source.to_string(),
            },
            Problem::ModifiedAccountOwner { account, .. } => Self::InvalidAccountOwner {
                address: account.clone(),
                error: error.to_string(),
            },
            Problem::ModifiedAccountEncoding { account, encoding } => Self::InvalidAccountEncoding {
                address: account.clone(),
                encoding: encoding.clone(),
                error: error.to_string(),
            },
            // An id that cannot exist looks like one that does not.
            Problem::SessionId(invalid) => Self::SessionNotFound {
                session_id: invalid.text().to_owned(),
            },
            _ => Self::InvalidRequest {
                error: error.to_string(),
            },
        }
    }
}
