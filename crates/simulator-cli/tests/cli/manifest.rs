//! `sim run --manifest` and `sim verify-run`.

use std::process::Stdio;

use serde_json::{Value, json};
use simulator_testkit::edit;

use crate::sessions::two_ledgers;
use crate::support::{Outcome, Workspace, elf};

const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const NEW_PROGRAM: &str = "Newprogram111111111111111111111111111111111";
const NEW_ACCOUNT: &str = "Newaccount111111111111111111111111111111111";
const WALLET: &str = "1iktbX8RwbwLoxKSAnRstCJwkuZ189cuhHvt1sypD3Y";
const SYSTEM: &str = "11111111111111111111111111111111";

fn run(workspace: &Workspace, args: &[&str]) -> Outcome {
    workspace.sim(&[&["run", "--archive", "archive", "--manifest", "run.json"], args].concat())
}

fn verify(workspace: &Workspace, args: &[&str]) -> Outcome {
    workspace.sim(&[&["verify-run", "run.json"], args].concat())
}

/// What `sim verify-run --json` says, and its exit code.
fn difference(workspace: &Workspace, args: &[&str]) -> (Option<i32>, Value) {
    let outcome = verify(workspace, &[&["--json"], args].concat());
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"));
    assert_eq!(report["verified"], outcome.code == Some(0));
    (outcome.code, report["difference"].clone())
}

/// A workspace with an archive and a manifest of a run over it.
fn with_manifest() -> Workspace {
    let workspace = Workspace::with_archive();
    run(&workspace, &[]).succeeded();
    workspace
}

/// Changes a manifest by hand.
fn rewrite(workspace: &Workspace, change: impl FnOnce(&mut Value)) {
    let mut manifest = workspace.json("run.json");
    change(&mut manifest);
    workspace.write("run.json", &manifest.to_string());
}

/// A run with every change that there is.
fn run_with_changes(workspace: &Workspace) {
    std::fs::write(workspace.path("program.so"), elf(TOKEN)).expect("written");
    let account = json!({"pubkey": NEW_ACCOUNT, "account": {
        "lamports": 12345, "data": ["AQI=", "base64"], "owner": SYSTEM, "executable": false, "rentEpoch": 0, "space": 2
    }});
    workspace.write("account.json", &account.to_string());
    workspace.write("features.txt", "# none at all\n");
    let (program, account) = (
        format!("{NEW_PROGRAM}=program.so"),
        format!("{NEW_ACCOUNT}=account.json"),
    );
    let changes = [
        "--program-so",
        &program,
        "--account",
        &account,
        "--features",
        "features.txt",
        "--extra-compute-units",
        "1000",
        "--ignore-signer",
        SYSTEM,
        "--end-slot",
        "44",
    ];
    run(workspace, &changes).succeeded();
}

#[test]
fn a_manifest_holds_what_was_run_and_what_came_out() {
    let workspace = with_manifest();
    let text = workspace.read("run.json");
    let outcome = Outcome {
        code: Some(0),
        stdout: text.clone(),
        stderr: String::new(),
    };
    insta::assert_snapshot!(outcome);
    let manifest = workspace.json("run.json");
    let inspection = workspace.sim_json(&["archive", "inspect", "archive", "--json"]);
    assert_eq!(manifest["archives"][0]["digest"], inspection["digest"]);
    let report = workspace.sim_json(&["run", "--archive", "archive", "--json"]);
    assert_eq!(manifest["result_digest"], report["metadata"]["result_digest"]);
    assert_eq!(manifest["engine"], report["metadata"]["engine"]);
    // The same run gives the same file, byte for byte, whatever its pace.
    run(&workspace, &["--advance", "1", "--json"]).succeeded();
    assert_eq!(workspace.read("run.json"), text);
}

#[test]
fn changes_are_written_down_in_the_order_in_which_they_are_made() {
    let workspace = Workspace::with_archive();
    run_with_changes(&workspace);
    let manifest = workspace.json("run.json");
    let (options, commands) = (manifest["options"].clone(), manifest["commands"].clone());
    let text = serde_json::to_string_pretty(&json!({"options": options, "commands": commands})).expect("JSON");
    let outcome = Outcome {
        code: Some(0),
        stdout: text,
        stderr: String::new(),
    };
    insta::assert_snapshot!(outcome);
    let digest = |name: &str| {
        blake3::hash(&std::fs::read(workspace.path(name)).expect("there"))
            .to_hex()
            .to_string()
    };
    assert_eq!(commands[0]["replace_program"]["file"]["digest"], digest("program.so"));
    assert_eq!(options["features"]["listed"]["digest"], digest("features.txt"));
    verify(&workspace, &[]).succeeded();
}

#[test]
fn a_run_is_verified() {
    let workspace = with_manifest();
    let outcome = verify(&workspace, &[]);
    assert_eq!(outcome.code, Some(0));
    insta::assert_snapshot!(outcome);
    let report = workspace.sim_json(&["verify-run", "run.json", "--json"]);
    assert_eq!(report["verified"], true);
    assert_eq!(report["difference"], Value::Null);
    assert_eq!(report["result_digest"], report["result_digest_here"]);
    assert_eq!(report["engine"], report["engine_here"]);
}

#[test]
fn a_directory_can_be_moved_with_everything_in_it() {
    let workspace = Workspace::with_archive();
    run_with_changes(&workspace);
    let elsewhere = workspace.path("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    for name in ["archive", "run.json", "program.so", "account.json", "features.txt"] {
        std::fs::rename(workspace.path(name), elsewhere.join(name)).expect("moved");
    }
    workspace.sim(&["verify-run", "elsewhere/run.json"]).succeeded();
}

#[test]
fn a_ledger_directory_is_imported_again() {
    let workspace = Workspace::with_ledger();
    let args = ["run", "--archive", "ledger", "--slots", "3", "--manifest", "run.json"];
    workspace.sim(&args).succeeded();
    assert_eq!(workspace.json("run.json")["archives"][0]["place"], "ledger");
    verify(&workspace, &[]).succeeded();
}

#[test]
fn several_sessions_are_compared_one_by_one() {
    let workspace = two_ledgers();
    let args = [
        "run",
        "--archive",
        "late",
        "--archive",
        "early",
        "--manifest",
        "run.json",
    ];
    workspace.sim(&args).succeeded();
    let manifest = workspace.json("run.json");
    let count = |member: &str| manifest[member].as_array().map(Vec::len);
    assert_eq!((count("archives"), count("sessions")), (Some(2), Some(2)));
    verify(&workspace, &["--parallel", "2"]).succeeded();
    let (code, found) = difference(&workspace, &["--archive", "late"]);
    assert_eq!((code, &found["kind"]), (Some(1), &json!("archive")));
    assert_eq!(found["message"], "the run was given 2 archives, and here are 1");
    let (_, found) = difference(&workspace, &["--archive", "early", "--archive", "late"]);
    assert!(
        found["message"]
            .to_string()
            .contains("early is not the archive of the run"),
        "{found}"
    );
}

#[test]
fn another_result_is_found_and_its_slot_named() {
    let workspace = with_manifest();
    let last = workspace.json("run.json")["sessions"][0]["checkpoints"]["slots"]
        .as_array()
        .map(Vec::len);
    assert_eq!(last, Some(21));
    rewrite(&workspace, |manifest| {
        let slots = manifest["sessions"][0]["checkpoints"]["slots"].as_array_mut();
        for slot in &mut slots.expect("a list")[8..] {
            slot["digest"] = json!("ab".repeat(32));
        }
    });
    let slot = workspace.json("run.json")["sessions"][0]["checkpoints"]["slots"][8]["slot"].clone();
    let (code, found) = difference(&workspace, &[]);
    assert_eq!(
        (code, &found["kind"], &found["slot"]),
        (Some(3), &json!("result"), &slot)
    );
    insta::assert_snapshot!(verify(&workspace, &[]));
}

#[test]
fn every_part_of_the_result_is_compared() {
    let workspace = with_manifest();
    let original = workspace.read("run.json");
    let other = json!("ab".repeat(32));
    let parts = [
        ("/sessions/0/result_digest", other.clone()),
        ("/sessions/0/state/digest", other.clone()),
        ("/sessions/0/state/accounts", json!(616)),
        ("/sessions/0/bank_hashes/agreed", json!(19)),
        ("/result_digest", other),
        ("/totals/matched", json!(477)),
    ];
    let mut told = Vec::new();
    for (part, value) in parts {
        workspace.write("run.json", &original);
        rewrite(&workspace, |manifest| {
            *manifest.pointer_mut(part).expect("there") = value;
        });
        let (code, found) = difference(&workspace, &[]);
        assert_eq!((code, &found["kind"]), (Some(3), &json!("result")), "{part}");
        told.push(format!("{part}: {}", found["message"]));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn another_engine_is_a_warning() {
    let workspace = with_manifest();
    rewrite(&workspace, |manifest| {
        manifest["engine"] = json!("simulator-engine 0.0.9");
    });
    let outcome = verify(&workspace, &[]).succeeded();
    assert!(
        outcome
            .stderr
            .starts_with("warning: the run was made by simulator-engine 0.0.9"),
        "{outcome}"
    );
}

#[test]
fn an_archive_with_one_account_changed_is_another_one() {
    let workspace = Workspace::with_ledger();
    let import = |out: &str| {
        workspace
            .sim(&["archive", "import", "--ledger", "ledger", "--out", out])
            .succeeded()
    };
    import("archive");
    run(&workspace, &[]).succeeded();
    let wallet = WALLET.parse().expect("an address");
    edit::edit_account(&workspace.path("ledger"), &wallet, |account| account.rent_epoch = 0).expect("edited");
    import("other");
    let (code, found) = difference(&workspace, &["--archive", "other"]);
    assert_eq!((code, &found["kind"]), (Some(1), &json!("archive")));
    insta::assert_snapshot!(verify(&workspace, &["--archive", "other"]));
    // The same where a server was asked, whose archives have no place.
    rewrite(&workspace, |manifest| manifest["archives"] = json!([]));
    let (code, found) = difference(&workspace, &["--archive", "other"]);
    assert_eq!((code, &found["kind"]), (Some(1), &json!("archive")));
}

#[test]
fn an_archive_with_one_byte_changed_is_damaged() {
    let workspace = with_manifest();
    edit::flip_byte(&workspace.segment("accounts"), 1000).expect("flipped");
    insta::assert_snapshot!(verify(&workspace, &[]));
}

#[test]
fn an_input_that_is_another_or_missing_is_named() {
    let workspace = Workspace::with_archive();
    run_with_changes(&workspace);
    workspace.write("features.txt", "# none at all, still\n");
    let other = verify(&workspace, &[]);
    assert_eq!(other.code, Some(1));
    std::fs::remove_file(workspace.path("features.txt")).expect("removed");
    let (code, found) = difference(&workspace, &[]);
    assert_eq!((code, &found["kind"]), (Some(1), &json!("input")));
    insta::assert_snapshot!(format!("{other}\n======\n{}", verify(&workspace, &[])));
}

#[test]
fn what_is_no_manifest_is_refused() {
    let workspace = with_manifest();
    edit::truncate(&workspace.path("run.json"), 700).expect("cut");
    let cut = verify(&workspace, &[]);
    workspace.write("run.json", "{\"format\": \"else\", \"version\": 1}");
    let else_ = verify(&workspace, &[]);
    std::fs::remove_file(workspace.path("run.json")).expect("removed");
    insta::assert_snapshot!(format!("{cut}\n======\n{else_}\n======\n{}", verify(&workspace, &[])));
}

#[test]
fn a_manifest_of_a_server_needs_to_be_told_where_the_archive_is() {
    let workspace = with_manifest();
    rewrite(&workspace, |manifest| manifest["archives"] = json!([]));
    insta::assert_snapshot!(verify(&workspace, &[]));
    verify(&workspace, &["--archive", "archive"]).succeeded();
}

#[test]
fn a_manifest_that_cannot_be_written_ends_the_run_before_it_begins() {
    let workspace = Workspace::with_archive();
    let args = ["run", "--archive", "archive", "--manifest", "no/such/run.json"];
    insta::assert_snapshot!(workspace.sim(&args));
    let one = [
        "run",
        "--archive",
        "x",
        "--manifest",
        "a.json",
        "--output-file",
        "a.json",
    ];
    insta::assert_snapshot!(workspace.sim(&one));
    let full = ["run", "--archive", "archive", "--slots", "1", "--manifest", "/dev/full"];
    assert_eq!(workspace.sim(&full).code, Some(1));
}

#[test]
fn a_run_that_is_killed_leaves_the_old_manifest() {
    let workspace = with_manifest();
    let before = workspace.read("run.json");
    let args = [
        "run",
        "--archive",
        "archive",
        "--manifest",
        "run.json",
        "--advance",
        "1",
    ];
    for _ in 0..3 {
        let mut child = workspace.command(&args).stdout(Stdio::null()).spawn().expect("it runs");
        // Whenever the temporary file is there, the replay goes on; it may also be over already.
        while !workspace.path("run.json.tmp").exists() && child.try_wait().expect("known").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        assert_eq!(workspace.read("run.json"), before);
    }
    run(&workspace, &[]).succeeded();
    assert!(!workspace.path("run.json.tmp").exists());
    assert_eq!(workspace.read("run.json"), before);
}
