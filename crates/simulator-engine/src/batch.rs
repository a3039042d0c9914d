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

#[cfg(test)]
mod tests {
    use solana_message::{Message, VersionedMessage, v0};
    use solana_sdk_ids::sysvar;

    use super::*;

    fn key(number: usize) -> Pubkey {
        let mut bytes = [1; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Pubkey::new_from_array(bytes)
    }

    /// A transaction that writes its payer and one account, and reads another.
    fn writes(payer: usize, written: Pubkey, read: Pubkey) -> VersionedTransaction {
        let mut message = Message {
            account_keys: vec![key(payer), written, read],
            ..Message::default()
        };
        message.header.num_required_signatures = 1;
        message.header.num_readonly_unsigned_accounts = 1;
        VersionedTransaction {
            signatures: vec![],
            message: VersionedMessage::Legacy(message),
        }
    }

    fn with_lookup(payer: usize) -> VersionedTransaction {
        let mut message = v0::Message {
            account_keys: vec![key(payer)],
            ..v0::Message::default()
        };
        message.header.num_required_signatures = 1;
        message.address_table_lookups.push(v0::MessageAddressTableLookup {
            account_key: key(0),
            writable_indexes: vec![0],
            readonly_indexes: vec![],
        });
        VersionedTransaction {
            signatures: vec![],
            message: VersionedMessage::V0(message),
        }
    }

    fn batches(transactions: &[VersionedTransaction]) -> Vec<BatchRange> {
        let unrecorded = RecordedTransaction {
            wire: bytes::Bytes::new(),
            outcome: None,
        };
        partition(transactions, &vec![unrecorded; transactions.len()])
    }

    #[test]
    fn an_empty_block_has_no_batch() {
        assert_eq!(batches(&[]), Vec::<BatchRange>::new());
    }

    #[test]
    fn readers_share_a_batch_and_a_writer_starts_a_new_one() {
        let reads = |payer| writes(payer, key(payer + 100), key(7));
        assert_eq!(
            batches(&[reads(1), reads(2), writes(3, key(7), key(8)), reads(4)]),
            [0..2, 2..3, 3..4]
        );
    }

    #[test]
    fn a_batch_holds_at_most_64() {
        let transactions: Vec<_> = (0..130)
            .map(|payer| writes(2 * payer + 1000, key(2 * payer + 1001), key(1)))
            .collect();
        assert_eq!(batches(&transactions), [0..64, 64..128, 128..130]);
    }

    #[test]
    fn an_account_that_nobody_can_write_does_not_conflict() {
        let clock = sysvar::clock::ID;
        assert_eq!(
            batches(&[writes(1, clock, key(8)), writes(2, clock, key(8))]),
            vec![0..2]
        );
    }

    #[test]
    fn a_lookup_that_was_not_recorded_stands_alone() {
        let plain = |payer| writes(payer, key(payer + 100), key(9));
        assert_eq!(
            batches(&[plain(1), with_lookup(2), with_lookup(3), plain(4)]),
            [0..1, 1..2, 2..3, 3..4]
        );
    }
}
