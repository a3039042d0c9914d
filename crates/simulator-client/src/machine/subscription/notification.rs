//! Notifications, kept as the text they came in and read when asked for.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;
use simulator_api::Cursor;
use thiserror::Error;

use super::account_state::{AccountState, AccountStateError};
use super::body::{AccountDiffBody, Body, LogsBody, TransactionBody};
use super::scan::{Scanned, Scanner, Span};
use super::signature::first_signature;
use super::text::Text;

/// An account was changed by a transaction.
///
/// It is read when it is first asked for something; the accounts that it shows are decoded each time they are asked
/// for. Should a server send one that cannot be read, everything in it is `None`, and [`check`](Self::check) says so.
#[derive(Clone, Debug)]
pub struct AccountDiffNotification(pub(super) Delivered<AccountDiffBody>);

/// A transaction was executed. It is shown as `getTransaction` shows it.
///
/// It is read when it is first asked for something. Should a server send one that cannot be read, everything in it is
/// `None`, and [`check`](Self::check) says so.
#[derive(Clone, Debug)]
pub struct TransactionNotification(pub(super) Delivered<TransactionBody>);

/// A transaction wrote logs.
#[derive(Clone, Debug)]
pub struct LogsNotification(pub(super) Delivered<LogsBody>);

/// Why a notification cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the notification cannot be read: {reason}")]
pub struct MalformedNotification {
    reason: &'static str,
}

/// What every notification has.
#[derive(Clone, Debug)]
pub(super) struct Delivered<B> {
    pub(super) text: Text,
    pub(super) target: Arc<str>,
    pub(super) slot: u64,
    pub(super) cursor: Option<Cursor>,
    pub(super) result: Span,
    pub(super) body: ReadLater<B>,
}

/// What is in a result, once it was read.
#[derive(Clone, Debug)]
pub(super) struct ReadLater<B>(OnceLock<Box<Scanned<B>>>);

impl AccountDiffNotification {
    /// The address that was subscribed to: the account, or the program that owns it.
    pub fn target(&self) -> &str {
        &self.0.target
    }

    /// The slot in which the account changed.
    pub fn slot(&self) -> u64 {
        self.0.slot
    }

    /// The account's address in base58, if the server says it.
    pub fn account(&self) -> Option<&str> {
        self.0.part(|body| body.account)
    }

    /// The signature of the transaction in base58; `None` if something else changed the account.
    pub fn signature(&self) -> Option<&str> {
        self.0.part(|body| body.signature)
    }

    /// The transaction's place in its block, from 0.
    pub fn tx_index(&self) -> Option<u32> {
        self.0.read().ok()?.tx_index
    }

    /// When the block was made, in seconds since the Unix epoch.
    pub fn block_time(&self) -> Option<i64> {
        self.0.read().ok()?.block_time
    }

    /// The account before, as JSON text; `None` if it did not exist, or the server does not show it.
    pub fn pre_json(&self) -> Option<&str> {
        self.0.part(|body| body.pre)
    }

    /// The account after, as JSON text; `None` if it no longer exists, or the server does not show it.
    pub fn post_json(&self) -> Option<&str> {
        self.0.part(|body| body.post)
    }

    /// The account before, decoded; `None` as in [`pre_json`](Self::pre_json).
    ///
    /// # Errors
    ///
    /// [`AccountStateError`] if it is not an account in a binary encoding, or the notification cannot be read.
    pub fn pre(&self) -> Result<Option<AccountState>, AccountStateError> {
        self.check()?;
        self.pre_json().map(AccountState::from_json).transpose()
    }

    /// The account after, decoded; `None` as in [`post_json`](Self::post_json).
    ///
    /// # Errors
    ///
    /// [`AccountStateError`] if it is not an account in a binary encoding, or the notification cannot be read.
    pub fn post(&self) -> Result<Option<AccountState>, AccountStateError> {
        self.check()?;
        self.post_json().map(AccountState::from_json).transpose()
    }

    /// Where the notification stands in its stream, if the server says it.
    pub fn cursor(&self) -> Option<Cursor> {
        self.0.cursor
    }

    /// Whether the notification can be read.
    ///
    /// # Errors
    ///
    /// [`MalformedNotification`] if it is not JSON, or its fields have values of other types.
    pub fn check(&self) -> Result<(), MalformedNotification> {
        self.0.check()
    }

    /// The whole message, as it came.
    pub fn raw(&self) -> &str {
        self.0.text.as_str()
    }

    /// Bytes that the notification holds.
    pub(crate) fn size(&self) -> usize {
        self.0.size()
    }
}

impl TransactionNotification {
    /// The address that was subscribed to and that the transaction mentions.
    pub fn target(&self) -> &str {
        &self.0.target
    }

    /// The slot in which the transaction was executed.
    pub fn slot(&self) -> u64 {
        self.0.slot
    }

    /// The transaction's first signature in base58, which names it. Found in transactions in JSON, base64 and base58;
    /// `None` if there is none in what the server sent.
    pub fn signature(&self) -> Option<Cow<'_, str>> {
        let transaction = self.0.part(|body| body.transaction)?;
        first_signature(transaction, self.0.part(|body| body.signatures))
    }

    /// The transaction's place in its block, from 0, if the server says it.
    pub fn transaction_index(&self) -> Option<u32> {
        self.0.read().ok()?.index
    }

    /// When the block was made, in seconds since the Unix epoch.
    pub fn block_time(&self) -> Option<i64> {
        self.0.read().ok()?.block_time
    }

    /// What `getTransaction` would answer, as JSON text.
    pub fn json(&self) -> &str {
        self.0.result.of(self.0.text.as_str())
    }

    /// What `getTransaction` would answer, as a type of the caller's choice. Solana's own is
    /// `EncodedConfirmedTransactionWithStatusMeta` of the crate `solana-transaction-status-client-types`.
    ///
    /// # Errors
    ///
    /// The decoder's error if the text is not such a value.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.json())
    }

    /// Where the notification stands in its stream, if the server says it.
    pub fn cursor(&self) -> Option<Cursor> {
        self.0.cursor
    }

    /// Whether the notification can be read.
    ///
    /// # Errors
    ///
    /// [`MalformedNotification`] if it is not JSON, or its fields have values of other types.
    pub fn check(&self) -> Result<(), MalformedNotification> {
        self.0.check()
    }

    /// The whole message, as it came.
    pub fn raw(&self) -> &str {
        self.0.text.as_str()
    }

    /// Bytes that the notification holds.
    pub(crate) fn size(&self) -> usize {
        self.0.size()
    }
}

impl LogsNotification {
    /// The address that was subscribed to and that the transaction mentions.
    pub fn target(&self) -> &str {
        &self.0.target
    }

    /// The slot in which the transaction was executed.
    pub fn slot(&self) -> u64 {
        self.0.slot
    }

    /// The transaction's first signature in base58, which names it.
    pub fn signature(&self) -> &str {
        self.0.part(|body| body.signature).unwrap_or_default()
    }

    /// Why the transaction failed, as JSON text; `None` if it succeeded.
    pub fn err_json(&self) -> Option<&str> {
        self.0.part(|body| body.err)
    }

    /// Whether the transaction succeeded.
    pub fn succeeded(&self) -> bool {
        self.err_json().is_none()
    }

    /// The lines of the log; none if the server sent none.
    ///
    /// # Errors
    ///
    /// The decoder's error if they are not a list of strings.
    pub fn logs(&self) -> Result<Vec<String>, serde_json::Error> {
        self.0
            .part(|body| body.logs)
            .map_or(Ok(Vec::new()), serde_json::from_str)
    }

    /// Where the notification stands in its stream, if the server says it.
    pub fn cursor(&self) -> Option<Cursor> {
        self.0.cursor
    }

    /// The whole message, as it came.
    pub fn raw(&self) -> &str {
        self.0.text.as_str()
    }

    /// Bytes that the notification holds.
    pub(crate) fn size(&self) -> usize {
        self.0.size()
    }
}

impl<B: Body> Delivered<B> {
    fn read(&self) -> Result<&B, MalformedNotification> {
        let read = || Box::new(B::scan(&mut Scanner::within(self.text.as_str(), self.result)));
        let body: &Scanned<B> = self.body.0.get_or_init(read);
        body.as_ref()
            .map_err(|unreadable| MalformedNotification { reason: unreadable.0 })
    }

    pub(super) fn check(&self) -> Result<(), MalformedNotification> {
        self.read().map(drop)
    }

    fn part(&self, span: impl FnOnce(&B) -> Option<Span>) -> Option<&str> {
        span(self.read().ok()?).map(|span| span.of(self.text.as_str()))
    }

    pub(super) fn size(&self) -> usize {
        self.text.len() + size_of::<Self>()
    }
}

impl<B> ReadLater<B> {
    /// A body that was not read yet.
    pub(super) fn unread() -> Self {
        Self(OnceLock::new())
    }

    /// One that was.
    pub(super) fn read(body: B) -> Self {
        Self(Box::new(Ok(body)).into())
    }
}
