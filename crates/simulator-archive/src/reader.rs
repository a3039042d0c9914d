//! Opening and reading an archive.

use std::ops::RangeInclusive;
use std::sync::Arc;

use solana_pubkey::Pubkey;

use crate::digest::ArchiveDigest;
use crate::error::ArchiveError;
use crate::location::Location;
use crate::manifest::Manifest;
use crate::model::{Account, Block, Slot};

/// An open archive. Cheap to clone; its clones share everything.
#[derive(Clone, Debug)]
pub struct Archive {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    location: Location,
    manifest: Manifest,
    digest: ArchiveDigest,
}

impl Archive {
    /// Opens the archive at a path or `file://` URL. Reads the manifest only.
    ///
    /// # Errors
    ///
    /// Fails if there is no archive, or if its manifest is damaged or of a newer format.
    pub async fn open(location: &str) -> Result<Self, ArchiveError> {
        Self::open_at(Location::existing(location)?).await
    }

    /// Opens the archive at a location.
    ///
    /// # Errors
    ///
    /// As [`Archive::open`].
    pub async fn open_at(_location: Location) -> Result<Self, ArchiveError> {
        todo!()
    }

    /// What the archive holds.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// The digest of the manifest, which names the archive.
    pub fn digest(&self) -> ArchiveDigest {
        self.inner.digest
    }

    /// Where the archive is.
    pub fn location(&self) -> &Location {
        &self.inner.location
    }

    /// The blocks whose slots are in `range`, in slot order.
    pub fn blocks(&self, _range: RangeInclusive<Slot>) -> BlockReader {
        todo!()
    }

    /// The block of one slot, or `None` if the archive has none there.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if what it returns is damaged.
    pub async fn block(&self, slot: Slot) -> Result<Option<Block>, ArchiveError> {
        self.blocks(slot..=slot).next().await
    }

    /// The newest keyframe at or before `slot`: its slot, and the accounts just before the block of that slot.
    ///
    /// # Errors
    ///
    /// Fails with [`ArchiveError::NoKeyframe`] if the first keyframe is after `slot`.
    pub fn accounts_at(&self, _slot: Slot) -> Result<(Slot, AccountReader), ArchiveError> {
        todo!()
    }
}

/// Reads blocks one after the other.
#[derive(Debug)]
pub struct BlockReader {}

impl BlockReader {
    /// The next block, or `None` after the last.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if what it returns is damaged.
    pub async fn next(&mut self) -> Result<Option<Block>, ArchiveError> {
        todo!()
    }
}

/// Reads the accounts of a keyframe one after the other.
#[derive(Debug)]
pub struct AccountReader {}

impl AccountReader {
    /// The next account in order of address, or `None` after the last.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if what it returns is damaged.
    pub async fn next(&mut self) -> Result<Option<(Pubkey, Account)>, ArchiveError> {
        todo!()
    }
}
