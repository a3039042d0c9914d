//! One import: a state, and the blocks after it.
//!
//! One thread reads, parses and sorts; a short queue takes what it has found to the task that writes, so that neither
//! runs ahead of the other.

use solana_pubkey::Pubkey;
use tokio::sync::mpsc;

use super::blocks::{BlockFormat, Blocks};
use super::chain::{Gaps, LedgerBlock};
use super::closure::Closure;
use super::error::ImportError;
use super::input::{InputFile, Meter};
use super::scope::{Listing, Touches};
use super::state::{StateFile, StateReader};
use super::{ImportOptions, ImportProgress, ScopeChoice};
use crate::error::ArchiveError;
use crate::location::Location;
use crate::manifest::{Importer, Manifest, Scope, ScopeEvidence, Source, SourceFile};
use crate::model::{Account, Block, Slot};
use crate::writer::{ArchiveWriter, Description};

/// How many blocks, or groups of accounts, wait to be written.
const QUEUE: usize = 2;

/// How many accounts, or bytes of them, make a group.
const GROUP_ACCOUNTS: usize = 1000;
const GROUP_BYTES: usize = 1 << 20;

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
    /// Which accounts are kept, where not all are.
    closure: Option<Closure>,
    /// How much was read to find that out, in bytes.
    read_ahead: u64,
}

/// What has been found out when all is read.
struct Facts {
    scope_evidence: ScopeEvidence,
    state: Vec<SourceFile>,
    blocks: Vec<SourceFile>,
    /// How many of the accounts are in the closure by name.
    found: u64,
}

/// What the accounts showed.
struct Start {
    listing: Listing,
    source: Vec<SourceFile>,
    found: u64,
}

/// Why reading ended early.
enum Ended {
    Error(ImportError),
    /// The writing task does not take any more.
    Stopped,
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
    let mut writer = ArchiveWriter::new(location, options.limits);
    let (sender, receiver) = mpsc::channel(QUEUE);
    let reading = Reading {
        files,
        options,
        sender,
        closure: None,
        read_ahead: 0,
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

    fn open_blocks(&self) -> Blocks {
        Blocks::new(self.format, self.blocks.clone())
    }

    fn sources(&self, state: Vec<SourceFile>, blocks: Vec<SourceFile>) -> Vec<Source> {
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

impl Reading {
    /// The first block is parsed first, because the keyframe is named after its slot.
    fn run(mut self) -> Result<Description, Ended> {
        self.closure = self.closure()?;
        let mut blocks = self.files.open_blocks();
        let mut first = blocks.next(self.gaps(false))?.ok_or_else(|| self.no_blocks())?;
        let start = self.state(&mut first.block)?;
        let read_before: u64 = start.source.iter().map(|file| file.size).sum();
        let touches = self.blocks(&mut blocks, first, &start.listing, read_before)?;
        let is_given = self.options.scope != ScopeChoice::Auto || self.closure.is_some();
        let scope_evidence = start.listing.evidence(is_given, touches).map_err(ImportError::Sort)?;
        Ok(self.describe(Facts {
            scope_evidence,
            state: start.source,
            blocks: blocks.into_sources(),
            found: start.found,
        }))
    }

    /// Reads all blocks, if only the accounts of some transactions are to be kept.
    fn closure(&mut self) -> Result<Option<Closure>, Ended> {
        if self.options.seeds.is_empty() {
            return Ok(None);
        }
        let mut closure = Closure::new(self.options.seeds.clone());
        let mut blocks = self.files.open_blocks();
        while let Some(ledger) = blocks.next(self.gaps(false))? {
            closure.add(&ledger);
            self.send(Item::Read, blocks.bytes_read())?;
        }
        closure.finish();
        self.read_ahead = blocks.bytes_read();
        Ok(Some(closure))
    }

    /// Sends the accounts, and returns what they show.
    fn state(&self, first: &mut Block) -> Result<Start, Ended> {
        let mut start = Start {
            listing: Listing::new().map_err(ImportError::Sort)?,
            source: Vec::new(),
            found: 0,
        };
        let Some(state) = &self.files.state else {
            self.send(Item::Keyframe(first.slot), 0)?;
            return Ok(start);
        };
        let closure = self.closure.as_ref();
        let memory = self.options.sort_memory;
        let mut accounts = StateReader::read(state, memory, closure, |meter| self.show_life(meter))?;
        accounts.join(first)?;
        let source = accounts.source();
        self.send(Item::Keyframe(first.slot), source.size)?;
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some((address, account)) = accounts.next()? {
            if closure.is_some_and(|closure| !closure.holds(&address, &account.owner)) {
                continue;
            }
            start.found += u64::from(closure.is_some_and(|closure| closure.names(&address)));
            start.listing.add(&address, &account).map_err(ImportError::Sort)?;
            bytes += account.data.len();
            group.push((address, account));
            if group.len() >= GROUP_ACCOUNTS || bytes >= GROUP_BYTES {
                bytes = 0;
                self.send(Item::Accounts(std::mem::take(&mut group)), source.size)?;
            }
        }
        self.send(Item::Accounts(group), source.size)?;
        start.source.push(source);
        Ok(start)
    }

    /// Sends the blocks, and returns what they show of accounts, if that matters.
    fn blocks(
        &self,
        blocks: &mut Blocks,
        first: LedgerBlock,
        listing: &Listing,
        read_before: u64,
    ) -> Result<Option<Touches>, Ended> {
        let gaps = self.gaps(listing.looks_complete());
        let is_open = self.options.scope == ScopeChoice::Auto && self.closure.is_none();
        let looks = is_open && listing.looks_complete();
        let mut touches = looks.then(|| Touches::new(self.options.sort_memory));
        let mut next = Some(first);
        while let Some(ledger) = next {
            if let Some(touches) = &mut touches {
                touches.add(&ledger).map_err(ImportError::Sort)?;
            }
            self.send(Item::Block(Box::new(ledger.block)), read_before + blocks.bytes_read())?;
            next = blocks.next(gaps)?;
        }
        Ok(touches)
    }

    /// Whether blocks may be missing. A state that holds every account can be followed only through every block.
    fn gaps(&self, is_complete: bool) -> Gaps {
        match self.options.scope {
            ScopeChoice::Listed => Gaps::Record,
            ScopeChoice::Auto if self.files.is_ledger && !is_complete => Gaps::Record,
            ScopeChoice::All | ScopeChoice::Auto => Gaps::Refuse,
        }
    }

    fn describe(&self, facts: Facts) -> Description {
        let scope = match self.options.scope {
            _ if self.closure.is_some() => Scope::Listed,
            ScopeChoice::All => Scope::All,
            ScopeChoice::Auto if facts.scope_evidence.is_complete() => Scope::All,
            ScopeChoice::Auto | ScopeChoice::Listed => Scope::Listed,
        };
        Description {
            genesis_hash: self.options.genesis_hash.clone(),
            scope,
            scope_evidence: facts.scope_evidence,
            closure: self.closure.as_ref().map(|closure| closure.describe(facts.found)),
            sources: self.files.sources(facts.state, facts.blocks),
        }
    }

    fn no_blocks(&self) -> ImportError {
        match self.files.blocks.as_slice() {
            [] => ImportError::NoBlockFiles,
            [first, ..] => ImportError::NoBlocks {
                file: first.name().to_owned(),
            },
        }
    }

    /// A full queue is no reason to wait: this only shows that something happens.
    fn show_life(&self, meter: &Meter) {
        let _ = self.sender.try_send(Message {
            item: Item::Read,
            bytes_read: self.read_ahead + meter.bytes_read(),
        });
    }

    fn send(&self, item: Item, bytes_read: u64) -> Result<(), Ended> {
        self.sender
            .blocking_send(Message {
                item,
                bytes_read: self.read_ahead + bytes_read,
            })
            .map_err(|_| Ended::Stopped)
    }
}

impl From<ImportError> for Ended {
    fn from(error: ImportError) -> Self {
        Self::Error(error)
    }
}
