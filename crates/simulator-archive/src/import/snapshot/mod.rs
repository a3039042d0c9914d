//! Agave's full snapshots: a compressed tar archive of a bank and of every account, read once from front to back.
//!
//! An account may be in several files of accounts; its state is the one that was written last. So accounts are sorted by
//! address and time, and of each address the last is kept. The bank may stand before the accounts or behind them: in the
//! second case it is not known yet how much of each file counts, so that everything is read, and what does not count is
//! left out afterwards.

mod bank;
mod error;
mod name;
mod storage;
mod tar;

use std::collections::BTreeMap;
use std::io::BufRead;

use bytes::Bytes;
use solana_hash::Hash;
use solana_pubkey::Pubkey;

use super::closure::Closure;
use super::error::ImportError;
use super::input::{InputFile, Meter};
use super::sort::{Record, Sorted, Sorter};
use crate::codec::{Decoder, Encoder, decode_account, encode_account};
use crate::lattice::LatticeHash;
use crate::manifest::{self, SourceFile};
use crate::model::{Account, Slot};
use bank::{Bank, read_bank};
pub use error::SnapshotProblem;
use name::Name;
use storage::{Storage, StorageError, StorageId, Stored};
use tar::{Entry, EntryKind, Tar};

/// Address, slot, write version, number of the file, offset in it: sorts the versions of an account by time.
const KEY: usize = 32 + 4 * 8;

/// The only version of the format there has been for years.
const VERSION: &[u8] = b"1.2.0";

/// How many accounts are read between two signs of life.
const SIGN_OF_LIFE: u64 = 4096;

/// The accounts of a snapshot in order of address.
pub(super) struct SnapshotAccounts {
    file: InputFile,
    bank: Bank,
    sorted: Sorted<KEY>,
    /// The first record that has not been looked at.
    next: Option<Record<KEY>>,
    /// Whether the bank came too late to leave out what does not count.
    is_unfiltered: bool,
    /// The sum of the accounts, where all of them are kept.
    sum: Option<LatticeHash>,
    /// What the manifest says about the file.
    pub(super) source: SourceFile,
}

/// What has been read of a snapshot.
struct Reading<'a, E> {
    sorter: Sorter<KEY>,
    /// Which accounts are kept, where not all are.
    closure: Option<&'a Closure>,
    bank: Option<Bank>,
    has_version: bool,
    /// The files of accounts, and how much of each could be read.
    storages: BTreeMap<StorageId, Found>,
    accounts: u64,
    each: E,
}

/// A file of accounts that was met before the bank.
struct Found {
    size: u64,
    /// Where it stopped being readable, which does not matter if that is behind the end that the bank lists.
    broken: Option<(u64, &'static str)>,
}

impl SnapshotAccounts {
    /// Reads a snapshot, using about `memory` bytes to sort. Keeps the accounts in the closure only, if there is one; then
    /// their sum cannot be checked. Calls `each` now and then.
    pub(super) fn read(
        file: &InputFile,
        memory: usize,
        closure: Option<&Closure>,
        each: impl FnMut(&Meter),
    ) -> Result<Self, ImportError> {
        let wrong = |source| ImportError::Snapshot {
            file: file.name().to_owned(),
            source: Box::new(source),
        };
        let name = Name::parse(file.name()).map_err(wrong)?;
        let (reader, meter) = file.open()?;
        let mut reading = Reading {
            sorter: Sorter::new(memory),
            closure,
            bank: None,
            has_version: false,
            storages: BTreeMap::new(),
            accounts: 0,
            each,
        };
        let is_unfiltered = reading.run(reader, &meter).map_err(|error| match error {
            Failure::Problem(problem) => wrong(problem),
            Failure::Sort(error) => ImportError::Sort(error),
        })?;
        let (bank, sorter) = reading.finish().map_err(wrong)?;
        if let Some(name) = name {
            name.check(&bank).map_err(wrong)?;
        }
        let mut accounts = Self {
            file: file.clone(),
            bank,
            sorted: sorter.finish().map_err(ImportError::Sort)?,
            next: None,
            is_unfiltered,
            sum: closure.is_none().then(LatticeHash::default),
            source: meter.source(),
        };
        accounts.next = accounts.record()?;
        Ok(accounts)
    }

    /// The slot after which the state was taken.
    pub(super) fn slot(&self) -> Slot {
        self.bank.kept.slot
    }

    /// What the archive keeps of the bank.
    pub(super) fn bank(&self) -> &manifest::Bank {
        &self.bank.kept
    }

    /// The blockhash of that slot.
    pub(super) fn blockhash(&self) -> Option<Hash> {
        self.bank.blockhash
    }

    /// The next account, as it was written last.
    pub(super) fn next(&mut self) -> Result<Option<(Pubkey, Account)>, ImportError> {
        while let Some((key, mut value)) = self.next.take() {
            self.next = self.record()?;
            while let Some((_, newer)) = self.next.take_if(|(next, _)| next[..32] == key[..32]) {
                value = newer;
                self.next = self.record()?;
            }
            if value.is_empty() {
                continue;
            }
            let mut from = Decoder::new(Bytes::from(value));
            let (address, account) = decode_account(&mut from).expect("the record was encoded a moment ago");
            if let (Some(sum), Some(_)) = (&mut self.sum, &self.bank.lattice) {
                sum.add(&address, &account);
            }
            return Ok(Some((address, account)));
        }
        self.check_sum().map(|()| None)
    }

    /// The next record that counts.
    fn record(&mut self) -> Result<Option<Record<KEY>>, ImportError> {
        loop {
            let record = self.sorted.next().map_err(ImportError::Sort)?;
            match &record {
                Some((key, _)) if self.is_unfiltered && !self.counts(key) => {}
                _ => return Ok(record),
            }
        }
    }

    /// Whether a record is within the length that the bank lists for its file.
    fn counts(&self, key: &[u8; KEY]) -> bool {
        let number = |at: usize| u64::from_be_bytes(key[at..at + 8].try_into().expect("a key has these bytes"));
        let storage = StorageId {
            slot: number(32),
            id: number(48),
        };
        let length = self.bank.storages.get(&storage).copied().unwrap_or_default();
        number(56) < length
    }

    /// All accounts have been read: they must be those that the bank was made from.
    fn check_sum(&self) -> Result<(), ImportError> {
        match (&self.bank.lattice, &self.sum) {
            (Some(expected), Some(found)) if expected != found => Err(ImportError::Snapshot {
                file: self.file.name().to_owned(),
                source: Box::new(SnapshotProblem::Accounts {
                    expected: expected.checksum(),
                    found: found.checksum(),
                }),
            }),
            _ => Ok(()),
        }
    }
}

/// Why reading ends early.
enum Failure {
    Problem(SnapshotProblem),
    Sort(std::io::Error),
}

impl<E: FnMut(&Meter)> Reading<'_, E> {
    /// Reads all entries. Returns whether some accounts came before the bank.
    fn run(&mut self, reader: impl BufRead, meter: &Meter) -> Result<bool, Failure> {
        let mut tar = Tar::new(reader);
        let mut is_unfiltered = false;
        while let Some(Entry { name, kind }) = tar.next()? {
            if kind == EntryKind::Directory {
                continue;
            }
            if let Some(storage) = StorageId::named(&name) {
                is_unfiltered |= self.bank.is_none();
                self.storage(&mut tar, storage, meter)?;
            } else if name == "version" {
                self.version(&mut tar)?;
            } else if is_bank(&name) {
                let bank = read_bank(&mut tar, &name)?;
                let expected = format!("snapshots/{slot}/{slot}", slot = bank.kept.slot);
                if name != expected || self.bank.replace(bank).is_some() {
                    return Err(SnapshotProblem::Unexpected { entry: name }.into());
                }
            } else if name != "snapshots/status_cache" {
                return Err(SnapshotProblem::Unexpected { entry: name }.into());
            }
        }
        tar.finish()?;
        Ok(is_unfiltered)
    }

    fn version(&mut self, tar: &mut Tar<impl BufRead>) -> Result<(), SnapshotProblem> {
        let size = tar.left().min(64);
        let text = tar.read_vec(size)?;
        match text.trim_ascii() == VERSION {
            true => {
                self.has_version = true;
                Ok(())
            }
            false => Err(SnapshotProblem::Version {
                found: String::from_utf8_lossy(&text).into_owned(),
            }),
        }
    }

    fn storage(&mut self, tar: &mut Tar<impl BufRead>, id: StorageId, meter: &Meter) -> Result<(), Failure> {
        let size = tar.left();
        let limit = match &self.bank {
            Some(bank) => bank.listed(id, size)?,
            None => size,
        };
        let mut found = Found { size, broken: None };
        let mut storage = Storage::new(tar, limit);
        loop {
            match storage.next() {
                Ok(Some(stored)) => self.push(id, &stored, meter)?,
                Ok(None) => break,
                Err(StorageError::Snapshot(problem)) => return Err(problem.into()),
                Err(StorageError::Malformed { offset, what }) => {
                    found.broken = Some((offset, what));
                    break;
                }
            }
        }
        if self.bank.is_some() {
            found.check(id, limit)?;
        }
        match self.storages.insert(id, found) {
            None => Ok(()),
            Some(_) => Err(SnapshotProblem::Twice { entry: id.name() }.into()),
        }
    }

    fn push(&mut self, id: StorageId, stored: &Stored, meter: &Meter) -> Result<(), Failure> {
        self.accounts += 1;
        if self.accounts.is_multiple_of(SIGN_OF_LIFE) {
            (self.each)(meter);
        }
        if !self.keeps(stored) {
            return Ok(());
        }
        let mut key = [0; KEY];
        key[..32].copy_from_slice(stored.address.as_array());
        for (place, number) in key[32..]
            .chunks_exact_mut(8)
            .zip([id.slot, stored.write_version, id.id, stored.offset])
        {
            place.copy_from_slice(&number.to_be_bytes());
        }
        let mut value = Encoder::default();
        if stored.account.lamports > 0 {
            encode_account(&mut value, &stored.address, &stored.account);
        }
        self.sorter.push(key, value.into_bytes()).map_err(Failure::Sort)
    }

    /// What is gone may have belonged to the closure by its owner.
    fn keeps(&self, stored: &Stored) -> bool {
        let account = &stored.account;
        let holds = |closure: &Closure| account.lamports == 0 || closure.holds(&stored.address, &account.owner);
        self.closure.is_none_or(holds)
    }

    /// What was read must be what the bank lists, all of it.
    fn finish(self) -> Result<(Bank, Sorter<KEY>), SnapshotProblem> {
        let missing = |entry: &str| SnapshotProblem::Missing {
            entry: entry.to_owned(),
        };
        let bank = self.bank.ok_or_else(|| missing("snapshots/SLOT/SLOT"))?;
        if !self.has_version {
            return Err(missing("version"));
        }
        for (id, found) in &self.storages {
            let limit = bank.listed(*id, found.size)?;
            found.check(*id, limit)?;
        }
        match bank.storages.keys().find(|id| !self.storages.contains_key(id)) {
            Some(id) => Err(missing(&id.name())),
            None => Ok((bank, self.sorter)),
        }
    }
}

impl Bank {
    /// How many bytes of a file of accounts count, which has `size`.
    fn listed(&self, id: StorageId, size: u64) -> Result<u64, SnapshotProblem> {
        match self.storages.get(&id) {
            None => Err(SnapshotProblem::Unexpected { entry: id.name() }),
            Some(listed) if *listed > size => Err(SnapshotProblem::Short {
                entry: id.name(),
                listed: *listed,
                found: size,
            }),
            Some(listed) => Ok(*listed),
        }
    }
}

impl Found {
    /// Whether the file could be read up to where it counts.
    fn check(&self, id: StorageId, limit: u64) -> Result<(), SnapshotProblem> {
        match self.broken {
            Some((offset, what)) if offset < limit => Err(SnapshotProblem::Malformed {
                entry: id.name(),
                offset,
                what,
            }),
            _ => Ok(()),
        }
    }
}

/// `snapshots/SLOT/SLOT`.
fn is_bank(name: &str) -> bool {
    let mut parts = name.split('/');
    let slot = (parts.next() == Some("snapshots")).then(|| parts.next()).flatten();
    let is_number = |slot: &str| !slot.is_empty() && slot.bytes().all(|byte| byte.is_ascii_digit());
    slot.is_some_and(is_number) && parts.next() == slot && parts.next().is_none()
}

impl From<SnapshotProblem> for Failure {
    fn from(problem: SnapshotProblem) -> Self {
        Self::Problem(problem)
    }
}
