//! `sim run` on the sample, from its ledger directory and from an archive.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use simulator_testkit::{accounts, paths};

use crate::support::{Workspace, text};

fn sample() -> String {
    text(&paths::sample("agave-small")).to_owned()
}

fn digest(report: &Value) -> &str {
    report["metadata"]["result_digest"].as_str().expect("a digest")
}

#[test]
fn every_transaction_of_the_sample_is_matched_and_every_account_is_right() {
    let workspace = Workspace::new();
    let report = workspace.sim_json(&["run", "--archive", &sample(), "--json", "--dump-accounts", "end.jsonl"]);
    let summary = &report["summary"];
    assert_eq!(summary["total"], 478);
    assert_eq!(
        (&summary["matched"], &summary["diverged"], &summary["unverifiable"]),
        (&json!(478), &json!(0), &json!(0))
    );
    assert_eq!((&summary["successes"], &summary["failures"]), (&json!(421), &json!(57)));
    assert_eq!(
        (&summary["slots"], &summary["compute_units"]),
        (&json!(21), &json!(1_374_561))
    );
    assert_eq!(report["bank_hashes"]["differed"], 0);
    assert_eq!(report["bank_hashes"]["agreed"], 20);
    assert_eq!(report["unreproduced"], json!([]));
    assert_eq!(report["divergences"], json!([]));
    assert!(report.get("transactions").is_none());

    let expected = paths::sample("agave-small").join("accounts-end.jsonl.gz");
    let dump = workspace.path("end.jsonl");
    accounts::assert_same(
        &accounts::read(&expected).expect("a dump"),
        &accounts::read(&dump).expect("a dump"),
    );
    let lines = simulator_testkit::text::lines(&expected).expect("readable");
    let lines: Vec<_> = lines.map(|line| line.expect("readable").text).collect();
    assert_eq!(workspace.read("end.jsonl").lines().collect::<Vec<_>>(), lines);
}

#[test]
fn table_is_for_people() {
    let outcome = Workspace::new().sim(&["run", "--archive", &sample()]).succeeded();
    insta::assert_snapshot!(outcome);
}

#[test]
fn json_names_what_was_run() {
    let workspace = Workspace::with_archive();
    let report = workspace.sim_json(&["run", "--archive", "archive", "--json"]);
    let metadata = &report["metadata"];
    assert_eq!(
        (&metadata["start_slot"], &metadata["end_slot"]),
        (&json!(36), &json!(59))
    );
    assert_eq!(metadata["program_id"], json!([]));
    assert_eq!(metadata["session_ids"].as_array().map(Vec::len), Some(1));
    assert_eq!(metadata["complete"], true);
    let inspection = workspace.sim_json(&["archive", "inspect", "archive", "--json"]);
    assert_eq!(metadata["archive"], inspection["digest"]);
}

#[test]
fn digest_depends_neither_on_the_run_nor_on_its_pace() {
    let workspace = Workspace::with_archive();
    let run = |args: &[&str]| workspace.sim_json(&[&["run", "--archive", "archive", "--json"], args].concat());
    let first = run(&[]);
    for args in [
        &[][..],
        &["--parallel", "4"],
        &["--advance", "1"],
        &["--subscriptions", "account-diff"],
    ] {
        assert_eq!(digest(&run(args)), digest(&first), "{args:?}");
    }
}

#[test]
fn part_of_a_range() {
    let workspace = Workspace::with_archive();
    let run = |args: &[&str]| workspace.sim_json(&[&["run", "--archive", "archive", "--json"], args].concat());
    let middle = run(&["--start-slot", "44", "--end-slot", "50"]);
    assert_eq!(middle["summary"]["slots"], 4);
    assert_eq!(middle["summary"]["total"], middle["summary"]["matched"]);
    let counted = run(&["--start-slot", "44", "--slots", "7"]);
    assert_eq!(digest(&counted), digest(&middle));
    let one = run(&["--start-slot", "59", "--slots", "1"]);
    assert_eq!(
        (&one["summary"]["slots"], &one["metadata"]["end_slot"]),
        (&json!(1), &json!(59))
    );
}

#[test]
fn range_without_a_block_has_nothing_to_replay() {
    let workspace = Workspace::with_archive();
    let skipped = workspace.sim(&["run", "--archive", "archive", "--start-slot", "47", "--end-slot", "48"]);
    insta::assert_snapshot!(skipped);
}

#[test]
fn program_filter_limits_the_report_but_not_the_replay() {
    let workspace = Workspace::with_archive();
    let memo = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr";
    let all = workspace.sim_json(&["run", "--archive", "archive", "--json", "--transactions"]);
    let some = workspace.sim_json(&[
        "run",
        "--archive",
        "archive",
        "--json",
        "--transactions",
        "--program-id",
        memo,
    ]);
    assert_eq!(all["transactions"].as_array().map(Vec::len), Some(478));
    let reported = some["transactions"].as_array().expect("a list");
    assert!(!reported.is_empty() && reported.len() < 478, "{}", reported.len());
    let invokes = |row: &Value| row["logs"].to_string().contains(&format!("Program {memo} invoke"));
    assert!(reported.iter().all(invokes));
    assert_eq!(
        all["transactions"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|row| invokes(row))
            .count(),
        reported.len()
    );
    assert_eq!((digest(&some), &some["summary"]["total"]), (digest(&all), &json!(478)));
    assert_eq!(some["metadata"]["program_id"], json!([memo]));
}

#[test]
fn reader_that_goes_away_is_no_error() {
    let workspace = Workspace::with_archive();
    let mut command = workspace.command(&["run", "--archive", "archive", "--json", "--transactions"]);
    assert_done_unread(&mut command);
    for args in [
        &["archive", "inspect", "archive"][..],
        &["archive", "verify", "archive"],
        &["ranges", "--archive", "archive"],
        &["serve", "--archive", "archive", "--listen", "127.0.0.1:0"],
    ] {
        assert_done_unread(&mut workspace.command(args));
    }
}

/// Runs a command that nobody reads, which has to end in silence.
fn assert_done_unread(command: &mut Command) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut stderr)
        .expect("text");
    assert_eq!((child.wait().expect("it ends").code(), stderr.as_str()), (Some(0), ""));
}
