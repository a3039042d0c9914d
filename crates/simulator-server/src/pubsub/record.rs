//! What subscribers can be told of: transactions, and accounts that changed.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;

use simulator_archive::model::Slot;
use simulator_engine::AccountDiff;
use solana_account::{AccountSharedData, ReadableAccount as _};
use solana_message::VersionedMessage;
use solana_pubkey::Pubkey;
use solana_sdk_ids::vote;
use solana_signature::Signature;

use crate::actions::ActionRecord;
use crate::convert::{ParseContext, mint_of};
use crate::history::PastTransaction;

/// One thing that was done in a slot.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    /// A transaction was executed.
    Transaction(Arc<Record>),
    /// Accounts changed outside of transactions.
    Changes(Arc<Changes>),
    /// An action ran, or did not.
    Action(Arc<ActionRecord>),
}

/// A transaction that was executed, and the accounts that it changed, in the order of its account keys.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) transaction: Arc<PastTransaction>,
    pub(crate) changes: Changes,
}

/// Accounts that changed together.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) slot: Slot,
    /// The transaction that left them so on the chain, where it was not executed here.
    pub(crate) author: Option<Author>,
    /// The time of the session in seconds.
    pub(crate) unix_timestamp: i64,
    pub(crate) diffs: Vec<AccountDiff>,
    /// The mints of the token accounts among them, with which amounts are shown.
    pub(crate) mints: BTreeMap<Pubkey, AccountSharedData>,
}

/// A transaction that changed accounts, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    pub(crate) signature: Signature,
    /// Its index in the block; `None` for one that the user added.
    pub(crate) index: Option<u32>,
    /// The block's time in seconds.
    pub(crate) block_time: Option<i64>,
}

/// Most signatures of a transaction that counts as a vote.
const MAX_VOTE_SIGNATURES: usize = 2;

impl Done {
    /// The accounts that it changed.
    pub(crate) fn changes(&self) -> Option<&Changes> {
        match self {
            Self::Transaction(record) => Some(&record.changes),
            Self::Changes(changes) => Some(changes),
            Self::Action(_) => None,
        }
    }

    pub(super) fn diffs(&self) -> &[AccountDiff] {
        self.changes().map_or(&[], |changes| &changes.diffs)
    }

    /// The transaction that changed the accounts, if one did.
    pub(crate) fn author(&self) -> Option<Author> {
        match self {
            Self::Transaction(record) => Some(record.author()),
            Self::Changes(changes) => changes.author,
            Self::Action(_) => None,
        }
    }

    pub(crate) fn transaction(&self) -> Option<&Arc<Record>> {
        match self {
            Self::Transaction(record) => Some(record),
            Self::Changes(_) | Self::Action(_) => None,
        }
    }

    /// About how much memory it takes. Account states are counted once before and once after a transaction, although
    /// most of them are shared with the neighbours.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Changes(changes) => changes.size(),
            Self::Action(record) => record.size(),
            Self::Transaction(record) => {
                let before = record.changes.diffs.iter().filter_map(|diff| diff.before.as_ref());
                record.transaction.size() + record.changes.size() + before.map(account_size).sum::<usize>()
            }
        }
    }

    /// Whether it is the user's doing, and not the chain's.
    pub(super) fn is_of_user(&self) -> bool {
        match self {
            Self::Transaction(record) => record.transaction.index.is_none(),
            Self::Changes(_) => false,
            Self::Action(_) => true,
        }
    }
}

impl Record {
    /// A transaction with what it changed.
    pub(crate) fn new(transaction: Arc<PastTransaction>, mut changes: Changes) -> Self {
        changes.sort_like(transaction.account_keys());
        Self { transaction, changes }
    }

    pub(super) fn author(&self) -> Author {
        let past = &self.transaction;
        Author {
            signature: past.transaction.signatures.first().copied().unwrap_or_default(),
            index: past.index,
            block_time: past.block_time,
        }
    }

    /// Whether any of these is an account key of the transaction, static or loaded.
    pub(super) fn mentions(&self, addresses: &[Pubkey]) -> bool {
        self.transaction.account_keys().any(|key| addresses.contains(key))
    }

    /// Whether it is nothing but a vote, as Solana's `logsSubscribe` understands it.
    pub(crate) fn is_vote(&self) -> bool {
        let transaction = &self.transaction.transaction;
        let VersionedMessage::Legacy(message) = &transaction.message else {
            return false;
        };
        let [instruction] = message.instructions.as_slice() else {
            return false;
        };
        transaction.signatures.len() <= MAX_VOTE_SIGNATURES
            && message.account_keys.get(usize::from(instruction.program_id_index)) == Some(&vote::ID)
    }
}

impl Changes {
    /// The same as left by a transaction with these account keys that was not executed here.
    pub(crate) fn of<'a>(mut self, author: Author, account_keys: impl Iterator<Item = &'a Pubkey>) -> Self {
        self.sort_like(account_keys);
        Self {
            author: Some(author),
            ..self
        }
    }

    /// The engine sorts them by address.
    fn sort_like<'a>(&mut self, keys: impl Iterator<Item = &'a Pubkey>) {
        let keys: Vec<&Pubkey> = keys.collect();
        let position = |address: &Pubkey| keys.iter().position(|key| *key == address);
        self.diffs
            .sort_by_key(|diff| position(&diff.address).unwrap_or(usize::MAX));
    }

    /// What it takes to show the state that an account has after its change.
    pub(crate) fn context(&self, account: &AccountSharedData) -> ParseContext {
        ParseContext {
            mint: mint_of(account).and_then(|mint| self.mints.get(&mint).cloned()),
            unix_timestamp: self.unix_timestamp,
        }
    }

    fn size(&self) -> usize {
        let after = self.diffs.iter().filter_map(|diff| diff.after.as_ref());
        let mints = self.mints.len() * size_of::<(Pubkey, AccountSharedData)>();
        size_of::<Self>() + size_of_val(self.diffs.as_slice()) + mints + after.map(account_size).sum::<usize>()
    }
}

fn account_size(account: &AccountSharedData) -> usize {
    account.data().len()
}

#[cfg(test)]
pub(super) mod tests {
    use simulator_archive::model::{LoadedAddresses, Outcome};
    use solana_message::{Message, MessageHeader, compiled_instruction::CompiledInstruction};
    use solana_transaction::versioned::VersionedTransaction;

    use super::*;

    pub(in super::super) fn key(name: u8) -> Pubkey {
        Pubkey::from([name; 32])
    }

    pub(in super::super) fn account(lamports: u64, owner: u8) -> AccountSharedData {
        AccountSharedData::new(lamports, 3, &key(owner))
    }

    /// A transaction that is called `name`, has these account keys and then this loaded one, and gave every account of
    /// `changed` so many lamports and this owner.
    pub(in super::super) fn record(name: u8, keys: &[u8], loaded: u8, changed: &[(u8, u64, u8)]) -> Record {
        let message = Message {
            header: MessageHeader {
                num_required_signatures: 1,
                ..MessageHeader::default()
            },
            account_keys: keys.iter().map(|name| key(*name)).collect(),
            ..Message::default()
        };
        let past = PastTransaction {
            slot: 0,
            index: Some(name.into()),
            block_time: Some(7),
            transaction: VersionedTransaction {
                signatures: vec![Signature::from([name; 64])],
                message: VersionedMessage::Legacy(message),
            },
            outcome: outcome(loaded),
        };
        let diffs = changed.iter().map(|(name, lamports, owner)| AccountDiff {
            address: key(*name),
            before: None,
            after: Some(account(*lamports, *owner)),
        });
        Record::new(Arc::new(past), changes(0, diffs.collect()))
    }

    pub(in super::super) fn changes(slot: Slot, diffs: Vec<AccountDiff>) -> Changes {
        Changes {
            slot,
            diffs,
            ..Changes::default()
        }
    }

    fn outcome(loaded: u8) -> Outcome {
        Outcome {
            status: Ok(()),
            fee: 5000,
            pre_balances: Vec::new(),
            post_balances: Vec::new(),
            pre_token_balances: None,
            post_token_balances: None,
            logs: Some(vec!["Program log: hi".to_owned()]),
            inner_instructions: None,
            return_data: None,
            compute_units: Some(1),
            loaded_addresses: Some(LoadedAddresses {
                writable: vec![key(loaded)],
                readonly: Vec::new(),
            }),
            cost_units: None,
        }
    }

    #[test]
    fn mentions_static_and_loaded_keys() {
        let record = record(1, &[1, 2], 3, &[]);
        assert!([1, 2, 3].iter().all(|name| record.mentions(&[key(9), key(*name)])));
        assert!(!record.mentions(&[key(4)]));
    }

    #[test]
    fn lists_changes_in_the_order_of_the_keys() {
        let record = record(1, &[9, 2], 5, &[(2, 1, 0), (5, 1, 0), (9, 1, 0)]);
        let order: Vec<_> = record.changes.diffs.iter().map(|diff| diff.address).collect();
        assert_eq!(order, [key(9), key(2), key(5)]);
    }

    #[test]
    fn knows_a_vote() {
        let mut past = (*record(1, &[1], 2, &[]).transaction).clone();
        let vote_of = |past: &PastTransaction| Record::new(Arc::new(past.clone()), Changes::default()).is_vote();
        assert!(!vote_of(&past));
        let message = Message {
            account_keys: vec![key(1), vote::ID],
            instructions: vec![CompiledInstruction::new_from_raw_parts(1, Vec::new(), Vec::new())],
            ..Message::default()
        };
        past.transaction.message = VersionedMessage::Legacy(message);
        assert!(vote_of(&past));
        past.transaction.signatures = vec![Signature::default(); 3];
        assert!(!vote_of(&past));
    }
}
