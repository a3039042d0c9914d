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

    /// The transactions of a block that a filter looks for, in order: the index of the transaction and that of the
    /// filter, once for each of them.
    pub(crate) fn matches(&self, block: &DecodedBlock) -> Vec<(usize, usize)> {
        let transactions = block.transactions().iter().zip(&block.block().transactions);
        let wanted = |(index, (transaction, recorded))| {
            let filters = self.wanted_by(transaction, recorded);
            filters.into_iter().map(move |filter| (index, filter))
        };
        transactions.enumerate().flat_map(wanted).collect()
    }

    /// Marks the filters that look for a transaction; whether there is one.
    fn mark_matches(
        &self,
        transaction: &VersionedTransaction,
        recorded: &RecordedTransaction,
        matched: &mut [bool],
    ) -> bool {
        let wanted_by = self.wanted_by(transaction, recorded);
        for filter in &wanted_by {
            matched[*filter] = true;
        }
        !wanted_by.is_empty()
    }

    /// The filters that look for a transaction.
    fn wanted_by(&self, transaction: &VersionedTransaction, recorded: &RecordedTransaction) -> Vec<usize> {
        if self.leaves_out(transaction) {
            return Vec::new();
        }
        let facts = Facts::of(transaction, recorded);
        let filters = self.filters.iter().enumerate();
        filters
            .filter(|(_, filter)| filter.matches(&facts.context()))
            .map(|(index, _)| index)
            .collect()
    }

    fn leaves_out(&self, transaction: &VersionedTransaction) -> bool {
        let message = &transaction.message;
        let signers = usize::from(message.header().num_required_signatures);
        let mut keys = message.static_account_keys().iter().take(signers);
        keys.any(|key| self.ignored_signers.contains(key))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use simulator_archive::model::Block;
    use solana_hash::Hash;
    use solana_message::compiled_instruction::CompiledInstruction;
    use solana_message::{Message, MessageHeader, VersionedMessage};
    use solana_signature::Signature;

    use super::*;

    pub(crate) fn key(number: u8) -> Pubkey {
        Pubkey::new_from_array([number; 32])
    }

    fn call(payer: u8, program: u8) -> RecordedTransaction {
        let message = Message {
            header: MessageHeader {
                num_required_signatures: 1,
                num_readonly_signed_accounts: 0,
                num_readonly_unsigned_accounts: 1,
            },
            account_keys: vec![key(payer), key(program)],
            instructions: vec![CompiledInstruction {
                program_id_index: 1,
                accounts: vec![],
                data: vec![],
            }],
            recent_blockhash: Hash::default(),
        };
        let transaction = VersionedTransaction {
            signatures: vec![Signature::default()],
            message: VersionedMessage::Legacy(message),
        };
        RecordedTransaction {
            wire: wincode::serialize(&transaction).unwrap().into(),
            outcome: None,
        }
    }

    /// A block of calls of a program by a payer.
    pub(crate) fn block_of_calls(slot: u64, calls: &[(u8, u8)]) -> DecodedBlock {
        let calls = calls.iter().map(|(payer, program)| call(*payer, *program));
        block(slot, calls.collect())
    }

    fn block(slot: u64, transactions: Vec<RecordedTransaction>) -> DecodedBlock {
        let block = Block {
            slot,
            parent_slot: slot - 1,
            blockhash: Hash::default(),
            previous_blockhash: Hash::default(),
            block_height: None,
            block_time: None,
            bank_hash: None,
            rewards: Vec::new(),
            num_reward_partitions: None,
            transactions,
        };
        DecodedBlock::decode(block).unwrap()
    }

    #[test]
    fn gathers_the_matches_of_each_batch() {
        let filters = [100, 101, 102].map(|program| DiscoveryFilter::ProgramExecuted(key(program)));
        let ignored = BTreeSet::from([key(3)]);
        let filters = Filters::new(filters.to_vec(), ignored);
        // Payer 1 comes again and starts another batch, and after it a third.
        let calls = [(1, 102), (2, 50), (3, 101), (4, 100), (1, 50), (1, 100)];
        let block = block_of_calls(7, &calls);
        assert_eq!(block.batches(), [0..4, 4..5, 5..6]);
        let found = filters.scan(&block);
        let numbers: Vec<_> = found.iter().map(|found| (found.slot, found.batch_index)).collect();
        assert_eq!(numbers, [(7, 0), (7, 2)]);
        let program = |number| DiscoveryFilter::ProgramExecuted(key(number));
        assert_eq!(
            found[0].matched,
            [program(100), program(102)],
            "in the order of the create"
        );
        assert_eq!(found[0].transaction_indices, [0, 3], "without the one that is left out");
        assert_eq!(found[0].transactions.len(), 2);
        assert_eq!(
            (found[1].matched.as_slice(), found[1].transaction_indices.as_slice()),
            ([program(100)].as_slice(), [5].as_slice())
        );
    }
}
