//! Accounts: reading and replacing them.

use simulator_api::AccountModifications;
use simulator_engine::Lookup;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_account_decoder::{MAX_BASE58_BYTES, UiAccount, UiAccountEncoding, UiDataSliceConfig};
use solana_pubkey::Pubkey;
use solana_rpc_client_types::config::RpcAccountInfoConfig;
use solana_rpc_client_types::response::Response;

use super::budget::Budget;
use super::call::Params;
use super::context::{ContextConfig, look, pubkey};
use super::error::RpcError;
use super::{Answer, Target, result};
use crate::convert::{ParseContext, mint_of, modifications, ui_account};
use crate::executor::Executor;
use crate::handle::SessionHandle;

/// Most accounts in one `getMultipleAccounts`, as Solana has it.
const MAX_MULTIPLE_ACCOUNTS: usize = 100;
/// Largest account that can exist, in bytes.
const MAX_ACCOUNT_LEN: usize = 10 * 1024 * 1024;

pub(super) async fn get_account_info(target: &Target, params: Params<'_>) -> Answer {
    let address = pubkey(&params.required::<String>(0, "a pubkey")?)?;
    let config: RpcAccountInfoConfig = params.optional(1, "config")?.unwrap_or_default();
    let encoding = config.encoding.unwrap_or(UiAccountEncoding::Binary);
    let found = look(&target.session, config.min_context_slot, move |executor| {
        find(executor, &address, encoding)
    })
    .await?;
    let slice = config.data_slice;
    let size = found.value.as_ref().map_or(0, |found| found.size(slice));
    let show = move |budget: &Budget| {
        let show = |found: Found| found.show(encoding, slice, budget);
        result(&Response {
            context: found.context,
            value: found.value.map(show).transpose()?,
        })
    };
    target.show(size, show).await
}

pub(super) async fn get_multiple_accounts(target: &Target, params: Params<'_>) -> Answer {
    let texts: Vec<String> = params.required(0, "an array of pubkeys")?;
    if texts.len() > MAX_MULTIPLE_ACCOUNTS {
        return Err(RpcError::invalid_params(format!(
            "Too many inputs provided; max {MAX_MULTIPLE_ACCOUNTS}"
        )));
    }
    let addresses = texts.iter().map(|text| pubkey(text)).collect::<Result<Vec<_>, _>>()?;
    let config: RpcAccountInfoConfig = params.optional(1, "config")?.unwrap_or_default();
    let encoding = config.encoding.unwrap_or(UiAccountEncoding::Base64);
    let find_all = move |executor: &Executor| {
        addresses
            .iter()
            .map(|address| find(executor, address, encoding))
            .collect::<Result<Vec<_>, _>>()
    };
    let found = look(&target.session, config.min_context_slot, find_all).await?;
    let slice = config.data_slice;
    let size = found.value.iter().flatten().map(|found| found.size(slice)).sum();
    let show = move |budget: &Budget| {
        let show = |found: Option<Found>| found.map(|found| found.show(encoding, slice, budget)).transpose();
        result(&Response {
            context: found.context,
            value: found.value.into_iter().map(show).collect::<Result<Vec<_>, _>>()?,
        })
    };
    target.show(size, show).await
}

pub(super) async fn get_balance(session: &SessionHandle, params: Params<'_>) -> Answer {
    let address = pubkey(&params.required::<String>(0, "a pubkey")?)?;
    let config: ContextConfig = params.optional(1, "config")?.unwrap_or_default();
    let balance = move |executor: &Executor| Ok(known(executor, &address)?.map_or(0, |account| account.lamports()));
    result(&look(session, config.min_context_slot, balance).await?)
}

pub(super) async fn get_minimum_balance(session: &SessionHandle, params: Params<'_>) -> Answer {
    let len: usize = params.required(0, "a data length")?;
    if len > MAX_ACCOUNT_LEN {
        return Err(RpcError::invalid_request(&format!(
            "an account has at most {MAX_ACCOUNT_LEN} bytes"
        )));
    }
    result(
        &session
            .read(move |executor| executor.replay().rent().minimum_balance(len))
            .await?,
    )
}

/// Replaces accounts at once, outside of any block; answers how many.
pub(super) async fn modify_accounts(session: &SessionHandle, params: Params<'_>) -> Answer {
    let accounts: AccountModifications = params.required(0, "an object of accounts by address")?;
    let accounts = modifications(accounts).map_err(|error| RpcError::invalid_params(error.to_string()))?;
    let count = accounts.len();
    session.set_accounts(accounts).await?;
    result(&count)
}

/// An account with what is needed to show it.
pub(super) struct Found {
    address: Pubkey,
    account: AccountSharedData,
    context: ParseContext,
}

impl Found {
    pub(super) fn address(&self) -> &Pubkey {
        &self.address
    }

    /// Takes an account of the session, or one that a simulation left behind, with what it takes to show it.
    pub(super) fn new(
        executor: &Executor,
        address: Pubkey,
        account: AccountSharedData,
        encoding: UiAccountEncoding,
    ) -> Self {
        let context = match encoding {
            UiAccountEncoding::JsonParsed => parse_context(executor, &account),
            _ => ParseContext::default(),
        };
        Self {
            address,
            account,
            context,
        }
    }

    /// How many bytes of it are shown.
    pub(super) fn size(&self, slice: Option<UiDataSliceConfig>) -> usize {
        sliced_len(self.account.data().len(), slice)
    }

    /// The account as Solana's RPC shows it, if there is room for it in the answer.
    pub(super) fn show(
        self,
        encoding: UiAccountEncoding,
        slice: Option<UiDataSliceConfig>,
        budget: &Budget,
    ) -> Result<UiAccount, RpcError> {
        let is_base58 = matches!(encoding, UiAccountEncoding::Binary | UiAccountEncoding::Base58);
        let len = self.size(slice);
        if is_base58 && len > MAX_BASE58_BYTES {
            return Err(RpcError::too_long_for_base58());
        }
        budget.spend(len)?;
        Ok(ui_account(&self.address, &self.account, encoding, slice, &self.context))
    }
}

/// The account, or none if it does not exist; an error if the archive does not know.
pub(super) fn known(executor: &Executor, address: &Pubkey) -> Result<Option<AccountSharedData>, RpcError> {
    match executor.replay().account(address) {
        Lookup::Known(account) => Ok(Some(account)),
        Lookup::Absent => Ok(None),
        Lookup::Unknown => Err(RpcError::account_not_in_archive(address)),
    }
}

fn find(executor: &Executor, address: &Pubkey, encoding: UiAccountEncoding) -> Result<Option<Found>, RpcError> {
    Ok(known(executor, address)?.map(|account| Found::new(executor, *address, account, encoding)))
}

fn parse_context(executor: &Executor, account: &AccountSharedData) -> ParseContext {
    ParseContext {
        mint: mint_of(account).and_then(|mint| executor.replay().account(&mint).known()),
        unix_timestamp: executor.unix_timestamp().unwrap_or_default(),
    }
}

/// How many bytes of an account a slice shows.
pub(super) fn sliced_len(len: usize, slice: Option<UiDataSliceConfig>) -> usize {
    slice.map_or(len, |slice| len.saturating_sub(slice.offset).min(slice.length))
}
