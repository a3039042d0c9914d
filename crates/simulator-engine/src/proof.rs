//! Proof, slot by slot, that every account is right: the computed bank hash against the one that validators voted for.

use std::collections::BTreeMap;

use simulator_archive::{LatticeHash, Scope};
use solana_hash::Hash;

use crate::accounts::{AccountStore, SlotChanges};
use crate::bank_hash::{SlotIdentity, bank_hash, in_lattice};
use crate::report::{BankHashDifference, BankHashes, ProofUnavailable};

/// Votes are only accepted for slots in SlotHashes, so that an older slot can no longer be named.
const MAX_UNCONFIRMED: usize = 512;

/// Computes the bank hash of each slot and compares it with what later votes name.
#[derive(Debug)]
pub(crate) struct Proof {
    state: State,
    /// The bank hash of the last closed slot, where it could be computed.
    last: Option<Hash>,
    unconfirmed: BTreeMap<u64, Hash>,
    results: BankHashes,
}

#[derive(Debug)]
enum State {
    Running(LatticeHash),
    Unavailable,
}

impl Proof {
    pub(crate) fn new(accounts: &AccountStore) -> Self {
        let mut results = BankHashes::default();
        let state = match accounts.scope() {
            Scope::All => State::Running(accounts.lattice()),
            Scope::Listed => {
                results.unavailable = Some(ProofUnavailable::AccountsIncomplete);
                State::Unavailable
            }
        };
        Self {
            state,
            last: None,
            unconfirmed: BTreeMap::new(),
            results,
        }
    }

    /// Takes over what was found before the session.
    pub(crate) fn remember(
        &mut self,
        last: Option<Hash>,
        first_difference: Option<BankHashDifference>,
        unavailable: Option<ProofUnavailable>,
    ) {
        if matches!(self.state, State::Running(_)) {
            self.last = last;
        }
        self.results.first_difference = first_difference;
        self.results.unavailable = self.results.unavailable.or(unavailable);
    }

    /// The computed bank hash of the last closed slot.
    pub(crate) fn last(&self) -> Option<Hash> {
        self.last
    }

    /// Ends the proof: from here on the state is not the chain's any more.
    pub(crate) fn session_changed(&mut self) {
        if matches!(self.state, State::Running(_)) {
            self.state = State::Unavailable;
            self.last = None;
            self.results.unavailable = Some(ProofUnavailable::SessionChanged);
        }
    }

    /// Compares computed hashes with those that a block's votes, or the archive, name.
    pub(crate) fn confirm(&mut self, named: &BTreeMap<u64, Hash>) {
        for (slot, recorded) in named {
            let Some(computed) = self.unconfirmed.remove(slot) else {
                continue;
            };
            if computed == *recorded {
                self.results.agreed += 1;
                continue;
            }
            self.results.differed += 1;
            let difference = BankHashDifference {
                slot: *slot,
                recorded: *recorded,
                computed,
            };
            self.results.first_difference.get_or_insert(difference);
        }
    }

    /// Takes in what a slot changed and computes its bank hash.
    pub(crate) fn close_slot(
        &mut self,
        slot: u64,
        identity: Result<SlotIdentity, ProofUnavailable>,
        changes: &SlotChanges,
        accounts: &AccountStore,
    ) -> Option<Hash> {
        let State::Running(lattice) = &mut self.state else {
            return None;
        };
        for (address, before) in changes {
            let after = accounts.get(address);
            if before.as_ref() == after {
                continue;
            }
            if let Some(before) = before {
                lattice.subtract(address, in_lattice(before));
            }
            if let Some(after) = after {
                lattice.add(address, in_lattice(after));
            }
        }
        self.last = match identity {
            Ok(identity) => Some(bank_hash(&identity, lattice)),
            Err(reason) => {
                self.results.unavailable = Some(reason);
                None
            }
        };
        if let Some(hash) = self.last {
            self.await_confirmation(slot, hash);
        }
        self.last
    }

    fn await_confirmation(&mut self, slot: u64, hash: Hash) {
        self.unconfirmed.insert(slot, hash);
        if self.unconfirmed.len() > MAX_UNCONFIRMED {
            self.unconfirmed.pop_first();
            self.results.unrecorded += 1;
        }
    }

    pub(crate) fn results(&self) -> BankHashes {
        let mut results = self.results.clone();
        results.unrecorded += self.unconfirmed.len() as u64;
        results
    }

    /// Forgets the counts of the slots before the session, and which of them await confirmation. What was found wrong
    /// stays known: the session starts from it.
    pub(crate) fn begin_session(&mut self) {
        let BankHashes {
            unavailable,
            first_difference,
            ..
        } = self.results;
        self.results = BankHashes {
            unavailable,
            first_difference,
            ..BankHashes::default()
        };
        self.unconfirmed.clear();
    }
}
