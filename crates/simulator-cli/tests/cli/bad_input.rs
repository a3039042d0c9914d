//! What a user can get wrong, and what they are told. Every message is a snapshot.

use serde_json::json;
use simulator_testkit::edit;

use crate::support::{Outcome, Workspace, elf};

fn run(workspace: &Workspace, args: &[&str]) -> Outcome {
    workspace.sim(&[&["run"], args].concat())
}

#[test]
fn archive_is_missing() {
    insta::assert_snapshot!(run(&Workspace::new(), &["--archive", "no/such"]));
}

#[test]
fn archive_is_in_a_store_that_is_not_built_in() {
    insta::assert_snapshot!(run(&Workspace::new(), &["--archive", "s3://bucket/archive"]));
}

#[test]
fn accounts_are_missing() {
    let workspace = Workspace::with_ledger();
    std::fs::remove_file(workspace.path("ledger/accounts-start.jsonl.gz")).expect("there");
    insta::assert_snapshot!(run(&workspace, &["--archive", "ledger"]));
}

#[test]
fn archive_is_truncated() {
    let workspace = Workspace::with_archive();
    edit::truncate(&workspace.segment("blocks"), 1000).expect("cut");
    insta::assert_snapshot!(run(&workspace, &["--archive", "archive"]));
}

#[test]
fn manifest_is_truncated() {
    let workspace = Workspace::with_archive();
    edit::truncate(&workspace.path("archive/manifest.json"), 100).expect("cut");
    insta::assert_snapshot!(run(&workspace, &["--archive", "archive"]));
}

#[test]
fn byte_of_a_block_is_flipped() {
    let workspace = Workspace::with_archive();
    edit::flip_byte(&workspace.segment("blocks"), 20_000).expect("flipped");
    insta::assert_snapshot!(run(&workspace, &["--archive", "archive"]));
}

#[test]
fn byte_of_an_account_is_flipped() {
    let workspace = Workspace::with_archive();
    edit::flip_byte(&workspace.segment("accounts"), 1000).expect("flipped");
    insta::assert_snapshot!(run(&workspace, &["--archive", "archive"]));
}

#[test]
fn start_is_outside_the_range() {
    let workspace = Workspace::with_archive();
    insta::assert_snapshot!(run(&workspace, &["--archive", "archive", "--start-slot", "35"]));
}

#[test]
fn end_is_outside_the_range() {
    let workspace = Workspace::with_archive();
    insta::assert_snapshot!(run(
        &workspace,
        &["--archive", "archive", "--start-slot", "59", "--slots", "2"]
    ));
}

#[test]
fn end_is_before_the_start() {
    insta::assert_snapshot!(run(
        &Workspace::new(),
        &["--archive", "x", "--start-slot", "40", "--end-slot", "39"]
    ));
}

#[test]
fn address_is_none() {
    insta::assert_snapshot!(run(&Workspace::new(), &["--archive", "x", "--program-id", "0x1234"]));
}

#[test]
fn address_of_a_file_is_none() {
    insta::assert_snapshot!(run(
        &Workspace::new(),
        &["--archive", "x", "--account", "0x1234=account.json"]
    ));
}

#[test]
fn block_is_out_of_order() {
    let workspace = Workspace::with_ledger();
    edit::swap_blocks(&workspace.path("ledger"), [40, 41]).expect("swapped");
    insta::assert_snapshot!(run(&workspace, &["--archive", "ledger"]));
}

#[test]
fn transaction_does_not_decode() {
    let workspace = Workspace::with_ledger();
    edit::corrupt_transaction(&workspace.path("ledger"), 40, 1).expect("corrupted");
    insta::assert_snapshot!(run(&workspace, &["--archive", "ledger"]));
}

#[test]
fn option_has_an_unknown_value() {
    insta::assert_snapshot!(run(&Workspace::new(), &["--archive", "x", "--subscriptions", "logs"]));
}

#[test]
fn option_is_unknown() {
    insta::assert_snapshot!(run(&Workspace::new(), &["--archive", "x", "--startslot", "4"]));
}

#[test]
fn options_exclude_each_other() {
    insta::assert_snapshot!(run(&Workspace::new(), &["--archive", "x", "--server", "ws://h"]));
}

#[test]
fn command_is_unknown() {
    insta::assert_snapshot!(Workspace::new().sim(&["compare"]));
}

#[test]
fn nothing_to_replay() {
    insta::assert_snapshot!(run(&Workspace::new(), &[]));
}

#[test]
fn feature_file_is_missing() {
    let workspace = Workspace::with_archive();
    insta::assert_snapshot!(run(&workspace, &["--archive", "archive", "--features", "every"]));
}

#[test]
fn account_file_is_none() {
    let workspace = Workspace::with_archive();
    workspace.write("account.json", "{\"lamports\": 1}");
    let change = "11111111111111111111111111111111=account.json";
    insta::assert_snapshot!(run(&workspace, &["--archive", "archive", "--account", change]));
}

#[test]
fn program_file_is_none() {
    let workspace = Workspace::with_archive();
    workspace.write("program.so", "#!/bin/sh");
    let change = "11111111111111111111111111111111=program.so";
    insta::assert_snapshot!(run(&workspace, &["--archive", "archive", "--program-so", change]));
}

#[test]
fn program_file_is_cut_off() {
    let workspace = Workspace::with_archive();
    let token = elf("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
    std::fs::write(workspace.path("program.so"), &token[..10_000]).expect("written");
    let change = "11111111111111111111111111111111=program.so";
    let outcome = run(&workspace, &["--archive", "archive", "--program-so", change]);
    let because = "error: program.so cannot be loaded as a program\n  because: it was cut off: ";
    assert!(outcome.to_string().contains(because), "{outcome}");
}

#[test]
fn files_are_checked_before_anything_is_touched() {
    let workspace = Workspace::new();
    workspace.write("account.json", "{}");
    workspace.write("report.jsonl", "of an earlier run");
    let outcome = run(
        &workspace,
        &[
            "--archive",
            "no/such",
            "--account",
            "11111111111111111111111111111111=account.json",
            "--output-file",
            "report.jsonl",
        ],
    );
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.starts_with("error: account.json is not an account"),
        "{outcome}"
    );
    assert_eq!(workspace.read("report.jsonl"), "of an earlier run");
}

#[test]
fn transactions_have_no_place_in_the_table() {
    insta::assert_snapshot!(run(&Workspace::new(), &["--archive", "x", "--transactions"]));
}

#[test]
fn a_key_beside_an_archive() {
    insta::assert_snapshot!(run(&Workspace::new(), &["--archive", "x", "--api-key", "secret"]));
}

#[test]
fn output_has_an_unknown_kind() {
    insta::assert_snapshot!(run(
        &Workspace::new(),
        &["--archive", "x", "--output-file", "report.csv"]
    ));
}

#[test]
fn output_cannot_be_written() {
    let workspace = Workspace::with_archive();
    insta::assert_snapshot!(run(
        &workspace,
        &["--archive", "archive", "--output-file", "no/such/report.json"]
    ));
}

#[test]
fn server_is_not_there() {
    // Port 1 is one that nobody listens on.
    insta::assert_snapshot!(run(&Workspace::new(), &["--server", "ws://127.0.0.1:1"]));
}

#[test]
fn address_of_a_server_is_none() {
    insta::assert_snapshot!(run(&Workspace::new(), &["--server", "127.0.0.1:8900"]));
}

#[test]
fn more_diverged_than_the_user_allows() {
    let workspace = Workspace::with_ledger();
    let edit = edit::edit_block(&workspace.path("ledger"), 40, |block| {
        block["transactions"][2]["meta"]["computeUnitsConsumed"] = json!(7);
    });
    edit.expect("edited");
    let run = |max: &str| run(&workspace, &["--archive", "ledger", "--max-divergence", max]);
    assert_eq!(run("1").code, Some(0));
    insta::assert_snapshot!(run("0"));
}

#[test]
fn one_wrong_account_breaks_the_gate_although_every_transaction_matches() {
    let workspace = Workspace::with_ledger();
    let wallet = "1iktbX8RwbwLoxKSAnRstCJwkuZ189cuhHvt1sypD3Y"
        .parse()
        .expect("an address");
    let edit = edit::edit_account(&workspace.path("ledger"), &wallet, |account| account.rent_epoch = 0);
    edit.expect("edited");
    // The bank hash does not cover the rent epoch; it covers the balance of an account that nobody touches.
    let same = run(&workspace, &["--archive", "ledger", "--max-divergence", "0"]);
    assert_eq!(same.code, Some(0), "{same}");
    let stranger = "Vo5siZ442SaZBKPXNocthiXysNviW4UYPwRFggmbgAp"
        .parse()
        .expect("an address");
    edit::drop_account(&workspace.path("ledger"), &stranger).expect("dropped");
    insta::assert_snapshot!(run(&workspace, &["--archive", "ledger", "--max-divergence", "0"]));
}

#[test]
fn two_outputs_go_to_one_file() {
    let outputs = ["--output-file", "a.jsonl", "--dump-accounts", "a.jsonl"];
    insta::assert_snapshot!(run(
        &Workspace::with_archive(),
        &[&["--archive", "archive"], &outputs[..]].concat()
    ));
}
