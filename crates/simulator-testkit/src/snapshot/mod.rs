//! Agave full snapshots, small and made up, for tests of what reads them.

mod bank;
mod tar;

use std::io;
use std::path::{Path, PathBuf};

use solana_hash::Hash;
use solana_pubkey::Pubkey;

use crate::accounts::AccountRecord;

/// A snapshot. All of it can be changed before it is written, also to something that no validator would write.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The slot after which the state was taken.
    pub slot: u64,
    /// The blockhash of that slot.
    pub blockhash: Hash,
    /// The files of accounts.
    pub storages: Vec<Storage>,
    /// Whether the bank stands behind the accounts instead of before them.
    pub bank_last: bool,
    /// Whether the bank has the sum of all accounts.
    pub has_sum: bool,
}

/// One file of accounts.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The slot in which its accounts were written.
    pub slot: u64,
    /// Its number.
    pub id: u64,
    /// The accounts, in the order in which they were written. One without lamports was removed.
    pub accounts: Vec<AccountRecord>,
    /// What the write version of the first account is; each of the others has one more.
    pub write_version: u64,
    /// Bytes behind the accounts, which the bank does not list.
    pub slack: Vec<u8>,
}

impl Snapshot {
    /// A snapshot of accounts in one file.
    pub fn new(slot: u64, blockhash: Hash, accounts: Vec<AccountRecord>) -> Self {
        Self {
            slot,
            blockhash,
            storages: vec![Storage::new(slot, 0, accounts)],
            bank_last: false,
            has_sum: true,
        }
    }

    /// The entries of the archive, in their order: name and contents.
    pub fn entries(&self) -> Vec<(String, Vec<u8>)> {
        let bank = (format!("snapshots/{slot}/{slot}", slot = self.slot), bank::bank(self));
        let mut entries = vec![
            ("version".to_owned(), b"1.2.0".to_vec()),
            ("snapshots/status_cache".to_owned(), vec![0; 8]),
        ];
        let mut storages: Vec<_> = self.storages.iter().map(Storage::entry).collect();
        if self.bank_last {
            entries.append(&mut storages);
            entries.push(bank);
        } else {
            entries.push(bank);
            entries.append(&mut storages);
        }
        entries
    }

    /// The archive, not compressed.
    pub fn tar(&self) -> Vec<u8> {
        archive(&self.entries())
    }

    /// The name that a validator would give it.
    pub fn name(&self) -> String {
        let hash = Hash::new_from_array(blake3::hash(&self.sum()).into());
        format!("snapshot-{}-{hash}.tar.zst", self.slot)
    }

    /// Writes it into a directory, compressed, and returns its path.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, directory: &Path) -> io::Result<PathBuf> {
        let path = directory.join(self.name());
        std::fs::write(&path, zstd::encode_all(&*self.tar(), 1)?)?;
        Ok(path)
    }

    /// The lattice hash of the accounts as they were written last, in bytes.
    pub fn sum(&self) -> Vec<u8> {
        bank::sum(self)
    }
}

impl Storage {
    /// A file of accounts.
    pub fn new(slot: u64, id: u64, accounts: Vec<AccountRecord>) -> Self {
        Self {
            slot,
            id,
            accounts,
            write_version: 0,
            slack: Vec::new(),
        }
    }

    /// The accounts one after the other, the last of them without padding, and the slack.
    pub fn bytes(&self) -> Vec<u8> {
        [self.listed(), self.slack.clone()].concat()
    }

    fn entry(&self) -> (String, Vec<u8>) {
        (format!("accounts/{}.{}", self.slot, self.id), self.bytes())
    }

    fn listed(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (account, version) in self.accounts.iter().zip(self.write_version..) {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            store(&mut bytes, account, version);
        }
        bytes
    }
}

/// Agave's layout of an account in a file.
fn store(to: &mut Vec<u8>, account: &AccountRecord, version: u64) {
    to.extend(version.to_le_bytes());
    to.extend((account.data.len() as u64).to_le_bytes());
    to.extend(account.address.to_bytes());
    to.extend(account.lamports.to_le_bytes());
    to.extend(account.rent_epoch.to_le_bytes());
    to.extend(account.owner.to_bytes());
    to.extend([u8::from(account.executable), 0, 0, 0, 0, 0, 0, 0]);
    to.extend([0; 32]);
    to.extend(&account.data);
}

/// An archive of these entries, not compressed.
pub fn archive(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    tar::tar(entries)
}

/// An account without lamports: it says that what was at the address is gone.
pub fn removed(address: Pubkey) -> AccountRecord {
    AccountRecord {
        address,
        lamports: 0,
        owner: Pubkey::default(),
        executable: false,
        rent_epoch: 0,
        data: Vec::new(),
    }
}
