//! The filters of a session, applied to a block.

use std::collections::BTreeSet;

use simulator_api::{DiscoveryBatchEvent, DiscoveryFilter};
use simulator_archive::model::RecordedTransaction;
use simulator_engine::{BatchRange, DecodedBlock};
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;

use super::facts::Facts;
use crate::convert;

/// The filters of a session.
#[derive(Clone, Debug)]
pub(crate) struct Filters {
    filters: Vec<DiscoveryFilter>,
    ignored_signers: BTreeSet<Pubkey>,
}

impl Filters {
    /// Filters for a session that leaves out the transactions of these signers: nobody can look for them.
    pub(crate) fn new(filters: Vec<DiscoveryFilter>, ignored_signers: BTreeSet<Pubkey>) -> Self {
        Self {
            filters,
            ignored_signers,
        }
    }

    /// The batches of a block that hold a transaction which a filter looks for, in order.
    pub(crate) fn scan(&self, block: &DecodedBlock) -> Vec<DiscoveryBatchEvent> {
        let batches = (0..).zip(block.batches());
        batches
            .filter_map(|(number, batch)| self.scan_batch(block, number, batch.clone()))
            .collect()
    }

    fn scan_batch(&self, block: &DecodedBlock, number: u32, batch: BatchRange) -> Option<DiscoveryBatchEvent> {
        let mut matched = vec![false; self.filters.len()];
        let mut found = Vec::new();
        for index in batch {
            let (transaction, recorded) = (&block.transactions()[index], &block.block().transactions[index]);
            if self.mark_matches(transaction, recorded, &mut matched) {
                found.push((u32::try_from(index).unwrap_or(u32::MAX), recorded));
            }
        }
        if found.is_empty() {
            return None;
        }
        let matched = self.filters.iter().zip(matched).filter(|(_, matched)| *matched);
        Some(DiscoveryBatchEvent {
            slot: block.block().slot,
            batch_index: number,
            matched: matched.map(|(filter, _)| filter.clone()).collect(),
            transactions: found
                .iter()
                .map(|(_, recorded)| convert::transaction_record(recorded))
                .collect(),
            transaction_indices: found.iter().map(|(index, _)| *index).collect(),
        })
    }

    /// Marks the filters that look for a transaction; whether there is one.
    fn mark_matches(
        &self,
        transaction: &VersionedTransaction,
        recorded: &RecordedTransaction,
        matched: &mut [bool],
    ) -> bool {
        if self.leaves_out(transaction) {
            return false;
        }
        let facts = Facts::of(transaction, recorded);
        let mut is_wanted = false;
        for (filter, matched) in self.filters.iter().zip(matched) {
            let matches = filter.matches(&facts.context());
            *matched |= matches;
            is_wanted |= matches;
        }
        is_wanted
    }

    fn leaves_out(&self, transaction: &VersionedTransaction) -> bool {
        let message = &transaction.message;
        let signers = usize::from(message.header().num_required_signatures);
        let mut keys = message.static_account_keys().iter().take(signers);
        keys.any(|key| self.ignored_signers.contains(key))
    }
}
