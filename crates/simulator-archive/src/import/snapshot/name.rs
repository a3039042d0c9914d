//! The name of a snapshot's file.

use sha2::{Digest as _, Sha256};
use solana_hash::Hash;

use super::bank::Bank;
use super::error::SnapshotProblem;
use crate::lattice::LatticeHash;
use crate::model::Slot;

/// What the name of a snapshot says.
pub(super) struct Name {
    slot: Slot,
    hash: Hash,
}

impl Name {
    /// `snapshot-SLOT-HASH.tar.zst`. A file may also have another name.
    pub(super) fn parse(name: &str) -> Result<Option<Self>, SnapshotProblem> {
        if name.starts_with("incremental-snapshot-") {
            return Err(SnapshotProblem::Incremental);
        }
        let parse = || {
            let (slot, rest) = name.strip_prefix("snapshot-")?.split_once('-')?;
            let (hash, _) = rest.split_once('.')?;
            Some(Self {
                slot: slot.parse().ok()?,
                hash: hash.parse().ok()?,
            })
        };
        Ok(parse())
    }

    /// Versions differ in what they name a snapshot after: the sum of its accounts, or older hashes of them.
    pub(super) fn check(&self, bank: &Bank) -> Result<(), SnapshotProblem> {
        if self.slot != bank.kept.slot {
            return Err(SnapshotProblem::NamedSlot {
                named: self.slot,
                found: bank.kept.slot,
            });
        }
        let with_epoch = |epoch: [u8; 32]| {
            let hash = Sha256::new().chain_update(bank.accounts_hash).chain_update(epoch);
            Hash::new_from_array(hash.finalize().into())
        };
        let is_named = Some(self.hash) == bank.lattice.as_ref().map(LatticeHash::checksum)
            || self.hash.to_bytes() == bank.accounts_hash
            || Some(self.hash) == bank.epoch_accounts_hash.map(with_epoch);
        match is_named || bank.lattice.is_none() {
            true => Ok(()),
            false => Err(SnapshotProblem::NamedHash { named: self.hash }),
        }
    }
}
