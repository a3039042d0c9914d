//! The subscriptions of one connection: what each of them has been told and is told next. No sockets, no waiting.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use simulator_api::{Compression, Cursor};
use simulator_archive::model::Slot;
use solana_transaction_status::UiTransactionEncoding;

use super::cache::{Cache, CacheKey, Form};
use super::record::Done;
use super::slots::{Begin, Entry, Position, Silent};
use super::topic::{Item, Kind, Topic, Whose};
use crate::convert::{self, AccountForm, BlockForm};

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

/// A message of the server's own accord, not written yet: written ones are large, and only one of them is held at a time.
#[derive(Clone, Debug)]
pub(super) struct Telling {
    /// The number of the subscription.
    id: u64,
    subject: Arc<Subject>,
    content: Content,
}

/// A message that has been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) text: String,
    pub(super) compression: Option<Compression>,
}

#[derive(Clone, Debug)]
enum Content {
    Notification {
        item: Item,
        position: Position,
        cursor: Cursor,
    },
    /// Nothing follows.
    End,
}

#[derive(Debug)]
struct Subscription {
    subject: Arc<Subject>,
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
            subject: Arc::new(subject),
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

    /// Those that have not had the first entry at or after [`Subscriptions::position`], which is here. The others are
    /// further. So slots never go back, however many subscriptions there are.
    pub(super) fn behind(&self, position: Position) -> Vec<u64> {
        let is_behind = |(_, subscription): &(&u64, &Subscription)| subscription.position <= position;
        self.by_id.iter().filter(is_behind).map(|(id, _)| *id).collect()
    }

    /// What one of [`Subscriptions::behind`] is told of the entry. One that has heard all that it wanted ends.
    pub(super) fn take(&mut self, id: u64, position: Position, entry: &Entry) -> Vec<Telling> {
        let Some(subscription) = self.by_id.get_mut(&id) else {
            return Vec::new();
        };
        let mut told = subscription.take(id, position, entry);
        if subscription.subject.kind == Kind::Signature && !told.is_empty() {
            told.extend(self.complete(id));
        }
        told
    }

    /// Nothing follows: every subscription is told so and ends.
    pub(super) fn finish(&mut self) -> Vec<Telling> {
        let all: Vec<_> = self.by_id.keys().copied().collect();
        all.into_iter().filter_map(|id| self.complete(id)).collect()
    }

    fn complete(&mut self, id: u64) -> Option<Telling> {
        let subject = self.by_id.remove(&id)?.subject;
        let content = Content::End;
        Some(Telling { id, subject, content })
    }
}

impl Subscription {
    fn take(&mut self, id: u64, position: Position, entry: &Entry) -> Vec<Telling> {
        let mut told = Vec::new();
        for item in self.subject.topic.items(entry) {
            let cursor = self.count(position.slot);
            if !self.silent.covers(position, cursor) {
                let content = Content::Notification { item, position, cursor };
                let subject = Arc::clone(&self.subject);
                told.push(Telling { id, subject, content });
            }
        }
        self.position = position.after(entry);
        told
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

impl Telling {
    /// About how much has to be written, in bytes.
    pub(super) fn size(&self) -> usize {
        match &self.content {
            Content::Notification { item, .. } => item.size(),
            Content::End => 0,
        }
    }

    /// Writes the message.
    pub(super) fn write(&self, cache: &Cache) -> Told {
        let id = self.id;
        let text = match &self.content {
            Content::End => {
                format!(r#"{{"jsonrpc":"2.0","method":"subscriptionComplete","params":{{"subscription":{id}}}}}"#)
            }
            Content::Notification { item, position, cursor } => {
                let result = self.subject.result(item, *position, cache);
                notification(self.subject.kind, id, &result, *cursor)
            }
        };
        let compression = self.subject.compression;
        Told { text, compression }
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
            Item::Account(done, index) => self.topic.write_account(done, *index),
            Item::Action(record) => convert::action_result(record),
            Item::Block(head, records) => {
                let transactions = records.iter().map(|record| &*record.transaction);
                convert::block_result(head, transactions, self.topic.block_form())
            }
            Item::Diff(done, index) => write_diff(done, *index),
            Item::Logs(record) => convert::logs_result(&record.transaction),
            Item::Received(record) => convert::received_result(&record.transaction),
            Item::Root(slot) => convert::root_result(*slot),
            Item::Signature(record) => convert::signature_result(&record.transaction),
            Item::Slot(head) => convert::slot_result(head),
            Item::SlotCreated(head) => convert::slot_created(head),
            Item::SlotFrozen(head, done) => {
                let transactions = done.iter().filter_map(Done::transaction);
                convert::slot_frozen(head, transactions.map(|record| &*record.transaction))
            }
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

    fn write_account(&self, done: &Done, index: usize) -> String {
        let (Self::Accounts(topic), Some(changes)) = (self, done.changes()) else {
            unreachable!("only subscriptions to accounts are told of accounts, and only of their changes");
        };
        let form = AccountForm {
            encoding: topic.encoding,
            slice: topic.slice,
        };
        match topic.whose {
            Whose::Account(_) => convert::account_result(changes, index, form),
            Whose::Program(_) => convert::program_result(changes, index, form),
        }
    }
}

fn write_diff(done: &Done, index: usize) -> String {
    let (Some(changes), Some(author)) = (done.changes(), done.author()) else {
        unreachable!("only what a transaction has changed is told as its changes");
    };
    convert::diff_result(changes, &author, index)
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
