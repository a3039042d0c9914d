//! The archives that a server serves, and the account states that its sessions share.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use simulator_archive::model::Slot;
use simulator_archive::{AccountReader, Archive, ArchiveDigest, ArchiveError, Scope};
use simulator_engine::AccountBase;
use thiserror::Error;
use tokio::sync::OnceCell;
use tokio::task::JoinError;

use crate::split::{Held, Uncovered, split};

/// The archives of a server.
#[derive(Debug)]
pub(crate) struct Archives {
    archives: Vec<ServedArchive>,
    bases: Mutex<BTreeMap<BaseKey, Arc<OnceCell<Arc<AccountBase>>>>>,
    max_idle_bases: usize,
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

/// An account state: which archive, and which of its keyframes.
type BaseKey = (ArchiveDigest, Slot);

/// A keyframe that is in memory.
#[derive(Clone, Debug)]
pub(crate) struct Keyframe {
    /// The state is that just before the block of this slot.
    pub(crate) slot: Slot,
    pub(crate) accounts: Arc<AccountBase>,
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
            bases: Mutex::default(),
            max_idle_bases,
        })
    }

    /// The archives in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ServedArchive> {
        self.archives.iter()
    }

    /// An archive that holds the whole range. Of several, the one that starts last, which is nearest to the range.
    pub(crate) fn covering(&self, range: &RangeInclusive<Slot>) -> Option<&Archive> {
        let covers = |served: &&ServedArchive| {
            let held = served.slots();
            held.contains(range.start()) && held.contains(range.end())
        };
        self.archives.iter().rev().find(covers).map(|served| &served.archive)
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

    /// The accounts of the newest keyframe at or before `slot`, loaded once for all sessions.
    pub(crate) async fn keyframe(&self, archive: &Archive, slot: Slot) -> Result<Keyframe, KeyframeError> {
        let (keyframe, reader) = archive
            .accounts_at(slot)
            .map_err(|source| KeyframeError::Archive { slot, source })?;
        let cell = self.base_cell((archive.digest(), keyframe));
        let scope = archive.manifest().scope;
        let accounts = cell.get_or_try_init(|| load(keyframe, reader, scope)).await?.clone();
        Ok(Keyframe {
            slot: keyframe,
            accounts,
        })
    }

    /// The place of a state in the cache. States that no session uses give way above the limit, the first by key.
    fn base_cell(&self, key: BaseKey) -> Arc<OnceCell<Arc<AccountBase>>> {
        let mut bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = bases.entry(key).or_default().clone();
        let is_idle = |cell: &Arc<OnceCell<Arc<AccountBase>>>| {
            Arc::strong_count(cell) == 1 && cell.get().is_none_or(|base| Arc::strong_count(base) == 1)
        };
        let idle: Vec<BaseKey> = bases
            .iter()
            .filter(|(_, cell)| is_idle(cell))
            .map(|(key, _)| *key)
            .collect();
        for key in idle.iter().take(idle.len().saturating_sub(self.max_idle_bases)) {
            bases.remove(key);
        }
        cell
    }
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

async fn load(slot: Slot, mut reader: AccountReader, scope: Scope) -> Result<Arc<AccountBase>, KeyframeError> {
    let mut accounts = Vec::new();
    while let Some(account) = reader
        .next()
        .await
        .map_err(|source| KeyframeError::Archive { slot, source })?
    {
        accounts.push(account);
    }
    let base = tokio::task::spawn_blocking(move || AccountBase::from_accounts(accounts, scope)).await;
    base.map(Arc::new)
        .map_err(|source| KeyframeError::Task { slot, source })
}
