//! Runs that are not history: replaced accounts and programs, left-out signers, chosen features.

use serde_json::{Value, json};

use crate::support::{Workspace, elf};

const SYSTEM: &str = "11111111111111111111111111111111";
const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
/// The noop of the upgradeable loader in the sample is not needed: a new program is made.
const NEW_PROGRAM: &str = "Sim1111111111111111111111111111111111111111";

fn run(workspace: &Workspace, args: &[&str]) -> Value {
    workspace.sim_json(&[&["run", "--archive", "archive", "--json"], args].concat())
}

fn dumped(workspace: &Workspace, address: &str) -> Option<Value> {
    let dump = workspace.read("dump.jsonl");
    let mut lines = dump
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.find(|line| line["pubkey"] == address)
}

#[test]
fn an_account_is_replaced_from_the_first_slot() {
    let workspace = Workspace::with_archive();
    let address = "Sim2222222222222222222222222222222222222222";
    let account = json!({"pubkey": address, "account": {"lamports": 12345, "data": ["", "base64"], "owner": SYSTEM,
        "executable": false, "rentEpoch": u64::MAX, "space": 0}});
    workspace.write("account.json", &account.to_string());
    let change = format!("{address}=account.json");
    let report = run(&workspace, &["--account", &change, "--dump-accounts", "dump.jsonl"]);
    assert_eq!(report["summary"]["matched"], 478, "nobody uses the account");
    assert!(
        report["bank_hashes"]["unavailable"].is_string(),
        "{}",
        report["bank_hashes"]
    );
    let account = dumped(&workspace, address).expect("the account is there");
    assert_eq!(account["account"]["lamports"], 12345);
}

#[test]
fn a_program_is_replaced_from_the_first_slot() {
    let workspace = Workspace::with_archive();
    std::fs::write(workspace.path("program.so"), elf(TOKEN)).expect("written");
    let change = format!("{NEW_PROGRAM}=program.so");
    let report = run(&workspace, &["--program-so", &change, "--dump-accounts", "dump.jsonl"]);
    assert_eq!(report["summary"]["matched"], 478, "nobody uses the program");
    let program = dumped(&workspace, NEW_PROGRAM).expect("the program is there");
    assert_eq!(program["account"]["executable"], true);
}

#[test]
fn transactions_of_a_signer_are_left_out() {
    let workspace = Workspace::with_archive();
    let all = run(&workspace, &["--transactions"]);
    let payer = all["transactions"][1]["sol_changes"]
        .as_object()
        .expect("changes")
        .keys()
        .next()
        .expect("one")
        .clone();
    let report = run(&workspace, &["--ignore-signer", &payer]);
    assert!(
        report["summary"]["matched"].as_u64() < Some(478),
        "{}",
        report["summary"]
    );
    assert_eq!(report["summary"]["total"], 478);
}

#[test]
fn features_are_those_of_the_accounts_unless_others_are_asked_for() {
    let workspace = Workspace::with_archive();
    let accounts = run(&workspace, &["--features", "accounts"]);
    assert_eq!(accounts["summary"]["matched"], 478);
    workspace.write("features.txt", "# none at all\n");
    let none = run(&workspace, &["--features", "features.txt"]);
    assert_ne!(none["metadata"]["result_digest"], accounts["metadata"]["result_digest"]);
    let all = run(&workspace, &["--features", "all"]);
    assert_eq!(all["summary"]["total"], 478);
}
