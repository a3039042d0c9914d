//! Transactions and what they did, in the shapes of Solana's RPC.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use simulator_archive::model::{InnerInstruction, InnerInstructions, Outcome, ReturnData, TokenBalance};
use simulator_engine::{Execution, Skip, TransactionDecodeError, decode_transaction};
use solana_account_decoder::parse_account_data::SplTokenAdditionalDataV2;
use solana_account_decoder::parse_token::token_amount_to_ui_amount_v3;
use solana_message::compiled_instruction::CompiledInstruction;
use solana_message::v0;
use solana_rpc_client_types::response::RpcConfirmedTransactionStatusWithSignature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_context::transaction::TransactionReturnData;
use solana_transaction_error::TransactionError;
use solana_transaction_status::{
    ConfirmedTransactionWithStatusMeta, EncodeError, EncodedConfirmedTransactionWithStatusMeta,
    InnerInstruction as UiInner, InnerInstructions as UiInners, TransactionBinaryEncoding,
    TransactionConfirmationStatus, TransactionStatus, TransactionStatusMeta, TransactionTokenBalance,
    TransactionWithStatusMeta, UiTransactionEncoding, VersionedTransactionWithStatusMeta, extract_and_fmt_memos,
};
use thiserror::Error;

use crate::history::PastTransaction;

/// Most characters of a transaction in base58. It is measured before it is decoded, which takes time that grows with
/// the square of the length. Largest of all are transactions of version 1, with 4096 bytes; the engine refuses others
/// above the size of a packet.
const MAX_BASE58_CHARS: usize = 5595;
/// Most characters of a transaction in base64, for the same 4096 bytes.
const MAX_BASE64_CHARS: usize = 5464;

/// Why a text is not a transaction.
#[derive(Debug, Error)]
pub(crate) enum TransactionTextError {
    #[error("{encoding} encoded transaction too large: {len} characters (max {max})")]
    TooLong {
        encoding: &'static str,
        len: usize,
        max: usize,
    },
    #[error("invalid base58 encoding: {0}")]
    Base58(#[from] bs58::decode::Error),
    #[error("invalid base64 encoding: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("failed to deserialize transaction: {0}")]
    Format(#[from] TransactionDecodeError),
}

/// Reads a transaction that was sent as text.
///
/// # Errors
/// The text is too long or not in that encoding, or the bytes are not a transaction.
pub(crate) fn transaction_from_text(
    text: &str,
    encoding: TransactionBinaryEncoding,
) -> Result<VersionedTransaction, TransactionTextError> {
    let wire = match encoding {
        TransactionBinaryEncoding::Base58 => {
            check_len(text, "base58", MAX_BASE58_CHARS)?;
            bs58::decode(text).into_vec()?
        }
        TransactionBinaryEncoding::Base64 => {
            check_len(text, "base64", MAX_BASE64_CHARS)?;
            STANDARD.decode(text)?
        }
    };
    Ok(decode_transaction(&wire)?)
}

fn check_len(text: &str, encoding: &'static str, max: usize) -> Result<(), TransactionTextError> {
    match text.len() {
        len if len > max => Err(TransactionTextError::TooLong { encoding, len, max }),
        _ => Ok(()),
    }
}

/// What `getTransaction` shows.
///
/// # Errors
/// The client does not support the transaction's version.
pub(crate) fn confirmed(
    past: &PastTransaction,
    encoding: UiTransactionEncoding,
    max_version: Option<u8>,
) -> Result<EncodedConfirmedTransactionWithStatusMeta, EncodeError> {
    let confirmed = ConfirmedTransactionWithStatusMeta {
        slot: past.slot,
        tx_with_meta: TransactionWithStatusMeta::Complete(complete(past)),
        block_time: past.block_time,
        index: past.index.unwrap_or_default(),
    };
    let mut encoded = confirmed.encode(encoding, max_version)?;
    encoded.transaction_index = past.index;
    Ok(encoded)
}

/// What `getSignatureStatuses` shows. Everything in a replay is final at once.
pub(crate) fn status(past: &PastTransaction) -> TransactionStatus {
    TransactionStatus {
        slot: past.slot,
        confirmations: None,
        status: past.outcome.status.clone(),
        err: past.outcome.status.clone().err(),
        confirmation_status: Some(TransactionConfirmationStatus::Finalized),
    }
}

/// What `getSignaturesForAddress` shows.
pub(crate) fn signature_status(past: &PastTransaction) -> RpcConfirmedTransactionStatusWithSignature {
    let signature = past.transaction.signatures.first().copied().unwrap_or_default();
    RpcConfirmedTransactionStatusWithSignature {
        signature: signature.to_string(),
        slot: past.slot,
        err: past.outcome.status.clone().err().map(Into::into),
        memo: extract_and_fmt_memos(&complete(past)),
        block_time: past.block_time,
        confirmation_status: Some(TransactionConfirmationStatus::Finalized),
        transaction_index: past.index,
    }
}

/// A transaction with what it did, in Solana's form.
pub(super) fn complete(past: &PastTransaction) -> VersionedTransactionWithStatusMeta {
    VersionedTransactionWithStatusMeta {
        transaction: past.transaction.clone(),
        meta: status_meta(&past.outcome),
    }
}

/// Why a transaction failed, was refused or was left out; `None` if it succeeded.
pub(crate) fn execution_error(execution: &Execution) -> Option<TransactionError> {
    match execution {
        Execution::Processed(outcome) => outcome.status.clone().err(),
        Execution::Refused(error) => Some(error.clone()),
        // The runtime would not have found it.
        Execution::Skipped(Skip::UnknownAccount(_)) => Some(TransactionError::AccountNotFound),
        Execution::Skipped(Skip::IgnoredSigner(_) | Skip::StateOnly) => None,
    }
}

/// An outcome in Solana's form.
pub(crate) fn status_meta(outcome: &Outcome) -> TransactionStatusMeta {
    let loaded = outcome.loaded_addresses.clone().unwrap_or_default();
    TransactionStatusMeta {
        status: outcome.status.clone(),
        fee: outcome.fee,
        pre_balances: outcome.pre_balances.clone(),
        post_balances: outcome.post_balances.clone(),
        inner_instructions: outcome
            .inner_instructions
            .as_ref()
            .map(|inner| inner.iter().map(inner_instructions).collect()),
        log_messages: outcome.logs.clone(),
        pre_token_balances: outcome.pre_token_balances.as_deref().map(token_balances),
        post_token_balances: outcome.post_token_balances.as_deref().map(token_balances),
        rewards: Some(Vec::new()),
        loaded_addresses: v0::LoadedAddresses {
            writable: loaded.writable,
            readonly: loaded.readonly,
        },
        return_data: outcome.return_data.as_ref().map(return_data),
        compute_units_consumed: outcome.compute_units,
        cost_units: outcome.cost_units,
    }
}

fn inner_instructions(inner: &InnerInstructions) -> UiInners {
    UiInners {
        index: inner.index,
        instructions: inner.instructions.iter().map(inner_instruction).collect(),
    }
}

fn inner_instruction(inner: &InnerInstruction) -> UiInner {
    UiInner {
        instruction: CompiledInstruction {
            program_id_index: inner.program_id_index,
            accounts: inner.accounts.clone(),
            data: inner.data.to_vec(),
        },
        stack_height: inner.stack_height,
    }
}

fn token_balances(balances: &[TokenBalance]) -> Vec<TransactionTokenBalance> {
    balances.iter().map(token_balance).collect()
}

/// An absent owner or program is an empty text, which Solana's form leaves out.
fn token_balance(balance: &TokenBalance) -> TransactionTokenBalance {
    let decimals = SplTokenAdditionalDataV2::with_decimals(balance.decimals);
    TransactionTokenBalance {
        account_index: balance.account_index,
        mint: balance.mint.to_string(),
        ui_token_amount: token_amount_to_ui_amount_v3(balance.amount, &decimals),
        owner: balance.owner.map(|owner| owner.to_string()).unwrap_or_default(),
        program_id: balance
            .program_id
            .map(|program| program.to_string())
            .unwrap_or_default(),
    }
}

pub(super) fn return_data(data: &ReturnData) -> TransactionReturnData {
    TransactionReturnData {
        program_id: data.program_id,
        data: data.data.to_vec(),
    }
}
