//! Blocks for a session, read and decoded a little ahead of it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use simulator_archive::model::{Block, Slot, SlotDelta};
use simulator_archive::{Archive, ArchiveError, BlockReader, DeltaReader};
use simulator_engine::{DecodeError, DecodedBlock};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

/// The blocks of a range, or what was made of them, in slot order. It ends after the last block or the first error.
pub(crate) type Feed<T = Arc<DecodedBlock>> = mpsc::Receiver<Result<T, FeedError>>;

/// Reads what an archive holds of each slot of a range, in slot order.
#[derive(Debug)]
pub(crate) struct SlotReader {
    blocks: BlockReader,
    deltas: Option<DeltaReader>,
}

/// What an archive holds of a slot.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) block: Block,
    /// What the slot changed, if that is read.
    pub(crate) delta: Option<SlotDelta>,
}

/// Why there is no next block.
#[derive(Debug, Error)]
pub(crate) enum FeedError {
    /// The archive cannot be read.
    #[error("the next block cannot be read: {0}")]
    Archive(#[from] ArchiveError),
    /// The archive has deltas, but not of this slot.
    #[error("the archive does not hold what slot {slot} changed; index it again with `sim archive index`")]
    NoDelta { slot: Slot },
    /// A transaction of it cannot be decoded.
    #[error("the next block cannot be decoded: {0}")]
    Decode(#[from] DecodeError),
    /// Decoding it panicked, or the runtime is shutting down.
    #[error("the next block was not decoded")]
    Task(#[source] JoinError),
}

impl SlotReader {
    /// Reads blocks.
    pub(crate) fn blocks(archive: &Archive, range: RangeInclusive<Slot>) -> Self {
        Self {
            blocks: archive.blocks(range),
            deltas: None,
        }
    }

    /// Reads blocks, and what each of them changed. The archive must have an index.
    pub(crate) fn blocks_and_deltas(archive: &Archive, range: RangeInclusive<Slot>) -> Self {
        Self {
            deltas: Some(archive.deltas(range.clone())),
            ..Self::blocks(archive, range)
        }
    }

    async fn next(&mut self) -> Result<Option<Recorded>, FeedError> {
        let Some(block) = self.blocks.next().await? else {
            return Ok(None);
        };
        let delta = match &mut self.deltas {
            Some(deltas) => Some(delta_of(block.slot, deltas).await?),
            None => None,
        };
        Ok(Some(Recorded { block, delta }))
    }
}

/// Starts to read, `ahead` blocks in advance. It stops when the receiver is dropped or `stop` is cancelled.
pub(crate) fn spawn(reader: SlotReader, ahead: usize, stop: CancellationToken) -> Feed {
    spawn_with(reader, ahead, stop, |recorded| {
        let block = decode(recorded.block)?;
        Ok(Arc::new(match recorded.delta {
            Some(delta) => block.with_delta(delta),
            None => block,
        }))
    })
}

/// The same with what `work` makes of each slot. The work is done on other threads, one slot after the other.
pub(crate) fn spawn_with<T: Send + 'static>(
    reader: SlotReader,
    ahead: usize,
    stop: CancellationToken,
    work: impl Fn(Recorded) -> Result<T, FeedError> + Send + Sync + 'static,
) -> Feed<T> {
    let (sender, feed) = mpsc::channel(ahead.max(1));
    tokio::spawn(stop.run_until_cancelled_owned(fill(reader, sender, Arc::new(work))));
    feed
}

/// Decodes a block.
///
/// # Errors
/// A transaction of it cannot be decoded.
pub(crate) fn decode(block: Block) -> Result<DecodedBlock, FeedError> {
    Ok(DecodedBlock::decode(block)?)
}

async fn fill<T, W>(mut reader: SlotReader, sender: mpsc::Sender<Result<T, FeedError>>, work: Arc<W>)
where
    T: Send + 'static,
    W: Fn(Recorded) -> Result<T, FeedError> + Send + Sync + 'static,
{
    while let Ok(room) = sender.reserve().await {
        match next(&mut reader, &work).await {
            Ok(Some(made)) => room.send(Ok(made)),
            Ok(None) => return,
            Err(error) => return room.send(Err(error)),
        }
    }
}

async fn next<T, W>(reader: &mut SlotReader, work: &Arc<W>) -> Result<Option<T>, FeedError>
where
    T: Send + 'static,
    W: Fn(Recorded) -> Result<T, FeedError> + Send + Sync + 'static,
{
    let Some(recorded) = reader.next().await? else {
        return Ok(None);
    };
    let work = Arc::clone(work);
    let made = tokio::task::spawn_blocking(move || work(recorded))
        .await
        .map_err(FeedError::Task)??;
    Ok(Some(made))
}

/// What a slot changed. No slot is without a change: each sets the Clock.
async fn delta_of(slot: Slot, deltas: &mut DeltaReader) -> Result<SlotDelta, FeedError> {
    let next = deltas.next().await?;
    next.filter(|delta| delta.slot == slot)
        .ok_or(FeedError::NoDelta { slot })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use simulator_archive::import::{ImportOptions, ledger};
    use simulator_archive::model::{Change, Writer};
    use simulator_archive::{IndexDescription, IndexWriter, SegmentLimits};
    use solana_pubkey::Pubkey;
    use tempfile::TempDir;

    use super::*;

    /// The sample, with a delta for each of these slots.
    async fn indexed(slots: &[Slot]) -> (Archive, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let location = directory.path().to_str().unwrap().to_owned();
        let ledger = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/agave-small");
        ledger::import(&ledger, &location, ImportOptions::default(), |_| {})
            .await
            .unwrap();
        let archive = Archive::open(&location).await.unwrap();
        let mut writer = IndexWriter::new(&archive, SegmentLimits::default());
        for slot in slots {
            writer.delta(&delta(*slot)).await.unwrap();
        }
        let description = IndexDescription {
            engine: "a test".to_owned(),
            interval: 1000,
            exact: true,
        };
        writer.finish(description).await.unwrap();
        (Archive::open(&location).await.unwrap(), directory)
    }

    fn delta(slot: Slot) -> SlotDelta {
        let change = |writer| Change {
            writer,
            address: Pubkey::new_from_array([slot as u8; 32]),
            account: None,
        };
        SlotDelta {
            slot,
            changes: vec![change(Writer::SlotStart), change(Writer::SlotEnd)],
        }
    }

    #[tokio::test]
    async fn blocks_come_with_their_deltas_and_only_if_they_are_asked_for() {
        let (archive, _directory) = indexed(&[36, 37, 38, 39, 40]).await;
        let mut feed = spawn(
            SlotReader::blocks_and_deltas(&archive, 37..=39),
            1,
            CancellationToken::new(),
        );
        for slot in 37..=39 {
            let block = feed.recv().await.unwrap().unwrap();
            assert_eq!((block.block().slot, block.delta()), (slot, Some(&delta(slot))));
        }
        assert!(feed.recv().await.is_none());
        let mut feed = spawn(SlotReader::blocks(&archive, 37..=37), 1, CancellationToken::new());
        assert_eq!(feed.recv().await.unwrap().unwrap().delta(), None);
    }

    #[tokio::test]
    async fn a_slot_without_its_delta_is_an_error_that_names_it() {
        for deltas in [&[36, 38, 39][..], &[36]] {
            let (archive, _directory) = indexed(deltas).await;
            let reader = SlotReader::blocks_and_deltas(&archive, 36..=39);
            let mut feed = spawn(reader, 1, CancellationToken::new());
            assert_eq!(feed.recv().await.unwrap().unwrap().block().slot, 36);
            let error = feed.recv().await.unwrap().unwrap_err();
            assert!(matches!(error, FeedError::NoDelta { slot: 37 }), "{error}");
            assert!(feed.recv().await.is_none());
        }
    }
}
