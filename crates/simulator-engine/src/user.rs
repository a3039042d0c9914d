//! What the user of a session does to it: change accounts, send transactions, ask what a transaction would do.

use std::collections::BTreeMap;

use solana_account::{AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;
use solana_sdk_ids::{bpf_loader, bpf_loader_deprecated, bpf_loader_upgradeable, loader_v4, sysvar};
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;

use crate::block::first_signature;
use crate::check::{Origin, Sanitized};
use crate::outcome;
use crate::replay::{OpenSlot, Replay, SlotError};
use crate::report::{AccountDiff, DivergenceClass, Execution};

/// The owners of accounts that hold code.
const LOADERS: [Pubkey; 4] = [
    bpf_loader_deprecated::ID,
    bpf_loader::ID,
    bpf_loader_upgradeable::ID,
    loader_v4::ID,
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

impl Replay {
    /// Sets an account, effective at once. Without lamports it ceases to exist.
    pub fn set_account(&mut self, address: Pubkey, account: AccountSharedData) {
        self.begin_session();
        self.proof.session_changed();
        self.lineage.reach([&address], DivergenceClass::Overridden);
        let holds_code = |account: &AccountSharedData| account.executable() || LOADERS.contains(account.owner());
        let changes_code = self.accounts.get(&address).is_some_and(holds_code) || holds_code(&account);
        let changes_sysvar = *account.owner() == sysvar::ID;
        self.accounts.put(address, account);
        if changes_code {
            self.runtime.forget_programs(self.slot(), &self.accounts);
        } else if changes_sysvar {
            self.runtime.processor.reset_sysvar_cache();
            self.runtime.fill_sysvar_cache(&self.accounts);
        }
    }

    /// Executes a user's transaction in the open slot, after everything that is already in it. Signatures are not
    /// checked; every other rule of the validator holds.
    ///
    /// # Errors
    /// No slot is open.
    pub fn inject(&mut self, transaction: &VersionedTransaction) -> Result<InjectedTransaction, SlotError> {
        if self.open.is_none() {
            return Err(SlotError::NoOpenSlot);
        }
        self.begin_session();
        let executed = self.execute_and_commit(transaction, Origin::User, None);
        let signature = first_signature(transaction);
        if executed.execution.outcome().is_some() {
            self.proof.session_changed();
            self.lineage.reach(&executed.writable_keys, DivergenceClass::Overridden);
            self.recorder.injected(&signature, &executed.execution);
        }
        Ok(InjectedTransaction {
            signature,
            account_keys: executed.account_keys,
            programs: executed.programs,
            execution: executed.execution,
            account_diffs: executed.account_diffs,
        })
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
        let open = self.open.as_ref().ok_or(SlotError::NoOpenSlot)?;
        let origin = match options.blockhash {
            BlockhashCheck::Enforce => Origin::User,
            BlockhashCheck::Replace => Origin::UserAnyBlockhash,
        };
        let sanitized = self.machine(open).sanitize(transaction.clone(), origin);
        Ok(match sanitized {
            Ok(sanitized) => self.simulate_sanitized(open, &sanitized, origin),
            Err(error) => SimulatedTransaction {
                account_keys: transaction.message.static_account_keys().to_vec(),
                programs: Vec::new(),
                execution: Execution::Refused(error),
                accounts_after: BTreeMap::new(),
            },
        })
    }

    fn simulate_sanitized(&self, open: &OpenSlot, transaction: &Sanitized, origin: Origin) -> SimulatedTransaction {
        let account_keys = outcome::account_keys(transaction);
        let mut accounts_after: BTreeMap<_, _> = account_keys
            .iter()
            .map(|key| (*key, self.accounts.get(key).cloned()))
            .collect();
        let execution = match self.machine(open).execute(transaction, origin, &self.seen) {
            Ok(effects) => {
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
            accounts_after,
        }
    }
}
