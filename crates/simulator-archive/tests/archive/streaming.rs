//! What is held in memory at once does not grow with the length of an archive, and random reads read only what they need.
//!
//! The store notes the largest piece that it is asked to write or to read. Beside these pieces, the writer and the readers
//! hold one block or one chunk of accounts.

use std::sync::Arc;

use crate::support::stores::{Fault, TestStore};
use crate::support::{accounts, block, in_memory, read_all, write};
use bytes::Bytes;
use object_store::memory::InMemory;
use simulator_archive::model::{Block, RecordedTransaction};
use simulator_archive::{Archive, SegmentLimits};

const LIMITS: SegmentLimits = SegmentLimits {
    segment_bytes: 256 << 10,
    segment_blocks: 4096,
    chunk_bytes: 8 << 10,
};

/// Blocks of about 16 KiB that do not compress.
fn chain(blocks: u64) -> Vec<Block> {
    let noise = |slot: u64, index: u64| -> Bytes {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&slot.to_le_bytes()).update(&index.to_le_bytes());
        let mut bytes = vec![0; 1024];
        hasher.finalize_xof().fill(&mut bytes);
        bytes.into()
    };
    let transactions = |slot| {
        (0..16)
            .map(move |index| RecordedTransaction {
                wire: noise(slot, index),
                outcome: None,
            })
            .collect()
    };
    (1..=blocks)
        .map(|slot| Block {
            transactions: transactions(slot),
            ..block(slot, slot - 1)
        })
        .collect()
}

/// The largest write, and the largest read of a sequential reader.
async fn largest(blocks: u64) -> (u64, u64) {
    let chain = chain(blocks);
    let inner = Arc::new(InMemory::new());
    let writing = TestStore::new(inner.clone(), Fault::None);
    write(writing.location(), LIMITS, &accounts(), &chain).await.unwrap();
    let reading = TestStore::new(inner, Fault::None);
    let (_, found) = read_all(reading.location()).await.unwrap();
    assert!(found == chain);
    (writing.largest_put(), reading.largest_get())
}

#[tokio::test]
async fn pieces_stay_small_however_long_the_archive_is() {
    for blocks in [20, 200, 600] {
        let (put, get) = largest(blocks).await;
        assert!(
            put < LIMITS.segment_bytes + (64 << 10),
            "{blocks} blocks: {put} bytes written at once"
        );
        assert!(
            get < LIMITS.segment_bytes + (64 << 10),
            "{blocks} blocks: {get} bytes read at once"
        );
    }
}

#[tokio::test]
async fn one_slot_is_read_without_its_neighbours() {
    let chain = chain(200);
    let inner = Arc::new(InMemory::new());
    let limits = SegmentLimits {
        segment_bytes: 1 << 30,
        ..LIMITS
    };
    write(
        TestStore::new(inner.clone(), Fault::None).location(),
        limits,
        &accounts(),
        &chain,
    )
    .await
    .unwrap();
    let archive = Archive::open_at(TestStore::new(inner.clone(), Fault::None).location())
        .await
        .unwrap();
    assert_eq!(archive.manifest().block_segments().count(), 1);
    for slot in [1, 77, 200] {
        let store = TestStore::new(inner.clone(), Fault::None);
        let archive = Archive::open_at(store.location()).await.unwrap();
        assert!(archive.block(slot).await.unwrap().as_ref() == Some(&chain[slot as usize - 1]));
        assert!(store.largest_get() < 40 << 10, "{} bytes at once", store.largest_get());
    }
    assert_eq!(archive.block(0).await.unwrap(), None);
    assert_eq!(archive.block(201).await.unwrap(), None);
}

#[tokio::test]
async fn a_range_is_read_in_order() {
    let chain = chain(60);
    let location = in_memory();
    let limits = SegmentLimits {
        segment_blocks: 7,
        ..LIMITS
    };
    write(location.clone(), limits, &accounts(), &chain).await.unwrap();
    let archive = Archive::open_at(location).await.unwrap();
    for (first, last) in [(1, 60), (7, 8), (8, 14), (20, 20), (59, 1000), (61, 70), (9, 8)] {
        let mut reader = archive.blocks(first..=last);
        let mut slots = Vec::new();
        while let Some(block) = reader.next().await.unwrap() {
            slots.push(block.slot);
        }
        let expected: Vec<u64> = (first..=last.min(60)).collect();
        assert_eq!(slots, expected, "{first}..={last}");
    }
}
