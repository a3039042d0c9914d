//! Ledgers with known counts, which are not part of the project. Skipped where they are not present.

use std::path::PathBuf;

use crate::support::in_memory;
use crate::support::json::write_ledger;
use simulator_archive::import::{ImportOptions, ledger};
use simulator_archive::{Archive, Scope, verify};

struct Expected {
    name: &'static str,
    slots: (u64, u64),
    blocks: u64,
    transactions: u64,
    outcomes: u64,
    failed: u64,
    accounts: u64,
    gaps: u64,
    scope: Scope,
}

fn present(name: &str) -> Option<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(name);
    if directory.is_dir() {
        return Some(directory);
    }
    println!("skipped: {} is not present", directory.display());
    None
}

async fn check(expected: Expected) {
    let Some(directory) = present(expected.name) else {
        return;
    };
    let location = in_memory();
    let options = ImportOptions {
        sort_memory: 1 << 20,
        ..ImportOptions::default()
    };
    let mut last = None;
    let manifest = ledger::import_into(&directory, location.clone(), options, |p| last = Some(p))
        .await
        .unwrap();
    let last = last.unwrap();
    assert_eq!((manifest.first_slot, manifest.last_slot), expected.slots);
    assert_eq!((manifest.blocks, last.blocks), (expected.blocks, expected.blocks));
    assert_eq!(
        (manifest.transactions, manifest.outcomes),
        (expected.transactions, expected.outcomes)
    );
    assert_eq!(
        (manifest.accounts(manifest.first_slot), last.accounts),
        (expected.accounts, expected.accounts)
    );
    assert_eq!(manifest.coverage.gaps, expected.gaps);
    assert_eq!(manifest.scope, expected.scope, "{:?}", manifest.scope_evidence);
    assert_eq!(last.bytes_read, last.bytes_total);

    let archive = Archive::open_at(location).await.unwrap();
    let report = verify(&archive, |_| ()).await;
    assert!(report.is_intact(), "{:?}", report.problems);
    let (mut blocks, mut failed) = (archive.blocks(0..=u64::MAX), 0);
    while let Some(block) = blocks.next().await.unwrap() {
        let outcomes = block
            .transactions
            .iter()
            .filter_map(|transaction| transaction.outcome.as_ref());
        failed += outcomes.filter(|outcome| outcome.status.is_err()).count() as u64;
    }
    assert_eq!(failed, expected.failed);
}

#[tokio::test]
async fn agave_small() {
    check(Expected {
        name: "agave-small",
        slots: (36, 59),
        blocks: 21,
        transactions: 478,
        outcomes: 478,
        failed: 57,
        accounts: 578,
        gaps: 0,
        scope: Scope::All,
    })
    .await;
}

#[tokio::test]
async fn agave_perf() {
    check(Expected {
        name: "agave-perf",
        slots: (40, 167),
        blocks: 116,
        transactions: 28_926,
        outcomes: 28_926,
        failed: 4622,
        accounts: 595,
        gaps: 0,
        scope: Scope::All,
    })
    .await;
}

#[tokio::test]
async fn agave_full() {
    check(Expected {
        name: "agave-full",
        slots: (40, 159),
        blocks: 113,
        transactions: 5182,
        outcomes: 5182,
        failed: 788,
        accounts: 581,
        gaps: 0,
        scope: Scope::All,
    })
    .await;
}

#[tokio::test]
async fn mainnet_block() {
    check(Expected {
        name: "mainnet-254170887",
        slots: (254_170_887, 254_170_887),
        blocks: 1,
        transactions: 602,
        outcomes: 602,
        failed: 305,
        accounts: 222,
        gaps: 0,
        scope: Scope::Listed,
    })
    .await;
}

#[tokio::test]
async fn testnet_block() {
    check(Expected {
        name: "testnet-356797362",
        slots: (356_797_362, 356_797_362),
        blocks: 1,
        transactions: 2293,
        outcomes: 0,
        failed: 0,
        accounts: 4603,
        gaps: 0,
        scope: Scope::Listed,
    })
    .await;
}

#[tokio::test]
async fn whirlpool() {
    check(Expected {
        name: "whirlpool-4fuUi",
        slots: (128_440_171, 128_548_890),
        blocks: 7,
        transactions: 7,
        outcomes: 0,
        failed: 0,
        accounts: 23,
        gaps: 6,
        scope: Scope::Listed,
    })
    .await;
}

/// Blocks as `getBlock` of a cluster returned them, of three versions of the validator.
#[tokio::test]
async fn devnet_blocks() {
    let Some(directory) = present("getblock-devnet") else {
        return;
    };
    for slot in [270_893_658_u64, 380_876_342, 443_787_702] {
        let text = std::fs::read_to_string(directory.join(format!("{slot}.getblock.base64.json"))).unwrap();
        let mut block: serde_json::Value = serde_json::from_str(&text).unwrap();
        block["slot"] = slot.into();
        let transactions = block["transactions"].as_array().unwrap().len() as u64;
        let ledger = tempfile::tempdir().unwrap();
        write_ledger(ledger.path(), &[], &[block]);
        let location = in_memory();
        let manifest = ledger::import_into(ledger.path(), location.clone(), ImportOptions::default(), |_| ())
            .await
            .unwrap();
        assert_eq!(
            (manifest.first_slot, manifest.transactions, manifest.outcomes),
            (slot, transactions, transactions)
        );
        assert_eq!(manifest.accounts(slot), 0);
        let archive = Archive::open_at(location).await.unwrap();
        assert!(verify(&archive, |_| ()).await.is_intact());
        assert_eq!(archive.accounts_at(slot).unwrap().1.next().await.unwrap(), None);
    }
}
