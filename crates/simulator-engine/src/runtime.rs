//! The virtual machine of one session: processor, program cache, features, rent and epoch schedule.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use agave_feature_set::FeatureSet;
use agave_reserved_account_keys::ReservedAccountKeys;
use solana_account::ReadableAccount;
use solana_builtins::BUILTINS;
use solana_builtins::prototype::BuiltinPrototype;
use solana_compute_budget::compute_budget::ComputeBudget;
use solana_epoch_schedule::EpochSchedule;
use solana_program_runtime::loaded_programs::{
    BlockRelation, ForkGraph, ProgramCache, ProgramRuntimeEnvironment, ProgramRuntimeEnvironments,
};
use solana_program_runtime::program_cache_entry::ProgramCacheEntry;
use solana_pubkey::Pubkey;
use solana_rent::Rent;
use solana_sdk_ids::bpf_loader_upgradeable;
use solana_svm::transaction_processor::{TransactionBatchProcessor, TransactionProcessingEnvironment};
use solana_syscalls::create_program_runtime_environment;
use thiserror::Error;

use crate::accounts::AccountStore;
use crate::blockhash_queue::RecentBlockhash;
use crate::callbacks::Callbacks;
use crate::sysvars::{self, SysvarError};
use crate::view::AccountView;

/// Compiled programs are thinned out once in so many slots, so that upgrades do not pile up.
const PRUNE_INTERVAL_SLOTS: u64 = 256;

/// A session cannot be set up over an archive's accounts.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A sysvar is missing or malformed.
    #[error(transparent)]
    Sysvar(#[from] SysvarError),
    /// The virtual machine refuses the feature set.
    #[error("the virtual machine cannot be set up with these features: {reason}")]
    Environment {
        /// What it says; its error type is not public.
        reason: String,
    },
}

/// Every slot is the child of the one before it.
#[derive(Debug)]
pub(crate) struct StraightChain;

impl ForkGraph for StraightChain {
    fn relationship(&self, a: u64, b: u64) -> BlockRelation {
        match a.cmp(&b) {
            std::cmp::Ordering::Less => BlockRelation::Ancestor,
            std::cmp::Ordering::Equal => BlockRelation::Equal,
            std::cmp::Ordering::Greater => BlockRelation::Descendant,
        }
    }
}

/// What executes transactions, as it stands in the current slot.
pub(crate) struct Runtime {
    pub(crate) processor: TransactionBatchProcessor<StraightChain>,
    pub(crate) features: Arc<FeatureSet>,
    pub(crate) reserved: ReservedAccountKeys,
    pub(crate) rent: Rent,
    pub(crate) epoch_schedule: EpochSchedule,
    /// Kept alive here: the program cache holds only a weak reference to it.
    chain: Arc<RwLock<StraightChain>>,
    slots_since_prune: u64,
}

impl Runtime {
    /// Sets the machine up as it stood after `slot`.
    pub(crate) fn new(features: FeatureSet, accounts: &AccountStore, slot: u64) -> Result<Self, SetupError> {
        let rent = sysvars::read_rent(accounts)?;
        let epoch_schedule = sysvars::read_epoch_schedule(accounts)?;
        let chain = Arc::new(RwLock::new(StraightChain));
        let mut processor = TransactionBatchProcessor::new_uninitialized(slot, epoch_schedule.get_epoch(slot));
        // The cache must know the chain before anything is looked up in it.
        processor
            .global_program_cache
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .set_fork_graph(Arc::downgrade(&chain));
        processor.set_execution_cost(compute_budget(&features).to_cost());
        // Builtins are filed under the environment, so it comes first.
        processor.program_runtime_environment = environment(&features)?;
        let mut reserved = ReservedAccountKeys::default();
        reserved.update_active_set(&features);
        let runtime = Self {
            processor,
            features: Arc::new(features),
            reserved,
            rent,
            epoch_schedule,
            chain,
            slots_since_prune: 0,
        };
        runtime.add_builtins(accounts.into());
        Ok(runtime)
    }

    fn add_builtins(&self, accounts: AccountView<'_>) {
        for builtin in BUILTINS {
            self.add_builtin(builtin, accounts);
        }
    }

    fn add_builtin(&self, builtin: &BuiltinPrototype, accounts: AccountView<'_>) {
        if let Some(entry) = self.builtin(builtin, accounts) {
            self.processor.add_builtin(builtin.program_id, entry);
        }
    }

    /// A program that is built in, unless it waits for its feature or has become a program like others.
    pub(crate) fn builtin(&self, builtin: &BuiltinPrototype, accounts: AccountView<'_>) -> Option<ProgramCacheEntry> {
        let activated = match builtin.enable_feature_id {
            None => Some(0),
            Some(feature) => self.features.activated_slot(&feature),
        };
        let activated = activated?;
        if builtin.core_bpf_migration_config.is_some() && is_upgradeable_program(accounts, &builtin.program_id) {
            return None;
        }
        Some(ProgramCacheEntry::new_builtin(
            activated,
            builtin.name.len(),
            builtin.register_fn,
        ))
    }

    /// Takes over a changed feature set, as at an epoch boundary. The rent sysvar must be up to date.
    pub(crate) fn set_features(&mut self, features: FeatureSet, accounts: &AccountStore) -> Result<(), SetupError> {
        self.processor.set_execution_cost(compute_budget(&features).to_cost());
        self.processor.set_program_runtime_environment(environment(&features)?);
        self.reserved.update_active_set(&features);
        self.rent = sysvars::read_rent(accounts)?;
        let newly_active = |feature: &Pubkey| features.is_active(feature) && !self.features.is_active(feature);
        let enabled: Vec<_> = BUILTINS
            .iter()
            .filter(|builtin| builtin.enable_feature_id.as_ref().is_some_and(newly_active))
            .collect();
        self.features = Arc::new(features);
        for builtin in enabled {
            self.add_builtin(builtin, accounts.into());
        }
        Ok(())
    }

    /// Moves on to a slot. The sysvar cache is empty afterwards.
    pub(crate) fn enter_slot(&mut self, slot: u64) {
        self.processor = self.processor.new_from(slot, self.epoch_schedule.get_epoch(slot));
        self.slots_since_prune += 1;
        if self.slots_since_prune >= PRUNE_INTERVAL_SLOTS {
            self.slots_since_prune = 0;
            let mut cache = self
                .processor
                .global_program_cache
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            cache.prune(slot - 1, None, &StraightChain);
        }
    }

    /// Fills the sysvar cache from the accounts; it stays as it is for the whole slot.
    pub(crate) fn fill_sysvar_cache(&self, accounts: AccountView<'_>) {
        self.processor
            .fill_missing_sysvar_cache_entries(&self.callbacks(accounts));
    }

    pub(crate) fn callbacks<'a>(&'a self, accounts: AccountView<'a>) -> Callbacks<'a> {
        Callbacks {
            accounts,
            features: &self.features,
        }
    }

    /// What transactions of this slot are executed under.
    pub(crate) fn environment(&self, slot: u64, last: RecentBlockhash) -> TransactionProcessingEnvironment {
        let execution = self.processor.program_runtime_environment.clone();
        // What is deployed now is first executed in the next slot, so it is verified by that epoch's rules.
        let deployment = self
            .processor
            .program_runtime_environment_for_epoch(self.epoch_schedule.get_epoch(slot.saturating_add(1)));
        TransactionProcessingEnvironment {
            blockhash: last.blockhash,
            blockhash_lamports_per_signature: last.lamports_per_signature,
            alpenglow_migration_succeeded: false,
            epoch_total_stake: 0,
            feature_set: self.features.runtime_features(),
            program_runtime_environments: ProgramRuntimeEnvironments::new(execution, deployment),
            rent: self.rent.clone(),
        }
    }

    /// Makes programs that a transaction deployed, upgraded or closed visible to the next one.
    pub(crate) fn merge_programs(&self, slot: u64, programs: &HashMap<Pubkey, Arc<ProgramCacheEntry>>) {
        if programs.is_empty() {
            return;
        }
        self.processor
            .global_program_cache
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .merge(&self.processor.program_runtime_environment, slot, programs);
    }

    /// Forgets every compiled program: after code was replaced behind the runtime's back, what was compiled from it, and
    /// what failed to compile, may no longer be right.
    pub(crate) fn forget_programs(&mut self, slot: u64, accounts: AccountView<'_>) {
        let mut cache = ProgramCache::new(slot);
        cache.set_fork_graph(Arc::downgrade(&self.chain));
        self.processor.global_program_cache = Arc::new(RwLock::new(cache));
        self.add_builtins(accounts);
        self.processor = self.processor.new_from(slot, self.epoch_schedule.get_epoch(slot));
        self.fill_sysvar_cache(accounts);
    }

    /// A machine of its own over other accounts: it reads programs and sysvars from them, and nothing that is compiled in
    /// it reaches this one. Rent and epoch schedule stay as they are.
    pub(crate) fn apart(&self, slot: u64, accounts: AccountView<'_>) -> Self {
        let mut apart = Self {
            processor: self.processor.new_from(slot, self.epoch_schedule.get_epoch(slot)),
            features: Arc::clone(&self.features),
            reserved: self.reserved.clone(),
            rent: self.rent.clone(),
            epoch_schedule: self.epoch_schedule.clone(),
            chain: Arc::clone(&self.chain),
            slots_since_prune: 0,
        };
        apart.forget_programs(slot, accounts);
        apart
    }

    /// Compute units, heap and call depth by default.
    pub(crate) fn compute_budget(&self) -> ComputeBudget {
        compute_budget(&self.features)
    }
}

/// Where an upgradeable program keeps its code.
pub(crate) fn program_data_address(program: &Pubkey) -> Pubkey {
    Pubkey::find_program_address(&[program.as_ref()], &bpf_loader_upgradeable::ID).0
}

fn is_upgradeable_program(accounts: AccountView<'_>, address: &Pubkey) -> bool {
    accounts
        .get(address)
        .is_some_and(|account| *account.owner() == bpf_loader_upgradeable::ID)
}

fn compute_budget(features: &FeatureSet) -> ComputeBudget {
    ComputeBudget::new_with_defaults(features.snapshot().raise_cpi_nesting_limit_to_8)
}

fn environment(features: &FeatureSet) -> Result<ProgramRuntimeEnvironment, SetupError> {
    let budget = compute_budget(features).to_budget();
    let features = features.runtime_features();
    let executes_oldest = !features.disable_sbpf_v0_execution || features.reenable_sbpf_v0_execution;
    if !executes_oldest && !features.enable_sbpf_v3_deployment_and_execution {
        // The library takes it for granted that nobody asks for this.
        return Err(SetupError::Environment {
            reason: "sBPF versions before 3 are disabled, and version 3 is not enabled".to_owned(),
        });
    }
    create_program_runtime_environment(&features, &budget, false, false).map_err(|error| SetupError::Environment {
        reason: error.to_string(),
    })
}
