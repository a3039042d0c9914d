//! scratch
#![allow(warnings)]
#[path = "replay/support.rs"]
mod support;
use simulator_engine::*;
use simulator_testkit::{accounts, paths};
use support::*;
#[test]
fn full() {
    let directory =
        std::path::PathBuf::from("/work/shared/data").join(std::env::var("LEDGER").unwrap_or("agave-full".into()));
    let ledger = Loaded::from_ledger(&directory);
    let truth = true_bank_hashes(&directory);
    let mut replay = ledger.replay();
    let (mut good, mut bad, mut shown) = (0, 0, 0);
    for block in &ledger.blocks {
        let (reports, slot) = execute_slot(&mut replay, block);
        for r in reports {
            if r.verdict != Verdict::Matched && shown < 6 {
                shown += 1;
                println!(
                    "slot {} {} {:?} {:?}",
                    slot.slot,
                    r.index,
                    r.verdict,
                    r.execution.outcome().map(|o| &o.status)
                );
            }
        }
        if slot.bank_hash == truth.get(&slot.slot).copied() {
            good += 1
        } else {
            bad += 1;
            if bad < 5 {
                println!("bad slot {}", slot.slot);
            }
        }
    }
    println!("good {good} bad {bad} {:#?}", replay.summary());
    let expected = accounts::read(&directory.join("accounts-end.jsonl.gz")).unwrap();
    accounts::assert_same(&expected, &dump(&replay));
    println!("end accounts {}", expected.len());
}
