//! The subscriptions of one connection: what each of them has been told and is told next. No sockets, no waiting.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use simulator_api::{Compression, Cursor};
use simulator_archive::model::Slot;
use solana_transaction_status::UiTransactionEncoding;

use super::cache::{Cache, CacheKey, Form};
use super::record::Record;
use super::slots::{Begin, Entry, Position, Silent};
use super::topic::{Item, Kind, Topic, Whose};
use crate::convert::{self, AccountForm, BlockForm};
use crate::history::PastTransaction;

/// The subscriptions of a connection, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_id: BTreeMap<u64, Subscription>,
    last_id: u64,
}

/// What a subscription is about, and how it is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Subject {
    pub(super) kind: Kind,
    pub(super) topic: Topic,
    pub(super) compression: Option<Compression>,
}

/// A message of the server's own accord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) text: String,
    pub(super) compression: Option<Compression>,
}

#[derive(Debug)]
struct Subscription {
    subject: Subject,
    /// What has not been told yet begins here.
    position: Position,
    silent: Silent,
    /// What the next notification is, if it is in this slot.
    next: Cursor,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Adds a subscription and gives it a number.
    pub(super) fn add(&mut self, subject: Subject, begin: Begin) -> u64 {
        self.last_id += 1;
        let subscription = Subscription {
            subject,
            position: begin.position,
            silent: begin.silent,
            next: Cursor { slot: 0, index: 0 },
        };
        self.by_id.insert(self.last_id, subscription);
        self.last_id
    }

    /// Ends a subscription; false if there is none of that kind and number.
    pub(super) fn remove(&mut self, kind: Kind, id: u64) -> bool {
        let is_that = self.by_id.get(&id).is_some_and(|found| found.subject.kind == kind);
        is_that && self.by_id.remove(&id).is_some()
    }

    /// Where the one stands that has most to be told; none if there is no subscription.
    pub(super) fn position(&self) -> Option<Position> {
        self.by_id.values().map(|subscription| subscription.position).min()
    }

    /// Takes the first entry at or after [`Subscriptions::position`]. Those that are further have had it. So slots never
    /// go back, however many subscriptions there are.
    pub(super) fn take(&mut self, position: Position, entry: &Entry, cache: &Cache) -> Vec<Told> {
        let mut told = Vec::new();
        let mut done = Vec::new();
        for (id, subscription) in &mut self.by_id {
            if subscription.position > position {
                continue;
            }
            let before = told.len();
            subscription.take(*id, position, entry, cache, &mut told);
            if subscription.subject.kind == Kind::Signature && told.len() > before {
                done.push(*id);
            }
        }
        told.extend(done.into_iter().filter_map(|id| self.complete(id)));
        told
    }

    /// Nothing follows: every subscription is told so and ends.
    pub(super) fn finish(&mut self) -> Vec<Told> {
        let all: Vec<_> = self.by_id.keys().copied().collect();
        all.into_iter().filter_map(|id| self.complete(id)).collect()
    }

    fn complete(&mut self, id: u64) -> Option<Told> {
        let compression = self.by_id.remove(&id)?.subject.compression;
        let text = format!(r#"{{"jsonrpc":"2.0","method":"subscriptionComplete","params":{{"subscription":{id}}}}}"#);
        Some(Told { text, compression })
    }
}

impl Subscription {
    fn take(&mut self, id: u64, position: Position, entry: &Entry, cache: &Cache, told: &mut Vec<Told>) {
        for item in self.subject.topic.items(entry) {
            let cursor = self.count(position.slot);
            if self.silent.covers(position, cursor) {
                continue;
            }
            let result = self.subject.result(&item, position, cache);
            told.push(Told {
                text: notification(self.subject.kind, id, &result, cursor),
                compression: self.subject.compression,
            });
        }
        self.position = position.after(entry);
    }

    fn count(&mut self, slot: Slot) -> Cursor {
        if self.next.slot != slot {
            self.next = Cursor { slot, index: 0 };
        }
        let cursor = self.next;
        self.next.index += 1;
        cursor
    }
}

impl Silent {
    fn covers(self, position: Position, cursor: Cursor) -> bool {
        match self {
            Self::Nothing => false,
            Self::Before(begin) => position < begin,
            Self::Through(last) => cursor <= last,
        }
    }
}

impl Subject {
    fn result(&self, item: &Item, position: Position, cache: &Cache) -> Arc<str> {
        match item.shared_form(&self.topic) {
            Some(form) => cache.get_or_write(CacheKey { position, form }, || self.write(item)),
            None => self.write(item).into(),
        }
    }

    fn write(&self, item: &Item) -> String {
        match item {
            Item::Account(record, index) => self.topic.write_account(record, *index),
            Item::Action(record) => convert::action_result(record),
            Item::Block(head, records) => convert::block_result(head, pasts(records), self.topic.block_form()),
            Item::Diff(record, index) => convert::diff_result(&record.transaction, &record.diffs[*index]),
            Item::Logs(record) => convert::logs_result(&record.transaction),
            Item::Root(slot) => convert::root_result(*slot),
            Item::Signature(record) => convert::signature_result(&record.transaction),
            Item::Slot(head) => convert::slot_result(head),
            Item::SlotCreated(head) => convert::slot_created(head),
            Item::SlotFrozen(head, records) => convert::slot_frozen(head, pasts(records)),
            Item::SlotRooted(head) => convert::slot_rooted(head),
            Item::Transaction(record) => convert::transaction_result(&record.transaction, self.topic.encoding()),
        }
    }
}

impl Item {
    /// The form in which other connections are likely to need it, too.
    fn shared_form(&self, topic: &Topic) -> Option<Form> {
        match self {
            Self::Transaction(_) if topic.encoding() == UiTransactionEncoding::Json => Some(Form::Transaction),
            Self::Logs(_) => Some(Form::Logs),
            Self::Diff(_, index) => Some(Form::Diff(*index)),
            Self::Action(_) => Some(Form::Action),
            _ => None,
        }
    }
}

impl Topic {
    fn encoding(&self) -> UiTransactionEncoding {
        match self {
            Self::Transactions(_, encoding) => *encoding,
            _ => UiTransactionEncoding::Json,
        }
    }

    fn block_form(&self) -> BlockForm {
        match self {
            Self::Blocks(_, form) => *form,
            _ => BlockForm::default(),
        }
    }

    fn write_account(&self, record: &Record, index: usize) -> String {
        let (past, diff) = (&record.transaction, &record.diffs[index]);
        let Self::Accounts(topic) = self else {
            return convert::diff_result(past, diff);
        };
        let form = AccountForm {
            encoding: topic.encoding,
            slice: topic.slice,
        };
        match topic.whose {
            Whose::Account(_) => convert::account_result(past, diff, form),
            Whose::Program(_) => convert::program_result(past, diff, form),
        }
    }
}

fn pasts(records: &[Arc<Record>]) -> impl Iterator<Item = &PastTransaction> {
    records.iter().map(|record| &*record.transaction)
}

fn notification(kind: Kind, id: u64, result: &str, cursor: Cursor) -> String {
    let (name, Cursor { slot, index }) = (kind.name(), cursor);
    let mut text = String::with_capacity(result.len() + 200);
    write!(
        text,
        r#"{{"jsonrpc":"2.0","method":"{name}Notification","params":{{"subscription":{id},"result":{result},"cursor":{{"slot":{slot},"index":{index}}}}}}}"#
    )
    .expect("a text can always be written to");
    text
}

#[cfg(test)]
mod tests;
