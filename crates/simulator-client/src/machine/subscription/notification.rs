//! Notifications, kept as the text they came in and read when asked for.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use simulator_api::Cursor;

use super::account_state::{AccountState, AccountStateError};
use super::body::{AccountDiffBody, LogsBody, TransactionBody};
use super::scan::Span;
use super::signature::first_signature;
use crate::transport::SharedText;

/// An account was changed by a transaction.
///
/// A server shows the account before and after; neither is decoded before it is asked for.
#[derive(Clone, Debug)]
pub struct AccountDiffNotification {
    delivered: Delivered,
    body: AccountDiffBody,
}

/// A transaction was executed. It is shown as `getTransaction` shows it.
#[derive(Clone, Debug)]
pub struct TransactionNotification {
    delivered: Delivered,
    body: TransactionBody,
}

/// A transaction wrote logs.
#[derive(Clone, Debug)]
pub struct LogsNotification {
    delivered: Delivered,
    body: LogsBody,
}

/// What every notification has.
#[derive(Clone, Debug)]
pub(super) struct Delivered {
    pub(super) text: SharedText,
    pub(super) target: Arc<str>,
    pub(super) slot: u64,
    pub(super) cursor: Option<Cursor>,
}

impl AccountDiffNotification {
    pub(super) fn new(delivered: Delivered, body: AccountDiffBody) -> Self {
        Self { delivered, body }
    }

    /// The address that was subscribed to: the account, or the program that owns it.
    pub fn target(&self) -> &str {
        &self.delivered.target
    }

    /// The slot in which the account changed.
    pub fn slot(&self) -> u64 {
        self.delivered.slot
    }

    /// The account's address in base58, if the server says it.
    pub fn account(&self) -> Option<&str> {
        self.delivered.part(self.body.account)
    }

    /// The signature of the transaction in base58; `None` if something else changed the account.
    pub fn signature(&self) -> Option<&str> {
        self.delivered.part(self.body.signature)
    }

    /// The transaction's place in its block, from 0.
    pub fn tx_index(&self) -> Option<u32> {
        self.body.tx_index
    }

    /// When the block was made, in seconds since the Unix epoch.
    pub fn block_time(&self) -> Option<i64> {
        self.body.block_time
    }

    /// The account before, as JSON text; `None` if it did not exist, or the server does not show it.
    pub fn pre_json(&self) -> Option<&str> {
        self.delivered.part(self.body.pre)
    }

    /// The account after, as JSON text; `None` if it no longer exists, or the server does not show it.
    pub fn post_json(&self) -> Option<&str> {
        self.delivered.part(self.body.post)
    }

    /// The account before, decoded.
    ///
    /// # Errors
    ///
    /// [`AccountStateError`] if it is not an account in a binary encoding.
    pub fn pre(&self) -> Result<Option<AccountState>, AccountStateError> {
        self.pre_json().map(AccountState::from_json).transpose()
    }

    /// The account after, decoded.
    ///
    /// # Errors
    ///
    /// [`AccountStateError`] if it is not an account in a binary encoding.
    pub fn post(&self) -> Result<Option<AccountState>, AccountStateError> {
        self.post_json().map(AccountState::from_json).transpose()
    }

    /// Where the notification stands in its stream, if the server says it.
    pub fn cursor(&self) -> Option<Cursor> {
        self.delivered.cursor
    }

    /// The whole message, as it came.
    pub fn raw(&self) -> &str {
        &self.delivered.text
    }

    /// Bytes that the notification holds.
    pub(crate) fn size(&self) -> usize {
        self.delivered.text.len() + size_of::<Self>()
    }
}

impl TransactionNotification {
    pub(super) fn new(delivered: Delivered, body: TransactionBody) -> Self {
        Self { delivered, body }
    }

    /// The address that was subscribed to and that the transaction mentions.
    pub fn target(&self) -> &str {
        &self.delivered.target
    }

    /// The slot in which the transaction was executed.
    pub fn slot(&self) -> u64 {
        self.delivered.slot
    }

    /// The transaction's first signature in base58, which names it. Found in transactions in JSON, base64 and base58;
    /// `None` if there is none in what the server sent.
    pub fn signature(&self) -> Option<Cow<'_, str>> {
        let transaction = self.delivered.part(self.body.transaction)?;
        first_signature(transaction, self.delivered.part(self.body.signatures))
    }

    /// The transaction's place in its block, from 0, if the server says it.
    pub fn transaction_index(&self) -> Option<u32> {
        self.body.index
    }

    /// When the block was made, in seconds since the Unix epoch.
    pub fn block_time(&self) -> Option<i64> {
        self.body.block_time
    }

    /// What `getTransaction` would answer, as JSON text.
    pub fn json(&self) -> &str {
        self.delivered.part(self.body.whole).unwrap_or_default()
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
        self.delivered.cursor
    }

    /// The whole message, as it came.
    pub fn raw(&self) -> &str {
        &self.delivered.text
    }

    /// Bytes that the notification holds.
    pub(crate) fn size(&self) -> usize {
        self.delivered.text.len() + size_of::<Self>()
    }
}

impl LogsNotification {
    pub(super) fn new(delivered: Delivered, body: LogsBody) -> Self {
        Self { delivered, body }
    }

    /// The address that was subscribed to and that the transaction mentions.
    pub fn target(&self) -> &str {
        &self.delivered.target
    }

    /// The slot in which the transaction was executed.
    pub fn slot(&self) -> u64 {
        self.delivered.slot
    }

    /// The transaction's first signature in base58, which names it.
    pub fn signature(&self) -> &str {
        self.delivered.part(self.body.signature).unwrap_or_default()
    }

    /// Why the transaction failed, as JSON text; `None` if it succeeded.
    pub fn err_json(&self) -> Option<&str> {
        self.delivered.part(self.body.err)
    }

    /// Whether the transaction succeeded.
    pub fn succeeded(&self) -> bool {
        self.body.err.is_none()
    }

    /// The lines of the log; none if the server sent none.
    ///
    /// # Errors
    ///
    /// The decoder's error if they are not a list of strings.
    pub fn logs(&self) -> Result<Vec<String>, serde_json::Error> {
        self.delivered
            .part(self.body.logs)
            .map_or(Ok(Vec::new()), serde_json::from_str)
    }

    /// Where the notification stands in its stream, if the server says it.
    pub fn cursor(&self) -> Option<Cursor> {
        self.delivered.cursor
    }

    /// The whole message, as it came.
    pub fn raw(&self) -> &str {
        &self.delivered.text
    }

    /// Bytes that the notification holds.
    pub(crate) fn size(&self) -> usize {
        self.delivered.text.len() + size_of::<Self>()
    }
}

impl Delivered {
    fn part(&self, span: Option<Span>) -> Option<&str> {
        span.map(|span| span.of(&self.text))
    }
}
