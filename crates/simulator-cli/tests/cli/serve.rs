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

#[test]
fn keys_and_their_limits_come_from_a_file() {
    let workspace = Workspace::with_archive();
    workspace.write(
        "keys.toml",
        "[desk]\nkeys = [\"old\", \"new\"]\n[small]\nkey = \"tiny\"\nsessions = 1\n",
    );
    let server = RunningServer::start(&workspace, &["--archive", "archive", "--key-file", "keys.toml"]);
    for (key, code) in [("old", 0), ("new", 0), ("tiny", 0), ("other", 1)] {
        let outcome = workspace.sim(&["run", "--server", &server.ws, "--slots", "1", "--api-key", key]);
        assert_eq!(outcome.code, Some(code), "{key}: {outcome}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_key_file_that_is_wrong_is_refused_without_its_keys() {
    let workspace = Workspace::with_archive();
    workspace.write("keys.toml", "[desk]\nkey = \"s3cret\"\nsession = 1\n");
    let refused = workspace.sim(&["serve", "--archive", "archive", "--key-file", "keys.toml"]);
    assert!(!refused.stderr.contains("s3cret"), "{refused}");
    insta::assert_snapshot!(refused);
}

#[test]
fn a_certificate_needs_its_key_and_both_their_files() {
    let workspace = Workspace::with_archive();
    let tls = |args: &[&str]| workspace.sim(&[&["serve", "--archive", "archive"], args].concat());
    assert_eq!(tls(&["--tls-cert", "cert.pem"]).code, Some(2));
    let missing = tls(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    assert_eq!(missing.code, Some(1));
    insta::assert_snapshot!(missing);
}

#[test]
fn a_server_with_a_certificate_of_its_own_is_trusted_when_its_authority_is_named() {
    let workspace = Workspace::with_archive();
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        std::fs::copy(paths::tls(name), workspace.path(name)).expect("the file can be copied");
    }
    let tls = ["--archive", "archive", "--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let server = RunningServer::start(&workspace, &tls);
    assert!(server.ws.starts_with("wss://"), "{}", server.ws);
    let run = |args: &[&str]| workspace.sim(&[&["run", "--server", &server.ws, "--slots", "2"], args].concat());
    run(&["--ca-file", "ca.pem"]).succeeded();
    let ranges = workspace.sim_json(&["ranges", "--server", &server.ws, "--json", "--ca-file", "ca.pem"]);
    assert_eq!(ranges[0]["first_slot"], 36);
    let mut command = workspace.command(&["run", "--server", &server.ws, "--slots", "1"]);
    let from_the_environment: Outcome = command.env("SIM_CA_FILE", "ca.pem").output().expect("it runs").into();
    from_the_environment.succeeded();
    let address = server.http.strip_prefix("https://").expect("a certificate");
    insta::assert_snapshot!(run(&[]).to_string().replace(address, "[server]"));
    insta::assert_snapshot!(run(&["--ca-file", "key.pem"]));
    insta::assert_snapshot!(run(&["--ca-file", "none.pem"]));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_log_in_json_is_json_and_names_no_session() {
    let workspace = Workspace::with_archive();
    let args = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--archive",
        "archive",
        "--log-format",
        "json",
    ];
    let mut server = RunningServer::spawn(workspace.command(&args).stderr(std::process::Stdio::piped()));
    let report = workspace.sim_json(&["run", "--server", &server.ws, "--json", "--slots", "1"]);
    let id = report["metadata"]["session_ids"][0].as_str().expect("an id").to_owned();
    let log = server.stop_and_read();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let messages: Vec<&str> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    assert_eq!(messages, ["a session lives", "a session ends"], "{log}");
    assert_eq!(lines[0]["key"], "anyone");
    let digits = id.rsplit('_').next().expect("an id has digits");
    assert!(!log.contains(digits), "{log}");
}
