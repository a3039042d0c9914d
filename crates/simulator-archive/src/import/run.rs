//! One import: a state, and the blocks after it.
//!
//! One thread reads, parses and sorts; a short queue takes what it has found to the task that writes, so that neither
//! runs ahead of the other.

use solana_pubkey::Pubkey;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::blocks::{BlockFormat, Blocks};
use super::checkpoint::Checkpoint;
use super::error::ImportError;
use super::input::InputFile;
use super::reading::{Ended, Reading};
use super::state::StateFile;
use super::{ImportOptions, ImportProgress};
use crate::error::ArchiveError;
use crate::location::Location;
use crate::manifest::{Importer, Manifest, Source, SourceFile};
use crate::model::{Account, Block, Slot};
use crate::writer::ArchiveWriter;

/// How many blocks, or groups of accounts, wait to be written.
const QUEUE: usize = 2;

/// What is imported.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) state: Option<StateFile>,
    pub(super) blocks: Vec<InputFile>,
    pub(super) format: BlockFormat,
    /// Whether the files are those of a ledger directory.
    pub(super) is_ledger: bool,
}

/// What the reading thread sends.
pub(super) enum Item {
    Keyframe(Slot),
    Accounts(Vec<(Pubkey, Account)>),
    /// All accounts have been sent: what is to be written down about them.
    State(Box<Checkpoint>),
    /// The accounts are stored already.
    Resumed(Box<Checkpoint>),
    Block(Box<Block>),
    Read,
}

/// An item, and how many bytes had been read when it was sent.
pub(super) struct Message {
    pub(super) item: Item,
    pub(super) bytes_read: u64,
}

/// Makes the archive.
pub(super) async fn run(
    files: Files,
    location: Location,
    options: ImportOptions,
    progress: impl FnMut(ImportProgress) + Send,
) -> Result<Manifest, ImportError> {
    let bytes_total = match options.seeds.is_empty() {
        true => files.size(),
        // The blocks are read twice.
        false => files.size() + files.blocks_size(),
    };
    let mut writer = ArchiveWriter::new(location.clone(), options.limits);
    let (sender, receiver) = mpsc::channel(QUEUE);
    let reading = Reading {
        files,
        options,
        sender,
        closure: None,
        read_ahead: 0,
        location,
        runtime: Handle::current(),
    };
    let reading = tokio::task::spawn_blocking(move || reading.run());
    let written = write(&mut writer, receiver, bytes_total, progress).await;
    let read = reading
        .await
        .unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()));
    let error = match (written, read) {
        (Ok(()), Ok(description)) => return Ok(writer.finish(description).await?),
        (_, Err(Ended::Error(error))) => error,
        (Err(error), _) => error.into(),
        (Ok(()), Err(Ended::Stopped)) => unreachable!("writing stops early only with an error"),
    };
    writer.discard().await;
    Err(error)
}

/// Takes the receiver, so that reading ends when writing fails.
async fn write(
    writer: &mut ArchiveWriter,
    mut receiver: mpsc::Receiver<Message>,
    bytes_total: u64,
    mut report: impl FnMut(ImportProgress) + Send,
) -> Result<(), ArchiveError> {
    let mut progress = ImportProgress {
        bytes_total,
        ..ImportProgress::default()
    };
    while let Some(Message { item, bytes_read }) = receiver.recv().await {
        progress.bytes_read = bytes_read;
        match item {
            Item::Keyframe(slot) => writer.start_keyframe(slot).await?,
            Item::Accounts(accounts) => {
                progress.accounts += accounts.len() as u64;
                for (address, account) in &accounts {
                    writer.account(address, account).await?;
                }
            }
            Item::State(mut checkpoint) => {
                checkpoint.segments = writer.finish_keyframe().await?;
                checkpoint.store(writer.location()).await?;
            }
            Item::Resumed(checkpoint) => {
                progress.accounts = checkpoint.segments.iter().map(|segment| segment.records).sum();
                writer.resume_keyframe(checkpoint.keyframe, checkpoint.segments);
            }
            Item::Block(block) => {
                progress.blocks += 1;
                progress.transactions += block.transactions.len() as u64;
                writer.block(&block).await?;
            }
            Item::Read => {}
        }
        report(progress);
    }
    Ok(())
}

impl Files {
    fn size(&self) -> u64 {
        self.blocks_size() + self.state.as_ref().map_or(0, |state| state.file().size)
    }

    fn blocks_size(&self) -> u64 {
        self.blocks.iter().map(|file| file.size).sum()
    }

    pub(super) fn open_blocks(&self) -> Blocks {
        Blocks::new(self.format, self.blocks.clone())
    }

    pub(super) fn sources(&self, state: Vec<SourceFile>, blocks: Vec<SourceFile>) -> Vec<Source> {
        let importer = match self.format {
            BlockFormat::Lines => Importer::GetBlock,
            BlockFormat::Car => Importer::Car,
        };
        if self.is_ledger {
            let files = state.into_iter().chain(blocks).collect();
            return vec![Source {
                importer: Importer::Ledger,
                files,
            }];
        }
        let state = Source {
            importer: Importer::Snapshot,
            files: state,
        };
        let blocks = Source {
            importer,
            files: blocks,
        };
        [state, blocks]
            .into_iter()
            .filter(|source| !source.files.is_empty())
            .collect()
    }
}
