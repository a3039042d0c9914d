//! Searches through all accounts of a session: `getProgramAccounts`, and what token searches share with it.

use serde::Deserialize;
use simulator_archive::Scope;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_account_decoder::{UiAccountEncoding, UiDataSliceConfig};
use solana_pubkey::Pubkey;
use solana_rpc_client_types::config::{RpcAccountInfoConfig, RpcProgramAccountsConfig};
use solana_rpc_client_types::response::{Response, RpcKeyedAccount};

use super::accounts::{Found, sliced_len};
use super::budget::Budget;
use super::call::Params;
use super::context::{look, pubkey};
use super::error::RpcError;
use super::filter::Filters;
use super::{Answer, Target, result};
use crate::executor::Executor;

/// Accounts that are looked at together; what bounds the memory that a search takes besides its answer.
const PAGE: usize = 1 << 16;

pub(super) async fn get_program_accounts(target: &Target, params: Params<'_>) -> Answer {
    let program = pubkey(&params.required::<String>(0, "a program")?)?;
    let config: RpcProgramAccountsConfig = params.optional(1, "config")?.unwrap_or_default();
    let filters = Filters::read(config.filters.unwrap_or_default())?;
    let with_context = config.with_context.unwrap_or_default();
    let search = Search {
        coverage: coverage(params, 1)?,
        form: Form::of(&config.account_config),
        max_bytes: target.budget.left(),
    };
    target.budget.search()?;
    let is_wanted = move |account: &AccountSharedData| *account.owner() == program && filters.pass(account);
    let run = move |executor: &Executor| search.run(executor, &is_wanted);
    let found = look(&target.session, config.account_config.min_context_slot, run).await?;
    let size = size_of_all(&found.value, Form::of(&config.account_config));
    let form = Form::of(&config.account_config);
    let show = move |budget: &Budget| {
        let value = show_all(found.value, form, budget)?;
        if with_context {
            let context = found.context;
            return result(&Response { context, value });
        }
        result(&value)
    };
    target.show(size, show).await
}

/// What a search does where the archive holds some accounts only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// It fails.
    Complete,
    /// It finds those that are held.
    Partial,
}

/// How accounts are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    encoding: UiAccountEncoding,
    slice: Option<UiDataSliceConfig>,
}

/// What an account takes beside its data: most accounts of a chain have none.
const ACCOUNT_BYTES: usize = 512;

/// One look at every account of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    pub(super) coverage: Coverage,
    pub(super) form: Form,
    /// Most bytes that may be found.
    pub(super) max_bytes: usize,
}

impl Form {
    pub(super) fn of(config: &RpcAccountInfoConfig) -> Self {
        Self {
            encoding: config.encoding.unwrap_or(UiAccountEncoding::Binary),
            slice: config.data_slice,
        }
    }
}

impl Search {
    /// The accounts that are wanted, sorted by address.
    pub(super) fn run(
        self,
        executor: &Executor,
        is_wanted: impl Fn(&AccountSharedData) -> bool,
    ) -> Result<Vec<Found>, RpcError> {
        let (mut found, mut bytes) = (Vec::new(), 0_usize);
        visit(executor, self.coverage, |address, account| {
            if is_wanted(&account) {
                let shown = sliced_len(account.data().len(), self.form.slice);
                bytes = bytes.saturating_add(shown.saturating_add(ACCOUNT_BYTES));
                found.push(Found::new(executor, address, account, self.form.encoding));
            }
            if bytes > self.max_bytes && found.len() > 1 {
                return Err(RpcError::invalid_request(
                    "the search found more than one request may carry; add filters, or ask for a slice (dataSlice)",
                ));
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// Looks at every account that is held, sorted by address.
///
/// # Errors
/// There may be others, and that is not allowed; or the first error of `look_at`.
pub(super) fn visit(
    executor: &Executor,
    coverage: Coverage,
    mut look_at: impl FnMut(Pubkey, AccountSharedData) -> Result<(), RpcError>,
) -> Result<(), RpcError> {
    if executor.replay().scope() == Scope::Listed && coverage == Coverage::Complete {
        return Err(RpcError::search_incomplete());
    }
    let mut after = None;
    loop {
        let page = executor.replay().accounts_after(after.as_ref(), PAGE);
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(*last);
        for (address, account) in page {
            look_at(address, account)?;
        }
    }
}

/// What the config at this index says about archives that hold some accounts only.
pub(super) fn coverage(params: Params<'_>, index: usize) -> Result<Coverage, RpcError> {
    let extension: Extension = params.optional(index, "config")?.unwrap_or_default();
    Ok(if extension.allow_partial {
        Coverage::Partial
    } else {
        Coverage::Complete
    })
}

/// About how large the accounts are when they are shown.
pub(super) fn size_of_all(found: &[Found], form: Form) -> usize {
    found.iter().map(|found| found.size(form.slice) + ACCOUNT_BYTES).sum()
}

/// The accounts with their addresses.
pub(super) fn show_all(found: Vec<Found>, form: Form, budget: &Budget) -> Result<Vec<RpcKeyedAccount>, RpcError> {
    let show = |found: Found| {
        Ok(RpcKeyedAccount {
            pubkey: found.address().to_string(),
            account: found.show(form.encoding, form.slice, budget)?,
        })
    };
    found.into_iter().map(show).collect()
}

/// Ours, beside Solana's.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Extension {
    allow_partial: bool,
}
