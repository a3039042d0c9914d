//! `simulateTransaction`: what a transaction would do now.

use serde::Deserialize;
use simulator_api::AccountModifications;
use simulator_archive::model::Outcome;
use simulator_engine::{BlockhashCheck, Execution, Lookup, SimulateOptions, SimulatedTransaction};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_account_decoder::{UiAccount, UiAccountEncoding};
use solana_message::AccountKeys;
use solana_pubkey::Pubkey;
use solana_rpc_client_types::config::{RpcSimulateTransactionAccountsConfig, RpcSimulateTransactionConfig};
use solana_rpc_client_types::response::{Response, RpcBlockhash, RpcSimulateTransactionResult};
use solana_sdk_ids::{bpf_loader, bpf_loader_deprecated, bpf_loader_upgradeable, loader_v4, native_loader, sysvar};
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;
use solana_transaction_status::{UiLoadedAddresses, UiTransactionTokenBalance, parse_ui_inner_instructions};

use super::accounts::{Found, known};
use super::blocks::latest_blockhash;
use super::budget::Budget;
use super::call::Params;
use super::context::{look, pubkey};
use super::error::RpcError;
use super::transactions::{check_signatures, read_transaction};
use super::{Answer, Target, result};
use crate::convert::{execution_error, modifications, status_meta};
use crate::executor::Executor;

/// The owners of code and of sysvars.
const SPECIAL_OWNERS: [Pubkey; 6] = [
    bpf_loader_deprecated::ID,
    bpf_loader::ID,
    bpf_loader_upgradeable::ID,
    loader_v4::ID,
    native_loader::ID,
    sysvar::ID,
];

/// Accounts that are replaced.
pub(super) type Changes = Vec<(Pubkey, AccountSharedData)>;

pub(super) async fn simulate_transaction(target: &Target, params: Params<'_>) -> Answer {
    let text: String = params.required(0, "a transaction")?;
    let config: RpcSimulateTransactionConfig = params.optional(1, "config")?.unwrap_or_default();
    let changes = changes(params)?;
    if changes.iter().any(|(_, account)| is_special(account)) {
        // A virtual machine of its own is set up for it.
        target.budget.search()?;
    }
    let transaction = read_transaction(&text, config.encoding)?;
    if config.sig_verify {
        if config.replace_recent_blockhash {
            return Err(RpcError::invalid_params(
                "sigVerify may not be used with replaceRecentBlockhash",
            ));
        }
        check_signatures(&transaction)?;
    }
    let wanted = config.accounts.map(|accounts| wanted_accounts(&accounts)).transpose()?;
    let request = Request {
        transaction,
        changes,
        wanted,
        blockhash: if config.replace_recent_blockhash {
            BlockhashCheck::Replace
        } else {
            BlockhashCheck::Enforce
        },
    };
    let run = move |executor: &Executor| request.run(executor);
    let done = look(&target.session, config.min_context_slot, run).await?;
    let size = done.value.size();
    let show = move |budget: &Budget| {
        result(&Response {
            context: done.context,
            value: done.value.show(config.inner_instructions, budget)?,
        })
    };
    target.show(size, show).await
}

/// A finished simulation in Solana's form, without accounts and inner instructions, which are shown on demand only.
pub(super) fn simulation(
    simulated: &SimulatedTransaction,
    transaction: &VersionedTransaction,
) -> RpcSimulateTransactionResult {
    let outcome = simulated.execution.outcome();
    let meta = outcome.map(status_meta).unwrap_or_default();
    let token_balances = |balances: Option<Vec<_>>| {
        balances.map(|balances| balances.into_iter().map(UiTransactionTokenBalance::from).collect())
    };
    let lookups = transaction.message.address_table_lookups();
    RpcSimulateTransactionResult {
        err: execution_error(&simulated.execution).map(Into::into),
        logs: Some(meta.log_messages.unwrap_or_default()),
        accounts: None,
        units_consumed: Some(meta.compute_units_consumed.unwrap_or_default()),
        loaded_accounts_data_size: Some(simulated.loaded_bytes),
        return_data: meta.return_data.map(Into::into),
        inner_instructions: None,
        replacement_blockhash: None,
        fee: outcome.map(|outcome| outcome.fee),
        pre_balances: outcome.map(|outcome| outcome.pre_balances.clone()),
        post_balances: outcome.map(|outcome| outcome.post_balances.clone()),
        pre_token_balances: token_balances(meta.pre_token_balances),
        post_token_balances: token_balances(meta.post_token_balances),
        loaded_addresses: lookups
            .and(outcome)
            .map(|_| UiLoadedAddresses::from(&meta.loaded_addresses)),
    }
}

/// A transaction that names an account which the archive does not know cannot be judged.
pub(super) fn refuse_unknown(
    executor: &Executor,
    simulated: &SimulatedTransaction,
    changes: &Changes,
) -> Result<(), RpcError> {
    let is_changed = |address: &Pubkey| changes.iter().any(|(changed, _)| changed == address);
    let is_unknown = |address: &&Pubkey| executor.replay().account(address) == Lookup::Unknown && !is_changed(address);
    match simulated.account_keys.iter().find(is_unknown) {
        Some(unknown) => Err(RpcError::account_not_in_archive(unknown)),
        None => Ok(()),
    }
}

/// What cannot be put together is no transaction, so that there is nothing to simulate.
pub(super) fn refuse_malformed(simulated: &SimulatedTransaction) -> Result<(), RpcError> {
    match &simulated.execution {
        Execution::Refused(error) if is_malformed(error) => Err(RpcError::invalid_transaction(error)),
        _ => Ok(()),
    }
}

/// Whether a transaction never came as far as a validator's runtime: it contradicts itself, or its addresses cannot be
/// looked up.
pub(super) fn is_malformed(error: &TransactionError) -> bool {
    matches!(
        error,
        TransactionError::SanitizeFailure
            | TransactionError::AddressLookupTableNotFound
            | TransactionError::InvalidAddressLookupTableOwner
            | TransactionError::InvalidAddressLookupTableData
            | TransactionError::InvalidAddressLookupTableIndex
    )
}

/// Whether every signature is that of its signer over the message.
pub(super) fn verify_signatures(transaction: &VersionedTransaction) -> bool {
    transaction.verify_with_results().into_iter().all(|is_valid| is_valid)
}

/// Ours, beside Solana's config: accounts that are replaced before the simulation, and for nothing else.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Extension {
    modify_account_states: Option<AccountModifications>,
}

fn changes(params: Params<'_>) -> Result<Changes, RpcError> {
    let extension: Extension = params.optional(1, "config")?.unwrap_or_default();
    let accounts = extension.modify_account_states.unwrap_or_default();
    modifications(accounts).map_err(|error| RpcError::invalid_params(error.to_string()))
}

/// Whether the session's virtual machine may have a copy of an account.
fn is_special(account: &AccountSharedData) -> bool {
    account.executable() || SPECIAL_OWNERS.contains(account.owner())
}

/// Accounts to show after a simulation.
struct Wanted {
    addresses: Vec<Pubkey>,
    encoding: UiAccountEncoding,
}

fn wanted_accounts(accounts: &RpcSimulateTransactionAccountsConfig) -> Result<Wanted, RpcError> {
    let encoding = accounts.encoding.unwrap_or(UiAccountEncoding::Base64);
    if matches!(encoding, UiAccountEncoding::Binary | UiAccountEncoding::Base58) {
        return Err(RpcError::invalid_params("base58 encoding not supported"));
    }
    let addresses = accounts
        .addresses
        .iter()
        .map(|text| pubkey(text))
        .collect::<Result<_, _>>()?;
    Ok(Wanted { addresses, encoding })
}

struct Request {
    transaction: VersionedTransaction,
    changes: Changes,
    wanted: Option<Wanted>,
    blockhash: BlockhashCheck,
}

/// A finished simulation, not yet encoded.
struct Done {
    simulated: SimulatedTransaction,
    transaction: VersionedTransaction,
    accounts: Option<(Vec<Option<Found>>, UiAccountEncoding)>,
    replacement: Option<RpcBlockhash>,
}

impl Request {
    fn run(self, executor: &Executor) -> Result<Done, RpcError> {
        let options = SimulateOptions {
            blockhash: self.blockhash,
        };
        let simulated = executor
            .replay()
            .simulate_with(&self.changes, &self.transaction, options);
        let simulated = simulated.map_err(|error| RpcError::refused(&error.to_string()))?;
        refuse_unknown(executor, &simulated, &self.changes)?;
        refuse_malformed(&simulated)?;
        if let Some(wanted) = &self.wanted
            && wanted.addresses.len() > simulated.account_keys.len()
        {
            let max = simulated.account_keys.len();
            return Err(RpcError::invalid_params(format!(
                "Too many accounts provided; max {max}"
            )));
        }
        let accounts = self
            .wanted
            .map(|wanted| accounts_after(executor, &simulated, &self.changes, &wanted))
            .transpose()?;
        let replacement = (self.blockhash == BlockhashCheck::Replace).then(|| latest_blockhash(executor));
        Ok(Done {
            simulated,
            transaction: self.transaction,
            accounts,
            replacement,
        })
    }
}

/// The accounts as they would be; none of them where the transaction would fail, as Solana has it.
fn accounts_after(
    executor: &Executor,
    simulated: &SimulatedTransaction,
    changes: &Changes,
    wanted: &Wanted,
) -> Result<(Vec<Option<Found>>, UiAccountEncoding), RpcError> {
    let has_failed = execution_error(&simulated.execution).is_some();
    let find = |address: &Pubkey| -> Result<Option<Found>, RpcError> {
        let account = match simulated.accounts_after.get(address) {
            _ if has_failed => None,
            Some(account) => account.clone(),
            None => match changes.iter().rfind(|(changed, _)| changed == address) {
                Some((_, account)) => Some(account.clone()),
                None => known(executor, address)?,
            },
        };
        Ok(account.map(|account| Found::new(executor, *address, account, wanted.encoding)))
    };
    Ok((
        wanted.addresses.iter().map(find).collect::<Result<_, _>>()?,
        wanted.encoding,
    ))
}

impl Done {
    /// About how many bytes are shown.
    fn size(&self) -> usize {
        let accounts = self.accounts.iter().flat_map(|(accounts, _)| accounts.iter().flatten());
        accounts.map(|found| found.size(None)).sum()
    }

    fn show(self, inner_instructions: bool, budget: &Budget) -> Result<RpcSimulateTransactionResult, RpcError> {
        let mut shown = simulation(&self.simulated, &self.transaction);
        shown.accounts = self
            .accounts
            .map(|(accounts, encoding)| show_accounts(accounts, encoding, budget))
            .transpose()?;
        shown.replacement_blockhash = self.replacement;
        if let Some(outcome) = self.simulated.execution.outcome().filter(|_| inner_instructions) {
            shown.inner_instructions = Some(show_inner_instructions(outcome, &self.transaction));
        }
        Ok(shown)
    }
}

fn show_accounts(
    accounts: Vec<Option<Found>>,
    encoding: UiAccountEncoding,
    budget: &Budget,
) -> Result<Vec<Option<UiAccount>>, RpcError> {
    accounts
        .into_iter()
        .map(|found| found.map(|found| found.show(encoding, None, budget)).transpose())
        .collect()
}

fn show_inner_instructions(
    outcome: &Outcome,
    transaction: &VersionedTransaction,
) -> Vec<solana_transaction_status::UiInnerInstructions> {
    let meta = status_meta(outcome);
    let keys = AccountKeys::new(transaction.message.static_account_keys(), Some(&meta.loaded_addresses));
    let inner = meta.inner_instructions.unwrap_or_default();
    inner
        .into_iter()
        .map(|inner| parse_ui_inner_instructions(inner, &keys))
        .collect()
}
