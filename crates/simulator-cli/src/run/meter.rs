//! How far a run is, for the progress bar.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::progress::Progress;

/// Counts slots and transactions of all sessions.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    progress: Progress,
    transactions: Arc<AtomicU64>,
}

impl Meter {
    pub(super) fn new(progress: Progress) -> Self {
        Self {
            progress,
            transactions: Arc::default(),
        }
    }

    /// One more slot, with so many transactions.
    pub(super) fn slot(&self, transactions: u64) {
        let transactions = self.transactions.fetch_add(transactions, Ordering::Relaxed) + transactions;
        self.progress.advance(1);
        self.progress.set_transactions(transactions);
    }
}
