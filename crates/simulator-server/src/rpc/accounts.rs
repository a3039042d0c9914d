//! Accounts: reading and replacing them.

use simulator_api::AccountModifications;
use simulator_engine::Lookup;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_account_decoder::parse_token::get_token_account_mint;
use solana_account_decoder::{MAX_BASE58_BYTES, UiAccount, UiAccountEncoding, UiDataSliceConfig};
use solana_pubkey::Pubkey;
use solana_rpc_client_types::config::RpcAccountInfoConfig;
use solana_rpc_client_types::response::Response;
use solana_sdk_ids::sysvar;

use super::budget::Budget;
use super::call::Params;
use super::context::{ContextConfig, look, pubkey};
use super::error::RpcError;
use super::{Answer, Target, result};
use crate::convert::{ParseContext, modifications, ui_account};
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
    let shown = found
        .value
        .map(|found| found.show(encoding, config.data_slice, &target.budget))
        .transpose()?;
    result(&Response {
        context: found.context,
        value: shown,
    })
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
    let show = |found: Option<Found>| {
        found
            .map(|found| found.show(encoding, config.data_slice, &target.budget))
            .transpose()
    };
    let shown = found.value.into_iter().map(show).collect::<Result<Vec<_>, _>>()?;
    result(&Response {
        context: found.context,
        value: shown,
    })
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
        return Err(RpcError::invalid_params(format!(
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

    /// The account as Solana's RPC shows it, if there is room for it in the answer.
    pub(super) fn show(
        self,
        encoding: UiAccountEncoding,
        slice: Option<UiDataSliceConfig>,
        budget: &Budget,
    ) -> Result<UiAccount, RpcError> {
        let is_base58 = matches!(encoding, UiAccountEncoding::Binary | UiAccountEncoding::Base58);
        let len = sliced_len(self.account.data().len(), slice);
        if is_base58 && len > MAX_BASE58_BYTES {
            return Err(RpcError::invalid_request(&format!(
                "Encoded binary (base 58) data should be less than {MAX_BASE58_BYTES} bytes, please use Base64 encoding."
            )));
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
    let is_token = spl_token_2022_interface::check_spl_token_program_account(account.owner()).is_ok();
    let mint = is_token.then(|| get_token_account_mint(account.data())).flatten();
    ParseContext {
        mint: mint.and_then(|mint| executor.replay().account(&mint).known()),
        unix_timestamp: unix_timestamp(executor).unwrap_or_default(),
    }
}

/// The time of the session, from its Clock: the last of five integers of eight bytes.
pub(super) fn unix_timestamp(executor: &Executor) -> Option<i64> {
    let clock = executor.replay().account(&sysvar::clock::ID).known()?;
    let bytes = clock.data().get(32..40)?.try_into().ok()?;
    Some(i64::from_le_bytes(bytes))
}

/// How many bytes of an account a slice shows.
pub(super) fn sliced_len(len: usize, slice: Option<UiDataSliceConfig>) -> usize {
    slice.map_or(len, |slice| len.saturating_sub(slice.offset).min(slice.length))
}
