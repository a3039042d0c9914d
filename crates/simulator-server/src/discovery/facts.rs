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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use simulator_archive::model::{InnerInstruction, InnerInstructions, LoadedAddresses};
    use solana_message::compiled_instruction::CompiledInstruction;
    use solana_message::{MessageHeader, v0};

    use super::*;

    fn key(number: u8) -> Pubkey {
        Pubkey::new_from_array([number; 32])
    }

    /// Account keys: 1 pays and 2 is written, 3 is a program; from a table: 4 is written, 5 is read.
    fn transaction() -> VersionedTransaction {
        let message = v0::Message {
            header: MessageHeader {
                num_required_signatures: 1,
                num_readonly_signed_accounts: 0,
                num_readonly_unsigned_accounts: 1,
            },
            account_keys: vec![key(1), key(2), key(3)],
            instructions: vec![CompiledInstruction {
                program_id_index: 2,
                accounts: vec![],
                data: vec![],
            }],
            address_table_lookups: vec![v0::MessageAddressTableLookup {
                account_key: key(9),
                writable_indexes: vec![0],
                readonly_indexes: vec![1],
            }],
            ..v0::Message::default()
        };
        VersionedTransaction {
            signatures: vec![],
            message: VersionedMessage::V0(message),
        }
    }

    fn outcome() -> Outcome {
        Outcome {
            status: Ok(()),
            fee: 5000,
            pre_balances: vec![],
            post_balances: vec![],
            pre_token_balances: None,
            post_token_balances: None,
            logs: None,
            inner_instructions: None,
            return_data: None,
            compute_units: None,
            loaded_addresses: None,
            cost_units: None,
        }
    }

    fn tokens(amount: u64) -> Vec<TokenBalance> {
        vec![TokenBalance {
            account_index: 1,
            mint: key(7),
            owner: None,
            program_id: None,
            amount,
            decimals: 6,
        }]
    }

    fn facts(outcome: Option<Outcome>) -> Facts {
        let wire = Bytes::new();
        Facts::of(&transaction(), &RecordedTransaction { wire, outcome })
    }

    #[test]
    fn a_transaction_without_a_record_is_what_its_message_says() {
        let expected = Facts {
            programs: vec![key(3)],
            writable_accounts: vec![key(1), key(2)],
            changes_token_balance: false,
            writes_through_unresolved_lookup: true,
        };
        assert_eq!(facts(None), expected);
        assert_eq!(facts(Some(outcome())), expected);
    }

    #[test]
    fn the_record_adds_inner_programs_and_loaded_addresses() {
        let inner = |program_id_index| InnerInstruction {
            program_id_index,
            accounts: vec![],
            data: Bytes::new(),
            stack_height: None,
        };
        let recorded = Outcome {
            inner_instructions: Some(vec![InnerInstructions {
                index: 0,
                instructions: vec![inner(4), inner(2), inner(200)],
            }]),
            loaded_addresses: Some(LoadedAddresses {
                writable: vec![key(4)],
                readonly: vec![key(5)],
            }),
            ..outcome()
        };
        let expected = Facts {
            programs: vec![key(3), key(5)],
            writable_accounts: vec![key(1), key(2), key(4)],
            changes_token_balance: false,
            writes_through_unresolved_lookup: false,
        };
        assert_eq!(facts(Some(recorded)), expected);
    }

    #[test]
    fn an_empty_token_account_is_none() {
        let changes = |before: Option<Vec<TokenBalance>>, after: Option<Vec<TokenBalance>>| {
            let recorded = Outcome {
                pre_token_balances: before,
                post_token_balances: after,
                ..outcome()
            };
            facts(Some(recorded)).changes_token_balance
        };
        assert!(changes(Some(tokens(1)), Some(tokens(2))));
        assert!(changes(Some(vec![]), Some(tokens(2))));
        assert!(!changes(Some(tokens(1)), Some(tokens(1))));
        assert!(!changes(Some(vec![]), Some(tokens(0))));
        assert!(!changes(None, Some(tokens(2))), "the balance before is not known");
    }
}
