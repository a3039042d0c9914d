//! Blocks for a session, read and decoded a little ahead of it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use simulator_archive::model::Slot;
use simulator_archive::{Archive, ArchiveError, BlockReader};
use simulator_engine::{DecodeError, DecodedBlock};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

/// The blocks of a range, in slot order. It ends after the last block or the first error.
pub(crate) type Feed = mpsc::Receiver<Result<Arc<DecodedBlock>, FeedError>>;

/// Why there is no next block.
#[derive(Debug, Error)]
pub(crate) enum FeedError {
    /// The archive cannot be read.
    #[error("the next block cannot be read: {0}")]
    Archive(#[from] ArchiveError),
    /// A transaction of it cannot be decoded.
    #[error("the next block cannot be decoded: {0}")]
    Decode(#[from] DecodeError),
    /// Decoding it panicked, or the runtime is shutting down.
    #[error("the next block was not decoded")]
    Task(#[source] JoinError),
}

/// Starts to read a range, `ahead` blocks in advance. It stops when the receiver is dropped or `stop` is cancelled.
pub(crate) fn spawn(archive: &Archive, range: RangeInclusive<Slot>, ahead: usize, stop: CancellationToken) -> Feed {
    let (sender, feed) = mpsc::channel(ahead.max(1));
    let reader = archive.blocks(range);
    tokio::spawn(stop.run_until_cancelled_owned(fill(reader, sender)));
    feed
}

async fn fill(mut reader: BlockReader, sender: mpsc::Sender<Result<Arc<DecodedBlock>, FeedError>>) {
    while let Ok(room) = sender.reserve().await {
        match next(&mut reader).await {
            Ok(Some(block)) => room.send(Ok(block)),
            Ok(None) => return,
            Err(error) => return room.send(Err(error)),
        }
    }
}

async fn next(reader: &mut BlockReader) -> Result<Option<Arc<DecodedBlock>>, FeedError> {
    let Some(block) = reader.next().await? else {
        return Ok(None);
    };
    let decoded = tokio::task::spawn_blocking(|| DecodedBlock::decode(block))
        .await
        .map_err(FeedError::Task)??;
    Ok(Some(Arc::new(decoded)))
}
