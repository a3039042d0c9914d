//! Accounts of fixtures.

use std::collections::BTreeMap;

use protosol::protos::AcctState;
use simulator_archive::model;
use solana_account::{Account, AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;

use super::Unsupported;
use super::mismatch::{Mismatch, same, same_bytes};

/// The only rent epoch that accounts of fixtures have.
const RENT_EPOCH: u64 = u64::MAX;

/// An address in a fixture.
pub(super) fn address(bytes: &[u8]) -> Result<Pubkey, Unsupported> {
    Pubkey::try_from(bytes).map_err(|_| Unsupported::Malformed("address"))
}

/// An account as an archive has it.
pub(super) fn recorded(state: &AcctState) -> Result<(Pubkey, model::Account), Unsupported> {
    let account = model::Account {
        lamports: state.lamports,
        owner: address(&state.owner)?,
        executable: state.executable,
        rent_epoch: RENT_EPOCH,
        data: state.data.clone().into(),
    };
    Ok((address(&state.address)?, account))
}

/// Accounts by address.
pub(super) fn by_address(states: &[AcctState]) -> Result<BTreeMap<Pubkey, Account>, Unsupported> {
    let accounts = states.iter().map(|state| {
        let account = Account {
            lamports: state.lamports,
            data: state.data.clone(),
            owner: address(&state.owner)?,
            executable: state.executable,
            rent_epoch: RENT_EPOCH,
        };
        Ok((address(&state.address)?, account))
    });
    accounts.collect()
}

/// Compares the account at an address. One without lamports does not exist, whatever is left in it.
pub(super) fn same_account(
    list: &str,
    address: &Pubkey,
    expected: &Account,
    found: &AccountSharedData,
) -> Result<(), Mismatch> {
    let field = |name: &str| format!("{list}[{address}].{name}");
    same(&field("lamports"), &expected.lamports, &found.lamports())?;
    if expected.lamports == 0 {
        return Ok(());
    }
    same(&field("owner"), &expected.owner, found.owner())?;
    same(&field("executable"), &expected.executable, &found.executable())?;
    same_bytes(&field("data"), &expected.data, found.data())
}

/// An account that is not listed must not have changed.
pub(super) fn none_else<'a>(
    list: &str,
    expected: &BTreeMap<Pubkey, Account>,
    changed: impl IntoIterator<Item = &'a Pubkey>,
) -> Result<(), Mismatch> {
    let other = changed.into_iter().find(|address| !expected.contains_key(*address));
    other.map_or(Ok(()), |address| {
        Err(Mismatch::new(format!("{list}[{address}]"), "unchanged", "changed"))
    })
}
