//! `sim serve` and what talks to it.

use serde_json::{Value, json};
use simulator_testkit::paths;

use crate::support::{Outcome, RunningServer, Workspace, text};

#[test]
fn a_server_gives_the_same_result_as_a_run_without_one() {
    let workspace = Workspace::with_archive();
    let server = RunningServer::start(&workspace, &["--archive", "archive"]);
    assert!(server.http.starts_with("http://127.0.0.1:"));
    let remote = workspace.sim_json(&[
        "run",
        "--server",
        &server.ws,
        "--json",
        "--dump-accounts",
        "remote.jsonl",
    ]);
    let local = workspace.sim_json(&[
        "run",
        "--archive",
        "archive",
        "--json",
        "--dump-accounts",
        "local.jsonl",
    ]);
    assert_eq!(remote["metadata"]["result_digest"], local["metadata"]["result_digest"]);
    assert_eq!(remote["summary"]["matched"], 478);
    assert_eq!(workspace.read("remote.jsonl"), workspace.read("local.jsonl"));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn ranges_are_the_same_from_a_server_and_from_an_archive() {
    let workspace = Workspace::with_archive();
    let server = RunningServer::start(&workspace, &["--archive", "archive"]);
    let remote = workspace.sim_json(&["ranges", "--server", &server.ws, "--json"]);
    let local = workspace.sim_json(&["ranges", "--archive", "archive", "--json"]);
    assert_eq!(remote, local);
    assert_eq!(
        (&local[0]["first_slot"], &local[0]["last_slot"]),
        (&json!(36), &json!(59))
    );
    insta::assert_snapshot!(workspace.sim(&["ranges", "--archive", "archive"]));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_ledger_directory_is_served_too() {
    let workspace = Workspace::new();
    let sample = paths::sample("agave-small");
    let server = RunningServer::start(&workspace, &["--archive", text(&sample)]);
    let report: Value = workspace.sim_json(&["run", "--server", &server.ws, "--json", "--slots", "2"]);
    assert_eq!(report["summary"]["slots"], 2);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_server_with_keys_wants_one_of_them() {
    let workspace = Workspace::with_archive();
    let server = RunningServer::start(&workspace, &["--archive", "archive", "--api-key", "desk=secret"]);
    let run = |args: &[&str]| workspace.sim(&[&["run", "--server", &server.ws, "--slots", "1"], args].concat());
    assert_eq!(run(&["--api-key", "secret"]).code, Some(0));
    let refused = run(&["--api-key", "wrong"]);
    assert_eq!(refused.code, Some(1), "{refused}");
    insta::assert_snapshot!(refused.stderr.replace(&server.ws, "[server]"));
    assert!(!refused.stderr.contains("wrong"));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn an_open_server_is_refused() {
    let workspace = Workspace::with_archive();
    insta::assert_snapshot!(workspace.sim(&["serve", "--archive", "archive", "--listen", "0.0.0.0:0"]));
}

#[test]
fn nothing_to_serve() {
    insta::assert_snapshot!(Workspace::new().sim(&["serve"]));
}

#[test]
fn a_key_without_a_name_is_refused() {
    let workspace = Workspace::new();
    let refused = workspace.sim(&["serve", "--archive", "archive", "--api-key", "secret"]);
    assert!(!refused.stderr.contains("secret"), "{refused}");
    insta::assert_snapshot!(refused);
    let mut command = workspace.command(&["serve", "--archive", "archive"]);
    let outcome: Outcome = command
        .env("SIM_API_KEYS", "a=1,secret")
        .output()
        .expect("it runs")
        .into();
    assert_eq!(outcome.code, Some(2));
    assert!(!outcome.stderr.contains("secret"), "{outcome}");
}

#[test]
fn an_archive_that_is_missing_cannot_be_served() {
    insta::assert_snapshot!(Workspace::new().sim(&["serve", "--archive", "no/such"]));
}
