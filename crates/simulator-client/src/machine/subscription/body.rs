//! What the kinds of notifications have in their `result`, found and not decoded.

use super::notification::{AccountDiffNotification, Delivered, LogsNotification, TransactionNotification};
use super::resume::Identities;
use super::scan::{Scanned, Scanner, Span, Unreadable};
use crate::managed::SubscriptionNotification;

/// What one kind of notification has in its `result`.
pub(super) trait Body: Sized {
    /// The method of its notifications.
    const METHOD: &'static str;

    /// Reads an object. What is missing is found when somebody looks for it.
    fn scan(scanner: &mut Scanner<'_>) -> Scanned<Self>;

    /// The slot, if nothing is missing.
    fn slot(&self) -> Scanned<u64>;

    /// Writes what tells a notification from all others of its slot.
    fn identify(&self, text: &str, identities: &mut Identities);

    /// The event that tells the caller.
    fn deliver(self, delivered: Delivered) -> SubscriptionNotification;
}

/// An account diff.
#[derive(Clone, Debug, Default)]
pub(super) struct AccountDiffBody {
    pub(super) slot: Option<u64>,
    pub(super) account: Option<Span>,
    pub(super) signature: Option<Span>,
    pub(super) tx_index: Option<u32>,
    pub(super) block_time: Option<i64>,
    pub(super) pre: Option<Span>,
    pub(super) post: Option<Span>,
}

/// A transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct TransactionBody {
    pub(super) slot: Option<u64>,
    /// The whole `result`.
    pub(super) whole: Option<Span>,
    /// The transaction in one of its encodings.
    pub(super) transaction: Option<Span>,
    /// The array of signatures of a transaction in JSON.
    pub(super) signatures: Option<Span>,
    pub(super) index: Option<u32>,
    pub(super) block_time: Option<i64>,
}

/// Logs of a transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct LogsBody {
    pub(super) slot: Option<u64>,
    pub(super) signature: Option<Span>,
    pub(super) err: Option<Span>,
    pub(super) logs: Option<Span>,
}

const NO_SLOT: Unreadable = Unreadable("the slot is missing");

impl Body for AccountDiffBody {
    const METHOD: &'static str = "accountDiffNotification";

    #[inline]
    fn scan(scanner: &mut Scanner<'_>) -> Scanned<Self> {
        let mut body = Self::default();
        scanner.object(|scanner, key| {
            match key {
                b"context" => body.slot = context_slot(scanner)?,
                b"account" => body.account = scanner.optional(Scanner::plain)?,
                b"signature" => body.signature = scanner.optional(Scanner::plain)?,
                b"tx_index" => body.tx_index = scanner.optional(Scanner::index)?,
                b"block_time" => body.block_time = scanner.optional(Scanner::signed)?,
                b"pre" => body.pre = scanner.optional(Scanner::value)?,
                b"post" => body.post = scanner.optional(Scanner::value)?,
                _ => drop(scanner.value()?),
            }
            Ok(())
        })?;
        Ok(body)
    }

    #[inline]
    fn slot(&self) -> Scanned<u64> {
        self.slot.ok_or(NO_SLOT)
    }

    #[inline]
    fn identify(&self, text: &str, identities: &mut Identities) {
        identities.part(self.signature.map(|span| span.of(text)));
        identities.part(self.account.map(|span| span.of(text)));
        identities.number(self.tx_index);
    }

    #[inline]
    fn deliver(self, delivered: Delivered) -> SubscriptionNotification {
        SubscriptionNotification::AccountDiff(AccountDiffNotification::new(delivered, self))
    }
}

impl Body for TransactionBody {
    const METHOD: &'static str = "transactionNotification";

    fn scan(scanner: &mut Scanner<'_>) -> Scanned<Self> {
        let start = scanner.position();
        let mut body = Self::default();
        scanner.object(|scanner, key| {
            match key {
                b"slot" => body.slot = scanner.optional(Scanner::unsigned)?,
                b"transaction" => {
                    (body.transaction, body.signatures) = scanner.optional(transaction)?.unwrap_or_default();
                }
                b"transactionIndex" => body.index = scanner.optional(Scanner::index)?,
                b"blockTime" => body.block_time = scanner.optional(Scanner::signed)?,
                _ => drop(scanner.value()?),
            }
            Ok(())
        })?;
        body.whole = Some(scanner.since(start)?);
        Ok(body)
    }

    fn slot(&self) -> Scanned<u64> {
        if self.transaction.is_none() {
            return Err(Unreadable("the transaction is missing"));
        }
        self.slot.ok_or(NO_SLOT)
    }

    /// By its signatures, which a transaction in a binary encoding has in it.
    fn identify(&self, text: &str, identities: &mut Identities) {
        identities.part(self.signatures.or(self.transaction).map(|span| span.of(text)));
        identities.number(self.index);
    }

    fn deliver(self, delivered: Delivered) -> SubscriptionNotification {
        SubscriptionNotification::Transaction(TransactionNotification::new(delivered, self))
    }
}

impl Body for LogsBody {
    const METHOD: &'static str = "logsNotification";

    fn scan(scanner: &mut Scanner<'_>) -> Scanned<Self> {
        let mut slot = None;
        let mut body = Self::default();
        scanner.object(|scanner, key| {
            match key {
                b"context" => slot = context_slot(scanner)?,
                b"value" => body = logs(scanner)?,
                _ => drop(scanner.value()?),
            }
            Ok(())
        })?;
        Ok(Self { slot, ..body })
    }

    fn slot(&self) -> Scanned<u64> {
        if self.signature.is_none() {
            return Err(Unreadable("the signature is missing"));
        }
        self.slot.ok_or(NO_SLOT)
    }

    /// By its signature: a transaction is executed once in a slot.
    fn identify(&self, text: &str, identities: &mut Identities) {
        identities.part(self.signature.map(|span| span.of(text)));
    }

    fn deliver(self, delivered: Delivered) -> SubscriptionNotification {
        SubscriptionNotification::Logs(LogsNotification::new(delivered, self))
    }
}

#[inline]
fn context_slot(scanner: &mut Scanner<'_>) -> Scanned<Option<u64>> {
    let mut slot = None;
    scanner.object(|scanner, key| {
        match key {
            b"slot" => slot = scanner.optional(Scanner::unsigned)?,
            _ => drop(scanner.value()?),
        }
        Ok(())
    })?;
    Ok(slot)
}

fn transaction(scanner: &mut Scanner<'_>) -> Scanned<(Option<Span>, Option<Span>)> {
    let start = scanner.position();
    if !scanner.at_object() {
        return Ok((Some(scanner.value()?), None));
    }
    let mut signatures = None;
    scanner.object(|scanner, key| {
        match key {
            b"signatures" => signatures = scanner.optional(Scanner::value)?,
            _ => drop(scanner.value()?),
        }
        Ok(())
    })?;
    Ok((Some(scanner.since(start)?), signatures))
}

fn logs(scanner: &mut Scanner<'_>) -> Scanned<LogsBody> {
    let mut body = LogsBody::default();
    scanner.object(|scanner, key| {
        match key {
            b"signature" => body.signature = scanner.optional(Scanner::plain)?,
            b"err" => body.err = scanner.optional(Scanner::value)?,
            b"logs" => body.logs = scanner.optional(Scanner::value)?,
            _ => drop(scanner.value()?),
        }
        Ok(())
    })?;
    Ok(body)
}
