//! `sim archive`.

use serde_json::{Value, json};
use simulator_testkit::{edit, paths};

use crate::support::{Outcome, Workspace, text};

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

/// What was printed, but for the first line: how many bytes an archive has is no business of these tests.
fn without_sizes(mut outcome: Outcome) -> Outcome {
    let (sizes, rest) = outcome.stdout.split_once('\n').expect("several lines");
    assert!(sizes.starts_with("archive is intact: "), "{sizes}");
    outcome.stdout = rest.to_owned();
    outcome
}

#[test]
fn verify_replays_an_archive() {
    let workspace = Workspace::with_archive();
    let outcome = workspace.sim(&["archive", "verify", "archive", "--replay"]).succeeded();
    insta::assert_snapshot!(without_sizes(outcome));
    let report = workspace.sim_json(&["archive", "verify", "archive", "--replay", "--json"]);
    let replay = &report["replay"];
    assert_eq!(
        (&report["intact"], &replay["agrees"], &replay["complete"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert_eq!(
        (&replay["summary"]["matched"], &replay["bank_hashes"]["agreed"]),
        (&json!(478), &json!(20))
    );
    assert_eq!(
        (&replay["state"]["slot"], &replay["state"]["accounts"]),
        (&json!(59), &json!(617))
    );
    let run = workspace.sim_json(&["run", "--archive", "archive", "--json"]);
    assert_eq!(replay["result_digest"], run["metadata"]["result_digest"]);
}

#[test]
fn verify_names_the_slot_from_which_on_a_replay_does_not_agree() {
    let workspace = Workspace::with_ledger();
    let stranger = "Vo5siZ442SaZBKPXNocthiXysNviW4UYPwRFggmbgAp".parse();
    edit::drop_account(&workspace.path("ledger"), &stranger.expect("an address")).expect("dropped");
    workspace
        .sim(&["archive", "import", "--ledger", "ledger", "--out", "archive"])
        .succeeded();
    let outcome = workspace.sim(&["archive", "verify", "archive", "--replay"]);
    assert_eq!(outcome.code, Some(3));
    insta::assert_snapshot!(without_sizes(outcome));
    let json = workspace.sim(&["archive", "verify", "archive", "--replay", "--json"]);
    let report: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((json.code, &report["replay"]["agrees"]), (Some(3), &json!(false)));
    assert_eq!(report["replay"]["bank_hashes"]["first_difference"], 36);
}

#[test]
fn verify_says_where_there_is_no_proof() {
    let workspace = Workspace::with_ledger();
    let import = [
        "archive", "import", "--ledger", "ledger", "--out", "archive", "--scope", "listed",
    ];
    workspace.sim(&import).succeeded();
    let outcome = workspace.sim(&["archive", "verify", "archive", "--replay"]).succeeded();
    let told = "not computed: the archive lists only some accounts";
    assert!(outcome.stdout.contains(told), "{outcome}");
}

#[test]
fn verify_warns_where_nothing_could_be_compared() {
    let workspace = Workspace::with_ledger();
    edit::forget_outcomes(&workspace.path("ledger")).expect("forgotten");
    let import = [
        "archive", "import", "--ledger", "ledger", "--out", "archive", "--scope", "listed",
    ];
    workspace.sim(&import).succeeded();
    let verify = ["archive", "verify", "archive", "--replay"];
    let outcome = workspace.sim(&verify).succeeded();
    assert!(
        outcome.stdout.contains("478: 476 noRecord, 2 unknownAccount"),
        "{outcome}"
    );
    let warning = "warning: the archive records nothing that the replay could be compared with\n";
    assert_eq!(outcome.stderr, warning);
}

#[test]
fn verify_does_not_replay_what_is_damaged() {
    let workspace = Workspace::with_archive();
    edit::flip_byte(&workspace.segment("blocks"), 100).expect("flipped");
    let outcome = workspace.sim(&["archive", "verify", "archive", "--replay", "--json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!((outcome.code, report["intact"].clone()), (Some(1), json!(false)));
    assert!(report.get("replay").is_none());
}

#[test]
fn inspect_something_else() {
    let workspace = Workspace::with_ledger();
    insta::assert_snapshot!(workspace.sim(&["archive", "inspect", "ledger"]));
}
