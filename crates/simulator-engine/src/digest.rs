//! The result digest: one hash over everything that a replay computed.
//!
//! The same archive, options and engine give the same digest on every machine. It covers, in order, every block's
//! slot, every transaction's signature and outcome, and at the end every account that the session changed, sorted by
//! address. Integers are little-endian, lists and optional values carry their length in front.

use std::fmt;

use simulator_archive::model::{InnerInstructions, Outcome, TokenBalance};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction_error::TransactionError;

use crate::report::{Execution, Skip};

/// Names the encoding; a change of the encoding changes the name.
const DOMAIN: &[u8] = b"simulator result digest 1";

/// A BLAKE3 hash over the ordered outcomes and final state changes of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultDigest(pub [u8; 32]);

impl fmt::Display for ResultDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Takes in a replay as it goes.
#[derive(Clone, Debug)]
pub(crate) struct ResultHasher(blake3::Hasher);

impl Default for ResultHasher {
    fn default() -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN);
        Self(hasher)
    }
}

impl ResultHasher {
    pub(crate) fn begin_slot(&mut self, slot: u64) {
        self.0.update(b"slot");
        self.u64(slot);
    }

    pub(crate) fn transaction(&mut self, signature: &Signature, execution: &Execution) {
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
        }
    }

    /// Takes in the final state changes and gives the digest.
    pub(crate) fn finish<'a>(
        mut self,
        changes: impl Iterator<Item = (Pubkey, Option<&'a AccountSharedData>)>,
    ) -> ResultDigest {
        self.0.update(b"state");
        for (address, account) in changes {
            self.address(&address);
            self.option(account, |hasher, account| {
                hasher.u64(account.lamports());
                hasher.address(account.owner());
                hasher.u8(u8::from(account.executable()));
                hasher.u64(account.rent_epoch());
                hasher.bytes(account.data());
            });
        }
        ResultDigest(*self.0.finalize().as_bytes())
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
