//! What the user of a session does to it: change accounts, send transactions, ask what a transaction would do.

use std::collections::BTreeMap;

use solana_account::{AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;
use solana_sdk_ids::{bpf_loader, bpf_loader_deprecated, bpf_loader_upgradeable, loader_v4, sysvar};
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use crate::block::first_signature;
use crate::check::{Origin, Sanitized};
use crate::deployment;
use crate::execute::Machine;
use crate::historical::Executed;
use crate::lineage::Reached;
use crate::outcome;
use crate::replay::{Replay, SlotError};
use crate::report::{AccountDiff, Execution};
use crate::sysvars::{self, Clock};

/// The owners of accounts that hold code.
const LOADERS: [Pubkey; 4] = [
    bpf_loader_deprecated::ID,
    bpf_loader::ID,
    bpf_loader_upgradeable::ID,
    loader_v4::ID,
];

/// The sysvars that the virtual machine keeps a copy of.
const SYSVARS: [Pubkey; 8] = [
    sysvar::clock::ID,
    sysvar::epoch_rewards::ID,
    sysvar::epoch_schedule::ID,
    sysvar::last_restart_slot::ID,
    sysvar::recent_blockhashes::ID,
    sysvar::rent::ID,
    sysvar::slot_hashes::ID,
    sysvar::stake_history::ID,
];

/// A user's transaction, executed in the open slot.
#[derive(Clone, Debug)]
pub struct InjectedTransaction {
    /// Its first signature.
    pub signature: Signature,
    /// All account keys: static ones, then the loaded writable and read-only ones.
    pub account_keys: Vec<Pubkey>,
    /// Programs that were invoked, in order of first use.
    pub programs: Vec<Pubkey>,
    /// What happened. A refused transaction has changed nothing and is not part of the slot.
    pub execution: Execution,
    /// Accounts that it changed, if the session records them.
    pub account_diffs: Vec<AccountDiff>,
}

/// What a transaction would do now.
#[derive(Clone, Debug)]
pub struct SimulatedTransaction {
    /// All account keys: static ones, then the loaded writable and read-only ones.
    pub account_keys: Vec<Pubkey>,
    /// Programs that would be invoked, in order of first use.
    pub programs: Vec<Pubkey>,
    /// What would happen.
    pub execution: Execution,
    /// How much would be loaded, in bytes, as the runtime counts it against the limit that a transaction may set; none for
    /// one that is refused.
    pub loaded_bytes: u32,
    /// Every account of the transaction as it would be afterwards; `None` for one that would not exist.
    pub accounts_after: BTreeMap<Pubkey, Option<AccountSharedData>>,
}

/// Whether a simulation looks at the transaction's blockhash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockhashCheck {
    /// It must be valid.
    #[default]
    Enforce,
    /// Whatever it is, the transaction is executed as if it were valid.
    Replace,
}

/// How a transaction is simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimulateOptions {
    /// Whether its blockhash counts.
    pub blockhash: BlockhashCheck,
}

impl InjectedTransaction {
    pub(crate) fn new(transaction: &VersionedTransaction, executed: Executed) -> Self {
        Self {
            signature: first_signature(transaction),
            account_keys: executed.account_keys,
            programs: executed.programs,
            execution: executed.execution,
            account_diffs: executed.account_diffs,
        }
    }
}

impl Replay {
    /// Sets an account, effective at once. Without lamports it ceases to exist.
    ///
    /// Two things in it follow the session whatever the account says, because the runtime cannot work against them:
    /// code counts as deployed in the slot before the open one at the latest, so that it can be called at once, and
    /// the Clock's slot and epochs are those of the session.
    pub fn set_account(&mut self, address: Pubkey, account: AccountSharedData) {
        self.begin_session();
        self.outside(|replay| replay.replace_account(address, account));
    }

    fn replace_account(&mut self, address: Pubkey, mut account: AccountSharedData) {
        self.proof.session_changed();
        self.lineage.reach([&address], Reached::OVERRIDDEN);
        deployment::limit_slot(&mut account, self.slot().saturating_sub(1));
        let changes_code = self.accounts.get(&address).is_some_and(holds_code) || holds_code(&account);
        let replaced = (address == sysvar::clock::ID).then(|| Clock::read(&self.accounts));
        self.accounts.put(address, account);
        if let Some(Ok(replaced)) = replaced {
            self.keep_clock_in_step(replaced);
        }
        if changes_code {
            self.runtime.forget_programs(self.slot(), (&self.accounts).into());
        }
        if is_sysvar(&address) {
            self.take_over_sysvars();
        }
    }

    /// Gives the Clock that the user set the slot and epochs of the one it replaces.
    fn keep_clock_in_step(&mut self, replaced: Clock) {
        let Ok(set) = Clock::read(&self.accounts) else { return };
        let clock = Clock {
            unix_timestamp: set.unix_timestamp,
            epoch_start_timestamp: set.epoch_start_timestamp,
            ..replaced
        };
        clock.write(&mut self.accounts, &self.runtime.rent);
    }

    /// Has the rest of the open slot see the sysvar accounts as they are now. One that cannot be read stays as it was.
    pub(crate) fn take_over_sysvars(&mut self) {
        if let Ok(rent) = sysvars::read_rent(&self.accounts) {
            self.runtime.rent = rent.clone();
            if let Some(open) = &mut self.open {
                open.environment.rent = rent;
            }
        }
        if let Ok(schedule) = sysvars::read_epoch_schedule(&self.accounts) {
            self.runtime.epoch_schedule = schedule;
        }
        self.runtime.processor.reset_sysvar_cache();
        self.runtime.fill_sysvar_cache((&self.accounts).into());
    }

    /// Executes a user's transaction in the open slot, after everything that is already in it. Signatures are not
    /// checked; every other rule of the validator holds.
    ///
    /// # Errors
    /// No slot is open, or [nothing is executed](crate::BlockTransactions::TakeRecorded).
    pub fn inject(&mut self, transaction: &VersionedTransaction) -> Result<InjectedTransaction, SlotError> {
        self.check_executing()?;
        self.begin_session();
        let executed = self.execute_and_commit(transaction, Origin::User, None);
        self.note_injected(transaction, &executed);
        Ok(InjectedTransaction::new(transaction, executed))
    }

    /// Notes that a transaction of the user's was executed, if it was.
    pub(crate) fn note_injected(&mut self, transaction: &VersionedTransaction, executed: &Executed) {
        if executed.execution.outcome().is_some() {
            self.proof.session_changed();
            self.lineage.reach(&executed.writable_keys, Reached::OVERRIDDEN);
            self.recorder
                .injected(&first_signature(transaction), &executed.execution);
        }
    }

    /// What a transaction would pay if it were sent now, in lamports, or why it would be refused. Its signatures and its
    /// payer's balance are not looked at.
    ///
    /// # Errors
    /// No slot is open.
    pub fn fee(&self, transaction: VersionedTransaction) -> Result<Result<u64, TransactionError>, SlotError> {
        let open = self.open.as_ref().ok_or(SlotError::NoOpenSlot)?;
        let machine = self.machine(open);
        let sanitized = machine.sanitize(transaction, Origin::User);
        Ok(sanitized.and_then(|sanitized| machine.checker.fee(&sanitized)))
    }

    /// Says what a transaction would do in the open slot, and changes nothing.
    ///
    /// # Errors
    /// No slot is open.
    pub fn simulate(
        &self,
        transaction: &VersionedTransaction,
        options: SimulateOptions,
    ) -> Result<SimulatedTransaction, SlotError> {
        self.simulate_with(&[], transaction, options)
    }

    /// The same if these accounts were set before. What it takes is in proportion to the changes, not to the session;
    /// where they replace code or sysvars, of which the virtual machine has copies, also what it takes to set up another
    /// machine.
    ///
    /// # Errors
    /// No slot is open.
    pub fn simulate_with(
        &self,
        changes: &[(Pubkey, AccountSharedData)],
        transaction: &VersionedTransaction,
        options: SimulateOptions,
    ) -> Result<SimulatedTransaction, SlotError> {
        let open = self.open.as_ref().ok_or(SlotError::NoOpenSlot)?;
        let stage = self.stage(changes);
        let machine = self.machine_on(open, &stage);
        let origin = match options.blockhash {
            BlockhashCheck::Enforce => Origin::User,
            BlockhashCheck::Replace => Origin::UserAnyBlockhash,
        };
        let sanitized = machine.sanitize(transaction.clone(), origin);
        Ok(match sanitized {
            Ok(sanitized) => self.simulate_sanitized(machine, &sanitized, origin),
            Err(error) => SimulatedTransaction {
                account_keys: transaction.message.static_account_keys().to_vec(),
                programs: Vec::new(),
                execution: Execution::Refused(error),
                loaded_bytes: 0,
                accounts_after: BTreeMap::new(),
            },
        })
    }

    fn simulate_sanitized(
        &self,
        machine: Machine<'_>,
        transaction: &Sanitized,
        origin: Origin,
    ) -> SimulatedTransaction {
        let account_keys = outcome::account_keys(transaction);
        let mut accounts_after: BTreeMap<_, _> = account_keys
            .iter()
            .map(|key| (*key, machine.checker.accounts.get(key).cloned()))
            .collect();
        let mut loaded_bytes = 0;
        let execution = match machine.execute(transaction, origin, &self.seen) {
            Ok(effects) => {
                loaded_bytes = effects.loaded_bytes;
                for (address, account) in effects.writes {
                    accounts_after.insert(address, Some(account));
                }
                Execution::Processed(effects.outcome)
            }
            Err(error) => Execution::Refused(error),
        };
        let programs = outcome::invoked_programs(transaction, &account_keys, execution.outcome());
        SimulatedTransaction {
            account_keys,
            programs,
            execution,
            loaded_bytes,
            accounts_after,
        }
    }
}

/// Whether the virtual machine may keep something compiled from an account.
pub(crate) fn holds_code(account: &AccountSharedData) -> bool {
    account.executable() || LOADERS.contains(account.owner())
}

/// Whether the virtual machine keeps a copy of the account at this address.
pub(crate) fn is_sysvar(address: &Pubkey) -> bool {
    SYSVARS.contains(address)
}
