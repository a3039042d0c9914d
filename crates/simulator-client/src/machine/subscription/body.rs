//! What the kinds of notifications have in their `result`, found and not decoded.

use std::ops::ControlFlow;

use super::SubscriptionKind;
use super::action::ActionBody;
use super::notification::{AccountDiffNotification, Delivered, LogsNotification, TransactionNotification};
use super::resume::{Identify, Identities};
use super::scan::{Scanned, Scanner, Span, Unreadable};
use crate::managed::SubscriptionNotification;

/// What one kind of notification has in its `result`.
pub(super) trait Body: Default {
    /// The method of its notifications.
    const METHOD: &'static str;
    /// Whether a notification may be delivered before all of it is read.
    const READ_LATER: bool;

    /// Reads the value of a field.
    fn field(&mut self, scanner: &mut Scanner<'_>, key: &[u8]) -> Scanned<()>;

    /// The slot, if nothing is missing.
    fn slot(&self) -> Scanned<u64>;

    /// Whether everything that identifies it has been read.
    fn is_identified(&self) -> bool;

    /// Writes what tells a notification from all others of its slot.
    fn identify(&self, text: &str, identities: &mut Identities);

    /// The slot of a notification whose result is not read yet; `None` if it has to be read for that.
    #[inline]
    fn find_slot(text: &str, result: Span) -> Option<u64> {
        Self::scan_identity(&mut Scanner::within(text, result))
            .ok()?
            .slot()
            .ok()
    }

    /// A part of a result that begins with it and is enough to identify it, if that is quick to tell; else all of it.
    #[inline]
    fn identifying_part(result: &str) -> &str {
        result
    }

    /// The event that tells the caller.
    fn deliver(delivered: Delivered<Self>) -> SubscriptionNotification;

    /// Reads all of it.
    #[inline]
    fn scan(scanner: &mut Scanner<'_>) -> Scanned<Self> {
        let mut body = Self::default();
        scanner.object(|scanner, key| body.field(scanner, key))?;
        Ok(body)
    }

    /// Reads no more than what identifies it.
    #[inline]
    fn scan_identity(scanner: &mut Scanner<'_>) -> Scanned<Self> {
        let mut body = Self::default();
        scanner.object_until(|scanner, key| {
            body.field(scanner, key)?;
            Ok(if body.is_identified() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(body)
    }
}

impl SubscriptionKind {
    /// What identifies its notifications.
    pub(super) fn identify(self) -> Identify {
        match self {
            Self::Transactions => identify::<TransactionBody>,
            Self::ProgramAccountDiffs | Self::AccountDiffs => identify::<AccountDiffBody>,
            Self::Logs => identify::<LogsBody>,
            Self::Actions => identify::<ActionBody>,
        }
    }
}

/// Writes what identifies a notification with this result: all of it if it cannot be read.
pub(super) fn identify<B: Body>(result: &str, identities: &mut Identities) {
    match Scanner::new(result).and_then(|mut scanner| B::scan_identity(&mut scanner)) {
        Ok(body) => body.identify(result, identities),
        Err(_) => identities.part(Some(result)),
    }
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

/// How servers begin the result of an account diff.
const CONTEXT: &str = r#"{"context":{"slot":"#;
pub(super) const NO_SLOT: Unreadable = Unreadable("the slot is missing");

impl Body for AccountDiffBody {
    const METHOD: &'static str = "accountDiffNotification";
    const READ_LATER: bool = true;

    #[inline]
    fn field(&mut self, scanner: &mut Scanner<'_>, key: &[u8]) -> Scanned<()> {
        match key {
            b"context" => self.slot = context_slot(scanner)?,
            b"account" => self.account = scanner.optional(Scanner::plain)?,
            b"signature" => self.signature = scanner.optional(Scanner::plain)?,
            b"tx_index" => self.tx_index = scanner.optional(Scanner::index)?,
            b"block_time" => self.block_time = scanner.optional(Scanner::signed)?,
            b"pre" => self.pre = scanner.optional(Scanner::value)?,
            b"post" => self.post = scanner.optional(Scanner::value)?,
            _ => drop(scanner.value()?),
        }
        Ok(())
    }

    #[inline]
    fn slot(&self) -> Scanned<u64> {
        self.slot.ok_or(NO_SLOT)
    }

    #[inline]
    fn is_identified(&self) -> bool {
        self.slot.is_some() && self.account.is_some() && self.signature.is_some() && self.tx_index.is_some()
    }

    #[inline]
    fn identify(&self, text: &str, identities: &mut Identities) {
        identities.part(self.signature.map(|span| span.of(text)));
        identities.part(self.account.map(|span| span.of(text)));
        identities.number(self.tx_index);
    }

    /// Servers begin with it.
    #[inline]
    fn find_slot(text: &str, result: Span) -> Option<u64> {
        let mut scanner = Scanner::within(text, result);
        if scanner.skip(CONTEXT) {
            return scanner.unsigned().ok();
        }
        Self::scan_identity(&mut scanner).ok()?.slot
    }

    #[inline]
    fn identifying_part(result: &str) -> &str {
        account_diff_head(result).unwrap_or(result)
    }

    #[inline]
    fn deliver(delivered: Delivered<Self>) -> SubscriptionNotification {
        SubscriptionNotification::AccountDiff(AccountDiffNotification(delivered))
    }
}

impl Body for TransactionBody {
    const METHOD: &'static str = "transactionNotification";
    const READ_LATER: bool = true;

    fn field(&mut self, scanner: &mut Scanner<'_>, key: &[u8]) -> Scanned<()> {
        match key {
            b"slot" => self.slot = scanner.optional(Scanner::unsigned)?,
            b"transaction" => {
                (self.transaction, self.signatures) = scanner.optional(transaction)?.unwrap_or_default();
            }
            b"transactionIndex" => self.index = scanner.optional(Scanner::index)?,
            b"blockTime" => self.block_time = scanner.optional(Scanner::signed)?,
            _ => drop(scanner.value()?),
        }
        Ok(())
    }

    fn slot(&self) -> Scanned<u64> {
        if self.transaction.is_none() {
            return Err(Unreadable("the transaction is missing"));
        }
        self.slot.ok_or(NO_SLOT)
    }

    fn is_identified(&self) -> bool {
        self.slot.is_some() && self.transaction.is_some()
    }

    /// By its signatures, which a transaction in a binary encoding has in it. Its place in the block adds nothing: a
    /// transaction is executed once in a slot.
    fn identify(&self, text: &str, identities: &mut Identities) {
        identities.part(self.signatures.or(self.transaction).map(|span| span.of(text)));
    }

    fn deliver(delivered: Delivered<Self>) -> SubscriptionNotification {
        SubscriptionNotification::Transaction(TransactionNotification(delivered))
    }
}

impl Body for LogsBody {
    const METHOD: &'static str = "logsNotification";
    const READ_LATER: bool = false;

    fn field(&mut self, scanner: &mut Scanner<'_>, key: &[u8]) -> Scanned<()> {
        match key {
            b"context" => self.slot = context_slot(scanner)?,
            b"value" => {
                let slot = self.slot;
                *self = logs(scanner)?;
                self.slot = slot;
            }
            _ => drop(scanner.value()?),
        }
        Ok(())
    }

    fn slot(&self) -> Scanned<u64> {
        if self.signature.is_none() {
            return Err(Unreadable("the signature is missing"));
        }
        self.slot.ok_or(NO_SLOT)
    }

    fn is_identified(&self) -> bool {
        self.slot.is_some() && self.signature.is_some()
    }

    /// By its signature: a transaction is executed once in a slot.
    fn identify(&self, text: &str, identities: &mut Identities) {
        identities.part(self.signature.map(|span| span.of(text)));
    }

    fn deliver(delivered: Delivered<Self>) -> SubscriptionNotification {
        SubscriptionNotification::Logs(LogsNotification(delivered))
    }
}

/// The beginning of an account diff, up to the transaction's index, in the order in which servers write it. Whoever
/// reads it later checks what it says.
#[inline]
fn account_diff_head(result: &str) -> Option<&str> {
    let rest = digits_end(result.strip_prefix(CONTEXT)?);
    let rest = base58_end::<44>(rest.strip_prefix(r#"},"account":""#)?)?;
    let rest = base58_end::<88>(rest.strip_prefix(r#"","signature":""#)?)?;
    let rest = digits_end(rest.strip_prefix(r#"","tx_index":"#)?);
    result.get(..result.len() - rest.len())
}

#[inline]
fn digits_end(text: &str) -> &str {
    text.trim_start_matches(|character: char| character.is_ascii_digit())
}

/// What follows a string in base58 of the greatest length `MAX` or one less, as nearly all of them are.
#[inline]
fn base58_end<const MAX: usize>(text: &str) -> Option<&str> {
    let length = [MAX, MAX - 1]
        .into_iter()
        .find(|length| text.as_bytes().get(*length) == Some(&b'"'))?;
    text.get(length..)
}

#[inline]
pub(super) fn context_slot(scanner: &mut Scanner<'_>) -> Scanned<Option<u64>> {
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
