//! Features that become active at an epoch boundary. (Agave: `Bank::compute_and_apply_new_feature_activations`.)

use std::collections::BTreeSet;

use agave_feature_set::{self as feature_set, FeatureSet};
use agave_precompiles::get_precompiles;
use solana_account::{ReadableAccount, WritableAccount};
use solana_builtins::BUILTINS;
use solana_pubkey::Pubkey;
use solana_rent::Rent;
use solana_sdk_ids::native_loader;

use crate::accounts::AccountStore;
use crate::epoch::programs::{self, Replaced};
use crate::features::{self, FeatureChoice};
use crate::natives;
use crate::replay::Replay;
use crate::report::Unreproduced;
use crate::runtime::SetupError;
use crate::sysvars::{self, put_u64};

/// Features that set the price of a byte, in the Bank's order: the last one that becomes active counts.
const BYTE_PRICES: [(Pubkey, u64); 6] = [
    (
        feature_set::set_lamports_per_byte_to_6333::ID,
        feature_set::set_lamports_per_byte_to_6333::LAMPORTS_PER_BYTE,
    ),
    (
        feature_set::set_lamports_per_byte_to_5080::ID,
        feature_set::set_lamports_per_byte_to_5080::LAMPORTS_PER_BYTE,
    ),
    (
        feature_set::set_lamports_per_byte_to_2575::ID,
        feature_set::set_lamports_per_byte_to_2575::LAMPORTS_PER_BYTE,
    ),
    (
        feature_set::set_lamports_per_byte_to_1322::ID,
        feature_set::set_lamports_per_byte_to_1322::LAMPORTS_PER_BYTE,
    ),
    (
        feature_set::set_lamports_per_byte_to_696::ID,
        feature_set::set_lamports_per_byte_to_696::LAMPORTS_PER_BYTE,
    ),
    (
        feature_set::set_lamports_per_byte_to_6960::ID,
        feature_set::set_lamports_per_byte_to_6960::LAMPORTS_PER_BYTE,
    ),
];

/// Activates the features whose accounts ask for it. A session that names its features itself keeps them.
pub(crate) fn activate_pending(replay: &mut Replay, slot: u64) -> Result<(), SetupError> {
    let new = match replay.options.features {
        FeatureChoice::Accounts => newly_active(replay),
        FeatureChoice::All | FeatureChoice::Only(_) => BTreeSet::new(),
    };
    if new.is_empty() {
        return Ok(());
    }
    let mut features = FeatureSet::clone(&replay.runtime.features);
    for feature in &new {
        features.activate(feature, slot);
        mark_active(&mut replay.accounts, feature, slot);
    }
    change_rent(&mut replay.accounts, &replay.runtime.rent, &new);
    replay.runtime.set_features(features, &replay.accounts)?;
    create_natives(&mut replay.accounts, &new);
    let replaced = programs::replace(
        &mut replay.accounts,
        &replay.runtime,
        |feature| new.contains(feature),
        slot,
    );
    if replaced == Replaced::AccountsMissing {
        replay.recorder.unreproduced(Unreproduced::ProgramReplacement, slot);
    }
    Ok(())
}

fn newly_active(replay: &Replay) -> BTreeSet<Pubkey> {
    let mut pending = features::pending(&replay.accounts);
    pending.retain(|feature| !replay.runtime.features.is_active(feature));
    pending
}

/// Writes the slot of activation into the account of a feature.
fn mark_active(accounts: &mut AccountStore, feature: &Pubkey, slot: u64) {
    let Some(mut account) = accounts.get(feature).cloned() else {
        return;
    };
    if let Some(state) = account.data_as_mut_slice().get_mut(..9) {
        state[0] = 1;
        put_u64(state, 1, slot);
        accounts.put(*feature, account);
    }
}

fn change_rent(accounts: &mut AccountStore, rent: &Rent, new: &BTreeSet<Pubkey>) {
    let changed = changed_rent(rent, new);
    if changed != *rent {
        sysvars::write_rent(accounts, &changed);
    }
}

#[expect(
    deprecated,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the threshold is what the feature folds into the price, and the Bank computes it this way"
)]
fn changed_rent(rent: &Rent, new: &BTreeSet<Pubkey>) -> Rent {
    let mut changed = rent.clone();
    if new.contains(&feature_set::deprecate_rent_exemption_threshold::ID) {
        let threshold = f64::from_le_bytes(rent.exemption_threshold);
        changed.lamports_per_byte = (rent.lamports_per_byte as f64 * threshold) as u64;
        changed.exemption_threshold = 1.0f64.to_le_bytes();
        changed.burn_percent = 50;
    }
    for (feature, price) in BYTE_PRICES {
        if new.contains(&feature) {
            changed.lamports_per_byte = price;
        }
    }
    changed
}

/// Creates the accounts of builtin programs and precompiles that a feature switches on.
fn create_natives(accounts: &mut AccountStore, new: &BTreeSet<Pubkey>) {
    let is_new = |feature: &Option<Pubkey>| feature.is_some_and(|feature| new.contains(&feature));
    for builtin in BUILTINS.iter().filter(|builtin| is_new(&builtin.enable_feature_id)) {
        let exists = accounts
            .get(&builtin.program_id)
            .is_some_and(|account| *account.owner() == native_loader::ID);
        if !exists {
            natives::create(accounts, &builtin.program_id, builtin.name.as_bytes());
        }
    }
    for precompile in get_precompiles()
        .iter()
        .filter(|precompile| is_new(&precompile.feature))
    {
        let exists = accounts
            .get(&precompile.program_id)
            .is_some_and(ReadableAccount::executable);
        if !exists {
            natives::create(accounts, &precompile.program_id, &[]);
        }
    }
}

#[cfg(test)]
#[expect(
    deprecated,
    reason = "the tests state a rent as it was before its threshold was folded in"
)]
mod tests {
    use super::*;

    fn rent(lamports_per_byte: u64, threshold: f64) -> Rent {
        Rent {
            lamports_per_byte,
            exemption_threshold: threshold.to_le_bytes(),
            burn_percent: 50,
        }
    }

    #[test]
    fn the_price_of_a_byte_follows_the_last_feature() {
        let before = rent(6_960, 1.0);
        let mut new = BTreeSet::new();
        assert_eq!(changed_rent(&before, &new), before);
        new.insert(feature_set::set_lamports_per_byte_to_6333::ID);
        assert_eq!(changed_rent(&before, &new), rent(6_333, 1.0));
        new.insert(feature_set::set_lamports_per_byte_to_2575::ID);
        assert_eq!(changed_rent(&before, &new), rent(2_575, 1.0));
        new.insert(feature_set::set_lamports_per_byte_to_6960::ID);
        assert_eq!(changed_rent(&before, &new), rent(6_960, 1.0));
    }

    #[test]
    fn the_threshold_is_folded_into_the_price() {
        let new = BTreeSet::from([feature_set::deprecate_rent_exemption_threshold::ID]);
        assert_eq!(changed_rent(&rent(3_480, 2.0), &new), rent(6_960, 1.0));
    }
}
