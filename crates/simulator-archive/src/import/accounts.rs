//! The accounts of a ledger, sorted by address.

use bytes::Bytes;
use solana_pubkey::Pubkey;
use solana_sdk_ids::sysvar;

use super::error::{ImportError, LineError};
use super::json::AccountLine;
use super::lines::Lines;
use super::sort::{Sorted, Sorter};
use crate::codec::{Decoder, Encoder, decode_account, encode_account};
use crate::model::{Account, Slot};

/// The accounts of a ledger in order of address, without those that have no lamports.
pub(super) struct SortedAccounts {
    file: String,
    sorted: Sorted<32>,
    last: Option<(Pubkey, u64)>,
    /// The slot of the Clock sysvar, where it is listed.
    pub(super) clock: Option<Slot>,
}

impl SortedAccounts {
    /// Reads all lines. Calls `each` after each of them.
    pub(super) fn read(lines: &mut Lines, memory: usize, mut each: impl FnMut(&Lines)) -> Result<Self, ImportError> {
        let mut sorter = Sorter::new(memory);
        let mut clock = None;
        while let Some(line) = lines.next::<AccountLine>()? {
            let (address, account) = account(line).map_err(|source| lines.error(source))?;
            if address == sysvar::clock::ID {
                clock = Some(clock_slot(&account).map_err(|source| lines.error(source))?);
            }
            sorter
                .push(*address.as_array(), record(lines.number(), &address, &account))
                .map_err(ImportError::Sort)?;
            each(lines);
        }
        let sorted = sorter.finish().map_err(ImportError::Sort)?;
        Ok(Self {
            file: lines.name().to_owned(),
            sorted,
            last: None,
            clock,
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<(Pubkey, Account)>, ImportError> {
        while let Some((_, record)) = self.sorted.next().map_err(ImportError::Sort)? {
            let (line, address, account) = parse(record);
            if let Some((_, first)) = self.last.replace((address, line)).filter(|(last, _)| *last == address) {
                return Err(ImportError::DuplicateAccount {
                    file: self.file.clone(),
                    address,
                    first,
                    second: line,
                });
            }
            if let Some(account) = account {
                return Ok(Some((address, account)));
            }
        }
        Ok(None)
    }
}

/// Starts with the number of the line, so that the lines of a duplicate can be named, in their order.
fn record(line: u64, address: &Pubkey, account: &Account) -> Vec<u8> {
    let mut to = Encoder::default();
    to.raw(&line.to_be_bytes());
    if account.lamports > 0 {
        encode_account(&mut to, address, account);
    } else {
        to.raw(address.as_array());
    }
    to.into_bytes()
}

fn parse(record: Vec<u8>) -> (u64, Pubkey, Option<Account>) {
    let mut from = Decoder::new(Bytes::from(record));
    let own = "the record was encoded a moment ago";
    let line = u64::from_be_bytes(from.array().expect(own));
    if from.left() == 32 {
        return (line, Pubkey::new_from_array(from.array().expect(own)), None);
    }
    let (address, account) = decode_account(&mut from).expect(own);
    (line, address, Some(account))
}

fn account(line: AccountLine) -> Result<(Pubkey, Account), LineError> {
    let size = line.account.data.0.len();
    if let Some(space) = line.account.space.filter(|space| *space != size as u64) {
        return Err(LineError::Space { space, size });
    }
    Ok((line.pubkey.0, line.account.into()))
}

/// The Clock's data starts with its slot.
fn clock_slot(account: &Account) -> Result<Slot, LineError> {
    let slot = account.data.first_chunk().copied().map(u64::from_le_bytes);
    slot.ok_or(LineError::Clock {
        size: account.data.len(),
    })
}
