//! Batches: the longest runs of consecutive transactions of a block that do not conflict on account locks.
//!
//! Batches exist for stepping and pausing. They depend on nothing but the recorded block, so that they have the same
//! numbers in every session, whatever its user changed.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use agave_reserved_account_keys::ReservedAccountKeys;
use ahash::HashMap;
use simulator_archive::model::RecordedTransaction;
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;

use crate::block::uses_lookup_tables;

/// The most transactions that a batch holds.
pub const MAX_BATCH_LEN: usize = 64;

/// The transactions of a batch: a range of indexes in the block.
pub type BatchRange = Range<usize>;

/// Accounts that no transaction can lock for writing, whatever its message says.
static RESERVED: LazyLock<HashSet<Pubkey>> = LazyLock::new(|| ReservedAccountKeys::new_all_activated().active);

/// Divides a block into batches.
pub(crate) fn partition(transactions: &[VersionedTransaction], recorded: &[RecordedTransaction]) -> Vec<BatchRange> {
    let mut batches = Vec::new();
    let mut held = HeldLocks::default();
    let mut start = 0;
    for (index, (transaction, recorded)) in transactions.iter().zip(recorded).enumerate() {
        let locks = Locks::of(transaction, recorded);
        if index - start == MAX_BATCH_LEN || held.conflicts_with(&locks) {
            batches.push(start..index);
            start = index;
            held = HeldLocks::default();
        }
        held.take(locks);
    }
    if start < transactions.len() {
        batches.push(start..transactions.len());
    }
    batches
}

/// The locks that one transaction needs.
enum Locks {
    /// These accounts, each for writing or not.
    Known(Vec<(Pubkey, Access)>),
    /// The record does not say which addresses it loads from lookup tables: it conflicts with every other.
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Locks {
    fn of(transaction: &VersionedTransaction, recorded: &RecordedTransaction) -> Self {
        let message = &transaction.message;
        let mut locks: Vec<_> = message
            .static_account_keys()
            .iter()
            .enumerate()
            .map(|(index, key)| (*key, access(message.is_maybe_writable(index, Some(&RESERVED)))))
            .collect();
        if uses_lookup_tables(message) {
            let loaded = recorded
                .outcome
                .as_ref()
                .and_then(|outcome| outcome.loaded_addresses.as_ref());
            let Some(loaded) = loaded else { return Self::Unknown };
            locks.extend(
                loaded
                    .writable
                    .iter()
                    .map(|key| (*key, access(!RESERVED.contains(key)))),
            );
            locks.extend(loaded.readonly.iter().map(|key| (*key, Access::Read)));
        }
        Self::Known(locks)
    }
}

fn access(writable: bool) -> Access {
    if writable { Access::Write } else { Access::Read }
}

/// The locks that the transactions of a batch hold together.
#[derive(Default)]
struct HeldLocks {
    accounts: HashMap<Pubkey, Access>,
    everything: bool,
}

impl HeldLocks {
    fn conflicts_with(&self, locks: &Locks) -> bool {
        match locks {
            Locks::Unknown => self.everything || !self.accounts.is_empty(),
            Locks::Known(locks) => {
                self.everything
                    || locks.iter().any(|(key, wanted)| match self.accounts.get(key) {
                        Some(held) => *held == Access::Write || *wanted == Access::Write,
                        None => false,
                    })
            }
        }
    }

    fn take(&mut self, locks: Locks) {
        match locks {
            Locks::Unknown => self.everything = true,
            Locks::Known(locks) => {
                for (key, wanted) in locks {
                    let held = self.accounts.entry(key).or_insert(wanted);
                    if wanted == Access::Write {
                        *held = Access::Write;
                    }
                }
            }
        }
    }
}
