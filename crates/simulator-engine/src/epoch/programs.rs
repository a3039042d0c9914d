//! Programs that a feature replaces. (Agave: `Bank::upgrade_loader_v2_program_with_loader_v3_program`,
//! `Bank::upgrade_core_bpf_program`.)
//!
//! The new code waits in a buffer account. A replacement that cannot be made is left out, as the Bank does; the feature
//! is active all the same.

use std::sync::PoisonError;

use agave_feature_set::{FeatureSet, upgrade_bpf_stake_program_to_v5_1};
use agave_feature_set::{replace_spl_token_with_p_token, upgrade_bpf_stake_program_to_v5};
use solana_account::{AccountSharedData, ReadableAccount, WritableAccount};
use solana_pubkey::Pubkey;
use solana_rent::Rent;
use solana_sdk_ids::{bpf_loader, bpf_loader_upgradeable, stake, system_program};

use crate::accounts::AccountStore;
use crate::deployment::{PROGRAM_DATA_KIND, PROGRAM_KIND};
use crate::runtime::{Runtime, program_data_address};
use crate::sysvars::put_u64;

/// A buffer account: kind, then an optional authority, then the code.
const BUFFER_KIND: [u8; 4] = [1, 0, 0, 0];
const BUFFER_HEADER_LEN: usize = 37;
/// A program account: [`PROGRAM_KIND`], then the address of its code.
const PROGRAM_LEN: usize = 36;
/// An account that holds code: [`PROGRAM_DATA_KIND`], slot of deployment, an optional authority, then the code.
const PROGRAM_DATA_HEADER_LEN: usize = 45;
const AUTHORITY_OFFSET: usize = 12;

/// A program whose code a feature replaces.
#[derive(Clone, Copy, Debug)]
struct Replacement {
    feature: Pubkey,
    program: Pubkey,
    buffer: Pubkey,
    from: From,
}

/// What the program is before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// Owned by the loader that cannot upgrade; its account is its code.
    LoaderV2,
    /// Upgradeable already.
    LoaderV3,
}

/// In the Bank's order.
const REPLACEMENTS: [Replacement; 3] = [
    Replacement {
        feature: replace_spl_token_with_p_token::ID,
        program: replace_spl_token_with_p_token::SPL_TOKEN_PROGRAM_ID,
        buffer: replace_spl_token_with_p_token::PTOKEN_PROGRAM_BUFFER,
        from: From::LoaderV2,
    },
    Replacement {
        feature: upgrade_bpf_stake_program_to_v5::ID,
        program: stake::ID,
        buffer: upgrade_bpf_stake_program_to_v5::buffer::ID,
        from: From::LoaderV3,
    },
    Replacement {
        feature: upgrade_bpf_stake_program_to_v5_1::ID,
        program: stake::ID,
        buffer: upgrade_bpf_stake_program_to_v5_1::buffer::ID,
        from: From::LoaderV3,
    },
];

/// Whether every replacement could be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// All were made, or left out as the Bank left them out.
    AsOnTheChain,
    /// The archive does not hold an account that one of them needs.
    AccountsMissing,
}

/// Replaces the programs of features that have just become active.
pub(crate) fn replace(
    accounts: &mut AccountStore,
    runtime: &Runtime,
    is_new: impl Fn(&Pubkey) -> bool,
    slot: u64,
) -> Replaced {
    let mut result = Replaced::AsOnTheChain;
    for replacement in REPLACEMENTS.iter().filter(|replacement| is_new(&replacement.feature)) {
        if !replacement.is_decidable(accounts, &runtime.features) {
            result = Replaced::AccountsMissing;
        } else if let Some(code) = replacement.new_code(accounts, &runtime.features, &runtime.rent, slot) {
            replacement.store(accounts, &runtime.rent, code);
            forget(runtime, replacement.program);
        }
    }
    result
}

/// What was compiled from the old code must not run any more.
fn forget(runtime: &Runtime, program: Pubkey) {
    runtime
        .processor
        .global_program_cache
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .remove_programs(std::iter::once(program));
}

impl Replacement {
    /// Whether the archive knows enough. Where a program cannot be upgraded, nothing but a funded address can stand
    /// where its code will be; once that is no obstacle, it does not matter whether it is known.
    fn is_decidable(&self, accounts: &AccountStore, features: &FeatureSet) -> bool {
        let code_does_not_matter =
            self.from == From::LoaderV2 && features.snapshot().relax_programdata_account_check_migration;
        accounts.is_known(&self.program)
            && accounts.is_known(&self.buffer)
            && (code_does_not_matter || accounts.is_known(&program_data_address(&self.program)))
    }

    /// The account that will hold the code, or `None` if the program or the buffer are not as they have to be.
    fn new_code(
        &self,
        accounts: &AccountStore,
        features: &FeatureSet,
        rent: &Rent,
        slot: u64,
    ) -> Option<AccountSharedData> {
        let program = accounts
            .get(&self.program)
            .filter(|program| ReadableAccount::executable(*program))?;
        let current = accounts.get(&program_data_address(&self.program));
        let buffer = accounts.get(&self.buffer).filter(|buffer| is_buffer(buffer))?;
        let code = &buffer.data()[BUFFER_HEADER_LEN..];
        match self.from {
            From::LoaderV2 => {
                let may_be_funded = features.snapshot().relax_programdata_account_check_migration;
                let is_free = current.is_none_or(|account| may_be_funded && *account.owner() == system_program::ID);
                (*program.owner() == bpf_loader::ID && is_free).then(|| program_data(rent, slot, &[0], code))
            }
            From::LoaderV3 => {
                let current = current.filter(|_| is_program(program, &self.program))?;
                let authority = authority(current)?;
                let named_by_buffer = &buffer.data()[4..BUFFER_HEADER_LEN];
                let agrees = authority[0] == 0 || authority == named_by_buffer;
                agrees.then(|| program_data(rent, slot, authority, code))
            }
        }
    }

    fn store(&self, accounts: &mut AccountStore, rent: &Rent, code: AccountSharedData) {
        let code_address = program_data_address(&self.program);
        if self.from == From::LoaderV2 {
            let mut program = AccountSharedData::new(
                rent.minimum_balance(PROGRAM_LEN),
                PROGRAM_LEN,
                &bpf_loader_upgradeable::ID,
            );
            program.data_as_mut_slice()[..4].copy_from_slice(&PROGRAM_KIND);
            program.data_as_mut_slice()[4..].copy_from_slice(code_address.as_ref());
            program.set_executable(true);
            accounts.put(self.program, program);
        }
        accounts.put(code_address, code);
        accounts.remove(&self.buffer);
    }
}

fn is_buffer(account: &AccountSharedData) -> bool {
    let data = account.data();
    *account.owner() == bpf_loader_upgradeable::ID
        && data.len() >= BUFFER_HEADER_LEN
        && data.starts_with(&BUFFER_KIND)
        && data[4] <= 1
}

fn is_program(account: &AccountSharedData, address: &Pubkey) -> bool {
    let code_address = program_data_address(address);
    *account.owner() == bpf_loader_upgradeable::ID
        && account.data().starts_with(&PROGRAM_KIND)
        && account.data().get(4..PROGRAM_LEN) == Some(code_address.as_ref())
}

/// The authority of an account that holds code, as an optional address.
fn authority(account: &AccountSharedData) -> Option<&[u8]> {
    let data = account.data();
    let is_code = *account.owner() == bpf_loader_upgradeable::ID
        && data.len() >= PROGRAM_DATA_HEADER_LEN
        && data.starts_with(&PROGRAM_DATA_KIND);
    match data.get(AUTHORITY_OFFSET).filter(|_| is_code)? {
        0 => Some(&data[AUTHORITY_OFFSET..=AUTHORITY_OFFSET]),
        1 => Some(&data[AUTHORITY_OFFSET..PROGRAM_DATA_HEADER_LEN]),
        _ => None,
    }
}

/// An account that holds code deployed in `slot`; what does not fit the header's optional authority stays zero.
fn program_data(rent: &Rent, slot: u64, authority: &[u8], code: &[u8]) -> AccountSharedData {
    let len = PROGRAM_DATA_HEADER_LEN + code.len();
    let mut account = AccountSharedData::new(rent.minimum_balance(len), len, &bpf_loader_upgradeable::ID);
    let data = account.data_as_mut_slice();
    data[..4].copy_from_slice(&PROGRAM_DATA_KIND);
    put_u64(data, 4, slot);
    data[AUTHORITY_OFFSET..AUTHORITY_OFFSET + authority.len()].copy_from_slice(authority);
    data[PROGRAM_DATA_HEADER_LEN..].copy_from_slice(code);
    account
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use simulator_archive::Scope;

    use super::*;
    use crate::accounts::AccountBase;

    const CODE: [u8; 3] = [5, 6, 7];

    fn store() -> AccountStore {
        AccountStore::new(Arc::new(AccountBase::from_accounts([], Scope::All)))
    }

    fn buffer(authority: Option<[u8; 32]>) -> AccountSharedData {
        let mut account = AccountSharedData::new(1, BUFFER_HEADER_LEN + CODE.len(), &bpf_loader_upgradeable::ID);
        let data = account.data_as_mut_slice();
        data[..4].copy_from_slice(&BUFFER_KIND);
        if let Some(authority) = authority {
            data[4] = 1;
            data[5..BUFFER_HEADER_LEN].copy_from_slice(&authority);
        }
        data[BUFFER_HEADER_LEN..].copy_from_slice(&CODE);
        account
    }

    fn old_program() -> AccountSharedData {
        let mut account = AccountSharedData::new(1, 9, &bpf_loader::ID);
        account.set_executable(true);
        account
    }

    #[test]
    fn a_program_without_upgrades_becomes_upgradeable() {
        let (mut accounts, rent, replacement) = (store(), Rent::default(), REPLACEMENTS[0]);
        accounts.put(replacement.program, old_program());
        accounts.put(replacement.buffer, buffer(Some([1; 32])));
        let code = replacement
            .new_code(&accounts, &FeatureSet::default(), &rent, 64)
            .expect("all accounts are as they have to be");
        replacement.store(&mut accounts, &rent, code);
        let program = accounts.get(&replacement.program).expect("stored");
        assert!(program.executable() && is_program(program, &replacement.program));
        let code = accounts
            .get(&program_data_address(&replacement.program))
            .expect("stored");
        assert_eq!(code.data()[..13], [3, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(code.data()[PROGRAM_DATA_HEADER_LEN..], CODE);
        assert_eq!(
            code.lamports(),
            rent.minimum_balance(PROGRAM_DATA_HEADER_LEN + CODE.len())
        );
        assert_eq!(accounts.get(&replacement.buffer), None);
    }

    #[test]
    fn a_funded_address_stands_in_the_way_until_the_rule_was_relaxed() {
        let (mut accounts, rent, replacement) = (store(), Rent::default(), REPLACEMENTS[0]);
        accounts.put(replacement.program, old_program());
        accounts.put(replacement.buffer, buffer(None));
        let code_address = program_data_address(&replacement.program);
        accounts.put(code_address, AccountSharedData::new(5, 0, &system_program::ID));
        let strict = FeatureSet::default();
        let relaxed = FeatureSet::all_enabled();
        assert_eq!(replacement.new_code(&accounts, &strict, &rent, 1), None);
        assert!(replacement.new_code(&accounts, &relaxed, &rent, 1).is_some());
        accounts.put(code_address, AccountSharedData::new(5, 0, &bpf_loader_upgradeable::ID));
        assert_eq!(replacement.new_code(&accounts, &relaxed, &rent, 1), None);
    }

    #[test]
    fn an_archive_that_lists_only_some_accounts_may_know_enough() {
        let mut accounts = AccountStore::new(Arc::new(AccountBase::from_accounts([], Scope::Listed)));
        let replacement = REPLACEMENTS[0];
        accounts.put(replacement.program, old_program());
        assert!(!replacement.is_decidable(&accounts, &FeatureSet::all_enabled()));
        accounts.put(replacement.buffer, buffer(None));
        assert!(replacement.is_decidable(&accounts, &FeatureSet::all_enabled()));
        assert!(!replacement.is_decidable(&accounts, &FeatureSet::default()));
        assert!(!REPLACEMENTS[1].is_decidable(&accounts, &FeatureSet::all_enabled()));
    }

    #[test]
    fn an_upgradeable_program_keeps_its_authority() {
        let (mut accounts, rent, replacement) = (store(), Rent::default(), REPLACEMENTS[1]);
        let features = FeatureSet::default();
        let code_address = program_data_address(&replacement.program);
        let mut program = AccountSharedData::new(1, PROGRAM_LEN, &bpf_loader_upgradeable::ID);
        program.data_as_mut_slice()[..4].copy_from_slice(&PROGRAM_KIND);
        program.data_as_mut_slice()[4..].copy_from_slice(code_address.as_ref());
        program.set_executable(true);
        accounts.put(replacement.program, program);
        let mut authority = vec![1];
        authority.extend([8; 32]);
        accounts.put(code_address, program_data(&rent, 3, &authority, &[1]));
        accounts.put(replacement.buffer, buffer(Some([9; 32])));
        assert_eq!(replacement.new_code(&accounts, &features, &rent, 64), None);
        accounts.put(replacement.buffer, buffer(Some([8; 32])));
        let code = replacement
            .new_code(&accounts, &features, &rent, 64)
            .expect("authorities agree");
        assert_eq!(code, program_data(&rent, 64, &authority, &CODE));
    }

    #[test]
    fn what_is_not_a_buffer_replaces_nothing() {
        let (mut accounts, replacement) = (store(), REPLACEMENTS[0]);
        accounts.put(replacement.program, old_program());
        let new_code =
            |accounts: &AccountStore| replacement.new_code(accounts, &FeatureSet::default(), &Rent::default(), 64);
        assert_eq!(new_code(&accounts), None);
        accounts.put(
            replacement.buffer,
            AccountSharedData::new(1, 40, &bpf_loader_upgradeable::ID),
        );
        assert_eq!(new_code(&accounts), None);
    }
}
