//! Deltas and inner keyframes: what is written is read, an archive with them is verified as a whole, and a writer that
//! fails leaves the archive as it was.

use std::sync::Arc;

use crate::support::stores::{Fault, TestStore, names};
use crate::support::{SMALL, accounts, blocks, in_memory, key, read_accounts, read_blocks, write_sample};
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use simulator_archive::model::{Account, Change, Slot, SlotDelta, Writer};
use simulator_archive::{
    Archive, ArchiveError, Digest, IndexDescription, IndexWriter, Location, Manifest, SegmentKind, WriteError, verify,
};
use solana_pubkey::Pubkey;

type Differences = Vec<(Pubkey, Option<Account>)>;

fn account(seed: u8) -> Account {
    accounts()[usize::from(seed)].1.clone()
}

fn change(writer: Writer, seed: u8, account: Option<Account>) -> Change {
    Change {
        writer,
        address: key(seed),
        account,
    }
}

/// One slot needs several frames, and one has the same account twice.
pub(crate) fn deltas() -> Vec<SlotDelta> {
    let long = (0..9).map(|seed| change(Writer::Transaction(u32::from(seed)), seed + 1, Some(account(seed))));
    let changes = [
        long.collect(),
        vec![
            change(Writer::SlotStart, 1, Some(account(3))),
            change(Writer::Transaction(0), 1, None),
            change(Writer::SlotEnd, 1, Some(account(2))),
        ],
        vec![change(Writer::SlotEnd, 7, None)],
        vec![change(Writer::SlotStart, 80, Some(account(8)))],
    ];
    let slots = blocks().into_iter().map(|block| block.slot);
    let deltas = slots.zip(changes).map(|(slot, changes)| SlotDelta { slot, changes });
    deltas.collect()
}

fn keyframes() -> Vec<(Slot, Differences, Bytes)> {
    let many = (1..=8).map(|seed| (key(seed), Some(account(seed))));
    let few = vec![(key(3), None), (key(200), Some(account(1)))];
    vec![
        (12, many.collect(), Bytes::from_static(b"context of 12")),
        (20, few, Bytes::from_static(b"context of 20")),
    ]
}

fn description(interval: u64) -> IndexDescription {
    IndexDescription {
        engine: "an engine".to_owned(),
        interval,
        exact: true,
    }
}

pub(crate) async fn add_index(location: Location, interval: u64) -> Result<Manifest, ArchiveError> {
    let archive = Archive::open_at(location).await?;
    let mut writer = IndexWriter::new(&archive, SMALL);
    match fill(&mut writer).await {
        Ok(()) => writer.finish(description(interval)).await,
        Err(error) => {
            writer.discard().await;
            Err(error)
        }
    }
}

async fn fill(writer: &mut IndexWriter) -> Result<(), ArchiveError> {
    let mut keyframes = keyframes().into_iter().peekable();
    for delta in deltas() {
        if let Some((slot, differences, context)) = keyframes.next_if(|(slot, ..)| *slot == delta.slot) {
            writer.keyframe(slot, differences, context).await?;
        }
        writer.delta(&delta).await?;
    }
    Ok(())
}

async fn indexed() -> Archive {
    let location = in_memory();
    write_sample(location.clone()).await.unwrap();
    add_index(location.clone(), 2).await.unwrap();
    Archive::open_at(location).await.unwrap()
}

pub(crate) async fn read_deltas(archive: &Archive, first: Slot, last: Slot) -> Result<Vec<SlotDelta>, ArchiveError> {
    let mut reader = archive.deltas(first..=last);
    let mut deltas = Vec::new();
    while let Some(delta) = reader.next().await? {
        deltas.push(delta);
    }
    Ok(deltas)
}

async fn read_differences(archive: &Archive, slot: Slot) -> Result<Differences, ArchiveError> {
    let mut reader = archive.differences_at(slot);
    let mut differences = Vec::new();
    while let Some(difference) = reader.next().await? {
        differences.push(difference);
    }
    Ok(differences)
}

#[tokio::test]
async fn what_is_written_is_read() {
    let archive = indexed().await;
    assert_eq!(read_deltas(&archive, 0, Slot::MAX).await.unwrap(), deltas());
    assert_eq!(read_deltas(&archive, 12, 13).await.unwrap(), deltas()[1..3]);
    assert_eq!(read_deltas(&archive, 14, 19).await.unwrap(), []);
    for (slot, differences, context) in keyframes() {
        assert_eq!(read_differences(&archive, slot).await.unwrap(), differences);
        assert_eq!(archive.context_at(slot).await.unwrap(), Some(context));
    }
    assert_eq!(archive.context_at(13).await.unwrap(), None);
    assert_eq!(read_differences(&archive, 13).await.unwrap(), []);
    let before = [11, 12, 19, 20, Slot::MAX].map(|slot| archive.inner_keyframe_before(slot));
    assert_eq!(before, [None, Some(12), Some(12), Some(20), Some(20)]);
    assert_eq!(read_accounts(&archive).await.unwrap(), accounts());
    assert_eq!(read_blocks(&archive).await.unwrap(), blocks());
}

#[tokio::test]
async fn the_manifest_says_what_was_added() {
    let archive = indexed().await;
    let manifest = archive.manifest();
    let index = manifest.state_index.as_ref().unwrap();
    assert_eq!(manifest.format_version, 2);
    assert_eq!(
        (index.engine.as_str(), index.interval, index.changes),
        ("an engine", 2, 14)
    );
    assert_eq!(
        (&index.keyframes[..], &manifest.keyframes[..]),
        (&[12, 20][..], &[10][..])
    );
    let segments = |kind| manifest.segments_of(kind).count();
    assert!(segments(SegmentKind::Deltas) > 1 && segments(SegmentKind::Differences) > 2);
    let report = verify(&archive, |_| ()).await;
    assert!(report.is_intact(), "{:?}", report.problems);
    assert_eq!((report.read.changes, report.read.accounts), (14, 9 + 8 + 2));
    assert_eq!(report.read.bytes, manifest.size());
}

#[tokio::test]
async fn an_archive_without_deltas_has_none_to_read() {
    let location = in_memory();
    write_sample(location.clone()).await.unwrap();
    let archive = Archive::open_at(location).await.unwrap();
    assert_eq!(read_deltas(&archive, 0, Slot::MAX).await.unwrap(), []);
    assert_eq!(archive.inner_keyframe_before(Slot::MAX), None);
    assert_eq!(archive.context_at(12).await.unwrap(), None);
}

#[tokio::test]
async fn a_second_index_takes_the_place_of_the_first() {
    let inner = Arc::new(InMemory::new());
    let location = || TestStore::new(inner.clone(), Fault::None).location();
    let plain = write_sample(location()).await.unwrap();
    let first = add_index(location(), 2).await.unwrap();
    let second = add_index(location(), 3).await.unwrap();
    assert_ne!(first.digest(), second.digest());
    assert_eq!(second.segments, first.segments);
    assert_eq!(names(&inner).await.len(), second.segments.len() + 1);
    assert_eq!(write_sample(location()).await.unwrap().digest(), plain.digest());
    assert_eq!(names(&inner).await.len(), plain.segments.len() + 1);
}

#[tokio::test]
async fn what_is_out_of_order_is_refused() {
    let location = in_memory();
    write_sample(location.clone()).await.unwrap();
    let archive = Archive::open_at(location).await.unwrap();
    let mut writer = IndexWriter::new(&archive, SMALL);
    writer.delta(&deltas()[1]).await.unwrap();
    let error = writer.delta(&deltas()[0]).await.unwrap_err();
    assert!(
        matches!(error, ArchiveError::Write(WriteError::BlockOrder { .. })),
        "{error:?}"
    );
    let error = writer.keyframe(10, [], Bytes::new()).await.unwrap_err();
    assert!(
        matches!(error, ArchiveError::Write(WriteError::KeyframeOrder { .. })),
        "{error:?}"
    );
    let unsorted = [(key(2), None), (key(1), None)];
    let error = writer.keyframe(12, unsorted, Bytes::new()).await.unwrap_err();
    assert!(
        matches!(error, ArchiveError::Write(WriteError::AccountOrder { .. })),
        "{error:?}"
    );
}

/// Whatever write fails, the archive is the one before or the one after, and another attempt succeeds.
#[tokio::test]
async fn a_crash_leaves_the_archive_as_it_was() {
    for fault in [Fault::Once, Fault::From] {
        let mut at = 0;
        loop {
            let inner = Arc::new(InMemory::new());
            let healthy = || TestStore::new(inner.clone(), Fault::None).location();
            let old = write_sample(healthy()).await.unwrap().digest();
            let result = add_index(TestStore::new(inner.clone(), fault(at)).location(), 2).await;
            let archive = Archive::open_at(healthy()).await.unwrap();
            assert!(verify(&archive, |_| ()).await.is_intact());
            assert_eq!(archive.digest() == old, result.is_err(), "write {at}");
            let manifest = add_index(healthy(), 2).await.unwrap();
            assert_eq!(names(&inner).await.len(), manifest.segments.len() + 1);
            if result.is_ok() {
                break;
            }
            at += 1;
        }
        assert!(at > 4, "{at}");
    }
}

/// Every byte counts, those of the new segments too.
#[tokio::test]
async fn a_flipped_byte_is_found() {
    let store = Arc::new(InMemory::new());
    let location = || Location::new(store.clone(), Path::default(), "memory");
    write_sample(location()).await.unwrap();
    let manifest = add_index(location(), 2).await.unwrap();
    let added = manifest
        .segments
        .iter()
        .filter(|segment| segment.kind > SegmentKind::Accounts);
    for segment in added {
        let object = Path::from(segment.name.clone());
        let whole = store.get(&object).await.unwrap().bytes().await.unwrap();
        for index in 0..whole.len() {
            let mut flipped = whole.to_vec();
            flipped[index] ^= 1;
            store.put(&object, PutPayload::from(flipped)).await.unwrap();
            let archive = Archive::open_at(location()).await.unwrap();
            assert_eq!(verify(&archive, |_| ()).await.problems.len(), 1, "{object} {index}");
        }
        store.put(&object, PutPayload::from(whole)).await.unwrap();
    }
    let archive = Archive::open_at(location()).await.unwrap();
    assert!(verify(&archive, |_| ()).await.is_intact());
}

/// Someone who makes a manifest with a fitting digest still cannot lead the reader astray.
#[tokio::test]
async fn a_false_manifest_is_an_error() {
    let store = Arc::new(InMemory::new());
    let location = || Location::new(store.clone(), Path::default(), "memory");
    write_sample(location()).await.unwrap();
    let manifest = add_index(location(), 2).await.unwrap();
    let json = serde_json::to_string(&manifest).unwrap();
    for (from, to) in [
        ("\"formatVersion\":2", "\"formatVersion\":1"),
        ("\"keyframes\":[12,20]", "\"keyframes\":[13,20]"),
        ("\"keyframes\":[12,20]", "\"keyframes\":[12]"),
        ("\"keyframes\":[12,20]", "\"keyframes\":[20,12]"),
        ("\"changes\":14", "\"changes\":15"),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json, "{from}");
        let digest = Digest::of(changed.as_bytes());
        let text = format!("{{\"digest\":\"{digest}\",\"manifest\":{changed}}}\n");
        store.put(&Path::from("manifest.json"), text.into()).await.unwrap();
        let error = Archive::open_at(location()).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Manifest { .. }), "{from}: {error:?}");
    }
}

/// The digest of the golden archive of format version 2. It never changes.
const GOLDEN: &str = "08367a292b7e871a05132b9cbcec8fca66fce125f273bf4c5834506b85333df4";

fn golden() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v2").to_owned()
}

#[tokio::test]
async fn the_golden_archive_is_readable() {
    let archive = Archive::open(&golden()).await.unwrap();
    assert_eq!(archive.digest().to_string(), GOLDEN);
    assert!(verify(&archive, |_| ()).await.is_intact());
    assert_eq!(read_deltas(&archive, 0, Slot::MAX).await.unwrap(), deltas());
    for (slot, differences, context) in keyframes() {
        assert_eq!(read_differences(&archive, slot).await.unwrap(), differences);
        assert_eq!(archive.context_at(slot).await.unwrap(), Some(context));
    }
    assert_eq!(read_accounts(&archive).await.unwrap(), accounts());
    assert_eq!(read_blocks(&archive).await.unwrap(), blocks());
}

#[tokio::test]
async fn the_golden_archive_is_what_would_be_written_today() {
    assert_eq!(indexed().await.digest().to_string(), GOLDEN);
}

#[tokio::test]
#[ignore = "writes the golden archive, once for each version of the format"]
async fn write_golden() {
    let location = || Location::create(&golden()).unwrap();
    write_sample(location()).await.unwrap();
    println!("{}", add_index(location(), 2).await.unwrap().digest());
}
