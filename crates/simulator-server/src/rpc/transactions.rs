//! Transactions: looking them up and sending them.

use simulator_engine::{Execution, SimulateOptions, Skip};
use solana_rpc_client_types::config::{
    RpcEncodingConfigWrapper, RpcSendTransactionConfig, RpcSignatureStatusConfig, RpcTransactionConfig,
};
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_status::{EncodeError, TransactionBinaryEncoding, UiTransactionEncoding};

use super::budget::Budget;
use super::call::Params;
use super::context::{at_least_confirmed, look, signature};
use super::error::RpcError;
use super::simulate::{Changes, is_malformed, refuse_malformed, refuse_unknown, simulation, verify_signatures};
use super::{Answer, Target, result};
use crate::convert::{confirmed, execution_error, status, transaction_from_text};
use crate::executor::Executor;
use crate::handle::SessionHandle;

/// Most signatures in one `getSignatureStatuses`, as Solana has it.
const MAX_SIGNATURES: usize = 256;

/// Finds recent transactions of the session only, historical and sent ones; `null` for all others.
pub(super) async fn get_transaction(target: &Target, params: Params<'_>) -> Answer {
    let name = signature(&params.required::<String>(0, "a signature")?)?;
    let config: Option<RpcEncodingConfigWrapper<RpcTransactionConfig>> = params.optional(1, "config")?;
    let config = config.map(|config| config.convert_to_current()).unwrap_or_default();
    at_least_confirmed(config.commitment)?;
    let Some(past) = target
        .session
        .read(move |executor| executor.history().get(&name))
        .await?
    else {
        return result(&());
    };
    let encoding = config.encoding.unwrap_or(UiTransactionEncoding::Json);
    let past_size = past.size();
    let show = move |_: &Budget| match confirmed(&past, encoding, config.max_supported_transaction_version) {
        Ok(shown) => result(&shown),
        Err(EncodeError::UnsupportedTransactionVersion(version)) => Err(RpcError::unsupported_version(version)),
    };
    target.show(past_size, show).await
}

pub(super) async fn get_signature_statuses(session: &SessionHandle, params: Params<'_>) -> Answer {
    let texts: Vec<String> = params.required(0, "an array of signatures")?;
    if texts.len() > MAX_SIGNATURES {
        return Err(RpcError::invalid_params(format!(
            "Too many inputs provided; max {MAX_SIGNATURES}"
        )));
    }
    let names = texts
        .iter()
        .map(|text| signature(text))
        .collect::<Result<Vec<_>, _>>()?;
    params.optional::<RpcSignatureStatusConfig>(1, "config")?;
    let find = move |executor: &Executor| {
        Ok(names
            .iter()
            .map(|name| executor.history().get(name).map(|past| status(&past)))
            .collect::<Vec<_>>())
    };
    result(&look(session, None, find).await?)
}

/// Executes a transaction in the open slot, and answers when that is done. Its signatures are not checked.
pub(super) async fn send_transaction(session: &SessionHandle, params: Params<'_>) -> Answer {
    session.check_executing()?;
    let text: String = params.required(0, "a transaction")?;
    let config: RpcSendTransactionConfig = params.optional(1, "config")?.unwrap_or_default();
    let transaction = read_transaction(&text, config.encoding)?;
    if config.skip_preflight {
        look(session, config.min_context_slot, |_| Ok(())).await?;
    } else {
        preflight(session, transaction.clone(), config.min_context_slot).await?;
    }
    let sent = session.send(transaction).await?;
    match &sent.execution {
        Execution::Processed(_) => result(&sent.signature.to_string()),
        Execution::Skipped(Skip::UnknownAccount(account)) => Err(RpcError::account_not_in_archive(account)),
        Execution::Refused(error) if is_malformed(error) => Err(RpcError::invalid_transaction(error)),
        refused => {
            let why = execution_error(refused)
                .map(|error| error.to_string())
                .unwrap_or_default();
            Err(RpcError::refused(&format!("the transaction was not executed: {why}")))
        }
    }
}

/// Reads a transaction in the encoding that a config names.
pub(super) fn read_transaction(
    text: &str,
    encoding: Option<UiTransactionEncoding>,
) -> Result<VersionedTransaction, RpcError> {
    let encoding = encoding.unwrap_or(UiTransactionEncoding::Base58);
    let binary: TransactionBinaryEncoding = encoding.into_binary_encoding().ok_or_else(|| {
        RpcError::invalid_params(format!(
            "unsupported encoding: {encoding}. Supported encodings: base58, base64"
        ))
    })?;
    transaction_from_text(text, binary).map_err(|error| RpcError::invalid_params(error.to_string()))
}

async fn preflight(
    session: &SessionHandle,
    transaction: VersionedTransaction,
    min_context_slot: Option<u64>,
) -> Result<(), RpcError> {
    let simulate = move |executor: &Executor| {
        let simulated = executor.replay().simulate(&transaction, SimulateOptions::default());
        let simulated = simulated.map_err(|error| RpcError::refused(&error.to_string()))?;
        refuse_unknown(executor, &simulated, &Changes::new())?;
        refuse_malformed(&simulated)?;
        let Some(error) = execution_error(&simulated.execution) else {
            return Ok(());
        };
        let message = format!("Transaction simulation failed: {error}");
        let shown = simulation(&simulated, &transaction);
        Err(RpcError::preflight(
            message,
            serde_json::to_value(shown).unwrap_or_default(),
        ))
    };
    look(session, min_context_slot, simulate).await.map(|_| ())
}

/// Checks a transaction's signatures, for a caller that asks for it.
pub(super) fn check_signatures(transaction: &VersionedTransaction) -> Result<(), RpcError> {
    if verify_signatures(transaction) {
        Ok(())
    } else {
        Err(RpcError::signature())
    }
}
