//! `sim archive export`, and what a replay of a part agrees with.

use std::path::Path;

use serde_json::Value;
use simulator_testkit::{accounts, paths};

use crate::support::{Workspace, text};

const STAKE: &str = "Stake11111111111111111111111111111111111111";

/// How many accounts of a run's end differ from the truth of the ledger's end, and what the run reports.
fn differing_at_end(workspace: &Workspace, archive: &str, ledger: &Path) -> (usize, Value) {
    let report = workspace.sim_json(&["run", "--archive", archive, "--json", "--dump-accounts", "end.jsonl"]);
    let truth = accounts::read(&ledger.join("accounts-end.jsonl.gz")).expect("the truth");
    let end = accounts::read(&workspace.path("end.jsonl")).expect("a dump");
    assert!(!end.is_empty());
    let differing = end
        .iter()
        .filter(|(address, account)| truth.get(address) != Some(account));
    (differing.count(), report)
}

/// Votes change accounts that the transactions of the stake program read. They cannot be executed without the accounts of
/// validators; what they did is taken from the deltas.
#[test]
fn a_scope_with_deltas_holds_what_other_transactions_did() {
    let workspace = Workspace::with_index();
    let scope = ["--scope-program", STAKE];
    workspace
        .sim(&[&["archive", "export", "archive", "--out", "stakes"], &scope[..]].concat())
        .succeeded();
    let sample = paths::sample("agave-small");
    let import = ["archive", "import", "--ledger", text(&sample), "--out", "without"];
    workspace.sim(&[&import, &scope[..]].concat()).succeeded();

    let (differing, report) = differing_at_end(&workspace, "stakes", &sample);
    let count = |report: &Value, field: &str| report["summary"][field].as_u64().expect("a number");
    assert_eq!((differing, count(&report, "diverged")), (0, 0), "{}", report["summary"]);
    assert!(
        count(&report, "matched") > 0 && count(&report, "unverifiable") > 0,
        "{}",
        report["summary"]
    );
    let (differing, _) = differing_at_end(&workspace, "without", &sample);
    assert!(differing > 0, "the deltas make no difference");

    // An index of it begins anywhere, too.
    let part = ["run", "--archive", "stakes", "--start-slot", "50", "--json"];
    let before = workspace.sim_json(&part);
    workspace
        .sim(&["archive", "index", "stakes", "--interval", "7"])
        .succeeded();
    let after = workspace.sim_json(&part);
    assert_eq!(after["metadata"]["result_digest"], before["metadata"]["result_digest"]);
    assert_eq!(after["summary"]["matched"], before["summary"]["matched"]);
    assert_eq!(differing_at_end(&workspace, "stakes", &sample).0, 0);
}

/// Over two epoch boundaries, with programs that are upgraded and accounts that come and go.
#[test]
fn a_large_part_is_exact_to_its_end() {
    let Some(ledger) = paths::shared_ledger_or_skip("agave-full") else {
        return;
    };
    let workspace = Workspace::new();
    let import = [
        "archive",
        "import",
        "--ledger",
        text(&ledger),
        "--out",
        "full",
        "--index-interval",
        "50",
    ];
    workspace.sim(&import).succeeded();
    let token = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
    workspace
        .sim(&["archive", "export", "full", "--out", "token", "--scope-program", token])
        .succeeded();
    let (differing, report) = differing_at_end(&workspace, "token", &ledger);
    let counts = ["matched", "diverged", "unverifiable"].map(|field| report["summary"][field].as_u64());
    assert_eq!((differing, counts), (0, [Some(3960), Some(0), Some(1222)]));
}

#[test]
fn a_part_of_the_slots_replays_as_in_the_whole() {
    let workspace = Workspace::with_index();
    let range = ["--start-slot", "44", "--end-slot", "50"];
    workspace
        .sim(&[&["archive", "export", "archive", "--out", "part"], &range[..]].concat())
        .succeeded();
    let whole = workspace.sim_json(&[&["run", "--archive", "archive", "--json"], &range[..]].concat());
    let part = workspace.sim_json(&["run", "--archive", "part", "--json"]);
    assert_eq!(part["metadata"]["result_digest"], whole["metadata"]["result_digest"]);
    assert_eq!(part["summary"]["total"], part["summary"]["matched"]);
    assert_eq!(part["bank_hashes"]["differed"], 0);
}

#[test]
fn what_cannot_be_exported_is_said() {
    let workspace = Workspace::with_archive();
    insta::assert_snapshot!(workspace.sim(&["archive", "export", "archive", "--out", "out", "--start-slot", "50"]));
    insta::assert_snapshot!(workspace.sim(&["archive", "export", "archive", "--out", "out", "--start-slot", "99"]));
    insta::assert_snapshot!(workspace.sim(&["archive", "export", "archive", "--out", "./archive"]));
    workspace.sim(&["archive", "verify", "archive"]).succeeded();
}
