//! Transactions that are run together over the session's accounts with some of them replaced: tried out, or sent.

use solana_account::AccountSharedData;
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;

use crate::accounts::Lookup;
use crate::check::{Origin, Sanitized};
use crate::deployment;
use crate::execute::{Effects, Machine};
use crate::historical::{Executed, lookup_tables};
use crate::outcome;
use crate::replay::{OpenSlot, Replay, SlotError};
use crate::report::{Execution, Skip};
use crate::runtime::Runtime;
use crate::user::{InjectedTransaction, holds_code, is_sysvar};
use crate::view::{AccountView, Layer};

/// Transactions that are run together. Neither their signatures nor their blockhashes are looked at, and one that has
/// been processed before may be processed again.
#[derive(Clone, Copy, Debug)]
pub struct Bundle<'a> {
    /// Accounts that are replaced before the first transaction, and for these transactions only: what no transaction
    /// writes is afterwards what it was before. Code counts as deployed in an earlier slot, so that it can be called.
    pub overrides: &'a [(Pubkey, AccountSharedData)],
    /// The transactions, in order. Each sees what the ones before it did.
    pub transactions: &'a [VersionedTransaction],
    /// Accounts that are shown as they are afterwards.
    pub shown: &'a [Pubkey],
}

/// What became of a bundle.
#[derive(Clone, Debug)]
pub struct BundleOutcome {
    /// One for each transaction.
    pub transactions: Vec<InjectedTransaction>,
    /// One for each account that was to be shown.
    pub accounts: Vec<Lookup>,
}

/// What a bundle is run over: the session's accounts under a layer.
pub(crate) struct Stage {
    layer: Layer,
    /// A machine of its own, where the layer holds what the session's has copies of.
    runtime: Option<Runtime>,
}

/// What executing a transaction on a stage came to, before anything is stored.
struct Attempt {
    keys: Vec<Pubkey>,
    sanitized: Sanitized,
    effects: Effects,
}

impl Replay {
    /// Says what a bundle would do in the open slot, and changes nothing.
    ///
    /// # Errors
    /// No slot is open.
    pub fn simulate_bundle(&self, bundle: Bundle<'_>) -> Result<BundleOutcome, SlotError> {
        let open = self.open.as_ref().ok_or(SlotError::NoOpenSlot)?;
        let mut stage = self.stage(bundle.overrides);
        let mut transactions = Vec::with_capacity(bundle.transactions.len());
        for transaction in bundle.transactions {
            let executed = self.try_out(open, &mut stage, transaction);
            transactions.push(InjectedTransaction::new(transaction, executed));
        }
        let accounts = self.view(&stage);
        Ok(BundleOutcome {
            transactions,
            accounts: bundle.shown.iter().map(|address| accounts.lookup(address)).collect(),
        })
    }

    /// Executes a bundle in the open slot, after everything that is already in it. To the session its transactions are
    /// the user's, as those that are [injected](Self::inject).
    ///
    /// # Errors
    /// No slot is open, or [nothing is executed](crate::BlockTransactions::TakeRecorded).
    pub fn send_bundle(&mut self, bundle: Bundle<'_>) -> Result<BundleOutcome, SlotError> {
        self.check_executing()?;
        self.begin_session();
        let mut stage = self.stage(bundle.overrides);
        let mut transactions = Vec::with_capacity(bundle.transactions.len());
        for transaction in bundle.transactions {
            let executed = self.send_on(&mut stage, transaction);
            self.note_injected(transaction, &executed);
            transactions.push(InjectedTransaction::new(transaction, executed));
        }
        Ok(BundleOutcome {
            transactions,
            accounts: bundle.shown.iter().map(|address| self.account(address)).collect(),
        })
    }

    /// The session with these accounts in place of its own.
    pub(crate) fn stage(&self, overrides: &[(Pubkey, AccountSharedData)]) -> Stage {
        let mut stage = Stage {
            layer: Layer::default(),
            runtime: None,
        };
        let is_copied = |(address, account): &(Pubkey, AccountSharedData)| {
            is_sysvar(address) || holds_code(account) || self.accounts.get(address).is_some_and(holds_code)
        };
        for (address, account) in overrides {
            let mut account = account.clone();
            deployment::limit_slot(&mut account, self.slot().saturating_sub(1));
            stage.layer.put(*address, account);
        }
        if overrides.iter().any(is_copied) {
            self.set_apart(&mut stage);
        }
        stage
    }

    /// What transactions are executed against on a stage.
    pub(crate) fn machine_on<'a>(&'a self, open: &'a OpenSlot, stage: &'a Stage) -> Machine<'a> {
        let runtime = stage.runtime.as_ref().unwrap_or(&self.runtime);
        self.machine_over(open, runtime, self.view(stage))
    }

    fn view<'a>(&'a self, stage: &'a Stage) -> AccountView<'a> {
        AccountView::under(&self.accounts, &stage.layer)
    }

    /// Gives a stage a machine that knows nothing but what can be seen from there.
    fn set_apart(&self, stage: &mut Stage) {
        stage.runtime = Some(self.runtime.apart(self.slot(), self.view(stage)));
    }

    fn try_out(&self, open: &OpenSlot, stage: &mut Stage, transaction: &VersionedTransaction) -> Executed {
        let attempt = match self.attempt(open, stage, transaction) {
            Ok(attempt) => attempt,
            Err(executed) => return *executed,
        };
        let Effects {
            outcome,
            writes,
            programs,
            ..
        } = attempt.effects;
        for (address, account) in writes {
            stage.layer.put(address, account);
        }
        if !programs.is_empty() {
            self.set_apart(stage);
        }
        Executed::of(&attempt.sanitized, attempt.keys, Execution::Processed(outcome))
    }

    fn send_on(&mut self, stage: &mut Stage, transaction: &VersionedTransaction) -> Executed {
        let mut open = self.open.take().expect("the caller has checked that a slot is open");
        let executed = match self.attempt(&open, stage, transaction) {
            Ok(attempt) => {
                for (address, _) in &attempt.effects.writes {
                    stage.layer.forget(address);
                }
                let changes_code = !attempt.effects.programs.is_empty();
                let executed = self.land(&mut open, &attempt.sanitized, attempt.keys, attempt.effects);
                if changes_code && stage.runtime.is_some() {
                    stage.runtime = Some(self.runtime.apart(open.block.block().slot, self.view(stage)));
                }
                executed
            }
            Err(executed) => *executed,
        };
        self.open = Some(open);
        executed
    }

    fn attempt(
        &self,
        open: &OpenSlot,
        stage: &Stage,
        transaction: &VersionedTransaction,
    ) -> Result<Attempt, Box<Executed>> {
        let (machine, accounts) = (self.machine_on(open, stage), self.view(stage));
        let unknown = |account| Box::new(Executed::skipped(transaction, Skip::UnknownAccount(account)));
        if let Some(table) = lookup_tables(transaction).find(|table| !accounts.is_known(table)) {
            return Err(unknown(table));
        }
        let sanitized = machine
            .sanitize(transaction.clone(), Origin::UserAnyBlockhash)
            .map_err(|error| Executed::refused(transaction, error))?;
        let keys = outcome::account_keys(&sanitized);
        if let Some(account) = accounts.first_unknown(&keys) {
            return Err(unknown(account));
        }
        match machine.execute(&sanitized, Origin::UserAnyBlockhash, &self.seen) {
            Ok(effects) => Ok(Attempt {
                keys,
                sanitized,
                effects,
            }),
            Err(error) => Err(Executed::of(&sanitized, keys, Execution::Refused(error)).into()),
        }
    }
}
