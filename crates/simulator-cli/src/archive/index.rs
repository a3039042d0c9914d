//! `sim archive index`: replays an archive once, and adds to it what each slot changed, and keyframes on the way.

use std::num::NonZeroU64;
use std::sync::Arc;

use simulator_archive::model::Slot;
use simulator_archive::{
    Archive, ArchiveError, BlockReader, DeltaReader, IndexDescription, IndexWriter, Location, Manifest, Scope,
    SegmentLimits,
};
use simulator_engine::{
    AccountBase, DecodeError, DecodedBlock, ENGINE_VERSION, Replay, ReplayOptions, SetupError, SlotError, Summary,
};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::ArchiveCommandError;
use super::inspect::print_archive;
use crate::args::IndexArgs;
use crate::exit::Exit;
use crate::prepare::{PrepareError, archive_exit, open_archive};
use crate::progress::{Progress, Unit, Visibility};

/// Programs call programs, each in a few frames of the virtual machine: room enough in an unoptimised build, too.
const STACK_BYTES: usize = 8 << 20;

/// Why an archive could not be indexed. It is as it was.
#[derive(Debug, Error)]
pub(crate) enum IndexError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("the accounts of the archive cannot be replayed")]
    Setup(#[from] SetupError),
    #[error("slot {slot} cannot be replayed")]
    Slot {
        slot: Slot,
        #[source]
        source: SlotError,
    },
    #[error("the archive says that it has deltas, but has none of slot {slot}")]
    NoDelta { slot: Slot },
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("cannot start a thread for the engine")]
    Thread(#[source] std::io::Error),
    #[error("the engine stopped unexpectedly")]
    Stopped,
}

impl IndexError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Archive(error) => archive_exit(error),
            _ => Exit::Failed,
        }
    }
}

/// Indexes an archive and prints what it holds then.
pub(super) async fn index(args: IndexArgs, visibility: Visibility) -> Result<Exit, ArchiveCommandError> {
    let manifest = add_index(&args.archive, args.interval, visibility).await?;
    print_archive(&manifest)?;
    Ok(Exit::Done)
}

/// Indexes an archive and shows how far that is.
pub(super) async fn add_index(
    archive: &str,
    interval: NonZeroU64,
    visibility: Visibility,
) -> Result<Manifest, ArchiveCommandError> {
    // Only what is an archive already is made ready to be written to.
    open_archive(archive).await?;
    let opened = async { Archive::open_at(Location::create(archive)?).await };
    let opened = opened.await.map_err(|source| PrepareError::Open {
        archive: archive.to_owned(),
        source: Box::new(source),
    })?;
    let slots = (opened.manifest().last_slot - opened.manifest().first_slot).saturating_add(1);
    let progress = Progress::start(visibility, Unit::Slots, slots, "indexing");
    let indexed = on_a_thread(opened, interval, progress.clone()).await;
    progress.clear();
    let Indexed { manifest, summary } = indexed.map_err(ArchiveCommandError::Index)?;
    tell_doubts(&progress, &summary);
    Ok(manifest)
}

/// An archive with an index, and how its replay compares with the chain.
struct Indexed {
    manifest: Manifest,
    summary: Summary,
}

/// The engine needs a stack of its own. If nobody waits any more, it goes on to the end of the process.
async fn on_a_thread(archive: Archive, interval: NonZeroU64, progress: Progress) -> Result<Indexed, IndexError> {
    let (done, result) = oneshot::channel();
    let runtime = Handle::current();
    std::thread::Builder::new()
        .name("index".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let indexed = runtime.block_on(replay(&archive, interval, &progress));
            // Whoever does not wait any more has been interrupted.
            drop(done.send(indexed));
        })
        .map_err(IndexError::Thread)?;
    result.await.unwrap_or(Err(IndexError::Stopped))
}

async fn replay(archive: &Archive, interval: NonZeroU64, progress: &Progress) -> Result<Indexed, IndexError> {
    let mut writer = IndexWriter::new(archive, SegmentLimits::default());
    match write(&mut writer, archive, interval, progress).await {
        Ok(summary) => {
            let description = IndexDescription {
                engine: ENGINE_VERSION.to_owned(),
                interval: interval.get(),
                exact: is_exact(archive),
            };
            let manifest = writer.finish(description).await?;
            Ok(Indexed { manifest, summary })
        }
        Err(error) => {
            writer.discard().await;
            Err(error)
        }
    }
}

async fn write(
    writer: &mut IndexWriter,
    archive: &Archive,
    interval: NonZeroU64,
    progress: &Progress,
) -> Result<Summary, IndexError> {
    let manifest = archive.manifest();
    let mut replay = Replay::new(base(archive).await?, ReplayOptions::default())?;
    let mut due = manifest.first_slot.saturating_add(interval.get());
    let mut recorded = Recorded::of(archive);
    let (mut before, mut transactions) = (manifest.first_slot, 0);
    while let Some(block) = recorded.next().await? {
        let slot = block.block().slot;
        transactions += block.transactions().len() as u64;
        if slot >= due
            && let Some(checkpoint) = replay.checkpoint()
        {
            let context = checkpoint.context().into();
            writer.keyframe(slot, checkpoint.differences(), context).await?;
            due = slot.saturating_add(interval.get());
        }
        let delta = replay.record_slot(Arc::new(block));
        let delta = delta.map_err(|source| IndexError::Slot { slot, source })?;
        writer.delta(&delta).await?;
        progress.advance(slot - before);
        progress.set_transactions(transactions);
        before = slot;
    }
    Ok(replay.summary())
}

/// Whether a replay knows everything that the transactions of an archive change: it holds all accounts, or the deltas of a
/// replay of one that does.
fn is_exact(archive: &Archive) -> bool {
    let manifest = archive.manifest();
    manifest.scope == Scope::All || manifest.state_index.as_ref().is_some_and(|index| index.exact)
}

/// The blocks of an archive, with what their slots changed where not every transaction can be executed.
struct Recorded {
    blocks: BlockReader,
    deltas: Option<DeltaReader>,
}

impl Recorded {
    fn of(archive: &Archive) -> Self {
        let manifest = archive.manifest();
        let range = manifest.first_slot..=manifest.last_slot;
        let needs_deltas = manifest.scope == Scope::Listed && is_exact(archive);
        Self {
            deltas: needs_deltas.then(|| archive.deltas(range.clone())),
            blocks: archive.blocks(range),
        }
    }

    async fn next(&mut self) -> Result<Option<DecodedBlock>, IndexError> {
        let Some(block) = self.blocks.next().await? else {
            return Ok(None);
        };
        let slot = block.slot;
        let block = DecodedBlock::decode(block)?;
        let Some(deltas) = &mut self.deltas else {
            return Ok(Some(block));
        };
        match deltas.next().await? {
            Some(delta) if delta.slot == slot => Ok(Some(block.with_delta(delta))),
            _ => Err(IndexError::NoDelta { slot }),
        }
    }
}

/// The accounts of the first keyframe.
async fn base(archive: &Archive) -> Result<Arc<AccountBase>, ArchiveError> {
    let (_, reader) = archive.accounts_at(archive.manifest().first_slot)?;
    let accounts = reader.all().await?;
    let manifest = archive.manifest();
    let base = AccountBase::from_accounts(accounts, manifest.scope);
    Ok(Arc::new(base.with_parent(manifest.bank.as_ref())))
}

/// What the deltas hold is what the engine computed; where that is not what the chain did, they are wrong too.
fn tell_doubts(progress: &Progress, summary: &Summary) {
    if summary.diverged > 0 || summary.bank_hashes.differed > 0 {
        progress.note(&format!(
            "warning: {} transactions and {} bank hashes differ from the chain's, so that some of what was added is not \
             what the chain had; `sim run` says which",
            summary.diverged, summary.bank_hashes.differed
        ));
    }
}
