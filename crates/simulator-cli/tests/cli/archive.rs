//! `sim archive`.

use serde_json::json;
use simulator_testkit::{edit, paths};

use crate::support::{Workspace, text};

#[test]
fn import_prints_what_the_archive_holds() {
    let workspace = Workspace::new();
    let sample = paths::sample("agave-small");
    let outcome = workspace.sim(&["archive", "import", "--ledger", text(&sample), "--out", "archive"]);
    insta::assert_snapshot!(outcome);
}

#[test]
fn import_twice_gives_the_same_archive() {
    let workspace = Workspace::with_archive();
    let sample = paths::sample("agave-small");
    workspace
        .sim(&["archive", "import", "--ledger", text(&sample), "--out", "again"])
        .succeeded();
    let digest = |name: &str| workspace.sim_json(&["archive", "inspect", name, "--json"])["digest"].clone();
    assert_eq!(digest("archive"), digest("again"));
}

#[test]
fn inspect() {
    let workspace = Workspace::with_archive();
    insta::assert_snapshot!(workspace.sim(&["archive", "inspect", "archive"]));
    let inspection = workspace.sim_json(&["archive", "inspect", "archive", "--json"]);
    assert_eq!(
        (&inspection["transactions"], &inspection["scope"]),
        (&json!(478), &json!("all"))
    );
    assert_eq!(inspection["keyframes"], json!([{"slot": 36, "accounts": 578}]));
}

#[test]
fn verify_an_archive_that_is_intact() {
    let workspace = Workspace::with_archive();
    let intact = workspace.sim(&["archive", "verify", "archive"]).succeeded();
    let mut lines = intact.stdout.lines();
    assert!(
        lines.next().expect("a line").starts_with("archive is intact: "),
        "{intact}"
    );
    assert_eq!(lines.next(), Some("21 blocks, 478 transactions, 578 accounts"));
    let report = workspace.sim_json(&["archive", "verify", "archive", "--json"]);
    assert_eq!((&report["intact"], &report["problems"]), (&json!(true), &json!([])));
}

#[test]
fn verify_an_archive_that_is_damaged() {
    let workspace = Workspace::with_archive();
    edit::flip_byte(&workspace.segment("blocks"), 100).expect("flipped");
    insta::assert_snapshot!(workspace.sim(&["archive", "verify", "archive"]));
    let report = workspace.sim(&["archive", "verify", "archive", "--json"]);
    assert_eq!(report.code, Some(1));
    assert!(report.stdout.contains("\"intact\": false"), "{report}");
}

#[test]
fn inspect_something_else() {
    let workspace = Workspace::with_ledger();
    insta::assert_snapshot!(workspace.sim(&["archive", "inspect", "ledger"]));
}
