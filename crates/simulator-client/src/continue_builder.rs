//! What the next step does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bon::Builder;
use simulator_api::{AccountData, AccountModifications, ContinueParams};
use solana_address::Address;
use solana_transaction::versioned::VersionedTransaction;
use thiserror::Error;

/// What the next step does: how far it goes, and what it changes first.
///
/// ```
/// use simulator_client::Continue;
///
/// let next = Continue::builder().advance_count(4).build().push_transaction_bytes(&[1, 2, 3]);
/// assert_eq!(next.into_params().transactions, ["AQID"]);
/// ```
#[derive(Clone, Debug, Builder)]
#[non_exhaustive]
pub struct Continue {
    /// Produced blocks to go on by. Default 1.
    #[builder(default = 1)]
    pub advance_count: u64,
    /// Transactions to execute in the open slot, each in Solana's wire format and base64.
    #[builder(default)]
    pub transactions: Vec<String>,
    /// Accounts to replace before the transactions are executed.
    #[builder(default, into)]
    pub modify_accounts: AccountModifications,
}

/// A transaction that has no wire format.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SerializeEncodeError {
    /// It breaks a limit of the format.
    #[error("the transaction could not be encoded")]
    Wincode(#[from] wincode::WriteError),
}

impl Continue {
    /// Adds a transaction that is base64 already.
    #[must_use]
    pub fn push_transaction_base64(mut self, transaction: impl Into<String>) -> Self {
        self.transactions.push(transaction.into());
        self
    }

    /// Adds a transaction in Solana's wire format.
    #[must_use]
    pub fn push_transaction_bytes(self, transaction: &[u8]) -> Self {
        self.push_transaction_base64(STANDARD.encode(transaction))
    }

    /// Adds a transaction. A legacy one converts with `VersionedTransaction::from`.
    ///
    /// # Errors
    ///
    /// [`SerializeEncodeError`] if it has no wire format.
    pub fn push_transaction(self, transaction: &VersionedTransaction) -> Result<Self, SerializeEncodeError> {
        Ok(self.push_transaction_bytes(&wincode::serialize(transaction)?))
    }

    /// Replaces an account.
    #[must_use]
    pub fn modify_account(mut self, address: Address, account: AccountData) -> Self {
        self.modify_accounts.insert(address, account);
        self
    }

    /// The parameters as they are sent.
    pub fn into_params(self) -> ContinueParams {
        ContinueParams {
            advance_count: self.advance_count,
            transactions: self.transactions,
            modify_account_states: self.modify_accounts,
            request_id: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_travels_in_wire_format() {
        let next = Continue::builder()
            .build()
            .push_transaction(&VersionedTransaction::default())
            .unwrap();
        let bytes = STANDARD.decode(&next.transactions[0]).unwrap();
        // No signatures, a header of zeros, no keys, a zero blockhash, no instructions.
        assert_eq!(bytes, [&[0, 0, 0, 0, 0][..], &[0; 32], &[0]].concat());
    }

    #[test]
    fn the_defaults_are_one_block_and_no_change() {
        assert_eq!(Continue::builder().build().into_params(), ContinueParams::default());
    }
}
