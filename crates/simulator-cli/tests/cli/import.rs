//! `sim archive import` of files that are named one by one.

use std::path::{Path, PathBuf};
use std::process::Child;

use serde_json::Value;
use simulator_testkit::accounts::AccountRecord;
use simulator_testkit::seeded::Seeded;
use simulator_testkit::snapshot::{Snapshot, Storage};
use simulator_testkit::{accounts, paths, text as files};
use solana_pubkey::Pubkey;

use crate::support::{Workspace, text};

/// The blocks of the sample.
fn blocks() -> PathBuf {
    paths::sample("agave-small").join("blocks.jsonl.gz")
}

/// A snapshot of the state that the sample lists, in several files.
fn sample_snapshot() -> Snapshot {
    let list = paths::sample("agave-small").join("accounts-start.jsonl.gz");
    let records: Vec<_> = accounts::read(&list).expect("the sample").into_values().collect();
    let first = files::lines(&blocks()).expect("the sample").next().expect("a block");
    let block: Value = first.expect("a line").parse(&blocks()).expect("JSON");
    let blockhash = block["previousBlockhash"]
        .as_str()
        .expect("a hash")
        .parse()
        .expect("a hash");
    let storages = records.chunks(100).zip(0..);
    Snapshot {
        storages: storages
            .map(|(chunk, id)| Storage::new(30 + id, id, chunk.to_vec()))
            .collect(),
        ..Snapshot::new(35, blockhash, Vec::new())
    }
}

fn import(workspace: &Workspace, snapshot: &Path, out: &str) {
    let blocks = blocks();
    let args = [
        "archive",
        "import",
        "--snapshot",
        text(snapshot),
        "--blocks",
        text(&blocks),
        "--out",
        out,
    ];
    workspace.sim(&args).succeeded();
}

fn result_digest(workspace: &Workspace, archive: &str) -> Value {
    let report = workspace.sim_json(&["run", "--archive", archive, "--json"]);
    assert_eq!(report["summary"]["total"], report["summary"]["matched"], "{archive}");
    assert_eq!(report["bank_hashes"]["differed"], 0, "{archive}");
    report["metadata"]["result_digest"].clone()
}

fn archive_digest(workspace: &Workspace, archive: &str) -> Value {
    workspace.sim_json(&["archive", "inspect", archive, "--json"])["digest"].clone()
}

#[test]
fn a_snapshot_replays_as_the_list_of_accounts_does() {
    let workspace = Workspace::with_archive();
    let snapshot = sample_snapshot().write(&workspace.path("")).expect("written");
    import(&workspace, &snapshot, "streamed");
    assert_eq!(
        result_digest(&workspace, "streamed"),
        result_digest(&workspace, "archive")
    );
}

/// Over two epoch boundaries, from the snapshot that the validator's own code wrote.
#[test]
fn agave_full_replays_alike_from_its_snapshot_and_its_list() {
    let Some(ledger) = paths::shared_ledger_or_skip("agave-full") else {
        return;
    };
    let workspace = Workspace::new();
    let snapshot = ledger.join("snapshot-39-CKy8FhXPtibPSuwnVciT6zXCSB8L87JUPZBjik6oqLmc.tar.zst");
    let blocks = ledger.join("blocks.jsonl.gz");
    let args = [
        "archive",
        "import",
        "--snapshot",
        text(&snapshot),
        "--blocks",
        text(&blocks),
        "--out",
        "streamed",
    ];
    workspace.sim(&args).succeeded();
    assert_eq!(
        result_digest(&workspace, "streamed"),
        result_digest(&workspace, text(&ledger))
    );
}

/// Everything that the token swaps of the sample need is there, and little else.
#[test]
fn a_scope_of_one_program_is_enough_for_its_transactions() {
    let workspace = Workspace::new();
    let snapshot = sample_snapshot().write(&workspace.path("")).expect("written");
    let blocks = blocks();
    let token = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
    let args = [
        "archive",
        "import",
        "--snapshot",
        text(&snapshot),
        "--blocks",
        text(&blocks),
        "--out",
        "scoped",
        "--scope-program",
        token,
    ];
    workspace.sim(&args).succeeded();
    let inspection = workspace.sim_json(&["archive", "inspect", "scoped", "--json"]);
    assert_eq!(inspection["scope"], "listed");
    assert_eq!(inspection["closure"]["programs"], serde_json::json!([token]));
    let kept = inspection["keyframes"][0]["accounts"].as_u64().expect("a number");
    assert!(kept < 578, "{kept}");
    let report = workspace.sim_json(&["run", "--archive", "scoped", "--json", "--program-id", token]);
    let count = |field: &str| report["summary"][field].as_u64().expect("a number");
    assert_eq!(
        (count("matched"), count("diverged"), count("unverifiable")),
        (229, 0, 249)
    );
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let workspace = Workspace::new();
    let mut snapshot = sample_snapshot();
    snapshot.slot = 34;
    let path = workspace.path("early.tar");
    std::fs::write(&path, snapshot.tar()).expect("written");
    let blocks = blocks();
    let args = [
        "archive",
        "import",
        "--snapshot",
        "early.tar",
        "--blocks",
        text(&blocks),
        "--out",
        "a",
    ];
    insta::assert_snapshot!(workspace.sim(&args));
    let args = ["archive", "import", "--snapshot", "early.tar", "--out", "a"];
    insta::assert_snapshot!(workspace.sim(&args));
}

/// Accounts whose data does not compress, of about `mebibytes` in all, under the blocks of the sample.
fn large_snapshot(mebibytes: u64) -> Snapshot {
    let mut snapshot = sample_snapshot();
    for id in 0..mebibytes {
        let records = (0..16).map(|number| noise(id * 16 + number));
        snapshot.storages.push(Storage::new(20, 1000 + id, records.collect()));
    }
    snapshot
}

fn noise(number: u64) -> AccountRecord {
    let mut seeded = Seeded::for_item(1, 2, number);
    AccountRecord {
        address: Pubkey::new_from_array(seeded.bytes()),
        lamports: 1_000_000_000,
        owner: Pubkey::new_from_array(seeded.bytes()),
        executable: false,
        rent_epoch: u64::MAX,
        data: (0..2048).flat_map(|_| seeded.bytes()).collect(),
    }
}

/// Killed at different points, an import leaves nothing or the archive; run again, it gives the same archive as one that
/// was not interrupted.
#[test]
fn an_import_survives_being_killed() {
    let workspace = Workspace::new();
    let snapshot = large_snapshot(40).write(&workspace.path("")).expect("written");
    import(&workspace, &snapshot, "whole");
    let expected = archive_digest(&workspace, "whole");
    let whole = files_in(&workspace.path("whole"));
    for stage in 0..4 {
        let mut child = start(&workspace, &snapshot);
        while files_in(&workspace.path("killed")).len() < stage && child.try_wait().expect("waited").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        child.wait().expect("waited");
        let inspected = workspace.sim(&["archive", "inspect", "killed"]);
        assert!(matches!(inspected.code, Some(0 | 1)), "{stage}: {inspected}");
    }
    import(&workspace, &snapshot, "killed");
    assert_eq!(archive_digest(&workspace, "killed"), expected);
    let left = files_in(&workspace.path("killed"));
    assert!(whole.iter().all(|name| left.contains(name)), "{left:?}");
}

fn start(workspace: &Workspace, snapshot: &Path) -> Child {
    let blocks = blocks();
    let args = [
        "archive",
        "import",
        "--snapshot",
        text(snapshot),
        "--blocks",
        text(&blocks),
        "--out",
        "killed",
        "--sort-memory",
        "1",
    ];
    workspace
        .command(&args)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("started")
}

/// Names in a directory, none where there is no directory.
fn files_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into())
        .collect();
    names.sort();
    names
}

/// The memory that an import takes does not grow with the snapshot.
#[cfg(target_os = "linux")]
#[test]
fn memory_is_bounded() {
    let peak = |mebibytes| {
        let workspace = Workspace::new();
        let snapshot = large_snapshot(mebibytes).write(&workspace.path("")).expect("written");
        let mut child = start(&workspace, &snapshot);
        let mut peak = 0;
        while child.try_wait().expect("waited").is_none() {
            peak = peak.max(resident(child.id()));
        }
        assert!(child.wait().expect("waited").success());
        peak
    };
    let (small, large) = (peak(40), peak(120));
    println!("peak of {small} KiB for 40 MiB, of {large} KiB for 120 MiB, with 1 MiB to sort");
    // On a busy machine the parts of an import wait for each other with more or less in hand.
    assert!(large < small + (40 << 10), "{small} KiB grew to {large} KiB");
}

/// The most memory that a process has had so far, in KiB.
#[cfg(target_os = "linux")]
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or_default()
}
