//! Accounts that every chain has, supplied where an archive lists only some accounts.

use agave_feature_set::FeatureSet;
use agave_precompiles::get_precompiles;
use solana_account::{AccountSharedData, WritableAccount};
use solana_builtins::BUILTINS;
use solana_pubkey::Pubkey;
use solana_sdk_ids::{native_loader, sysvar};

use crate::accounts::AccountStore;

/// Adds the accounts of builtin programs and precompiles that are not listed.
pub(crate) fn supply(accounts: &mut AccountStore, features: &FeatureSet) {
    for builtin in BUILTINS {
        if builtin
            .enable_feature_id
            .is_none_or(|feature| features.is_active(&feature))
        {
            supply_one(accounts, &builtin.program_id, builtin.name.as_bytes());
        }
    }
    // It is made for each transaction that names it, and no account stands behind it.
    accounts.assume_absent(&sysvar::instructions::ID);
    for precompile in get_precompiles() {
        if precompile.feature.is_none_or(|feature| features.is_active(&feature)) {
            supply_one(accounts, &precompile.program_id, &[]);
        }
    }
}

fn supply_one(accounts: &mut AccountStore, address: &Pubkey, name: &[u8]) {
    if !accounts.is_known(address) {
        create(accounts, address, name);
    }
}

/// Creates the account of a builtin program, or of a precompile, which has no name.
pub(crate) fn create(accounts: &mut AccountStore, address: &Pubkey, name: &[u8]) {
    let mut account = AccountSharedData::new(1, 0, &native_loader::ID);
    account.set_data_from_slice(name);
    account.set_executable(true);
    accounts.put(*address, account);
}
