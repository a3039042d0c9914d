//! The recent transactions of a session, with what they did in it.

use std::collections::{BTreeMap, VecDeque};
use std::mem::size_of;
use std::sync::Arc;

use simulator_archive::model::{Outcome, Slot};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;

use crate::command_log::transaction_size;

/// A transaction that was executed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PastTransaction {
    pub(crate) slot: Slot,
    /// Index in the block; `None` for one that the user added.
    pub(crate) index: Option<u32>,
    /// The block's time in seconds.
    pub(crate) block_time: Option<i64>,
    pub(crate) transaction: VersionedTransaction,
    /// What it did, as computed.
    pub(crate) outcome: Outcome,
}

/// The latest transactions, as many as fit into a number of bytes.
#[derive(Debug)]
pub(crate) struct History {
    by_signature: BTreeMap<Signature, Arc<PastTransaction>>,
    oldest_first: VecDeque<(Signature, Arc<PastTransaction>)>,
    bytes: usize,
    max_bytes: usize,
}

impl History {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            by_signature: BTreeMap::new(),
            oldest_first: VecDeque::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// Remembers a transaction, and forgets the oldest that do not fit any more. A signature that comes again stands
    /// for the later transaction.
    pub(crate) fn add(&mut self, past: Arc<PastTransaction>) {
        let Some(signature) = past.transaction.signatures.first().copied() else {
            return;
        };
        self.bytes += past.size();
        self.by_signature.insert(signature, Arc::clone(&past));
        self.oldest_first.push_back((signature, past));
        while self.bytes > self.max_bytes && self.forget_oldest() {}
    }

    /// The transaction with this signature, if it is recent enough.
    pub(crate) fn get(&self, signature: &Signature) -> Option<Arc<PastTransaction>> {
        self.by_signature.get(signature).cloned()
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((signature, past)) = self.oldest_first.pop_front() else {
            return false;
        };
        self.bytes -= past.size();
        if self
            .by_signature
            .get(&signature)
            .is_some_and(|latest| Arc::ptr_eq(latest, &past))
        {
            self.by_signature.remove(&signature);
        }
        true
    }
}

impl PastTransaction {
    /// Its account keys: static ones, then the loaded writable and read-only ones.
    pub(crate) fn account_keys(&self) -> impl Iterator<Item = &Pubkey> {
        let loaded = self.outcome.loaded_addresses.iter();
        let loaded = loaded.flat_map(|loaded| loaded.writable.iter().chain(&loaded.readonly));
        self.transaction.message.static_account_keys().iter().chain(loaded)
    }

    /// About how much memory it takes.
    pub(crate) fn size(&self) -> usize {
        let outcome = &self.outcome;
        let balances = size_of_val(outcome.pre_balances.as_slice()) + size_of_val(outcome.post_balances.as_slice());
        let token_balances = [&outcome.pre_token_balances, &outcome.post_token_balances];
        let token_balances: usize = token_balances
            .into_iter()
            .flatten()
            .map(|balances| size_of_val(balances.as_slice()))
            .sum();
        let logs: usize = outcome
            .logs
            .iter()
            .flatten()
            .map(|line| size_of::<String>() + line.len())
            .sum();
        let inner = outcome
            .inner_instructions
            .iter()
            .flatten()
            .flat_map(|inner| &inner.instructions);
        let inner: usize = inner
            .map(|inner| size_of_val(inner) + inner.accounts.len() + inner.data.len())
            .sum();
        size_of::<Self>() + transaction_size(&self.transaction) + balances + token_balances + logs + inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(name: u8, slot: Slot) -> PastTransaction {
        let transaction = VersionedTransaction {
            signatures: vec![Signature::from([name; 64])],
            ..Default::default()
        };
        PastTransaction {
            slot,
            index: Some(0),
            block_time: None,
            transaction,
            outcome: outcome(),
        }
    }

    fn outcome() -> Outcome {
        Outcome {
            status: Ok(()),
            fee: 0,
            pre_balances: Vec::new(),
            post_balances: Vec::new(),
            pre_token_balances: None,
            post_token_balances: None,
            logs: Some(vec!["x".repeat(1000)]),
            inner_instructions: None,
            return_data: None,
            compute_units: None,
            loaded_addresses: None,
            cost_units: None,
        }
    }

    #[test]
    fn forgets_the_oldest_and_finds_the_latest_of_a_name() {
        let mut history = History::new(past(0, 0).size() * 3);
        [(1, 10), (2, 11), (1, 12)]
            .into_iter()
            .for_each(|(name, slot)| history.add(Arc::new(past(name, slot))));
        assert_eq!(history.get(&Signature::from([1; 64])).unwrap().slot, 12);
        history.add(Arc::new(past(3, 13)));
        assert_eq!(
            history.get(&Signature::from([1; 64])).unwrap().slot,
            12,
            "only its first use is forgotten"
        );
        history.add(Arc::new(past(4, 14)));
        assert!(history.get(&Signature::from([2; 64])).is_none());
        assert_eq!((history.oldest_first.len(), history.by_signature.len()), (3, 3));
    }
}
