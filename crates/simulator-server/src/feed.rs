//! Blocks for a session, read and decoded a little ahead of it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use simulator_archive::model::{Block, Slot};
use simulator_archive::{Archive, ArchiveError, BlockReader};
use simulator_engine::{DecodeError, DecodedBlock};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

/// The blocks of a range, or what was made of them, in slot order. It ends after the last block or the first error.
pub(crate) type Feed<T = Arc<DecodedBlock>> = mpsc::Receiver<Result<T, FeedError>>;

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
    spawn_with(archive, range, ahead, stop, |block| decode(block).map(Arc::new))
}

/// The same with what `work` makes of each block. The work is done on other threads, one block after the other.
pub(crate) fn spawn_with<T: Send + 'static>(
    archive: &Archive,
    range: RangeInclusive<Slot>,
    ahead: usize,
    stop: CancellationToken,
    work: impl Fn(Block) -> Result<T, FeedError> + Send + Sync + 'static,
) -> Feed<T> {
    let (sender, feed) = mpsc::channel(ahead.max(1));
    let reader = archive.blocks(range);
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

async fn fill<T, W>(mut reader: BlockReader, sender: mpsc::Sender<Result<T, FeedError>>, work: Arc<W>)
where
    T: Send + 'static,
    W: Fn(Block) -> Result<T, FeedError> + Send + Sync + 'static,
{
    while let Ok(room) = sender.reserve().await {
        match next(&mut reader, &work).await {
            Ok(Some(made)) => room.send(Ok(made)),
            Ok(None) => return,
            Err(error) => return room.send(Err(error)),
        }
    }
}

async fn next<T, W>(reader: &mut BlockReader, work: &Arc<W>) -> Result<Option<T>, FeedError>
where
    T: Send + 'static,
    W: Fn(Block) -> Result<T, FeedError> + Send + Sync + 'static,
{
    let Some(block) = reader.next().await? else {
        return Ok(None);
    };
    let work = Arc::clone(work);
    let made = tokio::task::spawn_blocking(move || work(block))
        .await
        .map_err(FeedError::Task)??;
    Ok(Some(made))
}
