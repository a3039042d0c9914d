//! What a filter needs to know about a recorded transaction.

use std::collections::BTreeMap;

use simulator_api::TxMatchContext;
use simulator_archive::model::{Outcome, RecordedTransaction, TokenBalance};
use solana_message::VersionedMessage;
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;

/// What a filter needs to know about a recorded transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    programs: Vec<Pubkey>,
    writable_accounts: Vec<Pubkey>,
    changes_token_balance: bool,
    writes_through_unresolved_lookup: bool,
}

impl Facts {
    /// Reads a transaction and its record. What was not recorded cannot be known: without inner instructions the
    /// transaction invokes what its own instructions name, and without token balances it changes none.
    pub(super) fn of(transaction: &VersionedTransaction, recorded: &RecordedTransaction) -> Self {
        let (message, outcome) = (&transaction.message, recorded.outcome.as_ref());
        let loaded = outcome.and_then(|outcome| outcome.loaded_addresses.clone());
        let writes_through_lookup = message
            .address_table_lookups()
            .is_some_and(|lookups| lookups.iter().any(|lookup| !lookup.writable_indexes.is_empty()));
        let writes_through_unresolved_lookup = writes_through_lookup && loaded.is_none();
        let loaded = loaded.unwrap_or_default();
        let mut writable_accounts = static_writable(message);
        writable_accounts.extend(&loaded.writable);
        let mut keys = message.static_account_keys().to_vec();
        keys.extend(loaded.writable);
        keys.extend(loaded.readonly);
        Self {
            programs: invoked(message, outcome, &keys),
            writable_accounts,
            changes_token_balance: outcome.is_some_and(changes_token_balance),
            writes_through_unresolved_lookup,
        }
    }

    pub(super) fn context(&self) -> TxMatchContext<'_> {
        TxMatchContext {
            programs: &self.programs,
            writable_accounts: &self.writable_accounts,
            changes_token_balance: self.changes_token_balance,
            writes_through_unresolved_lookup: self.writes_through_unresolved_lookup,
        }
    }
}

fn static_writable(message: &VersionedMessage) -> Vec<Pubkey> {
    let keys = message.static_account_keys().iter().enumerate();
    keys.filter(|(index, _)| message.is_maybe_writable(*index, None))
        .map(|(_, key)| *key)
        .collect()
}

/// The programs that the transaction's own instructions name, and those that were invoked from there.
fn invoked(message: &VersionedMessage, outcome: Option<&Outcome>, keys: &[Pubkey]) -> Vec<Pubkey> {
    let own = message.instructions().iter().map(|own| own.program_id_index);
    let inner = outcome
        .and_then(|outcome| outcome.inner_instructions.as_deref())
        .unwrap_or_default()
        .iter()
        .flat_map(|group| &group.instructions)
        .map(|inner| inner.program_id_index);
    let mut programs: Vec<Pubkey> = own
        .chain(inner)
        .filter_map(|index| keys.get(usize::from(index)).copied())
        .collect();
    programs.sort_unstable();
    programs.dedup();
    programs
}

/// Whether an amount differs after the transaction. A token account that is absent holds nothing.
fn changes_token_balance(outcome: &Outcome) -> bool {
    let before = amounts(outcome.pre_token_balances.as_deref());
    let after = amounts(outcome.post_token_balances.as_deref());
    match (&outcome.pre_token_balances, &outcome.post_token_balances) {
        (Some(_), Some(_)) => before != after,
        _ => false,
    }
}

fn amounts(balances: Option<&[TokenBalance]>) -> BTreeMap<(u8, Pubkey), u64> {
    let balances = balances.unwrap_or_default().iter();
    balances
        .filter(|balance| balance.amount != 0)
        .map(|balance| ((balance.account_index, balance.mint), balance.amount))
        .collect()
}
