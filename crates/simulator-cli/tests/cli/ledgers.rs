//! Larger recordings, where somebody has put them beside the workspace.

use serde_json::{Value, json};
use simulator_testkit::{accounts, paths};

use crate::support::{Workspace, text};

fn run(workspace: &Workspace, ledger: &std::path::Path, args: &[&str]) -> Value {
    workspace.sim_json(&[&["run", "--archive", text(ledger), "--json"], args].concat())
}

#[test]
fn agave_perf_is_matched() {
    let Some(ledger) = paths::shared_ledger_or_skip("agave-perf") else {
        return;
    };
    let workspace = Workspace::new();
    let report = run(&workspace, &ledger, &["--dump-accounts", "end.jsonl"]);
    assert_eq!(
        (&report["summary"]["total"], &report["summary"]["matched"]),
        (&json!(28_926), &json!(28_926))
    );
    assert_eq!(
        (&report["bank_hashes"]["agreed"], &report["bank_hashes"]["differed"]),
        (&json!(112), &json!(0))
    );
    let expected = accounts::read(&ledger.join("accounts-end.jsonl.gz")).expect("a dump");
    accounts::assert_same(
        &expected,
        &accounts::read(&workspace.path("end.jsonl")).expect("a dump"),
    );
}

#[test]
fn agave_full_is_matched_up_to_the_end_of_its_first_epoch() {
    let Some(ledger) = paths::shared_ledger_or_skip("agave-full") else {
        return;
    };
    let report = run(&Workspace::new(), &ledger, &["--end-slot", "63"]);
    assert_eq!(
        (&report["summary"]["total"], &report["summary"]["matched"]),
        (&json!(1004), &json!(1004))
    );
    assert_eq!(report["bank_hashes"]["differed"], 0);
}

#[test]
fn testnet_block_runs_over_listed_accounts() {
    let Some(ledger) = paths::shared_ledger_or_skip("testnet-356797362") else {
        return;
    };
    let report = run(&Workspace::new(), &ledger, &[]);
    let count = |field: &str| report["summary"][field].as_u64().expect("a number");
    assert!(count("total") > 0);
    assert_eq!(
        count("matched") + count("diverged") + count("unverifiable"),
        count("total")
    );
}
