//! The bank in a snapshot: everything of a slot's state that is no account, in bincode with fixed-size integers.
//! (Agave: `runtime/src/serde_snapshot.rs`)
//!
//! The stakes of mainnet take hundreds of megabytes here, so that this is read as it passes, and only what is used is kept.

use std::collections::BTreeMap;
use std::io::BufRead;

use solana_hash::Hash;

use super::error::SnapshotProblem;
use super::lattice::{ELEMENTS, Lattice};
use super::storage::StorageId;
use super::tar::Tar;
use crate::model::Slot;

/// The most files of accounts that are believed. A snapshot of mainnet has one for each slot of an epoch, 432,000.
const MAX_STORAGES: usize = 4 << 20;

/// What is kept of a bank.
pub(super) struct Bank {
    pub(super) slot: Slot,
    /// The blockhash of the bank's own slot.
    pub(super) blockhash: Option<Hash>,
    /// The length of each file of accounts.
    pub(super) storages: BTreeMap<StorageId, u64>,
    /// The sum of all accounts, where the version that wrote the snapshot computed it.
    pub(super) lattice: Option<Lattice>,
    /// The hash of all accounts of older versions, and the one of an epoch that went with it.
    pub(super) accounts_hash: [u8; 32],
    pub(super) epoch_accounts_hash: Option<[u8; 32]>,
}

/// Reads the bank from the entry that the archive is at.
pub(super) fn read_bank<R: BufRead>(tar: &mut Tar<R>, entry: &str) -> Result<Bank, SnapshotProblem> {
    let mut from = Bincode { tar, entry };
    let blockhash = from.blockhash_queue()?;
    let slot = from.versioned_bank()?;
    let storages = from.storages()?;
    from.skip(8)?;
    if from.u64()? != slot {
        return Err(from.malformed("the accounts are those of another slot"));
    }
    from.skip(32)?;
    let accounts_hash = from.array()?;
    from.skip(5 * 8)?;
    from.roots()?;
    let (epoch_accounts_hash, lattice) = from.extra_fields()?;
    Ok(Bank {
        slot,
        blockhash,
        storages,
        lattice,
        accounts_hash,
        epoch_accounts_hash,
    })
}

struct Bincode<'a, R> {
    tar: &'a mut Tar<R>,
    entry: &'a str,
}

impl<R: BufRead> Bincode<'_, R> {
    /// Last index, last hash, then hashes with fee, index and time; the most that are kept.
    fn blockhash_queue(&mut self) -> Result<Option<Hash>, SnapshotProblem> {
        self.skip(8)?;
        let last = self.option(Self::array)?;
        self.skip_list(32 + 8 + 8 + 8)?;
        self.skip(8)?;
        Ok(last.map(Hash::new_from_array))
    }

    /// The fields after the queue, up to the end of the bank itself. Returns the slot.
    fn versioned_bank(&mut self) -> Result<Slot, SnapshotProblem> {
        // Ancestors; hash, parent's hash, parent; hard forks; five counters.
        self.skip_list(8 + 8)?;
        self.skip(32 + 32 + 8)?;
        self.skip_list(8 + 8)?;
        self.skip(5 * 8)?;
        self.option(Self::u64)?;
        // Ticks, nanoseconds of a slot, genesis, slots of a year, size of all data.
        self.skip(8 + 16 + 8 + 8 + 8)?;
        let slot = self.u64()?;
        // Epoch, height, leader, fees, fee calculator, fee governor, rent, rent collector, epoch schedule, inflation.
        self.skip(8 + 8 + 32 + 8 + 8 + 33 + 8 + (8 + 33 + 8 + 17) + 33 + 48)?;
        self.stakes(DELEGATION)?;
        self.skip_list(32)?;
        self.skip_list(32)?;
        self.skip_list(32 + 8)?;
        for _ in 0..self.count(8)? {
            self.skip(8)?;
            self.epoch_stakes(DELEGATION)?;
        }
        match self.u8()? {
            0 | 1 => Ok(slot),
            _ => Err(self.malformed("the end of the bank is not where it should be")),
        }
    }

    /// Vote accounts, stakes of `stake` bytes each, an unused number, the epoch, the history.
    fn stakes(&mut self, stake: u64) -> Result<(), SnapshotProblem> {
        for _ in 0..self.count(32 + 8 + 8 + 8 + 32 + 1 + 8)? {
            self.skip(32 + 8 + 8)?;
            self.skip_list(1)?;
            self.skip(32 + 1 + 8)?;
        }
        self.skip_list(32 + stake)?;
        self.skip(8 + 8)?;
        self.skip_list(8 + 3 * 8)
    }

    /// Stakes and their sum, the vote accounts of each validator, the authorized voters.
    fn epoch_stakes(&mut self, stake: u64) -> Result<(), SnapshotProblem> {
        self.stakes(stake)?;
        self.skip(8)?;
        for _ in 0..self.count(32 + 8 + 8)? {
            self.skip(32)?;
            self.skip_list(32)?;
            self.skip(8)?;
        }
        self.skip_list(32 + 32)
    }

    fn storages(&mut self) -> Result<BTreeMap<StorageId, u64>, SnapshotProblem> {
        let mut storages = BTreeMap::new();
        for _ in 0..self.count(8 + 8)? {
            let slot = self.u64()?;
            for _ in 0..self.count(8 + 8)? {
                let id = self.u64()?;
                let length = self.u64()?;
                if storages.insert(StorageId { slot, id }, length).is_some() {
                    return Err(self.malformed("a file of accounts is listed twice"));
                }
                if storages.len() > MAX_STORAGES {
                    return Err(self.malformed("there are too many files of accounts"));
                }
            }
        }
        Ok(storages)
    }

    /// Two lists that newer versions leave out.
    fn roots(&mut self) -> Result<(), SnapshotProblem> {
        for size in [8, 8 + 32] {
            if self.tar.left() > 0 {
                self.skip_list(size)?;
            }
        }
        Ok(())
    }

    /// Fields that later versions added at the end, each of which may be missing. What comes behind them is not known yet.
    fn extra_fields(&mut self) -> Result<(Option<[u8; 32]>, Option<Lattice>), SnapshotProblem> {
        if self.tar.left() > 0 {
            self.skip(8)?;
        }
        self.later(|from| from.skip(8 + 32 + 8 + 32 + 8))?;
        let epoch_accounts_hash = self.later(Self::array)?;
        if self.tar.left() > 0 {
            for _ in 0..self.count(8 + 4)? {
                self.skip(8)?;
                if self.array::<4>()? != [0; 4] {
                    return Err(self.malformed("the stakes of an epoch are of an unknown kind"));
                }
                self.epoch_stakes(STAKE)?;
            }
        }
        let lattice = self.later(Self::lattice)?;
        self.tar.skip(self.tar.left())?;
        Ok((epoch_accounts_hash, lattice))
    }

    fn lattice(&mut self) -> Result<Lattice, SnapshotProblem> {
        let bytes = self.array::<{ 2 * ELEMENTS }>()?;
        let mut lattice = Lattice::zero();
        for (element, pair) in lattice.0.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *element = u16::from_le_bytes(*pair);
        }
        Ok(lattice)
    }

    fn later<T>(
        &mut self,
        some: impl FnOnce(&mut Self) -> Result<T, SnapshotProblem>,
    ) -> Result<Option<T>, SnapshotProblem> {
        match self.tar.left() {
            0 => Ok(None),
            _ => self.option(some),
        }
    }

    fn option<T>(
        &mut self,
        some: impl FnOnce(&mut Self) -> Result<T, SnapshotProblem>,
    ) -> Result<Option<T>, SnapshotProblem> {
        match self.u8()? {
            0 => Ok(None),
            1 => some(self).map(Some),
            _ => Err(self.malformed("an optional value is neither there nor not there")),
        }
    }

    /// A number of elements that have at least `size` bytes each.
    fn count(&mut self, size: u64) -> Result<u64, SnapshotProblem> {
        let count = self.u64()?;
        match count.checked_mul(size) {
            Some(bytes) if bytes <= self.tar.left() => Ok(count),
            _ => Err(self.malformed("a list is longer than what is left")),
        }
    }

    /// Passes over a list of elements of `size` bytes.
    fn skip_list(&mut self, size: u64) -> Result<(), SnapshotProblem> {
        let count = self.count(size)?;
        self.skip(count * size)
    }

    fn skip(&mut self, size: u64) -> Result<(), SnapshotProblem> {
        self.need(size)?;
        self.tar.skip(size)
    }

    fn u8(&mut self) -> Result<u8, SnapshotProblem> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Result<u64, SnapshotProblem> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotProblem> {
        self.need(N as u64)?;
        let mut array = [0; N];
        self.tar.read(&mut array)?;
        Ok(array)
    }

    fn need(&self, size: u64) -> Result<(), SnapshotProblem> {
        match size <= self.tar.left() {
            true => Ok(()),
            false => Err(self.malformed("it ends too early")),
        }
    }

    fn malformed(&self, what: &'static str) -> SnapshotProblem {
        SnapshotProblem::Malformed {
            entry: self.entry.to_owned(),
            offset: self.tar.position(),
            what,
        }
    }
}

/// Voter, stake, two epochs, a rate.
const DELEGATION: u64 = 32 + 4 * 8;

/// A delegation and the credits that were observed.
const STAKE: u64 = DELEGATION + 8;
