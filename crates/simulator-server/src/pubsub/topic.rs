//! What a subscription is about, and what of an entry it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use simulator_archive::model::Slot;
use simulator_engine::AccountDiff;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_account_decoder::{UiAccountEncoding, UiDataSliceConfig};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction_status::UiTransactionEncoding;

use super::record::{Done, Record};
use super::slot::SlotHead;
use super::slots::Entry;
use crate::actions::ActionRecord;
use crate::convert::BlockForm;
use crate::rpc::Filters;

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
    Signature(Signature, Arrival),
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
    /// What those of a program have to pass.
    pub(super) filters: Filters,
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

/// Whether it is told of a transaction that it has arrived. It has been executed then, too: a replay has no queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Told,
    Untold,
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
    /// The state of the account that is at this place of the changes.
    Account(Done, usize),
    Action(Arc<ActionRecord>),
    /// A block with these of its transactions.
    Block(Arc<SlotHead>, Vec<Arc<Record>>),
    /// The change at this place of those of a transaction.
    Diff(Done, usize),
    Logs(Arc<Record>),
    Received(Arc<Record>),
    Root(Slot),
    Signature(Arc<Record>),
    Slot(Arc<SlotHead>),
    SlotCreated(Arc<SlotHead>),
    SlotFrozen(Arc<SlotHead>, Arc<Vec<Done>>),
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
    /// Whether there may be long times in which nothing is told.
    pub(super) fn is_sparse(&self) -> bool {
        match self {
            Self::Accounts(_) | Self::Actions | Self::Diffs(_) | Self::Signature(..) => true,
            Self::Blocks(which, _) | Self::Logs(which) | Self::Transactions(which, _) => {
                matches!(which, Which::Mentioning(_))
            }
            Self::Roots | Self::Slots | Self::SlotsUpdates => false,
        }
    }

    /// What of an entry is told, in order.
    pub(super) fn items(&self, entry: &Entry) -> Vec<Item> {
        match (self, entry) {
            (Self::Transactions(which, _), Entry::Transaction(record)) => {
                one(which.includes(record), || Item::Transaction(Arc::clone(record)))
            }
            (Self::Logs(which), Entry::Transaction(record)) => {
                one(which.includes(record), || Item::Logs(Arc::clone(record)))
            }
            (Self::Diffs(whose), Entry::Transaction(record)) => whose.told(&Done::Transaction(Arc::clone(record))),
            (Self::Diffs(whose), Entry::Changes(changes)) if changes.author.is_some() => {
                whose.told(&Done::Changes(Arc::clone(changes)))
            }
            (Self::Signature(signature, arrival), Entry::Transaction(record)) => {
                let is_it = record.transaction.transaction.signatures.first() == Some(signature);
                let mut items = one(is_it && *arrival == Arrival::Told, || {
                    Item::Received(Arc::clone(record))
                });
                items.extend(is_it.then(|| Item::Signature(Arc::clone(record))));
                items
            }
            (Self::Accounts(topic), Entry::Transaction(record)) if topic.is_intra_slot => {
                topic.every(&Done::Transaction(Arc::clone(record)))
            }
            (Self::Accounts(topic), Entry::Changes(changes)) if topic.is_intra_slot => {
                topic.every(&Done::Changes(Arc::clone(changes)))
            }
            (Self::Accounts(topic), Entry::Closed(_, done)) if !topic.is_intra_slot => topic.last(done),
            (Self::Actions, Entry::Action(record)) => vec![Item::Action(Arc::clone(record))],
            (Self::Slots, Entry::Opened(head)) => vec![Item::Slot(Arc::clone(head))],
            (Self::Blocks(which, _), Entry::Closed(head, done)) => which.block(head, done),
            (Self::Roots, Entry::Closed(head, _)) => vec![Item::Root(head.slot)],
            (Self::SlotsUpdates, Entry::Opened(head)) => vec![Item::SlotCreated(Arc::clone(head))],
            (Self::SlotsUpdates, Entry::Closed(head, done)) => {
                let frozen = Item::SlotFrozen(Arc::clone(head), Arc::clone(done));
                vec![frozen, Item::SlotRooted(Arc::clone(head))]
            }
            _ => Vec::new(),
        }
    }
}

impl Item {
    /// About how many bytes have to be written.
    pub(super) fn size(&self) -> usize {
        let data = |account: &Option<AccountSharedData>| account.as_ref().map_or(0, |account| account.data().len());
        match self {
            Self::Account(done, index) => data(&done.diffs()[*index].after),
            Self::Action(record) => record.size(),
            Self::Block(_, records) => records.iter().map(|record| record.transaction.size()).sum(),
            Self::Diff(done, index) => {
                let diff = &done.diffs()[*index];
                data(&diff.before) + data(&diff.after)
            }
            Self::Logs(record) | Self::Transaction(record) => record.transaction.size(),
            Self::Received(_) | Self::Root(_) | Self::Signature(_) => 0,
            Self::Slot(_) | Self::SlotCreated(_) | Self::SlotFrozen(..) | Self::SlotRooted(_) => 0,
        }
    }
}

impl Whose {
    /// The changes that are meant, one by one.
    fn told(self, done: &Done) -> Vec<Item> {
        let meant = done.diffs().iter().enumerate().filter(|(_, diff)| self.includes(diff));
        meant.map(|(index, _)| Item::Diff(done.clone(), index)).collect()
    }

    fn includes(self, diff: &AccountDiff) -> bool {
        match self {
            Self::Account(address) => diff.address == address,
            Self::Program(program) => {
                let mut states = [&diff.before, &diff.after].into_iter().flatten();
                states.any(|account| *account.owner() == program)
            }
        }
    }
}

impl AccountTopic {
    /// Whether the state after a change is told: as in Solana, an account that is no longer the program's is not.
    fn includes(&self, diff: &AccountDiff) -> bool {
        match self.whose {
            Whose::Account(address) => diff.address == address,
            Whose::Program(program) => {
                let is_meant = |account: &AccountSharedData| *account.owner() == program && self.filters.pass(account);
                diff.after.as_ref().is_some_and(is_meant)
            }
        }
    }

    /// Every state that is told.
    fn every(&self, done: &Done) -> Vec<Item> {
        let meant = done.diffs().iter().enumerate().filter(|(_, diff)| self.includes(diff));
        meant.map(|(index, _)| Item::Account(done.clone(), index)).collect()
    }

    /// The last state of each account, if it is told, by address.
    fn last(&self, all: &[Done]) -> Vec<Item> {
        let mut last = BTreeMap::new();
        for done in all {
            for (index, diff) in done.diffs().iter().enumerate() {
                if self.includes(diff) {
                    last.insert(diff.address, Item::Account(done.clone(), index));
                } else {
                    last.remove(&diff.address);
                }
            }
        }
        last.into_values().collect()
    }
}

impl Which {
    /// The block, unless only some transactions are meant and it has none of them.
    fn block(&self, head: &Arc<SlotHead>, done: &[Done]) -> Vec<Item> {
        let transactions = done.iter().filter_map(Done::transaction);
        let meant: Vec<_> = transactions.filter(|record| self.includes(record)).cloned().collect();
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
    use solana_rpc_client_types::filter::RpcFilterType;

    use super::super::record::Changes;
    use super::super::record::tests::{changes, key, record};
    use super::*;

    fn transaction(record: Record) -> Entry {
        Entry::Transaction(Arc::new(record))
    }

    fn told(topic: &Topic, entry: &Entry) -> Vec<String> {
        let show = |item: &Item| match item {
            Item::Account(done, index) => {
                let AccountDiff { address, after, .. } = &done.diffs()[*index];
                format!(
                    "account {address} {}",
                    after.as_ref().map_or(0, ReadableAccount::lamports)
                )
            }
            Item::Diff(done, index) => format!("diff {}", done.diffs()[*index].address),
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
    fn what_a_transaction_left_that_was_not_executed_is_told_as_its_change_and_nothing_else_is() {
        let changed = outside(&[(1, 5, 8), (2, 5, 9)]);
        let diffs = Topic::Diffs(Whose::Account(key(2)));
        assert!(
            told(&diffs, &Entry::Changes(Arc::clone(&changed))).is_empty(),
            "no transaction left it"
        );
        let author = record(3, &[], 0, &[]).author();
        let by_name = Changes {
            author: Some(author),
            diffs: changed.diffs.clone(),
            ..Changes::default()
        };
        let entry = Entry::Changes(Arc::new(by_name));
        assert_eq!(told(&diffs, &entry), [format!("diff {}", key(2))]);
        assert!(told(&Topic::Logs(Which::All), &entry).is_empty());
        let encoding = UiTransactionEncoding::Json;
        assert!(told(&Topic::Transactions(Which::All, encoding), &entry).is_empty());
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

    fn of_program(filters: Filters) -> AccountTopic {
        AccountTopic {
            whose: Whose::Program(key(8)),
            filters,
            encoding: UiAccountEncoding::Base64,
            slice: None,
            is_intra_slot: false,
        }
    }

    fn outside(changed: &[(u8, u64, u8)]) -> Arc<Changes> {
        let diffs = record(1, &[], 0, changed).changes.diffs;
        Arc::new(changes(5, diffs))
    }

    fn state(name: u8, lamports: u64) -> String {
        format!("account {} {lamports}", key(name))
    }

    #[test]
    fn tells_the_last_state_of_a_slot_or_every_one() {
        let first = Arc::new(record(1, &[1, 2], 3, &[(2, 5, 8), (1, 1, 8)]));
        let second = Arc::new(record(2, &[2], 3, &[(2, 6, 8)]));
        let between = outside(&[(1, 2, 8), (4, 4, 9)]);
        let done = vec![
            Done::Transaction(Arc::clone(&first)),
            Done::Changes(Arc::clone(&between)),
            Done::Transaction(Arc::clone(&second)),
        ];
        let closed = Entry::Closed(Arc::default(), Arc::new(done));
        let mut topic = of_program(Filters::default());
        let last = Topic::Accounts(topic.clone());
        assert!(told(&last, &Entry::Transaction(Arc::clone(&first))).is_empty());
        assert_eq!(told(&last, &closed), [state(1, 2), state(2, 6)]);
        topic.is_intra_slot = true;
        let every = Topic::Accounts(topic);
        assert_eq!(told(&every, &Entry::Transaction(first)), [state(1, 1), state(2, 5)]);
        assert_eq!(told(&every, &Entry::Changes(between)), [state(1, 2)]);
        assert!(told(&every, &closed).is_empty());
    }

    #[test]
    fn an_account_that_leaves_the_program_or_its_filters_is_not_told() {
        let size = |size: u64| Filters::read(vec![RpcFilterType::DataSize(size)]).unwrap();
        let entry = |changed: &[&[(u8, u64, u8)]]| {
            let done = changed.iter().map(|changed| Done::Changes(outside(changed))).collect();
            Entry::Closed(Arc::default(), Arc::new(done))
        };
        let told = |filters, changed: &[&[(u8, u64, u8)]]| told(&Topic::Accounts(of_program(filters)), &entry(changed));
        assert_eq!(told(size(3), &[&[(1, 5, 8)]]), [state(1, 5)]);
        assert!(told(size(4), &[&[(1, 5, 8)]]).is_empty());
        assert!(told(size(3), &[&[(1, 5, 8)], &[(1, 5, 9)]]).is_empty());
        assert_eq!(told(size(3), &[&[(1, 5, 9)], &[(1, 6, 8)]]), [state(1, 6)]);
    }
}
