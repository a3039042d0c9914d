//! The errors of JSON-RPC, with Solana's codes where Solana has one.

use serde::Serialize;
use serde_json::{Value, json};
use simulator_api::Cursor;
use simulator_archive::model::Slot;
use solana_account_decoder::MAX_BASE58_BYTES;
use solana_pubkey::Pubkey;
use solana_transaction_error::TransactionError;

use crate::handle::{ChangeError, SessionGone};

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Value>,
}

/// The account is not in the session's archive, so that nothing can be said about it. Ours; `data` names the account.
/// It is not the same as `null`, which says that the account does not exist.
pub(crate) const ACCOUNT_NOT_IN_ARCHIVE: i64 = -32099;
/// The session has ended, or cannot take the change now. Ours.
pub(crate) const SESSION_REFUSED: i64 = -32098;

/// What a subscription wants to resume from is not retained any more. Ours; `data` names the oldest cursor there is.
pub(crate) const NOT_RETAINED: i64 = -32097;

/// The archive holds some accounts only, so that a search cannot find all. Ours; the config field
/// `allowPartial` asks for those that are known.
const SEARCH_INCOMPLETE: i64 = -32096;

const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;
/// Solana: `BLOCK_CLEANED_UP`.
const BLOCK_CLEANED_UP: i64 = -32001;
/// Solana: `BLOCK_NOT_AVAILABLE`.
const BLOCK_NOT_AVAILABLE: i64 = -32004;
/// Solana: `SLOT_SKIPPED`.
const SLOT_SKIPPED: i64 = -32007;
/// Solana: `SEND_TRANSACTION_PREFLIGHT_FAILURE`.
const PREFLIGHT_FAILURE: i64 = -32002;
/// Solana: `TRANSACTION_SIGNATURE_VERIFICATION_FAILURE`.
const SIGNATURE_FAILURE: i64 = -32003;
/// Solana: `UNSUPPORTED_TRANSACTION_VERSION`.
const UNSUPPORTED_VERSION: i64 = -32015;
/// Solana: `MIN_CONTEXT_SLOT_NOT_REACHED`.
const MIN_CONTEXT_SLOT: i64 = -32016;

impl RpcError {
    pub(crate) fn parse(error: &serde_json::Error) -> Self {
        Self::new(PARSE_ERROR, format!("Parse error: {error}"))
    }

    pub(crate) fn invalid_request(why: &str) -> Self {
        Self::new(INVALID_REQUEST, format!("Invalid request: {why}"))
    }

    /// Base58 takes time that grows with the square of the length.
    pub(crate) fn too_long_for_base58() -> Self {
        let message = format!(
            "Encoded binary (base 58) data should be less than {MAX_BASE58_BYTES} bytes, please use Base64 encoding."
        );
        Self::new(INVALID_REQUEST, message)
    }

    pub(crate) fn method_not_found(method: &str) -> Self {
        let is_subscription = method.ends_with("Subscribe") || method.ends_with("Unsubscribe");
        let advice = if is_subscription {
            " here; subscriptions are made over a WebSocket to the same address"
        } else {
            ""
        };
        Self::new(
            METHOD_NOT_FOUND,
            format!("Method not found: this server does not have {method:?}{advice}"),
        )
    }

    /// A method that is called over PubSub and is none of its own.
    pub(crate) fn no_such_subscription(method: &str) -> Self {
        Self::new(
            METHOD_NOT_FOUND,
            format!(
                "Method not found: PubSub does not have {method:?}; what is no subscription is asked by HTTP at the same \
                 address"
            ),
        )
    }

    /// Whether the server does not have the method.
    pub(crate) fn is_method_not_found(&self) -> bool {
        self.code == METHOD_NOT_FOUND
    }

    pub(crate) fn invalid_params(why: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, why.into())
    }

    /// What was sent as a transaction is none.
    pub(crate) fn invalid_transaction(error: &TransactionError) -> Self {
        Self::invalid_params(format!("invalid transaction: {error}"))
    }

    pub(crate) fn internal(why: &str) -> Self {
        Self::new(INTERNAL_ERROR, format!("Internal error: {why}"))
    }

    pub(crate) fn account_not_in_archive(account: &Pubkey) -> Self {
        let message = format!("account {account} is not in this archive: whether it existed is not known");
        Self {
            data: Some(json!({"account": account.to_string()})),
            ..Self::new(ACCOUNT_NOT_IN_ARCHIVE, message)
        }
    }

    pub(crate) fn search_incomplete() -> Self {
        let message = "this archive holds some accounts only, so that a search may miss others; set allowPartial in the \
                       config to search those that it holds";
        Self::new(SEARCH_INCOMPLETE, message.to_owned())
    }

    pub(crate) fn preflight(message: String, result: Value) -> Self {
        Self {
            data: Some(result),
            ..Self::new(PREFLIGHT_FAILURE, message)
        }
    }

    pub(crate) fn signature() -> Self {
        Self::new(
            SIGNATURE_FAILURE,
            "Transaction signature verification failure".to_owned(),
        )
    }

    pub(crate) fn unsupported_version(version: u8) -> Self {
        let message = format!(
            "Transaction version ({version}) is not supported by the requesting client. Please try the request again \
             with the following configuration parameter: \"maxSupportedTransactionVersion\": {version}"
        );
        Self::new(UNSUPPORTED_VERSION, message)
    }

    pub(crate) fn block_cleaned_up(slot: Slot, first: Slot) -> Self {
        let message = format!("Block {slot} cleaned up, does not exist on node. First available block: {first}");
        Self::new(BLOCK_CLEANED_UP, message)
    }

    pub(crate) fn block_not_available(slot: Slot) -> Self {
        Self::new(BLOCK_NOT_AVAILABLE, format!("Block not available for slot {slot}"))
    }

    pub(crate) fn slot_skipped(slot: Slot) -> Self {
        let message = format!("Slot {slot} was skipped, or missing due to ledger jump to recent snapshot");
        Self::new(SLOT_SKIPPED, message)
    }

    pub(crate) fn min_context_slot(slot: Slot) -> Self {
        let message = "Minimum context slot has not been reached".to_owned();
        Self {
            data: Some(json!({"contextSlot": slot})),
            ..Self::new(MIN_CONTEXT_SLOT, message)
        }
    }

    pub(crate) fn refused(why: &str) -> Self {
        Self::new(SESSION_REFUSED, why.to_owned())
    }

    pub(crate) fn not_retained(why: &str, oldest: Cursor) -> Self {
        Self {
            data: Some(json!({"oldest": oldest})),
            ..Self::new(NOT_RETAINED, why.to_owned())
        }
    }

    fn new(code: i64, message: String) -> Self {
        Self {
            code,
            message,
            data: None,
        }
    }
}

impl From<SessionGone> for RpcError {
    fn from(gone: SessionGone) -> Self {
        Self::refused(&gone.to_string())
    }
}

impl From<ChangeError> for RpcError {
    fn from(error: ChangeError) -> Self {
        Self::refused(&error.to_string())
    }
}
