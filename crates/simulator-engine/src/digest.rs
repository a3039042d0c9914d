//! Digests over what a replay computed. The same archive, options and engine give the same ones on every machine.
//!
//! * The result digest covers, in order, every block's slot, every transaction's signature and outcome, and at the end
//!   every account that the session changed, sorted by address.
//! * The digest of a slot covers the same up to there: every slot's number and outcomes, and the accounts that each slot
//!   changed. From the first slot on that differs, all digests of slots differ.
//! * The digest of the state covers every account that is there, sorted by address.
//!
//! Integers are little-endian, lists and optional values carry their length in front.

use std::fmt;

use simulator_archive::model::{InnerInstructions, Outcome, TokenBalance};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction_error::TransactionError;

use crate::report::{Execution, Skip};

/// Name the encodings; a change of an encoding changes the name.
const RESULT_DOMAIN: &[u8] = b"simulator result digest 1";
const SLOT_DOMAIN: &[u8] = b"simulator slot digest 1";
const STATE_DOMAIN: &[u8] = b"simulator state digest 1";

/// A BLAKE3 hash over the ordered outcomes and final state changes of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultDigest(pub [u8; 32]);

impl fmt::Display for ResultDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Every account that a session knows at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateDigest {
    /// How many accounts there are.
    pub accounts: u64,
    /// A BLAKE3 hash over them, sorted by address.
    pub digest: ResultDigest,
}

/// Takes in a replay as it goes.
#[derive(Clone, Debug)]
pub(crate) struct ResultHasher {
    outcomes: Encoder,
    /// What each slot changed.
    changes: Encoder,
}

/// Takes in accounts one by one.
#[derive(Clone, Debug)]
pub(crate) struct StateHasher {
    encoder: Encoder,
    accounts: u64,
}

impl Default for ResultHasher {
    fn default() -> Self {
        Self {
            outcomes: Encoder::new(RESULT_DOMAIN),
            changes: Encoder::new(SLOT_DOMAIN),
        }
    }
}

impl ResultHasher {
    pub(crate) fn begin_slot(&mut self, slot: u64) {
        self.outcomes.0.update(b"slot");
        self.outcomes.u64(slot);
    }

    pub(crate) fn transaction(&mut self, signature: &Signature, execution: &Execution) {
        self.outcomes.transaction(signature, execution);
    }

    /// Takes in what a slot changed, sorted by address, and gives the digest up to its end.
    pub(crate) fn end_slot<'a>(
        &mut self,
        changes: impl Iterator<Item = (Pubkey, Option<&'a AccountSharedData>)>,
    ) -> ResultDigest {
        self.changes.0.update(b"slot");
        for (address, account) in changes {
            self.changes.change(&address, account);
        }
        let mut both = self.changes.clone();
        both.0.update(self.outcomes.0.finalize().as_bytes());
        both.finish()
    }

    /// Takes in the final state changes and gives the digest.
    pub(crate) fn finish<'a>(
        mut self,
        changes: impl Iterator<Item = (Pubkey, Option<&'a AccountSharedData>)>,
    ) -> ResultDigest {
        self.outcomes.0.update(b"state");
        for (address, account) in changes {
            self.outcomes.change(&address, account);
        }
        self.outcomes.finish()
    }
}

impl Default for StateHasher {
    fn default() -> Self {
        Self {
            encoder: Encoder::new(STATE_DOMAIN),
            accounts: 0,
        }
    }
}

impl StateHasher {
    /// Takes in the next account in the order of addresses.
    pub(crate) fn add(&mut self, address: &Pubkey, account: &AccountSharedData) {
        self.accounts += 1;
        self.encoder.address(address);
        self.encoder.account(account);
    }

    /// The digest of all of them.
    pub(crate) fn finish(self) -> StateDigest {
        StateDigest {
            accounts: self.accounts,
            digest: self.encoder.finish(),
        }
    }
}

/// The encoding of what digests cover.
#[derive(Clone, Debug)]
struct Encoder(blake3::Hasher);

impl Encoder {
    fn new(domain: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(domain);
        Self(hasher)
    }

    fn finish(self) -> ResultDigest {
        ResultDigest(*self.0.finalize().as_bytes())
    }

    fn change(&mut self, address: &Pubkey, account: Option<&AccountSharedData>) {
        self.address(address);
        self.option(account, Self::account);
    }

    fn account(&mut self, account: &AccountSharedData) {
        self.u64(account.lamports());
        self.address(account.owner());
        self.u8(u8::from(account.executable()));
        self.u64(account.rent_epoch());
        self.bytes(account.data());
    }

    fn transaction(&mut self, signature: &Signature, execution: &Execution) {
        self.0.update(b"tx");
        self.0.update(signature.as_ref());
        match execution {
            Execution::Processed(outcome) => {
                self.u8(0);
                self.outcome(outcome);
            }
            Execution::Refused(error) => {
                self.u8(1);
                self.error(error);
            }
            Execution::Skipped(Skip::IgnoredSigner(address)) => {
                self.u8(2);
                self.address(address);
            }
            Execution::Skipped(Skip::UnknownAccount(address)) => {
                self.u8(3);
                self.address(address);
            }
            Execution::Skipped(Skip::StateOnly) => self.u8(4),
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        self.option(outcome.status.as_ref().err(), Self::error);
        self.u64(outcome.fee);
        self.option(outcome.compute_units, Self::u64);
        for balances in [&outcome.pre_balances, &outcome.post_balances] {
            self.list(balances, |hasher, balance| hasher.u64(*balance));
        }
        for balances in [&outcome.pre_token_balances, &outcome.post_token_balances] {
            self.option(balances.as_ref(), |hasher, balances| {
                hasher.list(balances, Self::token_balance);
            });
        }
        self.option(outcome.logs.as_ref(), |hasher, logs| {
            hasher.list(logs, |hasher, line| hasher.bytes(line.as_bytes()));
        });
        self.option(outcome.inner_instructions.as_ref(), |hasher, groups| {
            hasher.list(groups, Self::inner_instructions);
        });
        self.option(outcome.return_data.as_ref(), |hasher, data| {
            hasher.address(&data.program_id);
            hasher.bytes(&data.data);
        });
        self.option(outcome.loaded_addresses.as_ref(), |hasher, loaded| {
            hasher.list(&loaded.writable, Self::address);
            hasher.list(&loaded.readonly, Self::address);
        });
    }

    fn token_balance(&mut self, balance: &TokenBalance) {
        self.u8(balance.account_index);
        self.address(&balance.mint);
        self.option(balance.owner.as_ref(), Self::address);
        self.option(balance.program_id.as_ref(), Self::address);
        self.u64(balance.amount);
        self.u8(balance.decimals);
    }

    fn inner_instructions(&mut self, group: &InnerInstructions) {
        self.u8(group.index);
        self.list(&group.instructions, |hasher, instruction| {
            hasher.u8(instruction.program_id_index);
            hasher.bytes(&instruction.accounts);
            hasher.bytes(&instruction.data);
            hasher.option(instruction.stack_height, |hasher, height| hasher.u64(u64::from(height)));
        });
    }

    fn error(&mut self, error: &TransactionError) {
        // The layout in which Solana's own ledger keeps errors.
        let bytes = bincode::serialize(error).expect("an error consists of integers and strings");
        self.bytes(&bytes);
    }

    fn option<T>(&mut self, value: Option<T>, some: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            some(self, value);
        }
    }

    fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.u64(items.len() as u64);
        for value in items {
            item(self, value);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn address(&mut self, address: &Pubkey) {
        self.0.update(address.as_ref());
    }

    fn u64(&mut self, value: u64) {
        self.0.update(&value.to_le_bytes());
    }

    fn u8(&mut self, value: u8) {
        self.0.update(&[value]);
    }
}
