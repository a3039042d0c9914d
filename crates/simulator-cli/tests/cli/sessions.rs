//! A run over several archives: one session each.

use serde_json::{Value, json};
use simulator_testkit::{edit, paths, text};

use crate::support::Workspace;

/// The sample, cut into two ledgers before the block of slot 49. The state in between comes from a replay.
pub(crate) fn two_ledgers() -> Workspace {
    let workspace = Workspace::with_archive();
    let first_half = [
        "run",
        "--archive",
        "archive",
        "--end-slot",
        "46",
        "--dump-accounts",
        "middle.jsonl",
    ];
    workspace.sim(&first_half).succeeded();
    for name in ["early", "late"] {
        edit::copy(&paths::sample("agave-small"), &workspace.path(name)).expect("copied");
    }
    let file = workspace.path("early/blocks.jsonl.gz");
    let blocks = text::lines(&file).expect("readable");
    let slots = blocks.map(|line| {
        let block: Value = serde_json::from_str(&line.expect("readable").text).expect("JSON");
        block["slot"].as_u64().expect("a slot")
    });
    for slot in slots.collect::<Vec<_>>() {
        let other = if slot <= 46 { "late" } else { "early" };
        edit::drop_block(&workspace.path(other), slot).expect("dropped");
    }
    std::fs::remove_file(workspace.path("late/accounts-start.jsonl.gz")).expect("there");
    std::fs::copy(
        workspace.path("middle.jsonl"),
        workspace.path("late/accounts-start.jsonl"),
    )
    .expect("copied");
    workspace
}

#[test]
fn sessions_are_reported_in_slot_order_whatever_runs_at_a_time() {
    let workspace = two_ledgers();
    let run = |args: &[&str]| {
        let all = [
            &[
                "run",
                "--archive",
                "late",
                "--archive",
                "early",
                "--json",
                "--transactions",
            ],
            args,
        ]
        .concat();
        workspace.sim_json(&all)
    };
    let one = run(&[]);
    assert_eq!(
        (&one["summary"]["total"], &one["summary"]["matched"]),
        (&json!(478), &json!(478))
    );
    assert_eq!(one["metadata"]["session_ids"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&one["metadata"]["start_slot"], &one["metadata"]["end_slot"]),
        (&json!(36), &json!(59))
    );
    let places = one["transactions"].as_array().expect("a list").iter();
    let places = places.map(|row| (row["slot"].as_u64(), row["index"].as_u64()));
    assert!(places.is_sorted());

    let two = run(&["--parallel", "2"]);
    assert_eq!(two["metadata"]["result_digest"], one["metadata"]["result_digest"]);
    assert_eq!(two["transactions"], one["transactions"]);
    gap_is_named(&workspace);
}

fn gap_is_named(workspace: &Workspace) {
    let outcome = workspace
        .sim(&["run", "--archive", "early", "--archive", "late"])
        .succeeded();
    insta::assert_snapshot!(outcome.stderr, @"note: nobody offers slots 47 to 48; they are left out");
}
