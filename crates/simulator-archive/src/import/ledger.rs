//! The importer for ledger directories: plain files of blocks and accounts.
//!
//! One thread reads, parses and sorts; a short queue takes what it has found to the task that writes, so that neither
//! runs ahead of the other.

use std::path::Path;

use solana_pubkey::Pubkey;
use tokio::sync::mpsc;

use super::accounts::SortedAccounts;
use super::blocks::{BlockLines, Gaps};
use super::error::ImportError;
use super::lines::LedgerFile;
use super::scope::{Listing, Touches};
use super::{ImportOptions, ImportProgress, ScopeChoice};
use crate::error::ArchiveError;
use crate::location::Location;
use crate::manifest::{Importer, Manifest, Scope, Source};
use crate::model::{Account, Block, Slot};
use crate::writer::{ArchiveWriter, Description};

const BLOCKS: &str = "blocks.jsonl";
const ACCOUNTS: &str = "accounts-start.jsonl";

/// How many blocks, or groups of accounts, wait to be written.
const QUEUE: usize = 2;

/// How many accounts, or bytes of them, make a group.
const GROUP_ACCOUNTS: usize = 1000;
const GROUP_BYTES: usize = 1 << 20;

/// Imports a ledger directory into the archive at `out`, a directory or `file://` URL. An archive that is already there
/// is replaced once the new one is complete. Calls `progress` now and then.
///
/// # Errors
///
/// Fails if a file is missing or malformed, or if the archive cannot be written; then `out` is as it was.
pub async fn import(
    ledger: &Path,
    out: &str,
    options: ImportOptions,
    progress: impl FnMut(ImportProgress) + Send,
) -> Result<Manifest, ImportError> {
    let files = Files::find(ledger)?;
    let location = Location::create(out).map_err(ArchiveError::from)?;
    run(files, location, options, progress).await
}

/// Imports a ledger directory into the archive at a location.
///
/// # Errors
///
/// As [`import`].
pub async fn import_into(
    ledger: &Path,
    location: Location,
    options: ImportOptions,
    progress: impl FnMut(ImportProgress) + Send,
) -> Result<Manifest, ImportError> {
    run(Files::find(ledger)?, location, options, progress).await
}

/// The files of a ledger directory.
#[derive(Clone, Debug)]
struct Files {
    blocks: LedgerFile,
    accounts: LedgerFile,
}

/// What the reading thread sends.
enum Item {
    Keyframe(Slot),
    Accounts(Vec<(Pubkey, Account)>),
    Block(Box<Block>),
    Read,
}

/// An item, and how many bytes had been read when it was sent.
struct Message {
    item: Item,
    bytes_read: u64,
}

/// What the reading thread does.
struct Reading {
    files: Files,
    options: ImportOptions,
    sender: mpsc::Sender<Message>,
}

/// Why reading ended early.
enum Ended {
    Error(ImportError),
    /// The writing task does not take any more.
    Stopped,
}

async fn run(
    files: Files,
    location: Location,
    options: ImportOptions,
    progress: impl FnMut(ImportProgress) + Send,
) -> Result<Manifest, ImportError> {
    let bytes_total = files.blocks.size + files.accounts.size;
    let mut writer = ArchiveWriter::new(location, options.limits);
    let (sender, receiver) = mpsc::channel(QUEUE);
    let reading = tokio::task::spawn_blocking(move || Reading { files, options, sender }.run());
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
    fn find(directory: &Path) -> Result<Self, ImportError> {
        let names = names(directory).map_err(|source| ImportError::Directory {
            path: directory.to_owned(),
            source,
        })?;
        let missing = |file| ImportError::MissingFile {
            directory: directory.to_owned(),
            file,
        };
        let blocks = LedgerFile::find(directory, BLOCKS)?.ok_or_else(|| missing(BLOCKS))?;
        if let Some(accounts) = LedgerFile::find(directory, ACCOUNTS)? {
            return Ok(Self { blocks, accounts });
        }
        let is_snapshot = |name: &String| name.starts_with("snapshot-") && name.ends_with(".tar.zst");
        match names.into_iter().find(is_snapshot) {
            Some(snapshot) => Err(ImportError::Snapshot { snapshot }),
            None => Err(missing(ACCOUNTS)),
        }
    }
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

impl Reading {
    /// The first block is parsed first, because the keyframe is named after its slot.
    fn run(self) -> Result<Description, Ended> {
        let mut blocks = BlockLines::new(self.files.blocks.lines()?);
        let no_blocks = || ImportError::NoBlocks {
            file: self.files.blocks.name().to_owned(),
        };
        let first = blocks.next(Gaps::Record)?.ok_or_else(no_blocks)?;
        let mut lines = self.files.accounts.lines()?;
        let listing = self.accounts(&mut lines, &first.block)?;
        let read_before = lines.bytes_read();
        let (gaps, mut touches) = self.policy(&listing);
        let mut next = Some(first);
        while let Some(ledger) = next {
            if let Some(touches) = &mut touches {
                touches.add(&ledger).map_err(ImportError::Sort)?;
            }
            self.send(
                Item::Block(Box::new(ledger.block)),
                read_before + blocks.lines().bytes_read(),
            )?;
            next = blocks.next(gaps)?;
        }
        let files = vec![lines.source(), blocks.lines().source()];
        self.describe(listing, touches, files)
            .map_err(|error| Ended::Error(ImportError::Sort(error)))
    }

    fn accounts(&self, lines: &mut super::lines::Lines, first: &Block) -> Result<Listing, Ended> {
        let mut accounts = SortedAccounts::read(lines, self.options.sort_memory, |lines| {
            if lines.number().is_multiple_of(GROUP_ACCOUNTS as u64) {
                // A full queue is no reason to wait: this only shows that something happens.
                let _ = self.sender.try_send(Message {
                    item: Item::Read,
                    bytes_read: lines.bytes_read(),
                });
            }
        })?;
        if let Some(clock) = accounts.clock.filter(|clock| *clock != first.parent_slot) {
            let file = self.files.accounts.name().to_owned();
            let error = ImportError::StartState {
                file,
                clock,
                first: first.slot,
                parent: first.parent_slot,
            };
            return Err(error.into());
        }
        let mut listing = Listing::new().map_err(ImportError::Sort)?;
        self.send(Item::Keyframe(first.slot), lines.bytes_read())?;
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some((address, account)) = accounts.next()? {
            listing.add(&address, &account).map_err(ImportError::Sort)?;
            bytes += account.data.len();
            group.push((address, account));
            if group.len() >= GROUP_ACCOUNTS || bytes >= GROUP_BYTES {
                bytes = 0;
                self.send(Item::Accounts(std::mem::take(&mut group)), lines.bytes_read())?;
            }
        }
        self.send(Item::Accounts(group), lines.bytes_read())?;
        Ok(listing)
    }

    /// Whether blocks may be missing, and what to look for in them.
    fn policy(&self, listing: &Listing) -> (Gaps, Option<Touches>) {
        match self.options.scope {
            ScopeChoice::All => (Gaps::Refuse, None),
            ScopeChoice::Auto if listing.looks_complete() => {
                (Gaps::Refuse, Some(Touches::new(self.options.sort_memory)))
            }
            ScopeChoice::Auto | ScopeChoice::Listed => (Gaps::Record, None),
        }
    }

    fn describe(
        &self,
        listing: Listing,
        touches: Option<Touches>,
        files: Vec<crate::manifest::SourceFile>,
    ) -> std::io::Result<Description> {
        let scope_evidence = listing.evidence(self.options.scope != ScopeChoice::Auto, touches)?;
        let scope = match self.options.scope {
            ScopeChoice::All => Scope::All,
            ScopeChoice::Auto if scope_evidence.is_complete() => Scope::All,
            ScopeChoice::Auto | ScopeChoice::Listed => Scope::Listed,
        };
        let sources = vec![Source {
            importer: Importer::Ledger,
            files,
        }];
        Ok(Description {
            genesis_hash: self.options.genesis_hash.clone(),
            scope,
            scope_evidence,
            sources,
        })
    }

    fn send(&self, item: Item, bytes_read: u64) -> Result<(), Ended> {
        self.sender
            .blocking_send(Message { item, bytes_read })
            .map_err(|_| Ended::Stopped)
    }
}

impl From<ImportError> for Ended {
    fn from(error: ImportError) -> Self {
        Self::Error(error)
    }
}
