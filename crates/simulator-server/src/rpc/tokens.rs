//! Tokens: balances, supplies, and who holds what.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use solana_account::{AccountSharedData, ReadableAccount};
use solana_account_decoder::parse_account_data::SplTokenAdditionalDataV2;
use solana_account_decoder::parse_token::{UiTokenAmount, token_amount_to_ui_amount_v3};
use solana_pubkey::Pubkey;
use solana_rpc_client_types::config::{RpcAccountInfoConfig, RpcTokenAccountsFilter};
use solana_rpc_client_types::response::{Response, RpcTokenAccountBalance};
use spl_token_2022_interface::check_spl_token_program_account;
use spl_token_2022_interface::extension::StateWithExtensions;
use spl_token_2022_interface::generic_token_account::GenericTokenAccount;
use spl_token_2022_interface::state::{Account as TokenAccount, Mint};

use super::accounts::known;
use super::budget::Budget;
use super::call::Params;
use super::context::{ContextConfig, look, pubkey};
use super::error::RpcError;
use super::search::{Coverage, Form, Search, coverage, show_all, size_of_all, visit};
use super::{Answer, Target, result};
use crate::convert::{native_tokens, token_context};
use crate::executor::Executor;
use crate::handle::SessionHandle;

/// The program that wrapped SOL belongs to.
const TOKEN_PROGRAM: Pubkey = Pubkey::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
/// How many of the largest accounts are shown, as Solana has it.
const LARGEST_ACCOUNTS: usize = 20;
/// Where a token account has its mint.
const MINT_AT: usize = 0;
/// Where a token account has its owner.
const OWNER_AT: usize = 32;
/// Where a token account has its amount.
const AMOUNT_AT: usize = 64;
/// Where a token account has its delegate, after four bytes that are 1 if there is one.
const DELEGATE_AT: usize = 76;

pub(super) async fn get_token_account_balance(session: &SessionHandle, params: Params<'_>) -> Answer {
    let address = pubkey(&params.required::<String>(0, "a pubkey")?)?;
    let config: ContextConfig = params.optional(1, "config")?.unwrap_or_default();
    let balance = move |executor: &Executor| {
        let account = token_program_account(executor, &address, "not a Token account")?;
        let state =
            StateWithExtensions::<TokenAccount>::unpack(account.data()).map_err(|_| refuse("not a Token account"))?;
        let (_, tokens) = mint_of(executor, &state.base.mint)?;
        Ok(token_amount_to_ui_amount_v3(state.base.amount, &tokens))
    };
    result(&look(session, config.min_context_slot, balance).await?)
}

pub(super) async fn get_token_supply(session: &SessionHandle, params: Params<'_>) -> Answer {
    let address = pubkey(&params.required::<String>(0, "a mint")?)?;
    let config: ContextConfig = params.optional(1, "config")?.unwrap_or_default();
    let supply = move |executor: &Executor| {
        let account = token_program_account(executor, &address, "not a Token mint")?;
        let state =
            StateWithExtensions::<Mint>::unpack(account.data()).map_err(|_| refuse("mint could not be unpacked"))?;
        let (_, tokens) = mint_of(executor, &address)?;
        Ok(token_amount_to_ui_amount_v3(state.base.supply, &tokens))
    };
    result(&look(session, config.min_context_slot, supply).await?)
}

pub(super) async fn get_token_largest_accounts(target: &Target, params: Params<'_>) -> Answer {
    let mint = pubkey(&params.required::<String>(0, "a mint")?)?;
    let config: ContextConfig = params.optional(1, "config")?.unwrap_or_default();
    let coverage = coverage(params, 1)?;
    target.budget.search()?;
    let largest = move |executor: &Executor| {
        let (program, tokens) = mint_of(executor, &mint)?;
        let shown = largest(executor, coverage, |account| {
            *account.owner() == program && holds(account, MINT_AT, &mint)
        })?;
        let show = |(Reverse(amount), address): (Reverse<u64>, Pubkey)| balance_of(&address, amount, &tokens);
        Ok(shown.into_iter().map(show).collect::<Vec<_>>())
    };
    result(&look(&target.session, config.min_context_slot, largest).await?)
}

pub(super) async fn get_token_accounts_by_owner(target: &Target, params: Params<'_>) -> Answer {
    token_accounts(target, params, |account, owner| holds(account, OWNER_AT, owner)).await
}

pub(super) async fn get_token_accounts_by_delegate(target: &Target, params: Params<'_>) -> Answer {
    token_accounts(target, params, |account, delegate| {
        holds(account, DELEGATE_AT, delegate) && account.data().get(DELEGATE_AT - 4) == Some(&1)
    })
    .await
}

async fn token_accounts(
    target: &Target,
    params: Params<'_>,
    is_held_by: fn(&AccountSharedData, &Pubkey) -> bool,
) -> Answer {
    let holder = pubkey(&params.required::<String>(0, "a pubkey")?)?;
    let filter = Filter::read(&params.required(1, "a mint or a programId")?)?;
    let config: RpcAccountInfoConfig = params.optional(2, "config")?.unwrap_or_default();
    let form = Form::of(&config);
    let search = Search {
        coverage: coverage(params, 2)?,
        form,
        max_bytes: target.budget.left(),
    };
    target.budget.search()?;
    let find = move |executor: &Executor| {
        let (program, mint) = filter.resolve(executor)?;
        search.run(executor, |account| {
            *account.owner() == program
                && TokenAccount::valid_account_data(account.data())
                && mint.is_none_or(|mint| holds(account, MINT_AT, &mint))
                && is_held_by(account, &holder)
        })
    };
    let found = look(&target.session, config.min_context_slot, find).await?;
    let size = size_of_all(&found.value, form);
    let show = move |budget: &Budget| {
        result(&Response {
            context: found.context,
            value: show_all(found.value, form, budget)?,
        })
    };
    target.show(size, show).await
}

/// Which token accounts are asked for.
#[derive(Clone, Copy, Debug)]
enum Filter {
    Mint(Pubkey),
    Program(Pubkey),
}

impl Filter {
    fn read(filter: &RpcTokenAccountsFilter) -> Result<Self, RpcError> {
        match filter {
            RpcTokenAccountsFilter::Mint(mint) => Ok(Self::Mint(pubkey(mint)?)),
            RpcTokenAccountsFilter::ProgramId(program) => {
                let program = pubkey(program)?;
                check_spl_token_program_account(&program).map_err(|_| refuse("unrecognized Token program id"))?;
                Ok(Self::Program(program))
            }
        }
    }

    /// The program that owns the accounts, and the mint if only one is wanted.
    fn resolve(self, executor: &Executor) -> Result<(Pubkey, Option<Pubkey>), RpcError> {
        match self {
            Self::Mint(mint) => Ok((mint_of(executor, &mint)?.0, Some(mint))),
            Self::Program(program) => Ok((program, None)),
        }
    }
}

/// The largest amounts with their accounts, the largest first; equal ones by address.
fn largest(
    executor: &Executor,
    coverage: Coverage,
    is_wanted: impl Fn(&AccountSharedData) -> bool,
) -> Result<BTreeSet<(Reverse<u64>, Pubkey)>, RpcError> {
    let mut largest = BTreeSet::new();
    visit(executor, coverage, |address, account| {
        if is_wanted(&account) && TokenAccount::valid_account_data(account.data()) {
            largest.insert((Reverse(amount_of(&account)), address));
        }
        if largest.len() > LARGEST_ACCOUNTS {
            largest.pop_last();
        }
        Ok(())
    })?;
    Ok(largest)
}

fn balance_of(address: &Pubkey, amount: u64, tokens: &SplTokenAdditionalDataV2) -> RpcTokenAccountBalance {
    let amount: UiTokenAmount = token_amount_to_ui_amount_v3(amount, tokens);
    RpcTokenAccountBalance {
        address: address.to_string(),
        amount,
    }
}

/// The program of a mint, and what its amounts are shown with.
fn mint_of(executor: &Executor, mint: &Pubkey) -> Result<(Pubkey, SplTokenAdditionalDataV2), RpcError> {
    if let Some(native) = native_tokens(mint) {
        return Ok((TOKEN_PROGRAM, native));
    }
    let account = known(executor, mint)?.ok_or_else(|| refuse("could not find mint"))?;
    let tokens = token_context(&account, executor.unix_timestamp().unwrap_or_default())
        .ok_or_else(|| refuse("Token mint could not be unpacked"))?;
    check_spl_token_program_account(account.owner()).map_err(|_| refuse("not a Token mint"))?;
    Ok((*account.owner(), tokens))
}

fn token_program_account(executor: &Executor, address: &Pubkey, if_other: &str) -> Result<AccountSharedData, RpcError> {
    let account = known(executor, address)?.ok_or_else(|| refuse("could not find account"))?;
    check_spl_token_program_account(account.owner()).map_err(|_| refuse(if_other))?;
    Ok(account)
}

fn amount_of(account: &AccountSharedData) -> u64 {
    let bytes = account.data().get(AMOUNT_AT..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn holds(account: &AccountSharedData, at: usize, address: &Pubkey) -> bool {
    account.data().get(at..at + 32) == Some(address.as_ref())
}

fn refuse(why: &str) -> RpcError {
    RpcError::invalid_params(format!("Invalid param: {why}"))
}
