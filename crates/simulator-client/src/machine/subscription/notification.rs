//! Notifications, kept as the text they came in and read when asked for.

use crate::transport::SharedText;

/// A transaction was executed.
#[derive(Clone, Debug)]
pub struct TransactionNotification {
    text: SharedText,
}

/// An account was changed by a transaction.
#[derive(Clone, Debug)]
pub struct AccountDiffNotification {
    text: SharedText,
}

/// A transaction wrote logs.
#[derive(Clone, Debug)]
pub struct LogsNotification {
    text: SharedText,
}

impl AccountDiffNotification {
    /// Bytes that the notification holds.
    pub(crate) fn size(&self) -> usize {
        self.text.len()
    }
}

impl TransactionNotification {
    /// Bytes that the notification holds.
    pub(crate) fn size(&self) -> usize {
        self.text.len()
    }
}

impl LogsNotification {
    /// Bytes that the notification holds.
    pub(crate) fn size(&self) -> usize {
        self.text.len()
    }
}
