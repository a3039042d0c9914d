//! The bank in a snapshot: everything of a slot's state that is no account, in bincode with fixed-size integers.
//! (Agave: `runtime/src/serde_snapshot.rs`)
//!
//! The stakes of mainnet take hundreds of megabytes here, so that this is read as it passes, and only what is used is kept.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::BufRead;

use solana_hash::Hash;
use solana_pubkey::Pubkey;

use super::error::SnapshotProblem;
use super::storage::StorageId;
use super::tar::Tar;
use crate::lattice::LatticeHash;
use crate::manifest::{self, EpochStakes, RecentBlockhash, VoterStake};

/// The most files of accounts that are believed. A snapshot of mainnet has one for each slot of an epoch, 432,000.
const MAX_STORAGES: usize = 4 << 20;

/// The most blockhashes, epochs and vote accounts of an epoch that are believed; a bank keeps 301, about 6, and some thousands.
const MAX_BLOCKHASHES: u64 = 4096;
const MAX_EPOCHS: u64 = 64;
const MAX_VOTERS: u64 = 1 << 17;

/// What is kept of a bank.
pub(super) struct Bank {
    /// What the archive keeps of it.
    pub(super) kept: manifest::Bank,
    /// The blockhash of the bank's own slot.
    pub(super) blockhash: Option<Hash>,
    /// The length of each file of accounts.
    pub(super) storages: BTreeMap<StorageId, u64>,
    /// The sum of all accounts, where the version that wrote the snapshot computed it.
    pub(super) lattice: Option<LatticeHash>,
    /// The hash of all accounts of older versions, and the one of an epoch that went with it.
    pub(super) accounts_hash: [u8; 32],
    pub(super) epoch_accounts_hash: Option<[u8; 32]>,
}

/// Reads the bank from the entry that the archive is at.
pub(super) fn read_bank<R: BufRead>(tar: &mut Tar<R>, entry: &str) -> Result<Bank, SnapshotProblem> {
    let mut from = Bincode { tar, entry };
    let (blockhash, blockhashes) = from.blockhash_queue()?;
    let mut kept = from.versioned_bank()?;
    let storages = from.storages()?;
    from.skip(8)?;
    if from.u64()? != kept.slot {
        return Err(from.malformed("the accounts are those of another slot"));
    }
    from.skip(32)?;
    let accounts_hash = from.array()?;
    from.skip(5 * 8)?;
    from.roots()?;
    let extra = from.extra_fields()?;
    kept.blockhashes = blockhashes;
    kept.epoch_stakes = extra.epoch_stakes;
    Ok(Bank {
        kept,
        blockhash,
        storages,
        lattice: extra.lattice,
        accounts_hash,
        epoch_accounts_hash: extra.epoch_accounts_hash,
    })
}

/// What stands behind the bank's own fields.
#[derive(Default)]
struct Extra {
    epoch_accounts_hash: Option<[u8; 32]>,
    epoch_stakes: Vec<EpochStakes>,
    lattice: Option<LatticeHash>,
}

struct Bincode<'a, R> {
    tar: &'a mut Tar<R>,
    entry: &'a str,
}

impl<R: BufRead> Bincode<'_, R> {
    /// Last index, last hash, then hashes with fee, index and time; the most that are kept.
    fn blockhash_queue(&mut self) -> Result<(Option<Hash>, Vec<RecentBlockhash>), SnapshotProblem> {
        self.skip(8)?;
        let last = self.option(Self::array)?;
        let mut hashes = Vec::new();
        for _ in 0..self.bounded(32 + 8 + 8 + 8, MAX_BLOCKHASHES)? {
            let blockhash = Hash::new_from_array(self.array()?).to_string();
            let lamports_per_signature = self.u64()?;
            let recent = RecentBlockhash {
                blockhash,
                lamports_per_signature,
            };
            hashes.push((Reverse(self.u64()?), recent));
            self.skip(8)?;
        }
        self.skip(8)?;
        hashes.sort_by(|(a, x), (b, y)| (a, &x.blockhash).cmp(&(b, &y.blockhash)));
        let hashes = hashes.into_iter().map(|(_, recent)| recent).collect();
        Ok((last.map(Hash::new_from_array), hashes))
    }

    /// The fields after the queue, up to the end of the bank itself.
    fn versioned_bank(&mut self) -> Result<manifest::Bank, SnapshotProblem> {
        // Ancestors; hash, parent's hash, parent; hard forks; five counters.
        self.skip_list(8 + 8)?;
        let hash = Hash::new_from_array(self.array()?).to_string();
        self.skip(32 + 8)?;
        self.skip_list(8 + 8)?;
        self.skip(5 * 8)?;
        self.option(Self::u64)?;
        // Ticks, nanoseconds of a slot, genesis, slots of a year, size of all data.
        self.skip(8 + 16 + 8 + 8 + 8)?;
        let slot = self.u64()?;
        self.skip(8)?;
        let block_height = self.u64()?;
        // Leader, fees, fee calculator, fee governor, rent, rent collector, epoch schedule, inflation.
        self.skip(32 + 8 + 8 + 33 + 8 + (8 + 33 + 8 + 17) + 33 + 48)?;
        self.stakes(DELEGATION)?;
        self.skip_list(32)?;
        self.skip_list(32)?;
        self.skip_list(32 + 8)?;
        for _ in 0..self.count(8)? {
            self.skip(8)?;
            self.epoch_stakes(DELEGATION)?;
        }
        match self.u8()? {
            0 | 1 => Ok(manifest::Bank {
                slot,
                hash,
                block_height,
                blockhashes: Vec::new(),
                epoch_stakes: Vec::new(),
            }),
            _ => Err(self.malformed("the end of the bank is not where it should be")),
        }
    }

    /// Vote accounts, stakes of `stake` bytes each, an unused number, the epoch, the history. Returns the vote accounts.
    fn stakes(&mut self, stake: u64) -> Result<Vec<VoterStake>, SnapshotProblem> {
        let mut voters = Vec::new();
        for _ in 0..self.bounded(32 + 8 + 8 + 8 + 32 + 1 + 8, MAX_VOTERS)? {
            voters.push(VoterStake {
                address: Pubkey::new_from_array(self.array()?).to_string(),
                stake: self.u64()?,
            });
            self.skip(8)?;
            self.skip_list(1)?;
            self.skip(32 + 1 + 8)?;
        }
        self.skip_list(32 + stake)?;
        self.skip(8 + 8)?;
        self.skip_list(8 + 3 * 8)?;
        Ok(voters)
    }

    /// Stakes and their sum, the vote accounts of each validator, the authorized voters.
    fn epoch_stakes(&mut self, stake: u64) -> Result<(u64, Vec<VoterStake>), SnapshotProblem> {
        let voters = self.stakes(stake)?;
        let total_stake = self.u64()?;
        for _ in 0..self.count(32 + 8 + 8)? {
            self.skip(32)?;
            self.skip_list(32)?;
            self.skip(8)?;
        }
        self.skip_list(32 + 32)?;
        Ok((total_stake, voters))
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
    fn extra_fields(&mut self) -> Result<Extra, SnapshotProblem> {
        let mut extra = Extra::default();
        if self.tar.left() > 0 {
            self.skip(8)?;
        }
        self.later(|from| from.skip(8 + 32 + 8 + 32 + 8))?;
        extra.epoch_accounts_hash = self.later(Self::array)?;
        if self.tar.left() > 0 {
            extra.epoch_stakes = self.all_epoch_stakes()?;
        }
        extra.lattice = self.later(Self::lattice)?;
        self.tar.skip(self.tar.left())?;
        Ok(extra)
    }

    fn all_epoch_stakes(&mut self) -> Result<Vec<EpochStakes>, SnapshotProblem> {
        let mut epochs = Vec::new();
        for _ in 0..self.bounded(8 + 4, MAX_EPOCHS)? {
            let epoch = self.u64()?;
            if self.array::<4>()? != [0; 4] {
                return Err(self.malformed("the stakes of an epoch are of an unknown kind"));
            }
            let (total_stake, mut vote_accounts) = self.epoch_stakes(STAKE)?;
            vote_accounts.sort_by(|a, b| a.address.cmp(&b.address));
            epochs.push(EpochStakes {
                epoch,
                total_stake,
                vote_accounts,
            });
        }
        epochs.sort_by_key(|stakes| stakes.epoch);
        Ok(epochs)
    }

    fn lattice(&mut self) -> Result<LatticeHash, SnapshotProblem> {
        self.array().map(|bytes| LatticeHash::from_bytes(&bytes))
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

    /// A number of elements that are kept, of which there may be `most`.
    fn bounded(&mut self, size: u64, most: u64) -> Result<u64, SnapshotProblem> {
        match self.count(size)? {
            count if count <= most => Ok(count),
            _ => Err(self.malformed("a list has more elements than any bank")),
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
