//! The engine's own machine over the accounts of a fixture, as it stands in the slot that its Clock names.

use std::collections::BTreeSet;
use std::sync::Arc;

use agave_feature_set::FEATURE_NAMES;
use protosol::protos::{AcctState, FeatureSet};
use simulator_archive::Scope;
use solana_pubkey::Pubkey;

use super::{Unsupported, account};
use crate::accounts::{AccountBase, AccountStore};
use crate::features::{self, FeatureChoice};
use crate::runtime::Runtime;
use crate::sysvars::Clock;

/// What everything is executed on.
pub(super) struct Bench {
    pub(super) accounts: AccountStore,
    pub(super) runtime: Runtime,
    pub(super) slot: u64,
}

impl Bench {
    /// Sets the machine up as a session does that is in the middle of a slot: the sysvars are those of the accounts.
    pub(super) fn new(accounts: &[AcctState], active: Option<&FeatureSet>) -> Result<Self, Unsupported> {
        let accounts = accounts.iter().map(account::recorded).collect::<Result<Vec<_>, _>>()?;
        let mut accounts = AccountStore::new(Arc::new(AccountBase::from_accounts(accounts, Scope::All)));
        let slot = Clock::read(&accounts)?.slot;
        accounts.limit_deployments(slot);
        let choice = FeatureChoice::Only(active.map(known).unwrap_or_default());
        let features = features::initial(&choice, &accounts);
        let mut runtime = Runtime::new(features, &accounts, slot.saturating_sub(1))?;
        runtime.enter_slot(slot);
        runtime.fill_sysvar_cache((&accounts).into());
        Ok(Self {
            accounts,
            runtime,
            slot,
        })
    }
}

/// Fixtures name a feature by the first eight bytes of its id.
fn known(active: &FeatureSet) -> BTreeSet<Pubkey> {
    let active: BTreeSet<u64> = active.features.iter().copied().collect();
    let is_active = |feature: &&Pubkey| {
        let first = feature.as_ref().first_chunk().expect("an address has 32 bytes");
        active.contains(&u64::from_le_bytes(*first))
    };
    FEATURE_NAMES.keys().filter(is_active).copied().collect()
}
