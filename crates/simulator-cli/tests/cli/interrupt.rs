//! A run that its user stops.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::Value;
use simulator_testkit::ledger::{LedgerOptions, generate};

use crate::support::{Outcome, Workspace, signal};

/// More than the windows between session and output can hold.
const SLOTS: u64 = 400;

#[test]
fn interrupted_run_is_complete_up_to_a_slot() {
    let workspace = Workspace::new();
    let options = LedgerOptions {
        slots: SLOTS,
        ..LedgerOptions::default()
    };
    let ledger = generate(&workspace.path("ledger"), &options).expect("a ledger");
    // The output is a pipe, so that the run cannot get far ahead of this test.
    let pipe = workspace.path("report.jsonl");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("mkfifo runs")
            .success()
    );

    let mut command = workspace.command(&["run", "--archive", "ledger", "--output-file", "report.jsonl"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut report = BufReader::new(File::open(&pipe).expect("the run opens the pipe"));
    let mut lines = String::new();
    while !lines.contains("\"type\":\"slot\"") {
        assert!(
            report.read_line(&mut lines).expect("text") > 0,
            "the run ended too early"
        );
    }
    signal(&child, "INT");
    report.read_to_string(&mut lines).expect("text");

    let outcome = Outcome::from(child.wait_with_output().expect("it ends"));
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert!(outcome.stdout.contains("(interrupted)"), "{outcome}");
    complete_up_to_a_slot(&lines, ledger.transactions);
}

fn complete_up_to_a_slot(lines: &str, transactions: u64) {
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("whole lines"))
        .collect();
    let (last, before) = lines.split_last().expect("lines");
    assert_eq!(
        (&last["type"], &last["metadata"]["complete"]),
        (&Value::from("run"), &Value::from(false))
    );
    assert_eq!(before.last().expect("a slot")["type"], "slot");
    let written = before.iter().filter(|line| line["type"] == "transaction").count() as u64;
    let counted: u64 = before
        .iter()
        .filter(|line| line["type"] == "slot")
        .filter_map(|line| line["total"].as_u64())
        .sum();
    assert!(written > 0 && written < transactions, "{written} of {transactions}");
    assert_eq!(counted, written);
    assert_eq!(last["summary"]["total"], written);
}
