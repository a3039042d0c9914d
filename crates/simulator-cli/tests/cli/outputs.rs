//! `--output-file`: the same run in three forms.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use serde_json::{Value, json};

use crate::support::Workspace;

fn run(workspace: &Workspace, args: &[&str]) {
    workspace
        .sim(&[&["run", "--archive", "archive"], args].concat())
        .succeeded();
}

#[test]
fn json_file_holds_every_transaction() {
    let workspace = Workspace::with_archive();
    run(&workspace, &["--output-file", "report.json"]);
    let report = workspace.json("report.json");
    let transactions = report["transactions"].as_array().expect("a list");
    assert_eq!(transactions.len(), 478);
    insta::assert_snapshot!(serde_json::to_string_pretty(&transactions[0]).expect("JSON"));
    let failed = transactions.iter().filter(|row| row["success"] == false).count();
    assert_eq!((failed, &report["summary"]["failures"]), (57, &json!(57)));
    let units: u64 = transactions
        .iter()
        .filter_map(|row| row["compute_units"].as_u64())
        .sum();
    assert_eq!(report["summary"]["compute_units"], units);
    assert!(transactions.iter().all(|row| row.get("account_diffs").is_none()));
}

#[test]
fn lines_end_each_slot() {
    let workspace = Workspace::with_archive();
    let printed = workspace.sim_json(&["run", "--archive", "archive", "--json", "--output-file", "report.jsonl"]);
    assert!(
        printed.get("transactions").is_none(),
        "they were asked for in the file only"
    );
    let lines: Vec<Value> = workspace
        .read("report.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of_type = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!(
        (
            of_type("transaction"),
            of_type("slot"),
            of_type("divergence"),
            of_type("run")
        ),
        (478, 21, 0, 1)
    );
    assert_eq!(lines.last().expect("lines")["type"], "run");
    let slots = lines
        .iter()
        .filter(|line| line["type"] == "slot")
        .map(|line| line["slot"].as_u64());
    assert!(slots.is_sorted());
}

#[test]
fn tables_hold_the_same() {
    let workspace = Workspace::with_archive();
    run(
        &workspace,
        &[
            "--output-file",
            "tables",
            "--subscriptions",
            "transactions,account-diff",
        ],
    );
    let rows = |name: &str| count(&workspace.path(&format!("tables/{name}.parquet")));
    assert_eq!((rows("transactions"), rows("divergences"), rows("slots")), (478, 0, 21));
    assert!(
        rows("account_diffs") > 478,
        "every transaction changes at least who pays for it"
    );

    let slots = SerializedFileReader::new(File::open(workspace.path("tables/slots.parquet")).expect("a table"));
    let slots = slots.expect("Parquet");
    let totals = slots.get_row_iter(None).expect("rows").map(|row| {
        let row = row.expect("a row");
        row.get_ulong(1).expect("total")
    });
    assert_eq!(totals.sum::<u64>(), 478);
}

fn count(path: &Path) -> i64 {
    let reader = SerializedFileReader::new(File::open(path).expect("a table")).expect("Parquet");
    reader.metadata().file_metadata().num_rows()
}

#[test]
fn account_diffs_follow_from_each_other() {
    let workspace = Workspace::with_archive();
    let args = [
        "run",
        "--archive",
        "archive",
        "--json",
        "--subscriptions",
        "account-diff",
    ];
    let report = workspace.sim_json(&args);
    let mut latest = std::collections::BTreeMap::new();
    for row in report["transactions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|row| row["slot"] == 36)
    {
        for (address, diff) in row["account_diffs"].as_object().expect("diffs") {
            if let Some(before) = latest.insert(address.clone(), diff["after"].clone()) {
                assert_eq!(diff["before"], before, "{address}");
            }
        }
    }
    assert!(!latest.is_empty());
}
