//! Every form of report, of the same small run.

use std::collections::BTreeMap;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Row;
use serde_json::{Value, json};

use super::*;

fn facts() -> Facts {
    Facts {
        metadata: Metadata {
            start_slot: 36,
            end_slot: Some(59),
            program_id: vec![],
            session_ids: vec!["backtest_1".into()],
            timestamp: "2026-08-24T10:00:00Z".into(),
            archive: Some("ab".repeat(32)),
            engine: Some("0.1.0".into()),
            result_digest: Some("cd".repeat(32)),
            complete: true,
        },
        summary: Summary {
            slots: 21,
            total: 1478,
            successes: 1421,
            failures: 57,
            matched: 1477,
            diverged: 1,
            diverged_by_class: BTreeMap::from([("feature".into(), 1)]),
            unverifiable: 0,
            unverifiable_by_reason: BTreeMap::new(),
            compute_units: 1_374_561,
            wall_seconds: 0.5,
        },
        bank_hashes: Some(BankHashes {
            agreed: 20,
            not_recorded: 1,
            ..BankHashes::default()
        }),
        unreproduced: Some(vec![]),
    }
}

fn state(lamports: u64) -> AccountState {
    AccountState {
        lamports,
        data: ("AQI=".into(), "base64".into()),
        owner: "11111111111111111111111111111111".into(),
        executable: false,
        space: 2,
    }
}

fn divergence(index: u32) -> DivergenceRow {
    DivergenceRow {
        slot: 36,
        index,
        signature: "sig".into(),
        field: "fee".into(),
        recorded: json!(5000),
        computed: json!(5001),
        class: "feature".into(),
        culprit: (index == 0).then(|| "switch".into()),
        root: index == 0,
    }
}

fn record() -> SlotRecord {
    let good = TransactionRow {
        slot: 36,
        index: 0,
        signature: "sig".into(),
        success: true,
        error: Value::Null,
        fee: 5000,
        compute_units: 150,
        logs: vec!["Program log: hi".into()],
        sol_changes: BTreeMap::from([("alice".into(), -5000)]),
        token_changes: BTreeMap::from([("alice".into(), BTreeMap::from([("mint".into(), 7)]))]),
        verdict: "matched".into(),
        unverifiable_reason: None,
        account_diffs: Some(BTreeMap::from([(
            "alice".into(),
            AccountChange {
                before: None,
                after: Some(state(u64::MAX)),
            },
        )])),
    };
    let bad = TransactionRow {
        index: 1,
        success: false,
        error: json!("AccountNotFound"),
        compute_units: 0,
        logs: vec![],
        verdict: "unverifiable".into(),
        unverifiable_reason: Some("account bob is not in the archive".into()),
        account_diffs: None,
        ..good.clone()
    };
    SlotRecord {
        totals: SlotRow {
            slot: 36,
            total: 2,
            successes: 1,
            failures: 1,
            diverged: 1,
            matched: 1,
            ..SlotRow::default()
        },
        divergences: vec![divergence(0)],
        transactions: vec![good, bad],
        unverifiable_by_reason: BTreeMap::from([("unknownAccount".into(), 1)]),
    }
}

fn written(sink: impl Sink + 'static) {
    let mut sinks = Sinks::default();
    sinks.push(sink);
    sinks.slot(&record()).expect("written");
    sinks.finish(&facts()).expect("completed");
}

fn table(facts: &Facts, divergences: u32) -> String {
    let mut first = FirstDivergences::default();
    let record = SlotRecord {
        divergences: (0..divergences).map(divergence).collect(),
        ..record()
    };
    first.slot(&record).expect("collected");
    let mut text = Vec::new();
    print_table(&mut text, facts, &first).expect("written");
    String::from_utf8(text)
        .expect("text")
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn document_is_one_object_with_the_documented_members() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report.json");
    written(DocumentSink::file(&path).expect("begun"));
    insta::assert_snapshot!(std::fs::read_to_string(&path).expect("published"));
    let value: Value = serde_json::from_slice(&std::fs::read(&path).expect("published")).expect("JSON");
    assert_eq!(value["transactions"][1]["error"], "AccountNotFound");
}

#[test]
fn lines_end_each_slot_with_its_totals() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report.jsonl");
    written(LinesSink::create(&path).expect("begun"));
    insta::assert_snapshot!(std::fs::read_to_string(&path).expect("written"));
}

#[test]
fn tables_hold_the_same_rows() {
    let directory = tempfile::tempdir().expect("a directory");
    written(ParquetSink::create(directory.path()).expect("begun"));
    let tables = ["slots", "transactions", "divergences", "account_diffs"]
        .map(|name| format!("{name}:\n{}", rows(&directory.path().join(format!("{name}.parquet")))));
    insta::assert_snapshot!(tables.join("\n"));
}

fn rows(path: &Path) -> String {
    let file = std::fs::File::open(path).expect("published");
    let reader = SerializedFileReader::new(file).expect("Parquet");
    let rows = reader
        .get_row_iter(None)
        .expect("rows")
        .map(|row: Result<Row, _>| row.expect("a row").to_string());
    rows.collect::<Vec<_>>().join("\n")
}

#[test]
fn table_of_a_run_that_diverged() {
    insta::assert_snapshot!(table(&facts(), 7));
}

#[test]
fn table_of_a_run_that_was_interrupted() {
    let mut facts = facts();
    facts.metadata.complete = false;
    facts.metadata.result_digest = None;
    facts.bank_hashes = None;
    facts.unreproduced = None;
    insta::assert_snapshot!(table(&facts, 0));
}

#[test]
fn table_of_a_run_that_was_interrupted_before_it_wrote_anything() {
    let mut facts = facts();
    facts.metadata = Metadata {
        complete: false,
        end_slot: None,
        archive: None,
        engine: None,
        result_digest: None,
        ..facts.metadata
    };
    let text = table(&facts, 0);
    assert!(text.contains("nothing from 36 (interrupted)"), "{text}");
    assert!(!text.contains("archive"), "{text}");
}

#[test]
fn table_of_a_run_over_listed_accounts() {
    let mut facts = facts();
    facts.bank_hashes = Some(BankHashes {
        unavailable: Some("the archive lists only some accounts".into()),
        ..BankHashes::default()
    });
    facts.unreproduced = Some(vec![Unreproduced {
        kind: "blockTime".into(),
        count: 2,
        first_slot: 41,
        reason: "the block's time is not recorded".into(),
    }]);
    insta::assert_snapshot!(table(&facts, 0));
}

#[test]
fn table_names_the_first_bank_hash_that_differs() {
    let mut facts = facts();
    let hashes = facts.bank_hashes.get_or_insert_default();
    hashes.differed = 2;
    hashes.first_difference = Some(41);
    insta::assert_snapshot!(table(&facts, 0));
}
