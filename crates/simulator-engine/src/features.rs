//! Which runtime features are active.

use std::collections::BTreeSet;

use agave_feature_set::{FEATURE_NAMES, FeatureSet};
use ahash::{AHashMap, AHashSet};
use solana_account::ReadableAccount;
use solana_pubkey::Pubkey;
use solana_sdk_ids::feature;

use crate::accounts::AccountStore;
use crate::sysvars::u64_at;

/// Where the active features come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FeatureChoice {
    /// The archive's feature accounts; every feature this engine knows where the archive has none.
    #[default]
    Accounts,
    /// Every feature this engine knows.
    All,
    /// Exactly these features, active since genesis.
    Only(BTreeSet<Pubkey>),
}

/// The number by which validators name the set of all features that this engine knows: the first four bytes of the set's
/// hash.
#[must_use]
pub fn known_features() -> u32 {
    let [a, b, c, d, ..] = agave_feature_set::ID.to_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// What a feature's account says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FeatureStatus {
    /// There is no such account: nobody has asked for the feature.
    Inactive,
    /// The feature becomes active at the next epoch boundary.
    Pending,
    /// The feature is active since this slot.
    Active(u64),
}

/// The feature set that a session starts with.
pub(crate) fn initial(choice: &FeatureChoice, accounts: &AccountStore) -> FeatureSet {
    match choice {
        FeatureChoice::Accounts => from_accounts(accounts).unwrap_or_else(FeatureSet::all_enabled),
        FeatureChoice::All => FeatureSet::all_enabled(),
        FeatureChoice::Only(features) => build(|feature| {
            if features.contains(feature) {
                FeatureStatus::Active(0)
            } else {
                FeatureStatus::Inactive
            }
        }),
    }
}

/// What the account of a feature says.
pub(crate) fn status(accounts: &AccountStore, feature: &Pubkey) -> FeatureStatus {
    let Some(account) = accounts.get(feature).filter(|account| *account.owner() == feature::ID) else {
        return FeatureStatus::Inactive;
    };
    match account.data() {
        [1, activated @ ..] if activated.len() >= 8 => FeatureStatus::Active(u64_at(activated, 0)),
        [0, ..] => FeatureStatus::Pending,
        _ => FeatureStatus::Inactive,
    }
}

/// The features whose accounts ask for activation, sorted.
pub(crate) fn pending(accounts: &AccountStore) -> BTreeSet<Pubkey> {
    FEATURE_NAMES
        .keys()
        .filter(|feature| status(accounts, feature) == FeatureStatus::Pending)
        .copied()
        .collect()
}

/// The feature set of the feature accounts, or `None` if the archive holds no feature account at all.
fn from_accounts(accounts: &AccountStore) -> Option<FeatureSet> {
    let any = FEATURE_NAMES
        .keys()
        .any(|feature| status(accounts, feature) != FeatureStatus::Inactive);
    any.then(|| build(|feature| status(accounts, feature)))
}

fn build(status: impl Fn(&Pubkey) -> FeatureStatus) -> FeatureSet {
    let mut active = AHashMap::new();
    let mut inactive = AHashSet::new();
    for feature in FEATURE_NAMES.keys() {
        match status(feature) {
            FeatureStatus::Active(slot) => {
                active.insert(*feature, slot);
            }
            FeatureStatus::Pending | FeatureStatus::Inactive => {
                inactive.insert(*feature);
            }
        }
    }
    FeatureSet::new(active, inactive)
}
