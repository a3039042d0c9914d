//! Files of accounts, as they lie in a snapshot: one account after the other. (Agave: `append_vec.rs`)
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 8 | write version; 0 in newer snapshots |
//! | 8 | 8 | size of the data |
//! | 16 | 32 | address |
//! | 48 | 8 | lamports |
//! | 56 | 8 | rent epoch |
//! | 64 | 32 | owner |
//! | 96 | 8 | whether the account is executable: 0 or 1 in the first byte |
//! | 104 | 32 | a hash of old versions, not used |
//! | 136 | | the data, then bytes up to a multiple of 8 |

use std::io::BufRead;

use solana_pubkey::Pubkey;

use super::error::SnapshotProblem;
use super::tar::Tar;
use crate::codec::Decoder;
use crate::model::{Account, Slot};

const HEADER: u64 = 136;
const ALIGNMENT: u64 = 8;

/// Solana's limit for the data of an account.
const MAX_DATA: u64 = 10 << 20;

/// Which file of accounts: the slot in which they were written, and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StorageId {
    pub(super) slot: Slot,
    pub(super) id: u64,
}

/// An account as it was in one slot. Without lamports it says that the account was removed.
#[derive(Debug)]
pub(super) struct Stored {
    /// Where in the file it starts.
    pub(super) offset: u64,
    pub(super) write_version: u64,
    pub(super) address: Pubkey,
    pub(super) account: Account,
}

/// Reads the accounts of one file.
pub(super) struct Storage<'a, R> {
    tar: &'a mut Tar<R>,
    limit: u64,
}

/// Why a file of accounts could not be read.
#[derive(Debug)]
pub(super) enum StorageError {
    /// The snapshot cannot be read.
    Snapshot(SnapshotProblem),
    /// This is no account.
    Malformed { offset: u64, what: &'static str },
}

impl StorageId {
    /// The storage that an entry `accounts/SLOT.ID` holds.
    pub(super) fn named(entry: &str) -> Option<Self> {
        let (slot, id) = entry.strip_prefix("accounts/")?.split_once('.')?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(slot) || !is_number(id) {
            return None;
        }
        Some(Self {
            slot: slot.parse().ok()?,
            id: id.parse().ok()?,
        })
    }

    pub(super) fn name(self) -> String {
        format!("accounts/{}.{}", self.slot, self.id)
    }
}

impl<'a, R: BufRead> Storage<'a, R> {
    /// Reads accounts up to `limit` bytes of the entry that the archive is at; it has that many.
    pub(super) fn new(tar: &'a mut Tar<R>, limit: u64) -> Self {
        Self { tar, limit }
    }

    pub(super) fn next(&mut self) -> Result<Option<Stored>, StorageError> {
        let offset = self.tar.position();
        let left = self.limit.saturating_sub(offset);
        if left == 0 {
            return Ok(None);
        }
        let malformed = |what| StorageError::Malformed { offset, what };
        if left < HEADER {
            return Err(malformed("too few bytes are left for an account"));
        }
        let mut header = [0; HEADER as usize];
        self.tar.read(&mut header).map_err(StorageError::Snapshot)?;
        let Some((mut stored, size)) = parse(&header) else {
            return Err(malformed("whether an account is executable is neither 0 nor 1"));
        };
        stored.offset = offset;
        if size > MAX_DATA {
            return Err(malformed("the data of an account is larger than Solana's limit"));
        }
        if size > left - HEADER {
            return Err(malformed("the data of an account reaches beyond the end"));
        }
        let data = self.tar.read_vec(size).map_err(StorageError::Snapshot)?;
        stored.account.data = data.into();
        let padding = (size.next_multiple_of(ALIGNMENT) - size).min(left - HEADER - size);
        self.tar.skip(padding).map_err(StorageError::Snapshot)?;
        Ok(Some(stored))
    }
}

/// The account without its data, and the size of that.
fn parse(header: &[u8; HEADER as usize]) -> Option<(Stored, u64)> {
    let mut from = Decoder::new(header.to_vec().into());
    let own = "the header has all of these bytes";
    let write_version = from.u64().expect(own);
    let size = from.u64().expect(own);
    let address = Pubkey::new_from_array(from.array().expect(own));
    let lamports = from.u64().expect(own);
    let rent_epoch = from.u64().expect(own);
    let owner = Pubkey::new_from_array(from.array().expect(own));
    let executable = match from.u8().expect(own) {
        0 => false,
        1 => true,
        _ => return None,
    };
    let account = Account {
        lamports,
        owner,
        executable,
        rent_epoch,
        data: bytes::Bytes::new(),
    };
    let stored = Stored {
        offset: 0,
        write_version,
        address,
        account,
    };
    Some((stored, size))
}

impl From<SnapshotProblem> for StorageError {
    fn from(problem: SnapshotProblem) -> Self {
        Self::Snapshot(problem)
    }
}
