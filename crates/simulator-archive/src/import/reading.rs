//! The thread that reads, parses and sorts.

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::blocks::Blocks;
use super::chain::{Gaps, LedgerBlock};
use super::checkpoint::Checkpoint;
use super::closure::Closure;
use super::error::ImportError;
use super::input::Meter;
use super::run::{Files, Item, Message};
use super::scope::{Listing, Touches};
use super::state::{StateFile, StateReader};
use super::{ImportOptions, ScopeChoice};
use crate::digest::Digest;
use crate::location::Location;
use crate::manifest::{Bank, Scope, ScopeEvidence, SourceFile};
use crate::model::Block;
use crate::writer::Description;

/// How many accounts, or bytes of them, make a group.
const GROUP_ACCOUNTS: usize = 1000;
const GROUP_BYTES: usize = 1 << 20;

/// What the reading thread does.
pub(super) struct Reading {
    pub(super) files: Files,
    pub(super) options: ImportOptions,
    pub(super) sender: mpsc::Sender<Message>,
    /// Which accounts are kept, where not all are.
    pub(super) closure: Option<Closure>,
    /// How much was read to find that out, in bytes.
    pub(super) read_ahead: u64,
    pub(super) location: Location,
    pub(super) runtime: Handle,
}

/// What has been found out when all is read.
struct Facts {
    scope_evidence: ScopeEvidence,
    state: Vec<SourceFile>,
    blocks: Vec<SourceFile>,
    /// How many of the accounts are in the closure by name.
    found: u64,
    bank: Option<Bank>,
}

/// What the accounts showed.
struct Start {
    listing: Listing,
    source: Vec<SourceFile>,
    found: u64,
    bank: Option<Bank>,
}

/// Why reading ended early.
pub(super) enum Ended {
    Error(ImportError),
    /// The writing task does not take any more.
    Stopped,
}

impl Reading {
    /// The first block is parsed first, because the keyframe is named after its slot.
    pub(super) fn run(mut self) -> Result<Description, Ended> {
        self.closure = self.closure()?;
        let mut blocks = self.files.open_blocks();
        let mut first = blocks.next(self.gaps(false))?.ok_or_else(|| self.no_blocks())?;
        let start = self.state(&mut first.block)?;
        let touches = self.blocks(&mut blocks, first, &start)?;
        let is_given = self.options.scope != ScopeChoice::Auto || self.closure.is_some();
        let scope_evidence = start.listing.evidence(is_given, touches).map_err(ImportError::Sort)?;
        Ok(self.describe(Facts {
            scope_evidence,
            state: start.source,
            blocks: blocks.into_sources(),
            found: start.found,
            bank: start.bank,
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
        let Some(state) = &self.files.state else {
            self.send(Item::Keyframe(first.slot), 0)?;
            return Start::new(Vec::new()).map_err(Ended::from);
        };
        let key = self.key(state, first);
        if let Some(start) = self.resume(key, first)? {
            return Ok(start);
        }
        let memory = self.options.sort_memory;
        let closure = self.closure.as_ref();
        let accounts = StateReader::read(state, memory, closure, |meter| self.show_life(meter))?;
        accounts.join(first)?;
        self.send(Item::Keyframe(first.slot), accounts.source().size)?;
        let start = self.accounts(accounts)?;
        if matches!(state, StateFile::Snapshot(_)) {
            let checkpoint = start.checkpoint(key, first);
            self.send(Item::State(Box::new(checkpoint)), start.size())?;
        }
        Ok(start)
    }

    fn accounts(&self, mut accounts: StateReader) -> Result<Start, Ended> {
        let mut start = Start::new(vec![accounts.source()])?;
        start.bank = accounts.bank();
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some((address, account)) = accounts.next()? {
            if let Some(closure) = &self.closure {
                if !closure.holds(&address, &account.owner) {
                    continue;
                }
                start.found += u64::from(closure.names(&address));
            }
            start.listing.add(&address, &account).map_err(ImportError::Sort)?;
            bytes += account.data.len();
            group.push((address, account));
            if group.len() >= GROUP_ACCOUNTS || bytes >= GROUP_BYTES {
                bytes = 0;
                self.send(Item::Accounts(std::mem::take(&mut group)), start.size())?;
            }
        }
        self.send(Item::Accounts(group), start.size())?;
        Ok(start)
    }

    /// Takes the state that an earlier import has stored, if it is just this one.
    fn resume(&self, key: Digest, first: &mut Block) -> Result<Option<Start>, Ended> {
        let Some(checkpoint) = self.runtime.block_on(Checkpoint::load(&self.location, key)) else {
            return Ok(None);
        };
        let mut start = Start::new(vec![checkpoint.source.clone()])?;
        start.found = checkpoint.found;
        start.bank = checkpoint.bank.clone();
        let read = checkpoint.accounts(&self.location, |address, account| start.listing.add(address, account));
        match self.runtime.block_on(read) {
            // What is damaged is made again.
            Err(_) => return Ok(None),
            Ok(listed) => listed.map_err(ImportError::Sort)?,
        }
        first.previous_blockhash = checkpoint.blockhash;
        self.send(Item::Resumed(Box::new(checkpoint)), start.size())?;
        Ok(Some(start))
    }

    /// Stands for everything from which the stored state follows.
    fn key(&self, state: &StateFile, first: &Block) -> Digest {
        let mut hasher = blake3::Hasher::new();
        let place = (first.slot, first.parent_slot, first.previous_blockhash);
        let limits = self.options.limits;
        hasher.update(format!("{} {place:?} {limits:?}", state.file().identity()).as_bytes());
        if let Some(closure) = &self.closure {
            closure.hash(&mut hasher);
        }
        hasher.finalize().into()
    }

    /// Sends the blocks, and returns what they show of accounts, if that matters.
    fn blocks(&self, blocks: &mut Blocks, first: LedgerBlock, start: &Start) -> Result<Option<Touches>, Ended> {
        let gaps = self.gaps(start.listing.looks_complete());
        let is_open = self.options.scope == ScopeChoice::Auto && self.closure.is_none();
        let looks = is_open && start.listing.looks_complete();
        let mut touches = looks.then(|| Touches::new(self.options.sort_memory));
        let mut next = Some(first);
        while let Some(ledger) = next {
            if let Some(touches) = &mut touches {
                touches.add(&ledger).map_err(ImportError::Sort)?;
            }
            self.send(Item::Block(Box::new(ledger.block)), start.size() + blocks.bytes_read())?;
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
            bank: facts.bank,
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

impl Start {
    fn new(source: Vec<SourceFile>) -> Result<Self, ImportError> {
        Ok(Self {
            listing: Listing::new().map_err(ImportError::Sort)?,
            source,
            found: 0,
            bank: None,
        })
    }

    /// How many bytes the file has, as stored.
    fn size(&self) -> u64 {
        self.source.iter().map(|file| file.size).sum()
    }

    fn checkpoint(&self, key: Digest, first: &Block) -> Checkpoint {
        let [source] = self.source.as_slice() else {
            unreachable!("a state is one file");
        };
        Checkpoint {
            key,
            keyframe: first.slot,
            blockhash: first.previous_blockhash,
            found: self.found,
            source: source.clone(),
            bank: self.bank.clone(),
            segments: Vec::new(),
        }
    }
}

impl From<ImportError> for Ended {
    fn from(error: ImportError) -> Self {
        Self::Error(error)
    }
}
