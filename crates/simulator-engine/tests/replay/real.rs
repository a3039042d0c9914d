//! Blocks of real chains, of which only a part of the accounts is known: what must match does, and what cannot be
//! executed is said to be unverifiable, with the account that is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use simulator_archive::model::{Outcome, Slot};
use simulator_engine::{
    AccountDiffs, DivergenceClass, Execution, OutcomeField, ReplayOptions, Skip, Summary, TransactionReport,
    Unreproduced, Unverifiable, Verdict,
};
use simulator_testkit::accounts::AccountRecord;
use simulator_testkit::{paths, text};
use solana_pubkey::Pubkey;

use crate::support::{Loaded, dump, execute_slot, record};

/// What a ledger says of its transactions.
#[derive(Deserialize)]
struct Expected {
    transactions: Vec<ExpectedTransaction>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExpectedTransaction {
    slot: Slot,
    index: u32,
    execute: bool,
    must_match: Vec<String>,
    class: Option<String>,
    litesvm: Option<ExpectedOutcome>,
}

/// An outcome as another virtual machine computed it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExpectedOutcome {
    ok: bool,
    fee: u64,
    compute_units: u64,
    err_json: Option<serde_json::Value>,
}

/// An account of which some fields are known from the chain, after a transaction or at the end.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KnownAccount {
    slot: Slot,
    tx_index: Option<u32>,
    known: BTreeSet<String>,
    #[serde(flatten)]
    record: AccountRecord,
}

struct Real {
    expected: BTreeMap<(Slot, u32), ExpectedTransaction>,
    reports: BTreeMap<(Slot, u32), TransactionReport>,
    summary: Summary,
    replay: simulator_engine::Replay,
}

fn read<T: DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).expect("the ledger has the file");
    serde_json::from_str(&text).expect("the file is sound")
}

fn replayed(directory: &Path) -> Real {
    let ledger = Loaded::from_ledger(directory);
    let mut replay = ledger.replay_with(ReplayOptions {
        account_diffs: AccountDiffs::Record,
        ..ReplayOptions::default()
    });
    let mut reports = BTreeMap::new();
    for block in &ledger.blocks {
        let slot = block.block().slot;
        let (of_slot, _) = execute_slot(&mut replay, block);
        reports.extend(of_slot.into_iter().map(|report| ((slot, report.index), report)));
    }
    let expected: Expected = read(&directory.join("expected.json"));
    let expected = expected.transactions.into_iter();
    let expected: BTreeMap<_, _> = expected.map(|one| ((one.slot, one.index), one)).collect();
    assert_eq!(expected.keys().collect::<Vec<_>>(), reports.keys().collect::<Vec<_>>());
    Real {
        expected,
        reports,
        summary: replay.summary(),
        replay,
    }
}

#[test]
fn a_mainnet_block_matches_wherever_its_accounts_are_known() {
    let Some(directory) = paths::shared_ledger_or_skip("mainnet-254170887") else {
        return;
    };
    let real = replayed(&directory);
    let mut costs = 0;
    for (place, expected) in &real.expected {
        let report = &real.reports[place];
        match &report.verdict {
            Verdict::Matched => assert!(expected.execute, "{report:#?}"),
            Verdict::Diverged(divergence) => {
                assert_eq!(expected.class.as_deref(), Some("old-costs"), "{report:#?}");
                assert_eq!((divergence.class, divergence.root), (DivergenceClass::CostRules, true));
                let fixed = [
                    ("ok", OutcomeField::Status),
                    ("fee", OutcomeField::Fee),
                    ("lamports", OutcomeField::PostBalances),
                    ("tokenAmounts", OutcomeField::PostTokenBalances),
                ];
                for (_, field) in fixed
                    .iter()
                    .filter(|(name, _)| expected.must_match.iter().any(|one| one == name))
                {
                    assert!(!divergence.fields.contains(field), "{report:#?}");
                }
                costs += 1;
            }
            Verdict::Unverifiable(Unverifiable::Skipped(Skip::UnknownAccount(account))) => {
                assert!(!expected.execute, "{account} is not known: {report:#?}");
            }
            Verdict::Unverifiable(_) => panic!("{report:#?}"),
        }
    }
    assert_eq!(costs, 2);
    let Summary {
        matched, unverifiable, ..
    } = real.summary;
    assert_eq!((matched, unverifiable), (35, 565));
}

fn error_json(outcome: &Outcome) -> Option<serde_json::Value> {
    outcome.status.as_ref().err().map(|error| format!("{error:?}").into())
}

fn assert_outcome(place: (Slot, u32), report: &TransactionReport, expected: &ExpectedOutcome) {
    let Execution::Processed(outcome) = &report.execution else {
        panic!("{place:?} was not executed: {:?}", report.execution);
    };
    let computed = (outcome.status.is_ok(), outcome.fee, outcome.compute_units);
    assert_eq!(
        computed,
        (expected.ok, expected.fee, Some(expected.compute_units)),
        "{place:?}: {outcome:#?}"
    );
    // The wire's form of errors is not the engine's; the number of a program's own error is in both.
    if let (Some(error), Some(expected)) = (error_json(outcome), &expected.err_json) {
        let number = expected["InstructionError"][1]["Custom"]
            .as_u64()
            .expect("a program's own error");
        assert!(
            error.to_string().contains(&format!("Custom({number})")),
            "{place:?}: {error}"
        );
    }
}

#[test]
fn a_testnet_block_of_votes_comes_out_as_listed() {
    let Some(directory) = paths::shared_ledger_or_skip("testnet-356797362") else {
        return;
    };
    let real = replayed(&directory);
    for (place, expected) in &real.expected {
        let outcome = expected.litesvm.as_ref().expect("every outcome is listed");
        assert_outcome(*place, &real.reports[place], outcome);
    }
    let Summary {
        successes,
        failures,
        diverged,
        ..
    } = real.summary;
    assert_eq!((successes, failures, diverged), (2291, 2, 0));
    assert_eq!(
        real.summary.unreproduced.get(&Unreproduced::ParentBankHash),
        None,
        "the block's votes name it"
    );
    assert_eq!(real.summary.unreproduced[&Unreproduced::UnlistedAccounts].count, 1);
}

/// Compares what is known of accounts with what they became; how many there are.
fn assert_known_accounts(directory: &Path, real: &Real) -> usize {
    let path = directory.join("accounts-expected.jsonl");
    let at_end = dump(&real.replay);
    let lines = text::lines(&path).expect("the ledger says what became of accounts");
    let known = lines.map(|line| {
        let line = line.expect("the file can be read");
        line.parse::<KnownAccount>(&path).expect("the file is sound")
    });
    known
        .map(|expected| {
            let address = expected.record.address;
            let computed = match expected.tx_index {
                Some(index) => after(&real.reports[&(expected.slot, index)], &address),
                None => at_end[&address].clone(),
            };
            assert_known(&expected, &computed);
        })
        .count()
}

/// An account as a transaction left it.
fn after(report: &TransactionReport, address: &Pubkey) -> AccountRecord {
    let diff = report.account_diffs.iter().find(|diff| diff.address == *address);
    let diff = diff.unwrap_or_else(|| panic!("{address} was not changed by {}", report.signature));
    let account = diff.after.as_ref().expect("it still exists");
    record(*address, account)
}

fn assert_known(expected: &KnownAccount, computed: &AccountRecord) {
    const TOKEN_AMOUNT: std::ops::Range<usize> = 64..72;
    let address = expected.record.address;
    for field in &expected.known {
        let agrees = match field.as_str() {
            "lamports" => computed.lamports == expected.record.lamports,
            "owner" => computed.owner == expected.record.owner,
            "data" => computed.data == expected.record.data,
            "tokenAmount" => computed.data[TOKEN_AMOUNT] == expected.record.data[TOKEN_AMOUNT],
            other => panic!("the test does not know {other}"),
        };
        assert!(agrees, "{field} of {address}: {computed:#?}");
    }
}

#[test]
fn swaps_leave_what_the_chain_had() {
    for (ledger, known) in [("whirlpool-4fuUi", 13), ("whirlpool-HyBt", 9)] {
        let Some(directory) = paths::shared_ledger_or_skip(ledger) else {
            continue;
        };
        let real = replayed(&directory);
        for (place, expected) in &real.expected {
            let outcome = expected.litesvm.as_ref().expect("every outcome is listed");
            let Execution::Processed(computed) = &real.reports[place].execution else {
                panic!("{place:?}: {:#?}", real.reports[place]);
            };
            assert_eq!(computed.status.is_ok(), outcome.ok, "{place:?}: {computed:#?}");
        }
        assert_eq!(assert_known_accounts(&directory, &real), known);
    }
}
