//! What a divergence is put down to that follows from nothing before it.
//!
//! Looked for while the session still stands where the transaction found it, so that what might explain the difference
//! can be tried.

use simulator_archive::model::Outcome;
use solana_account::ReadableAccount;
use solana_pubkey::Pubkey;

use crate::check::{Origin, Sanitized, sets_compute_unit_limit};
use crate::divergence::{differing_fields, differs_only_in_costs};
use crate::execute::Machine;
use crate::replay::{OpenSlot, Replay};
use crate::report::{DivergenceClass, Unreproduced};

/// What a divergence is put down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) class: DivergenceClass,
    /// The account or the feature that is to blame, where it can be named.
    pub(crate) culprit: Option<Pubkey>,
}

/// How often transactions are executed a second time to find a cause. Each time compiles their programs anew.
pub(crate) const MAX_TRIALS: u32 = 256;

/// Executions that are left for finding causes, and what they have found.
#[derive(Debug)]
pub(crate) struct Trials {
    pub(crate) left: u32,
    /// Features that explained a divergence, the latest last.
    pub(crate) missing: Vec<Pubkey>,
}

/// What was recorded of a transaction, and what was computed; no outcome if the runtime refused it.
#[derive(Clone, Copy)]
pub(crate) struct Compared<'a> {
    pub(crate) recorded: &'a Outcome,
    pub(crate) computed: Option<&'a Outcome>,
}

impl Default for Trials {
    fn default() -> Self {
        Self {
            left: MAX_TRIALS,
            missing: Vec::new(),
        }
    }
}

impl Replay {
    /// Why a transaction that is about to be stored differs from its record; none if it does not, or if that follows
    /// from something before it or from how the user wants transactions to be executed.
    pub(crate) fn cause(
        &mut self,
        open: &OpenSlot,
        transaction: &Sanitized,
        keys: &[Pubkey],
        compared: Compared<'_>,
    ) -> Option<Cause> {
        let recorded = compared.recorded;
        if self.options.deviate() || self.agrees(recorded, compared.computed) || self.lineage.of(keys).is_some() {
            return None;
        }
        let of = |class, culprit| Some(Cause { class, culprit });
        if let Some(account) = self.other_before(keys, recorded) {
            return of(DivergenceClass::Archive, Some(account));
        }
        if compared
            .computed
            .is_some_and(|computed| differs_only_in_costs(recorded, computed, sets_compute_unit_limit(transaction)))
        {
            return of(DivergenceClass::CostRules, None);
        }
        if let Some(feature) = self.missing_feature(open, transaction, recorded) {
            return of(DivergenceClass::Feature, Some(feature));
        }
        let class = match self.has_stand_ins() {
            true => DivergenceClass::Sysvar,
            false => DivergenceClass::Engine,
        };
        of(class, None)
    }

    fn agrees(&self, recorded: &Outcome, computed: Option<&Outcome>) -> bool {
        let knows_mint = |mint: &Pubkey| self.accounts.is_known(mint);
        computed.is_some_and(|computed| differing_fields(recorded, computed, knows_mint).is_empty())
    }

    /// The first account whose balance before the transaction was another one on the chain.
    fn other_before(&self, keys: &[Pubkey], recorded: &Outcome) -> Option<Pubkey> {
        let before = keys.iter().zip(&recorded.pre_balances);
        let lamports = |key| self.accounts.get(key).map_or(0, ReadableAccount::lamports);
        before
            .filter(|(key, recorded)| lamports(key) != **recorded)
            .map(|(key, _)| *key)
            .next()
    }

    /// An inactive feature with which the transaction does what was recorded.
    fn missing_feature(&mut self, open: &OpenSlot, transaction: &Sanitized, recorded: &Outcome) -> Option<Pubkey> {
        let mut others: Vec<Pubkey> = self.runtime.features.inactive().iter().copied().collect();
        others.sort_unstable();
        let known = self.trials.missing.iter().rev().copied();
        for feature in known.chain(others).collect::<Vec<_>>() {
            self.trials.left = self.trials.left.checked_sub(1)?;
            if self.explains(feature, open, transaction, recorded) {
                self.trials.missing.retain(|other| *other != feature);
                self.trials.missing.push(feature);
                return Some(feature);
            }
        }
        None
    }

    /// Whether the transaction does what was recorded once a feature is active.
    fn explains(&self, feature: Pubkey, open: &OpenSlot, transaction: &Sanitized, recorded: &Outcome) -> bool {
        let slot = open.block.block().slot;
        let accounts = (&self.accounts).into();
        let mut runtime = self.runtime.apart(slot, accounts);
        let mut features = (*runtime.features).clone();
        features.activate(&feature, 0);
        if runtime.set_features(features, &self.accounts).is_err() {
            return false;
        }
        let environment = runtime.environment(slot, self.blockhashes.last());
        let machine = Machine {
            environment: &environment,
            ..self.machine_over(open, &runtime, accounts)
        };
        let effects = machine.execute(transaction, Origin::Block, &self.seen);
        effects.is_ok_and(|effects| self.agrees(recorded, Some(&effects.outcome)))
    }

    /// Whether a sysvar holds something else than on the chain, because the archive does not tell what.
    fn has_stand_ins(&self) -> bool {
        self.recorder.has_unreproduced([
            Unreproduced::BlockTime,
            Unreproduced::EpochRewards,
            Unreproduced::ParentBankHash,
            Unreproduced::StakeHistory,
        ])
    }
}
