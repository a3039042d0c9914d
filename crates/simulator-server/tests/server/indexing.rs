//! The sample with what each slot changed, and keyframes on the way.

use std::sync::Arc;

use simulator_archive::{Archive, IndexDescription, IndexWriter, Scope, SegmentLimits};
use simulator_engine::{AccountBase, DecodedBlock, ENGINE_VERSION, Replay, ReplayOptions};

use crate::support::SampleArchive;

impl SampleArchive {
    /// Adds an index to the archive, with a keyframe every so many slots.
    pub(crate) async fn index(&self, interval: u64) {
        let archive = Archive::open(self.location()).await.unwrap();
        let mut writer = IndexWriter::new(&archive, SegmentLimits::default());
        write(&archive, &mut writer, interval).await;
        let description = IndexDescription {
            engine: ENGINE_VERSION.to_owned(),
            interval,
            exact: archive.manifest().scope == Scope::All,
        };
        writer.finish(description).await.unwrap();
    }
}

async fn write(archive: &Archive, writer: &mut IndexWriter, interval: u64) {
    let (first, last) = (archive.manifest().first_slot, archive.manifest().last_slot);
    let accounts = archive.accounts_at(first).unwrap().1.all().await.unwrap();
    let base = AccountBase::from_accounts(accounts, archive.manifest().scope);
    let mut replay = Replay::new(Arc::new(base), ReplayOptions::default()).unwrap();
    let mut blocks = archive.blocks(first..=last);
    let mut due = first + interval;
    while let Some(block) = blocks.next().await.unwrap() {
        let slot = block.slot;
        if slot >= due {
            let checkpoint = replay.checkpoint().unwrap();
            let context = checkpoint.context().into();
            writer.keyframe(slot, checkpoint.differences(), context).await.unwrap();
            due = slot + interval;
        }
        let block = DecodedBlock::decode(block).unwrap();
        writer
            .delta(&replay.record_slot(Arc::new(block)).unwrap())
            .await
            .unwrap();
    }
}
