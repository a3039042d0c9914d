//! A computed outcome against the recorded one, field by field.

use std::collections::BTreeMap;

use simulator_archive::model::{InnerInstruction, InnerInstructions, Outcome, TokenBalance};
use solana_pubkey::Pubkey;

use crate::report::OutcomeField;

/// The fields in which two outcomes differ, in the order of [`OutcomeField`]. What the record leaves out is not
/// compared, and so is not a difference. Nor are token balances of mints that the archive does not hold: the number of
/// decimals cannot be computed, and the runtime then records no balance at all.
pub(crate) fn differing_fields(
    recorded: &Outcome,
    computed: &Outcome,
    knows_mint: impl Fn(&Pubkey) -> bool,
) -> Vec<OutcomeField> {
    let tokens_agree =
        |recorded: &Option<Vec<TokenBalance>>, computed: &_| tokens_agree(recorded, computed, &knows_mint);
    let fields = [
        (OutcomeField::Status, recorded.status == computed.status),
        (OutcomeField::Fee, recorded.fee == computed.fee),
        (
            OutcomeField::ComputeUnits,
            agrees(&recorded.compute_units, &computed.compute_units),
        ),
        (
            OutcomeField::PreBalances,
            recorded.pre_balances == computed.pre_balances,
        ),
        (
            OutcomeField::PostBalances,
            recorded.post_balances == computed.post_balances,
        ),
        (
            OutcomeField::PreTokenBalances,
            tokens_agree(&recorded.pre_token_balances, &computed.pre_token_balances),
        ),
        (
            OutcomeField::PostTokenBalances,
            tokens_agree(&recorded.post_token_balances, &computed.post_token_balances),
        ),
        (OutcomeField::Logs, agrees(&recorded.logs, &computed.logs)),
        (
            OutcomeField::InnerInstructions,
            inner_instructions_agree(&recorded.inner_instructions, &computed.inner_instructions),
        ),
        (OutcomeField::ReturnData, return_data_agrees(recorded, computed)),
        (
            OutcomeField::LoadedAddresses,
            agrees(&recorded.loaded_addresses, &computed.loaded_addresses),
        ),
    ];
    fields
        .into_iter()
        .filter(|(_, equal)| !equal)
        .map(|(field, _)| field)
        .collect()
}

/// Whether two outcomes differ in nothing but what execution costs. A transaction that sets no limit of compute units
/// pays its price for the default, so that its fee may differ, and by as much its payer's balance.
pub(crate) fn differs_only_in_costs(recorded: &Outcome, computed: &Outcome, sets_limit: bool) -> bool {
    let dearer = i128::from(recorded.fee) - i128::from(computed.fee);
    let mut adjusted = Outcome {
        compute_units: recorded.compute_units,
        ..computed.clone()
    };
    if !sets_limit && dearer != 0 {
        adjusted.fee = recorded.fee;
        if let Some(payer) = adjusted.post_balances.first_mut() {
            let balance = i128::from(*payer) - dearer;
            *payer = u64::try_from(balance).unwrap_or(*payer);
        }
    }
    if logs_without_costs(recorded) == logs_without_costs(computed) {
        adjusted.logs.clone_from(&recorded.logs);
    }
    differing_fields(recorded, &adjusted, |_| true).is_empty()
}

/// The log without numbers of compute units, as the runtime writes them.
fn logs_without_costs(outcome: &Outcome) -> Option<Vec<String>> {
    const REMAINING: &str = "Program consumption: ";
    let without = |line: &String| match line.split_once(" consumed ") {
        Some((program, units)) if units.ends_with(" compute units") => program.to_owned(),
        _ if line.starts_with(REMAINING) => REMAINING.to_owned(),
        _ => line.clone(),
    };
    let logs = outcome.logs.as_ref()?;
    Some(logs.iter().map(without).collect())
}

fn agrees<T: PartialEq>(recorded: &Option<T>, computed: &Option<T>) -> bool {
    recorded.is_none() || recorded == computed
}

/// Records that keep logs say by the absence of return data that there was none.
fn return_data_agrees(recorded: &Outcome, computed: &Outcome) -> bool {
    match (&recorded.return_data, &recorded.logs) {
        (None, None) => true,
        (recorded, _) => *recorded == computed.return_data,
    }
}

/// Token balances are compared by account; the order in the record means nothing.
fn tokens_agree(
    recorded: &Option<Vec<TokenBalance>>,
    computed: &Option<Vec<TokenBalance>>,
    knows_mint: impl Fn(&Pubkey) -> bool,
) -> bool {
    let Some(recorded) = recorded else { return true };
    let recorded: Vec<_> = recorded.iter().filter(|balance| knows_mint(&balance.mint)).collect();
    let computed = computed.as_deref().unwrap_or_default();
    let by_index: BTreeMap<u8, &TokenBalance> = computed
        .iter()
        .map(|balance| (balance.account_index, balance))
        .collect();
    recorded.len() == computed.len()
        && recorded.iter().all(|recorded| {
            by_index
                .get(&recorded.account_index)
                .is_some_and(|computed| token_agrees(recorded, computed))
        })
}

fn token_agrees(recorded: &TokenBalance, computed: &TokenBalance) -> bool {
    recorded.mint == computed.mint
        && recorded.amount == computed.amount
        && recorded.decimals == computed.decimals
        && agrees(&recorded.owner, &computed.owner)
        && agrees(&recorded.program_id, &computed.program_id)
}

fn inner_instructions_agree(
    recorded: &Option<Vec<InnerInstructions>>,
    computed: &Option<Vec<InnerInstructions>>,
) -> bool {
    let (Some(recorded), Some(computed)) = (recorded, computed) else {
        return recorded.is_none();
    };
    recorded.len() == computed.len()
        && recorded.iter().zip(computed).all(|(recorded, computed)| {
            recorded.index == computed.index
                && recorded.instructions.len() == computed.instructions.len()
                && recorded
                    .instructions
                    .iter()
                    .zip(&computed.instructions)
                    .all(|(a, b)| instruction_agrees(a, b))
        })
}

fn instruction_agrees(recorded: &InnerInstruction, computed: &InnerInstruction) -> bool {
    recorded.program_id_index == computed.program_id_index
        && recorded.accounts == computed.accounts
        && recorded.data == computed.data
        && agrees(&recorded.stack_height, &computed.stack_height)
}

#[cfg(test)]
mod tests {
    use simulator_archive::model::{LoadedAddresses, ReturnData};
    use solana_transaction_error::TransactionError;

    use super::*;

    fn fields(recorded: &Outcome, computed: &Outcome) -> Vec<OutcomeField> {
        differing_fields(recorded, computed, |_| true)
    }

    #[test]
    fn balances_of_a_mint_that_is_not_in_the_archive_are_not_compared() {
        let computed = Outcome {
            pre_token_balances: Some(vec![]),
            ..outcome()
        };
        assert_eq!(fields(&outcome(), &computed), [OutcomeField::PreTokenBalances]);
        assert_eq!(
            differing_fields(
                &outcome(),
                &Outcome {
                    post_token_balances: Some(vec![]),
                    ..computed
                },
                |_| false
            ),
            []
        );
    }

    fn outcome() -> Outcome {
        let token = |account_index, amount| TokenBalance {
            account_index,
            mint: Pubkey::new_from_array([1; 32]),
            owner: Some(Pubkey::new_from_array([2; 32])),
            program_id: Some(Pubkey::new_from_array([3; 32])),
            amount,
            decimals: 6,
        };
        let instruction = InnerInstruction {
            program_id_index: 3,
            accounts: vec![0, 1],
            data: b"x"[..].into(),
            stack_height: Some(2),
        };
        Outcome {
            status: Ok(()),
            fee: 5000,
            pre_balances: vec![10, 20],
            post_balances: vec![5, 20],
            pre_token_balances: Some(vec![token(1, 7), token(2, 8)]),
            post_token_balances: Some(vec![token(1, 6), token(2, 9)]),
            logs: Some(vec!["Program log: hi".into()]),
            inner_instructions: Some(vec![InnerInstructions {
                index: 0,
                instructions: vec![instruction],
            }]),
            return_data: Some(ReturnData {
                program_id: Pubkey::default(),
                data: b"r"[..].into(),
            }),
            compute_units: Some(1200),
            loaded_addresses: Some(LoadedAddresses::default()),
            cost_units: Some(99),
        }
    }

    #[test]
    fn equal_outcomes_do_not_differ_and_cost_units_do_not_count() {
        let computed = Outcome {
            cost_units: None,
            ..outcome()
        };
        assert_eq!(fields(&outcome(), &computed), vec![]);
    }

    #[test]
    fn costs_are_units_and_what_follows_from_them() {
        let units = |units| {
            let logs = vec![
                "Program A invoke [1]".into(),
                format!("Program consumption: {units} units remaining"),
                format!("Program A consumed {units} of 1400000 compute units"),
            ];
            Outcome {
                compute_units: Some(units),
                logs: Some(logs),
                ..outcome()
            }
        };
        assert!(differs_only_in_costs(&units(1), &units(2), true));
        let dearer = Outcome {
            fee: 5060,
            post_balances: vec![0, 20],
            ..units(1)
        };
        let cheaper = Outcome {
            fee: 5041,
            post_balances: vec![19, 20],
            ..units(2)
        };
        assert!(differs_only_in_costs(&dearer, &cheaper, false));
        assert!(!differs_only_in_costs(&dearer, &cheaper, true), "its limit is its own");
        let other_balance = Outcome {
            post_balances: vec![20, 20],
            ..cheaper
        };
        assert!(!differs_only_in_costs(&dearer, &other_balance, false));
        let mut other_log = units(2);
        other_log.logs.as_mut().expect("has some")[0] = "Program B invoke [1]".into();
        assert!(!differs_only_in_costs(&units(1), &other_log, true));
    }

    #[test]
    fn every_field_is_compared() {
        let other_key = Pubkey::new_from_array([9; 32]);
        let loaded = LoadedAddresses {
            writable: vec![other_key],
            readonly: vec![],
        };
        let other = Outcome {
            status: Err(TransactionError::AccountNotFound),
            fee: 1,
            pre_balances: vec![],
            post_balances: vec![],
            pre_token_balances: Some(vec![]),
            post_token_balances: None,
            logs: None,
            inner_instructions: Some(vec![]),
            return_data: None,
            compute_units: Some(0),
            loaded_addresses: Some(loaded),
            cost_units: None,
        };
        let fields = fields(&outcome(), &other);
        assert_eq!(
            fields,
            [
                OutcomeField::Status,
                OutcomeField::Fee,
                OutcomeField::ComputeUnits,
                OutcomeField::PreBalances,
                OutcomeField::PostBalances,
                OutcomeField::PreTokenBalances,
                OutcomeField::PostTokenBalances,
                OutcomeField::Logs,
                OutcomeField::InnerInstructions,
                OutcomeField::ReturnData,
                OutcomeField::LoadedAddresses,
            ]
        );
    }

    #[test]
    fn what_an_old_record_leaves_out_is_not_compared() {
        let mut old = outcome();
        old.pre_token_balances = None;
        old.post_token_balances = None;
        old.logs = None;
        old.inner_instructions = None;
        old.return_data = None;
        old.compute_units = None;
        old.loaded_addresses = None;
        assert_eq!(fields(&old, &outcome()), vec![]);
    }

    #[test]
    fn return_data_that_appears_where_the_record_has_none_is_a_difference() {
        let recorded = Outcome {
            return_data: None,
            ..outcome()
        };
        assert_eq!(fields(&recorded, &outcome()), [OutcomeField::ReturnData]);
    }

    #[test]
    fn token_balances_are_compared_by_account() {
        let mut computed = outcome();
        computed.pre_token_balances.as_mut().expect("has some").reverse();
        assert_eq!(fields(&outcome(), &computed), vec![]);
        computed.pre_token_balances.as_mut().expect("has some")[0].amount += 1;
        assert_eq!(fields(&outcome(), &computed), [OutcomeField::PreTokenBalances]);
    }
}
