//! Whole ledgers that the validator's own runtime recorded: every outcome, every bank hash, every account at the end.

use std::path::Path;

use crate::support::{Loaded, dump, execute_slot, true_bank_hashes};
use simulator_archive::model::Slot;
use simulator_engine::{BankHashes, Summary, Verdict};
use simulator_testkit::{accounts, paths};

/// Replays a ledger up to a slot and compares everything on the way with the truth.
fn replay_exactly(directory: &Path, last_slot: Slot) -> (Summary, simulator_engine::Replay) {
    let ledger = Loaded::from_ledger(directory);
    let truth = true_bank_hashes(directory);
    let mut replay = ledger.replay();
    for block in ledger.blocks.iter().take_while(|block| block.block().slot <= last_slot) {
        let (reports, slot) = execute_slot(&mut replay, block);
        for report in reports {
            assert_eq!(report.verdict, Verdict::Matched, "slot {}, {report:#?}", slot.slot);
        }
        assert_eq!(
            slot.bank_hash,
            truth.get(&slot.slot).copied(),
            "bank hash of slot {}",
            slot.slot
        );
    }
    let summary = replay.summary();
    assert_eq!(
        (summary.matched, summary.diverged, summary.unverifiable),
        (summary.total, 0, 0)
    );
    assert_eq!(summary.unreproduced, Default::default());
    (summary, replay)
}

fn assert_end_state(directory: &Path, replay: &simulator_engine::Replay) {
    let expected = accounts::read(&directory.join("accounts-end.jsonl.gz")).expect("the ledger says how it ends");
    accounts::assert_same(&expected, &dump(replay));
}

fn agreed(agreed: u64, unrecorded: u64) -> BankHashes {
    BankHashes {
        agreed,
        unrecorded,
        ..BankHashes::default()
    }
}

#[test]
fn agave_small_agrees_in_everything() {
    let directory = paths::sample("agave-small");
    let (summary, replay) = replay_exactly(&directory, Slot::MAX);
    assert_eq!((summary.slots, summary.total, summary.successes), (21, 478, 421));
    assert_eq!(summary.compute_units, 1_374_561);
    // The last slot has no successor whose votes could name its hash.
    assert_eq!(summary.bank_hashes, agreed(20, 1));
    assert_end_state(&directory, &replay);
}

#[test]
fn agave_perf_agrees_in_everything() {
    let Some(directory) = paths::shared_ledger_or_skip("agave-perf") else {
        return;
    };
    let (summary, replay) = replay_exactly(&directory, Slot::MAX);
    assert_eq!((summary.slots, summary.total), (116, 28_926));
    assert_eq!(summary.bank_hashes, agreed(112, 4));
    assert_end_state(&directory, &replay);
}

/// Two epoch boundaries: features that activate, a program that is replaced, rewards, stakes.
#[test]
fn agave_full_agrees_in_everything() {
    let Some(directory) = paths::shared_ledger_or_skip("agave-full") else {
        return;
    };
    let (summary, replay) = replay_exactly(&directory, Slot::MAX);
    assert_eq!((summary.slots, summary.total), (113, 5_182));
    assert_eq!(summary.bank_hashes, agreed(109, 4));
    assert_end_state(&directory, &replay);
}
