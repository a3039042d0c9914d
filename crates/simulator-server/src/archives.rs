//! The archives that a server serves, and the account states that its sessions share.

mod cache;

use std::ops::RangeInclusive;
use std::sync::Arc;

use simulator_archive::model::Slot;
use simulator_archive::{AccountReader, Archive, ArchiveDigest, ArchiveError};
use simulator_engine::{AccountBase, Checkpoint, ContextError, ENGINE_VERSION, Replay, ReplayOptions, SetupError};
use thiserror::Error;
use tokio::task::JoinError;

use crate::archives::cache::Cache;
use crate::split::{Held, Uncovered, split};

/// The archives of a server.
#[derive(Debug)]
pub(crate) struct Archives {
    archives: Vec<ServedArchive>,
    bases: Cache<AccountBase>,
    checkpoints: Cache<Checkpoint>,
}

/// One archive, with what it says about time.
#[derive(Debug)]
pub(crate) struct ServedArchive {
    pub(crate) archive: Archive,
    /// Time of the first block in seconds, where it is recorded.
    pub(crate) first_time: Option<i64>,
    /// Time of the last block in seconds, where it is recorded.
    pub(crate) last_time: Option<i64>,
    /// The slot of the block before the first one. Those in between were skipped.
    parent_slot: Slot,
}

/// A keyframe that is in memory.
#[derive(Clone, Debug)]
pub(crate) struct Keyframe {
    /// The state is that just before the block of this slot.
    pub(crate) slot: Slot,
    /// The accounts of the nearest complete keyframe, or of the first one of the archive if `checkpoint` is based on it.
    pub(crate) accounts: Arc<AccountBase>,
    /// Where a replay stood there, at an inner keyframe.
    pub(crate) checkpoint: Option<Arc<Checkpoint>>,
}

impl Keyframe {
    /// A replay that stands at the keyframe.
    ///
    /// # Errors
    /// The engine cannot be set up over the accounts.
    pub(crate) fn replay(&self, options: ReplayOptions) -> Result<Replay, SetupError> {
        let accounts = Arc::clone(&self.accounts);
        match &self.checkpoint {
            Some(checkpoint) => Replay::resume(accounts, checkpoint, options),
            None => Replay::new(accounts, options),
        }
    }
}

/// Why an account state cannot be loaded.
#[derive(Debug, Error)]
pub(crate) enum KeyframeError {
    #[error("the accounts at slot {slot} cannot be read: {source}")]
    Archive {
        slot: Slot,
        #[source]
        source: ArchiveError,
    },
    #[error("the keyframe at slot {slot} cannot be begun at: {source}")]
    Context {
        slot: Slot,
        #[source]
        source: ContextError,
    },
    #[error("the accounts at slot {slot} were not loaded")]
    Task {
        slot: Slot,
        #[source]
        source: JoinError,
    },
}

impl Archives {
    /// Opens the archives at these locations.
    pub(crate) async fn open(locations: &[String], max_idle_bases: usize) -> Result<Self, ArchiveError> {
        let mut archives = Vec::with_capacity(locations.len());
        for location in locations {
            archives.push(ServedArchive::open(location).await?);
        }
        archives.sort_by_key(|served| {
            (
                served.archive.manifest().first_slot,
                served.archive.manifest().last_slot,
            )
        });
        Ok(Self {
            archives,
            bases: Cache::new(max_idle_bases),
            checkpoints: Cache::new(max_idle_bases),
        })
    }

    /// The archives in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ServedArchive> {
        self.archives.iter()
    }

    /// An archive that holds the whole range. Of several, the one that starts last, which is nearest to the range.
    pub(crate) fn covering(&self, range: &RangeInclusive<Slot>) -> Option<&Archive> {
        self.all_covering(range).next()
    }

    /// The same among those that record what each slot changed.
    pub(crate) fn covering_with_deltas(&self, range: &RangeInclusive<Slot>) -> Option<&Archive> {
        let mut covering = self.all_covering(range);
        covering.find(|archive| archive.manifest().state_index.is_some())
    }

    fn all_covering(&self, range: &RangeInclusive<Slot>) -> impl Iterator<Item = &Archive> {
        let covers = |served: &&ServedArchive| {
            let held = served.slots();
            held.contains(range.start()) && held.contains(range.end())
        };
        self.archives.iter().rev().filter(covers).map(|served| &served.archive)
    }

    /// The archive with this digest.
    pub(crate) fn called(&self, digest: ArchiveDigest) -> Option<&Archive> {
        let archives = self.archives.iter().map(|served| &served.archive);
        archives.into_iter().find(|archive| archive.digest() == digest)
    }

    /// Shares a range out among the archives, as [`split`] says.
    ///
    /// # Errors
    /// A slot of the range is in no archive.
    pub(crate) fn split(&self, range: &RangeInclusive<Slot>) -> Result<Vec<RangeInclusive<Slot>>, Uncovered> {
        let held: Vec<Held> = self.archives.iter().map(ServedArchive::held).collect();
        split(&held, range)
    }

    /// The newest keyframe at or before `slot` that a session with these options can begin at, loaded once for all
    /// sessions.
    pub(crate) async fn keyframe(
        &self,
        archive: &Archive,
        slot: Slot,
        options: &ReplayOptions,
    ) -> Result<Keyframe, KeyframeError> {
        let failed = |source| KeyframeError::Archive { slot, source };
        let (complete, reader) = archive.accounts_at(slot).map_err(failed)?;
        let inner = inner_keyframe(archive, slot, options).filter(|inner| *inner > complete);
        if let Some(inner) = inner
            && let Some(checkpoint) = self.checkpoint(archive, inner).await?
        {
            let (first, reader) = archive.accounts_at(archive.manifest().first_slot).map_err(failed)?;
            return Ok(Keyframe {
                slot: inner,
                accounts: self.base(archive, first, reader).await?,
                checkpoint: Some(checkpoint),
            });
        }
        Ok(Keyframe {
            slot: complete,
            accounts: self.base(archive, complete, reader).await?,
            checkpoint: None,
        })
    }

    async fn base(
        &self,
        archive: &Archive,
        slot: Slot,
        reader: AccountReader,
    ) -> Result<Arc<AccountBase>, KeyframeError> {
        let cell = self.bases.cell((archive.digest(), slot));
        cell.get_or_try_init(|| load_base(archive, slot, reader)).await.cloned()
    }

    /// What is kept of the replay at an inner keyframe. None if it is not this engine's after all.
    async fn checkpoint(&self, archive: &Archive, slot: Slot) -> Result<Option<Arc<Checkpoint>>, KeyframeError> {
        let cell = self.checkpoints.cell((archive.digest(), slot));
        match cell.get_or_try_init(|| load_checkpoint(archive, slot)).await {
            Ok(checkpoint) => Ok(Some(Arc::clone(checkpoint))),
            Err(KeyframeError::Context { source, .. }) => {
                tracing::warn!(slot, error = %source, "a keyframe is passed over");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The newest inner keyframe at or before `slot`, if it serves a session with these options.
fn inner_keyframe(archive: &Archive, slot: Slot, options: &ReplayOptions) -> Option<Slot> {
    let index = archive.manifest().state_index.as_ref()?;
    let is_usable = options.may_resume() && index.engine == ENGINE_VERSION;
    is_usable.then(|| archive.inner_keyframe_before(slot)).flatten()
}

impl ServedArchive {
    async fn open(location: &str) -> Result<Self, ArchiveError> {
        let archive = Archive::open(location).await?;
        let (first, last) = (archive.manifest().first_slot, archive.manifest().last_slot);
        let first_block = archive.block(first).await?;
        let parent_slot = first_block.as_ref().map(|block| block.parent_slot);
        let first_time = first_block.and_then(|block| block.block_time);
        let last_time = archive.block(last).await?.and_then(|block| block.block_time);
        Ok(Self {
            archive,
            first_time,
            last_time,
            parent_slot: parent_slot.unwrap_or(first.saturating_sub(1)),
        })
    }

    /// The slots from the first to the last block.
    pub(crate) fn slots(&self) -> RangeInclusive<Slot> {
        self.archive.manifest().first_slot..=self.archive.manifest().last_slot
    }

    fn held(&self) -> Held {
        let (first, last) = self.slots().into_inner();
        Held {
            parent: self.parent_slot,
            first,
            last,
        }
    }
}

async fn load_base(archive: &Archive, slot: Slot, reader: AccountReader) -> Result<Arc<AccountBase>, KeyframeError> {
    let accounts = reader.all().await;
    let accounts = accounts.map_err(|source| KeyframeError::Archive { slot, source })?;
    let archive = archive.clone();
    let base = tokio::task::spawn_blocking(move || {
        let manifest = archive.manifest();
        AccountBase::from_accounts(accounts, manifest.scope).with_parent(manifest.bank.as_ref())
    });
    base.await
        .map(Arc::new)
        .map_err(|source| KeyframeError::Task { slot, source })
}

async fn load_checkpoint(archive: &Archive, slot: Slot) -> Result<Arc<Checkpoint>, KeyframeError> {
    let failed = |source| KeyframeError::Archive { slot, source };
    let context = archive.context_at(slot).await.map_err(failed)?;
    let differences = archive.differences_at(slot).all().await.map_err(failed)?;
    let checkpoint = tokio::task::spawn_blocking(move || Checkpoint::new(differences, &context.unwrap_or_default()));
    match checkpoint.await {
        Ok(Ok(checkpoint)) => Ok(Arc::new(checkpoint)),
        Ok(Err(source)) => Err(KeyframeError::Context { slot, source }),
        Err(source) => Err(KeyframeError::Task { slot, source }),
    }
}
