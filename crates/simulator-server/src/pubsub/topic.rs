//! What a subscription is about, and what of an entry it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use simulator_archive::model::Slot;
use solana_account::ReadableAccount as _;
use solana_account_decoder::{UiAccountEncoding, UiDataSliceConfig};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction_status::UiTransactionEncoding;

use super::record::Record;
use super::slots::{Entry, SlotHead};
use crate::actions::ActionRecord;
use crate::convert::BlockForm;

/// The kinds of subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Account,
    AccountDiff,
    Action,
    Block,
    Logs,
    Program,
    Root,
    Signature,
    Slot,
    SlotsUpdates,
    Transaction,
}

/// What a subscription is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Topic {
    /// The final state of accounts in each slot, or every one.
    Accounts(AccountTopic),
    /// What became of the session's actions.
    Actions,
    /// Slots that are closed, with their transactions.
    Blocks(Which, BlockForm),
    /// Every change of accounts by a transaction.
    Diffs(Whose),
    /// The logs of transactions.
    Logs(Which),
    /// Slots that are closed.
    Roots,
    /// The outcome of one transaction, once.
    Signature(Signature),
    /// Slots that are opened.
    Slots,
    /// Slots that are opened and closed.
    SlotsUpdates,
    /// Transactions.
    Transactions(Which, UiTransactionEncoding),
}

/// Accounts whose state is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AccountTopic {
    pub(super) whose: Whose,
    pub(super) encoding: UiAccountEncoding,
    pub(super) slice: Option<UiDataSliceConfig>,
    /// Whether every state is told, not only the last of a slot.
    pub(super) is_intra_slot: bool,
}

/// Which accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// One account.
    Account(Pubkey),
    /// Those that a program owns.
    Program(Pubkey),
}

/// Which transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    AllButVotes,
    /// Those that have one of these among their account keys.
    Mentioning(Vec<Pubkey>),
}

/// One thing that a subscription is told.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// The state of the changed account at this place of the record.
    Account(Arc<Record>, usize),
    Action(Arc<ActionRecord>),
    /// A block with these of its transactions.
    Block(Arc<SlotHead>, Vec<Arc<Record>>),
    Diff(Arc<Record>, usize),
    Logs(Arc<Record>),
    Root(Slot),
    Signature(Arc<Record>),
    Slot(Arc<SlotHead>),
    SlotCreated(Arc<SlotHead>),
    SlotFrozen(Arc<SlotHead>, Arc<Vec<Arc<Record>>>),
    SlotRooted(Arc<SlotHead>),
    Transaction(Arc<Record>),
}

impl Kind {
    pub(super) const ALL: [Self; 11] = [
        Self::Account,
        Self::AccountDiff,
        Self::Action,
        Self::Block,
        Self::Logs,
        Self::Program,
        Self::Root,
        Self::Signature,
        Self::Slot,
        Self::SlotsUpdates,
        Self::Transaction,
    ];

    /// How the names of its methods begin.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::AccountDiff => "accountDiff",
            Self::Action => "action",
            Self::Block => "block",
            Self::Logs => "logs",
            Self::Program => "program",
            Self::Root => "root",
            Self::Signature => "signature",
            Self::Slot => "slot",
            Self::SlotsUpdates => "slotsUpdates",
            Self::Transaction => "transaction",
        }
    }

    /// Whether a subscription that names no cursor is told all that is retained. Solana's own begin with what comes
    /// next; a signature is looked for in what has happened, too.
    pub(super) fn begins_with_history(self) -> bool {
        matches!(
            self,
            Self::AccountDiff | Self::Action | Self::Transaction | Self::Signature
        )
    }
}

impl Topic {
    /// What of an entry is told, in order.
    pub(super) fn items(&self, entry: &Entry) -> Vec<Item> {
        match (self, entry) {
            (Self::Transactions(which, _), Entry::Transaction(record)) => {
                one(which.includes(record), || Item::Transaction(Arc::clone(record)))
            }
            (Self::Logs(which), Entry::Transaction(record)) => {
                one(which.includes(record), || Item::Logs(Arc::clone(record)))
            }
            (Self::Diffs(whose), Entry::Transaction(record)) => {
                let item = |index| Item::Diff(Arc::clone(record), index);
                whose.changes(record).map(item).collect()
            }
            (Self::Signature(signature), Entry::Transaction(record)) => {
                let is_it = record.transaction.transaction.signatures.first() == Some(signature);
                one(is_it, || Item::Signature(Arc::clone(record)))
            }
            (Self::Accounts(topic), Entry::Transaction(record)) if topic.is_intra_slot => {
                let item = |index| Item::Account(Arc::clone(record), index);
                topic.whose.changes(record).map(item).collect()
            }
            (Self::Accounts(topic), Entry::Closed(_, records)) if !topic.is_intra_slot => topic.whose.last(records),
            (Self::Actions, Entry::Action(record)) => vec![Item::Action(Arc::clone(record))],
            (Self::Slots, Entry::Opened(head)) => vec![Item::Slot(Arc::clone(head))],
            (Self::Blocks(which, _), Entry::Closed(head, records)) => which.block(head, records),
            (Self::Roots, Entry::Closed(head, _)) => vec![Item::Root(head.slot)],
            (Self::SlotsUpdates, Entry::Opened(head)) => vec![Item::SlotCreated(Arc::clone(head))],
            (Self::SlotsUpdates, Entry::Closed(head, records)) => {
                let frozen = Item::SlotFrozen(Arc::clone(head), Arc::clone(records));
                vec![frozen, Item::SlotRooted(Arc::clone(head))]
            }
            _ => Vec::new(),
        }
    }
}

impl Whose {
    /// The places in a record of the changes that are meant.
    fn changes(self, record: &Record) -> impl Iterator<Item = usize> {
        let is_meant = move |index: &usize| {
            let diff = &record.diffs[*index];
            match self {
                Self::Account(address) => diff.address == address,
                Self::Program(program) => {
                    let mut states = [&diff.before, &diff.after].into_iter().flatten();
                    states.any(|account| *account.owner() == program)
                }
            }
        };
        (0..record.diffs.len()).filter(is_meant)
    }

    /// The last change of each account that is meant, by address.
    fn last(self, records: &[Arc<Record>]) -> Vec<Item> {
        let mut last = BTreeMap::new();
        for record in records {
            for index in self.changes(record) {
                last.insert(record.diffs[index].address, Item::Account(Arc::clone(record), index));
            }
        }
        last.into_values().collect()
    }
}

impl Which {
    /// The block, unless only some transactions are meant and it has none of them.
    fn block(&self, head: &Arc<SlotHead>, records: &[Arc<Record>]) -> Vec<Item> {
        let meant: Vec<_> = records.iter().filter(|record| self.includes(record)).cloned().collect();
        let is_told = *self == Self::All || !meant.is_empty();
        one(is_told, || Item::Block(Arc::clone(head), meant))
    }

    fn includes(&self, record: &Record) -> bool {
        match self {
            Self::All => true,
            Self::AllButVotes => !record.is_vote(),
            Self::Mentioning(addresses) => record.mentions(addresses),
        }
    }
}

fn one(is_told: bool, item: impl FnOnce() -> Item) -> Vec<Item> {
    is_told.then(item).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{key, record};
    use super::*;

    fn transaction(record: Record) -> Entry {
        Entry::Transaction(Arc::new(record))
    }

    fn told(topic: &Topic, entry: &Entry) -> Vec<String> {
        let show = |item: &Item| match item {
            Item::Account(record, index) => format!("account {}", record.diffs[*index].address),
            Item::Diff(record, index) => format!("diff {}", record.diffs[*index].address),
            other => format!("{other:?}").split('(').next().unwrap_or_default().to_owned(),
        };
        topic.items(entry).iter().map(show).collect()
    }

    #[test]
    fn filters_by_account_and_owner() {
        let entry = transaction(record(1, &[1, 2, 3], 4, &[(1, 5, 8), (2, 5, 9), (4, 5, 8)]));
        let by_address = Topic::Diffs(Whose::Account(key(2)));
        assert_eq!(told(&by_address, &entry), [format!("diff {}", key(2))]);
        let by_owner = Topic::Diffs(Whose::Program(key(8)));
        assert_eq!(
            told(&by_owner, &entry),
            [1, 4].map(|name| format!("diff {}", key(name)))
        );
        assert!(told(&Topic::Diffs(Whose::Account(key(3))), &entry).is_empty());
    }

    #[test]
    fn filters_transactions_by_what_they_mention() {
        let entry = transaction(record(1, &[1, 2], 3, &[]));
        let mentioning = |name| Which::Mentioning(vec![key(name)]);
        for (name, expected) in [(2, 1), (3, 1), (4, 0)] {
            let logs = Topic::Logs(mentioning(name));
            let transactions = Topic::Transactions(mentioning(name), UiTransactionEncoding::Json);
            assert_eq!(
                (logs.items(&entry).len(), transactions.items(&entry).len()),
                (expected, expected)
            );
        }
    }

    #[test]
    fn tells_the_last_state_of_a_slot_or_every_one() {
        let records = [
            record(1, &[1, 2], 3, &[(2, 5, 8), (1, 1, 8)]),
            record(2, &[2], 3, &[(2, 6, 8)]),
        ];
        let records: Arc<Vec<_>> = Arc::new(records.into_iter().map(Arc::new).collect());
        let mut topic = AccountTopic {
            whose: Whose::Program(key(8)),
            encoding: UiAccountEncoding::Base64,
            slice: None,
            is_intra_slot: false,
        };
        let closed = Entry::Closed(Arc::default(), Arc::clone(&records));
        let first = Entry::Transaction(Arc::clone(&records[0]));
        let last = Topic::Accounts(topic.clone());
        assert!(told(&last, &first).is_empty());
        assert_eq!(
            told(&last, &closed),
            [1, 2].map(|name| format!("account {}", key(name)))
        );
        let of_second = |item: &Item| matches!(item, Item::Account(record, 0) if Arc::ptr_eq(record, &records[1]));
        assert!(of_second(&last.items(&closed)[1]));
        topic.is_intra_slot = true;
        let every = Topic::Accounts(topic);
        assert_eq!((told(&every, &first).len(), told(&every, &closed).len()), (2, 0));
    }
}
