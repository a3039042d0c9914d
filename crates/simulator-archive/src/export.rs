//! Making an archive of a part of another one: of some slots, or of the accounts that some programs or accounts need.
//!
//! Where the other archive has an index, the new one has deltas: what every slot changed in the accounts that it holds,
//! also by transactions that cannot be executed over these accounts alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use solana_pubkey::Pubkey;

use crate::error::ArchiveError;
use crate::import::{Closure, Seeds, TransactionProblem};
use crate::location::Location;
use crate::manifest::{Importer, Manifest, Scope, ScopeEvidence, Source, SourceFile, StateIndex};
use crate::model::{Account, Slot, SlotDelta};
use crate::reader::Archive;
use crate::writer::{ArchiveWriter, Description, IndexDescription, IndexWriter, SegmentLimits};

/// What to export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// The slots; the archive's own ends are taken where it holds less.
    pub range: RangeInclusive<Slot>,
    /// Where it is not empty, only the accounts that the transactions of these addresses touch are kept.
    pub seeds: Seeds,
    /// How large the pieces of the archive become.
    pub limits: SegmentLimits,
}

impl Default for ExportOptions {
    /// Everything, in pieces of default size.
    fn default() -> Self {
        Self {
            range: 0..=Slot::MAX,
            seeds: Seeds::default(),
            limits: SegmentLimits::default(),
        }
    }
}

/// What has been exported so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportProgress {
    /// Accounts of the keyframe.
    pub accounts: u64,
    /// Blocks.
    pub blocks: u64,
}

/// Why an export fails.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The archive has no block in the range.
    #[error("the archive has no block in that range; it holds slots {held_first} to {held_last}")]
    NoBlocks {
        /// The slot of the archive's first block.
        held_first: Slot,
        /// The slot of its last block.
        held_last: Slot,
    },
    /// The state at the start of the range is not known without deltas.
    #[error(
        "the state before slot {slot} is not in the archive, which has no index; run `sim archive index` on it, or begin at \
         slot {first}"
    )]
    NoState {
        /// The slot of the first block of the range.
        slot: Slot,
        /// The slot of the archive's first block.
        first: Slot,
    },
    /// The deltas do not hold every change, so that they do not lead to the state at the start of the range.
    #[error(
        "the state before slot {slot} is not known: the archive holds only some accounts, and not all that changed them; \
         begin at slot {first}"
    )]
    Inexact {
        /// The slot of the first block of the range.
        slot: Slot,
        /// The slot of the archive's first block.
        first: Slot,
    },
    /// A transaction of a block is none.
    #[error("slot {slot}, transaction {index} is malformed")]
    Transaction {
        /// The slot of the block.
        slot: Slot,
        /// The index in the block.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: TransactionProblem,
    },
    /// An archive cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Exports a part of an archive to a location, in place of what is there. Calls `progress` after each block. Holds in memory
/// what changed between the archive's first keyframe and the range, and the addresses of the closure.
///
/// # Errors
///
/// Fails if the archive does not hold what is asked for, or if a store fails; then what was at the location is still there.
pub async fn export(
    archive: &Archive,
    to: Location,
    options: ExportOptions,
    progress: impl FnMut(ExportProgress) + Send,
) -> Result<Manifest, ExportError> {
    let manifest = archive.manifest();
    let first = first_block(archive, &options.range).await?;
    let range = first..=(*options.range.end()).min(manifest.last_slot);
    let mut exporter = Exporter {
        archive,
        closure: closure(archive, &range, options.seeds).await?,
        kept: BTreeSet::new(),
        writer: ArchiveWriter::new(to.clone(), options.limits),
        progress,
        done: ExportProgress::default(),
    };
    match exporter.write(&range).await {
        Ok(manifest) => exporter.publish(manifest, &range, options.limits).await,
        Err(error) => {
            exporter.writer.discard().await;
            Err(error)
        }
    }
}

async fn first_block(archive: &Archive, range: &RangeInclusive<Slot>) -> Result<Slot, ExportError> {
    let manifest = archive.manifest();
    match archive.blocks(range.clone()).next().await? {
        Some(block) => Ok(block.slot),
        None => Err(ExportError::NoBlocks {
            held_first: manifest.first_slot,
            held_last: manifest.last_slot,
        }),
    }
}

/// The closure of some addresses over the blocks of a range, unless there are none.
async fn closure(
    archive: &Archive,
    range: &RangeInclusive<Slot>,
    seeds: Seeds,
) -> Result<Option<Closure>, ExportError> {
    if seeds.is_empty() {
        return Ok(None);
    }
    let mut closure = Closure::new(seeds);
    let mut blocks = archive.blocks(range.clone());
    while let Some(block) = blocks.next().await? {
        for (index, transaction) in block.transactions.iter().enumerate() {
            closure
                .add_recorded(transaction)
                .map_err(|source| ExportError::Transaction {
                    slot: block.slot,
                    index,
                    source,
                })?;
        }
    }
    closure.finish();
    Ok(Some(closure))
}

struct Exporter<'a, P> {
    archive: &'a Archive,
    closure: Option<Closure>,
    /// Accounts that are kept for their owner, not by name.
    kept: BTreeSet<Pubkey>,
    writer: ArchiveWriter,
    progress: P,
    done: ExportProgress,
}

impl<P: FnMut(ExportProgress) + Send> Exporter<'_, P> {
    /// Writes everything but the deltas. Nothing is published yet.
    async fn write(&mut self, range: &RangeInclusive<Slot>) -> Result<Manifest, ExportError> {
        let first = *range.start();
        self.writer.start_keyframe(first).await?;
        let mut changed = changes_before(self.archive, first).await?.into_iter().peekable();
        let (_, mut accounts) = self.archive.accounts_at(self.archive.manifest().first_slot)?;
        let mut found = 0;
        while let Some((address, account)) = accounts.next().await? {
            while let Some((new, state)) = changed.next_if(|(new, _)| *new < address) {
                found += self.account(&new, state.as_ref()).await?;
            }
            let now = changed.next_if(|(changed, _)| *changed == address);
            let state = now.map_or(Some(account), |(_, state)| state);
            found += self.account(&address, state.as_ref()).await?;
        }
        for (new, state) in changed {
            found += self.account(&new, state.as_ref()).await?;
        }
        let mut blocks = self.archive.blocks(range.clone());
        while let Some(block) = blocks.next().await? {
            self.writer.block(&block).await?;
            self.done.blocks += 1;
            (self.progress)(self.done);
        }
        Ok(self.writer.complete(self.description(first, found)).await?)
    }

    /// Adds an account to the keyframe if it belongs there; one if the closure names it.
    async fn account(&mut self, address: &Pubkey, account: Option<&Account>) -> Result<u64, ArchiveError> {
        let Some(account) = account else { return Ok(0) };
        if !self.holds(address, Some(account)) {
            return Ok(0);
        }
        self.writer.account(address, account).await?;
        self.done.accounts += 1;
        let is_named = self.closure.as_ref().is_some_and(|closure| closure.names(address));
        Ok(u64::from(is_named))
    }

    /// Whether the state of an account belongs to the archive. What is held once is held to its end.
    fn holds(&mut self, address: &Pubkey, account: Option<&Account>) -> bool {
        let Some(closure) = &self.closure else { return true };
        if closure.names(address) || self.kept.contains(address) {
            return true;
        }
        let is_held = account.is_some_and(|account| closure.holds(address, &account.owner));
        if is_held {
            self.kept.insert(*address);
        }
        is_held
    }

    fn description(&self, first: Slot, found: u64) -> Description {
        let manifest = self.archive.manifest();
        let closure = self.closure.as_ref().map(|closure| closure.describe(found));
        let source = Source {
            importer: Importer::Archive,
            files: vec![SourceFile {
                name: crate::MANIFEST_NAME.to_owned(),
                size: manifest.size(),
                digest: self.archive.digest(),
            }],
        };
        Description {
            genesis_hash: manifest.genesis_hash.clone(),
            scope: if closure.is_some() {
                Scope::Listed
            } else {
                manifest.scope
            },
            scope_evidence: ScopeEvidence {
                given: true,
                ..manifest.scope_evidence.clone()
            },
            closure: closure.or_else(|| manifest.closure.clone()),
            bank: manifest.bank.clone().filter(|_| first == manifest.first_slot),
            sources: manifest.sources.iter().cloned().chain([source]).collect(),
        }
    }

    /// Adds the deltas, if there are any, and publishes the archive.
    async fn publish(
        mut self,
        manifest: Manifest,
        range: &RangeInclusive<Slot>,
        limits: SegmentLimits,
    ) -> Result<Manifest, ExportError> {
        let location = self.writer.location().clone();
        let Some(index) = self.archive.manifest().state_index.clone() else {
            return Ok(self.writer.publish_complete(manifest).await?);
        };
        let mut writer = IndexWriter::over(location, manifest, limits);
        match self.deltas(&mut writer, range).await {
            Ok(()) => match writer.finish(self.index_description(index)).await {
                Ok(manifest) => Ok(manifest),
                Err(error) => {
                    self.writer.discard().await;
                    Err(error.into())
                }
            },
            Err(error) => {
                writer.discard().await;
                self.writer.discard().await;
                Err(error.into())
            }
        }
    }

    fn index_description(&self, index: StateIndex) -> IndexDescription {
        IndexDescription {
            engine: index.engine,
            interval: index.interval,
            exact: index.exact,
        }
    }

    async fn deltas(&mut self, writer: &mut IndexWriter, range: &RangeInclusive<Slot>) -> Result<(), ArchiveError> {
        let mut deltas = self.archive.deltas(range.clone());
        while let Some(SlotDelta { slot, mut changes }) = deltas.next().await? {
            changes.retain(|change| self.holds(&change.address, change.account.as_ref()));
            writer.delta(&SlotDelta { slot, changes }).await?;
        }
        Ok(())
    }
}

/// What changed between the archive's first keyframe and the block of a slot.
async fn changes_before(archive: &Archive, slot: Slot) -> Result<BTreeMap<Pubkey, Option<Account>>, ExportError> {
    let manifest = archive.manifest();
    if slot == manifest.first_slot {
        return Ok(BTreeMap::new());
    }
    let first = manifest.first_slot;
    match &manifest.state_index {
        Some(index) if index.exact => {}
        Some(_) => return Err(ExportError::Inexact { slot, first }),
        None => return Err(ExportError::NoState { slot, first }),
    }
    let inner = archive.inner_keyframe_before(slot);
    let mut changed: BTreeMap<_, _> = match inner {
        Some(inner) => archive.differences_at(inner).all().await?.into_iter().collect(),
        None => BTreeMap::new(),
    };
    let mut deltas = archive.deltas(inner.unwrap_or(first)..=slot - 1);
    while let Some(delta) = deltas.next().await? {
        changed.extend(delta.changes.into_iter().map(|change| (change.address, change.account)));
    }
    Ok(changed)
}
