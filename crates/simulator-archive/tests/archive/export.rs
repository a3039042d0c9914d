//! Parts of an archive as archives of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::index::{add_index, deltas, read_deltas};
use crate::support::stores::{Fault, TestStore, names};
use crate::support::{SMALL, accounts, blocks, in_memory, key, read_accounts, read_blocks, write, write_sample};
use object_store::memory::InMemory;
use simulator_archive::export::{ExportError, ExportOptions, export};
use simulator_archive::import::Seeds;
use simulator_archive::model::{Account, Change, Slot, SlotDelta};
use simulator_archive::{Archive, ArchiveError, Location, Scope, verify};
use solana_pubkey::Pubkey;

async fn sample(indexed: bool) -> Archive {
    let location = in_memory();
    write_sample(location.clone()).await.unwrap();
    if indexed {
        add_index(location.clone(), 2).await.unwrap();
    }
    Archive::open_at(location).await.unwrap()
}

fn from_slot(first: Slot) -> ExportOptions {
    ExportOptions {
        range: first..=Slot::MAX,
        limits: SMALL,
        ..ExportOptions::default()
    }
}

fn of_account(seed: u8) -> ExportOptions {
    ExportOptions {
        seeds: Seeds {
            accounts: [key(seed)].into(),
            ..Seeds::default()
        },
        limits: SMALL,
        ..ExportOptions::default()
    }
}

async fn exported(archive: &Archive, options: ExportOptions) -> Archive {
    let location = in_memory();
    export(archive, location.clone(), options, |_| ()).await.unwrap();
    let archive = Archive::open_at(location).await.unwrap();
    let report = verify(&archive, |_| ()).await;
    assert!(report.is_intact(), "{:?}", report.problems);
    archive
}

/// The accounts of the sample after some of its deltas.
fn accounts_after(deltas: &[SlotDelta]) -> BTreeMap<Pubkey, Account> {
    let mut accounts: BTreeMap<_, _> = accounts().into_iter().collect();
    for Change { address, account, .. } in deltas.iter().flat_map(|delta| &delta.changes) {
        match account {
            Some(account) => accounts.insert(*address, account.clone()),
            None => accounts.remove(address),
        };
    }
    accounts
}

#[tokio::test]
async fn the_whole_is_the_same_but_for_its_keyframes_on_the_way() {
    let archive = sample(true).await;
    let whole = exported(&archive, from_slot(0)).await;
    assert_eq!(read_accounts(&whole).await.unwrap(), accounts());
    assert_eq!(read_blocks(&whole).await.unwrap(), blocks());
    assert_eq!(read_deltas(&whole, 0, Slot::MAX).await.unwrap(), deltas());
    assert_eq!(whole.inner_keyframe_before(Slot::MAX), None);
    let manifest = whole.manifest();
    assert_eq!((manifest.scope, manifest.format_version), (Scope::Listed, 2));
    let last = manifest.sources.last().unwrap();
    assert_eq!(last.files[0].digest, archive.digest());
}

/// The differences of the sample's inner keyframes are not those that its deltas lead to, so that an index without
/// keyframes is taken.
#[tokio::test]
async fn a_later_start_has_the_state_of_then() {
    let archive = exported(&sample(true).await, from_slot(0)).await;
    for (first, number) in [(11, 1), (12, 1), (13, 2), (14, 3), (20, 3)] {
        let part = exported(&archive, from_slot(first)).await;
        let expected: Vec<_> = accounts_after(&deltas()[..number]).into_iter().collect();
        assert_eq!(read_accounts(&part).await.unwrap(), expected, "from slot {first}");
        assert_eq!(read_blocks(&part).await.unwrap(), blocks()[number..]);
        assert_eq!(read_deltas(&part, 0, Slot::MAX).await.unwrap(), deltas()[number..]);
        assert_eq!(part.manifest().keyframes, [blocks()[number].slot]);
    }
}

#[tokio::test]
async fn a_scope_keeps_its_accounts_and_what_happens_to_them() {
    // All transactions of the sample have keys 1, 2 and 40; one uses the lookup table 60.
    let part = exported(&sample(true).await, of_account(40)).await;
    let kept = read_accounts(&part).await.unwrap();
    assert_eq!(kept, accounts()[..2]);
    let is_kept = |change: &&Change| [key(1), key(2)].contains(&change.address);
    for (found, all) in read_deltas(&part, 0, Slot::MAX).await.unwrap().iter().zip(deltas()) {
        let expected: Vec<_> = all.changes.iter().filter(is_kept).cloned().collect();
        assert_eq!((found.slot, &found.changes), (all.slot, &expected));
    }
    let closure = part.manifest().closure.clone().unwrap();
    assert_eq!((closure.transactions, closure.found), (4, 2));
    assert_eq!(read_blocks(&part).await.unwrap(), blocks());
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let without = sample(false).await;
    let whole = exported(&without, from_slot(10)).await;
    assert_eq!(whole.manifest().state_index, None);
    assert_eq!(whole.manifest().format_version, 2);
    let late = export(&without, in_memory(), from_slot(12), |_| ()).await.unwrap_err();
    assert!(matches!(late, ExportError::NoState { slot: 12, first: 10 }), "{late:?}");
    let after = export(&without, in_memory(), from_slot(21), |_| ()).await.unwrap_err();
    assert!(
        matches!(after, ExportError::NoBlocks { held_last: 20, .. }),
        "{after:?}"
    );
}

/// Whatever write fails, what is at the place is the archive before or the one after.
#[tokio::test]
async fn a_crash_leaves_what_was_there() {
    let archive = sample(true).await;
    for fault in [Fault::Once, Fault::From] {
        let mut at = 0;
        loop {
            let inner = Arc::new(InMemory::new());
            let healthy = || TestStore::new(inner.clone(), Fault::None).location();
            let old = write(healthy(), SMALL, &accounts()[..5], &blocks()[1..])
                .await
                .unwrap()
                .digest();
            let faulty: Location = TestStore::new(inner.clone(), fault(at)).location();
            let result = export(&archive, faulty, from_slot(0), |_| ()).await;
            let found = Archive::open_at(healthy()).await.unwrap();
            assert!(verify(&found, |_| ()).await.is_intact());
            assert_eq!(found.digest() == old, result.is_err(), "write {at}");
            let manifest = export(&archive, healthy(), from_slot(0), |_| ()).await.unwrap();
            assert_eq!(names(&inner).await.len(), manifest.segments.len() + 1);
            match result {
                Ok(_) => break,
                Err(error) => assert!(
                    matches!(error, ExportError::Archive(ArchiveError::Io { .. })),
                    "{error:?}"
                ),
            }
            at += 1;
        }
        assert!(at > 6, "{at}");
    }
}
