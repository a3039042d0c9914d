//! Which accounts an archive of some programs or accounts needs: all that the transactions of their kind touch.
//!
//! A transaction is *chosen* if one of the chosen addresses is among its account keys, static or loaded: no program can be
//! invoked and no account be touched that is not. The closure is
//!
//! * every account key of a chosen transaction, and the lookup tables that it names;
//! * the program data of each of these addresses, should it be an upgradeable program;
//! * the chosen addresses themselves;
//! * every account that the runtime or the feature program owns, and every sysvar: no transaction names them all.

use std::collections::BTreeSet;

use solana_pubkey::Pubkey;
use solana_sdk_ids::{bpf_loader_upgradeable, feature, native_loader, sysvar};

use super::chain::LedgerBlock;
use super::error::TransactionProblem;
use super::transaction::Shape;
use crate::manifest::{self, ClosureRule};
use crate::model::{Outcome, RecordedTransaction};

/// The addresses from which an archive's scope follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeds {
    /// Programs whose transactions are chosen.
    pub programs: BTreeSet<Pubkey>,
    /// Accounts whose transactions are chosen.
    pub accounts: BTreeSet<Pubkey>,
}

/// The closure of some addresses over some blocks.
#[derive(Clone, Debug)]
pub(crate) struct Closure {
    seeds: Seeds,
    addresses: BTreeSet<Pubkey>,
    chosen: u64,
    undetermined: u64,
}

impl Seeds {
    /// Whether no address was chosen, so that the scope is not limited.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.accounts.is_empty()
    }

    fn contains(&self, address: &Pubkey) -> bool {
        self.programs.contains(address) || self.accounts.contains(address)
    }
}

impl Closure {
    pub(crate) fn new(seeds: Seeds) -> Self {
        Self {
            addresses: seeds.programs.union(&seeds.accounts).copied().collect(),
            seeds,
            chosen: 0,
            undetermined: 0,
        }
    }

    /// Looks at the transactions of a block.
    pub(super) fn add(&mut self, ledger: &LedgerBlock) {
        for (transaction, shape) in ledger.block.transactions.iter().zip(&ledger.shapes) {
            self.add_transaction(shape, transaction.outcome.as_ref());
        }
    }

    /// Looks at a transaction of an archive.
    pub(crate) fn add_recorded(&mut self, transaction: &RecordedTransaction) -> Result<(), TransactionProblem> {
        let shape = Shape::parse(&transaction.wire)?;
        self.add_transaction(&shape, transaction.outcome.as_ref());
        Ok(())
    }

    /// All blocks have been looked at: adds where upgradeable programs have their code.
    pub(crate) fn finish(&mut self) {
        let data =
            |address: &Pubkey| Pubkey::find_program_address(&[address.as_array()], &bpf_loader_upgradeable::ID).0;
        let data: Vec<_> = self.addresses.iter().map(data).collect();
        self.addresses.extend(data);
    }

    /// Whether an account belongs to it.
    pub(crate) fn holds(&self, address: &Pubkey, owner: &Pubkey) -> bool {
        [sysvar::ID, feature::ID, native_loader::ID].contains(owner) || self.addresses.contains(address)
    }

    /// What the manifest says about it, of which `found` addresses have an account in the state.
    pub(crate) fn describe(&self, found: u64) -> manifest::Closure {
        let names = |addresses: &BTreeSet<Pubkey>| addresses.iter().map(Pubkey::to_string).collect();
        manifest::Closure {
            rule: ClosureRule::Touched,
            programs: names(&self.seeds.programs),
            accounts: names(&self.seeds.accounts),
            transactions: self.chosen,
            undetermined_transactions: self.undetermined,
            addresses: self.addresses.len() as u64,
            found,
        }
    }

    /// Adds all its addresses to a digest.
    pub(super) fn hash(&self, to: &mut blake3::Hasher) {
        for address in &self.addresses {
            to.update(address.as_array());
        }
    }

    /// Whether an address is in it by name, not by its owner.
    pub(crate) fn names(&self, address: &Pubkey) -> bool {
        self.addresses.contains(address)
    }

    fn add_transaction(&mut self, shape: &Shape, outcome: Option<&Outcome>) {
        let loaded = outcome.and_then(|outcome| outcome.loaded_addresses.as_ref());
        let loaded = loaded
            .iter()
            .flat_map(|loaded| loaded.writable.iter().chain(&loaded.readonly));
        let keys: Vec<Pubkey> = shape.static_keys().iter().chain(loaded).copied().collect();
        if keys.iter().any(|key| self.seeds.contains(key)) {
            self.chosen += 1;
            self.undetermined += u64::from(keys.len() < shape.keys_in_all());
            self.addresses.extend(keys);
            self.addresses.extend(shape.tables());
        } else if keys.len() < shape.keys_in_all() {
            self.undetermined += 1;
        }
    }
}
