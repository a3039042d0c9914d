//! Why a JSON-RPC call failed.

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::http::HttpError;
use crate::urls::UrlError;

/// The error object of a JSON-RPC answer.
#[derive(Clone, Debug, Deserialize, Error, PartialEq)]
#[error("the server answered {message} (code {code})")]
pub struct RpcError {
    /// The code; -32700 to -32000 are JSON-RPC's own and Solana's.
    pub code: i64,
    /// What is wrong, for people.
    pub message: String,
    /// What the method adds to it.
    #[serde(default)]
    pub data: Option<Value>,
}

/// Why a JSON-RPC call failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RpcCallError {
    /// The endpoint's address cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The parameters have no JSON form.
    #[error("the parameters of {method} could not be encoded")]
    Encode {
        /// The method that was called.
        method: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// HTTP failed, or the answer is not JSON-RPC.
    #[error("{method} failed")]
    Http {
        /// The method that was called.
        method: String,
        /// How it failed.
        #[source]
        source: HttpError,
    },
    /// The server refused the call.
    #[error("{method} failed")]
    Remote {
        /// The method that was called.
        method: String,
        /// The error object of the answer.
        #[source]
        source: RpcError,
    },
    /// The answer belongs to another call.
    #[error("the answer to {method} carries the id {received} instead of {sent}")]
    ForeignId {
        /// The method that was called.
        method: String,
        /// The id of the call.
        sent: u64,
        /// The id of the answer.
        received: Value,
    },
    /// The answer has neither a result nor an error.
    #[error("the answer to {method} has neither a result nor an error")]
    Empty {
        /// The method that was called.
        method: String,
    },
    /// The result is not what the method returns.
    #[error("the result of {method} could not be decoded")]
    Result {
        /// The method that was called.
        method: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl RpcCallError {
    /// Whether the same call may succeed later: the network failed, or the server said that it is not ready.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Http { source, .. } => source.is_retryable(),
            Self::Remote { source, .. } => RETRYABLE_CODES.contains(&source.code),
            _ => false,
        }
    }

    /// The server's error object, if the server refused the call.
    pub fn remote(&self) -> Option<&RpcError> {
        match self {
            Self::Remote { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Solana's codes for "block not available", "node unhealthy" and "block status not yet available".
const RETRYABLE_CODES: [i64; 3] = [-32004, -32005, -32014];
