//! Transactions of a ledger: from text to wire bytes, and whether the recorded outcome fits them.

use bytes::Bytes;
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;

use super::error::TransactionProblem;
use super::fields::{Encoding, decode};
use super::json::TransactionLine;
use super::parts::TransactionJson;
use crate::model::{InnerInstructions, Outcome, RecordedTransaction, TokenBalance};

/// The parts of a transaction on which its outcome depends.
#[derive(Debug)]
pub(super) struct Shape {
    /// The addresses that stand in the transaction itself.
    static_keys: Vec<Pubkey>,
    /// The lookup tables, and how many writable and read-only addresses it takes from them.
    tables: Vec<Pubkey>,
    lookups: (usize, usize),
    instructions: usize,
}

/// The wire bytes of a transaction.
pub(super) fn wire(line: &TransactionLine) -> Result<Bytes, TransactionProblem> {
    let text = match &line.transaction {
        TransactionJson::Encoded(text) => text,
        TransactionJson::Parts(parts) => return parts.wire(line.version),
    };
    let allowed = Encoding::named(&text.encoding).filter(|encoding| *encoding != Encoding::Base64Zstd);
    let encoding = allowed.ok_or_else(|| TransactionProblem::Encoding {
        encoding: text.encoding.clone(),
    })?;
    let bytes = decode(&text.text, encoding).ok_or(TransactionProblem::Text {
        encoding: encoding.name(),
    })?;
    Ok(bytes.into())
}

impl Shape {
    /// A transaction and its shape, if the bytes are a transaction and the outcome fits it.
    pub(super) fn recorded(
        wire: Bytes,
        outcome: Option<Outcome>,
    ) -> Result<(RecordedTransaction, Self), TransactionProblem> {
        let shape = Self::parse(&wire)?;
        if let Some(outcome) = &outcome {
            shape.check(outcome)?;
        }
        Ok((RecordedTransaction { wire, outcome }, shape))
    }

    /// Parses wire bytes. Signatures are not verified.
    pub(super) fn parse(wire: &[u8]) -> Result<Self, TransactionProblem> {
        let transaction: VersionedTransaction =
            wincode::deserialize_exact(wire).map_err(|_| TransactionProblem::Wire { size: wire.len() })?;
        transaction.sanitize().map_err(|_| TransactionProblem::Insane)?;
        let message = &transaction.message;
        let tables = message.address_table_lookups().unwrap_or_default();
        Ok(Self {
            static_keys: message.static_account_keys().to_vec(),
            tables: tables.iter().map(|table| table.account_key).collect(),
            lookups: (
                tables.iter().map(|table| table.writable_indexes.len()).sum(),
                tables.iter().map(|table| table.readonly_indexes.len()).sum(),
            ),
            instructions: message.instructions().len(),
        })
    }

    /// The addresses that stand in the transaction itself.
    pub(super) fn static_keys(&self) -> &[Pubkey] {
        &self.static_keys
    }

    /// The lookup tables that it names.
    pub(super) fn tables(&self) -> &[Pubkey] {
        &self.tables
    }

    /// How many account keys it has, those from lookup tables included.
    pub(super) fn keys_in_all(&self) -> usize {
        self.static_keys.len() + self.lookups.0 + self.lookups.1
    }

    /// The transaction's account keys, in their order, as far as the outcome knows them.
    pub(super) fn keys<'a>(&'a self, outcome: &'a Outcome) -> impl Iterator<Item = Pubkey> + 'a {
        let loaded = outcome
            .loaded_addresses
            .iter()
            .flat_map(|loaded| loaded.writable.iter().chain(&loaded.readonly));
        self.static_keys.iter().chain(loaded).copied()
    }

    /// All account keys of a transaction without a recorded outcome, or `None` if lookup tables hide some of them.
    pub(super) fn unrecorded_keys(&self) -> Option<&[Pubkey]> {
        (self.lookups == (0, 0)).then_some(&self.static_keys)
    }

    /// Whether the arrays of an outcome fit the transaction.
    pub(super) fn check(&self, outcome: &Outcome) -> Result<(), TransactionProblem> {
        let keys = self.keys_in_all();
        check_length("preBalances", outcome.pre_balances.len(), keys)?;
        check_length("postBalances", outcome.post_balances.len(), keys)?;
        if let Some(loaded) = &outcome.loaded_addresses {
            check_length("loadedAddresses.writable", loaded.writable.len(), self.lookups.0)?;
            check_length("loadedAddresses.readonly", loaded.readonly.len(), self.lookups.1)?;
        }
        check_tokens("preTokenBalances", outcome.pre_token_balances.as_deref(), keys)?;
        check_tokens("postTokenBalances", outcome.post_token_balances.as_deref(), keys)?;
        outcome
            .inner_instructions
            .iter()
            .flatten()
            .try_for_each(|inner| self.check_inner(inner, keys))
    }

    fn check_inner(&self, inner: &InnerInstructions, keys: usize) -> Result<(), TransactionProblem> {
        check_index("innerInstructions.index", inner.index, self.instructions)?;
        for instruction in &inner.instructions {
            check_index("innerInstructions.programIdIndex", instruction.program_id_index, keys)?;
            for account in &instruction.accounts {
                check_index("innerInstructions.accounts", *account, keys)?;
            }
        }
        Ok(())
    }
}

fn check_tokens(field: &'static str, balances: Option<&[TokenBalance]>, keys: usize) -> Result<(), TransactionProblem> {
    balances
        .unwrap_or_default()
        .iter()
        .try_for_each(|balance| check_index(field, balance.account_index, keys))
}

fn check_length(field: &'static str, found: usize, expected: usize) -> Result<(), TransactionProblem> {
    match found == expected {
        true => Ok(()),
        false => Err(TransactionProblem::Length { field, found, expected }),
    }
}

fn check_index(field: &'static str, found: u8, expected: usize) -> Result<(), TransactionProblem> {
    let found = usize::from(found);
    match found < expected {
        true => Ok(()),
        false => Err(TransactionProblem::Length { field, found, expected }),
    }
}
