//! `sim archive index`, and what sessions gain from it.

use serde_json::{Value, json};
use simulator_testkit::{edit, paths};

use crate::support::{Workspace, text};

fn inspect(workspace: &Workspace, archive: &str) -> Value {
    workspace.sim_json(&["archive", "inspect", archive, "--json"])
}

/// Everything that a run reports but what names the session, the archive and the time it took.
fn run_from(workspace: &Workspace, archive: &str, slot: u64, more: &[&str]) -> Value {
    let slot = slot.to_string();
    let args = [
        "run",
        "--archive",
        archive,
        "--start-slot",
        &slot,
        "--json",
        "--transactions",
    ];
    let mut report = workspace.sim_json(&[&args, more].concat());
    for (part, name) in [
        ("metadata", "session_ids"),
        ("metadata", "timestamp"),
        ("metadata", "archive"),
        ("summary", "wall_seconds"),
    ] {
        let part = report[part].as_object_mut().expect("an object");
        part.remove(name).expect("it is there");
    }
    report
}

#[test]
fn index_prints_what_the_archive_holds_then() {
    let workspace = Workspace::with_archive();
    insta::assert_snapshot!(workspace.sim(&["archive", "index", "archive", "--interval", "5"]));
    let index = &inspect(&workspace, "archive")["state_index"];
    assert_eq!(
        (&index["interval"], &index["keyframes"]),
        (&json!(5), &json!([41, 46, 51, 56]))
    );
    let verified = workspace.sim_json(&["archive", "verify", "archive", "--json"]);
    assert_eq!(
        (&verified["intact"], &verified["changes"]),
        (&json!(true), &index["changes"])
    );
}

#[test]
fn an_import_may_index_what_it_made() {
    let workspace = Workspace::with_index();
    let sample = paths::sample("agave-small");
    let import = [
        "archive",
        "import",
        "--ledger",
        text(&sample),
        "--out",
        "both",
        "--index-interval",
        "5",
    ];
    workspace.sim(&import).succeeded();
    assert_eq!(
        inspect(&workspace, "both")["digest"],
        inspect(&workspace, "archive")["digest"]
    );
}

#[test]
fn sessions_are_the_same_with_and_without_an_index() {
    let workspace = Workspace::with_index();
    let sample = paths::sample("agave-small");
    for slot in [36, 40, 41, 50, 59] {
        let without = run_from(&workspace, text(&sample), slot, &[]);
        assert_eq!(run_from(&workspace, "archive", slot, &[]), without, "from slot {slot}");
    }
    let changed = ["--extra-compute-units", "7"];
    let without = run_from(&workspace, text(&sample), 47, &changed);
    assert_eq!(run_from(&workspace, "archive", 47, &changed), without);
}

/// Nothing before the keyframe is needed, so that it may even be damaged.
#[test]
fn a_session_begins_at_the_nearest_keyframe() {
    let workspace = Workspace::with_index();
    let blocks = workspace.segment("blocks");
    let size = std::fs::read(&blocks).expect("a file").len();
    edit::flip_byte(&blocks, size / 10).expect("flipped");
    assert_eq!(workspace.sim(&["archive", "verify", "archive"]).code, Some(1));
    let report = run_from(&workspace, "archive", 50, &[]);
    assert_eq!(report["summary"]["total"], report["summary"]["matched"]);
    let from_start = workspace.sim(&["run", "--archive", "archive", "--start-slot", "40"]);
    assert_eq!(from_start.code, Some(1), "{from_start}");
    // Features of the user's own hold from the start, where the damage is.
    let features = workspace.sim(&["run", "--archive", "archive", "--start-slot", "50", "--features", "all"]);
    assert_eq!(features.code, Some(1), "{features}");
}

#[test]
fn an_index_that_is_killed_leaves_the_archive_as_it_was() {
    let workspace = Workspace::with_archive();
    let before = inspect(&workspace, "archive")["digest"].clone();
    let files = || {
        std::fs::read_dir(workspace.path("archive"))
            .expect("a directory")
            .count()
    };
    let there = files();
    let index = ["archive", "index", "archive", "--interval", "1"];
    for stage in 0..3 {
        let mut child = workspace
            .command(&index)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("started");
        while files() <= there + stage && child.try_wait().expect("waited").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        child.wait().expect("waited");
        assert_eq!(inspect(&workspace, "archive")["digest"], before, "{stage}");
    }
    workspace.sim(&index).succeeded();
    let segments = inspect(&workspace, "archive")["segments"]
        .as_array()
        .expect("segments")
        .len();
    assert_eq!(files(), segments + 1, "nothing is left of what was killed");
}

#[test]
fn only_an_archive_can_be_indexed() {
    let workspace = Workspace::with_ledger();
    insta::assert_snapshot!(workspace.sim(&["archive", "index", "ledger"]));
    insta::assert_snapshot!(workspace.sim(&["archive", "index", "nowhere"]));
}
