//! The sysvar accounts: their layouts, and how the runtime updates them at the edges of a slot.
//!
//! All have a fixed size; bytes behind the last entry are zero. They are edited in place, which keeps lamports and
//! rent epoch as they are. Layouts: bincode of the structures in Solana's `solana-sysvar` crates.

use solana_account::{AccountSharedData, ReadableAccount, WritableAccount};
use solana_epoch_schedule::EpochSchedule;
use solana_hash::Hash;
use solana_pubkey::Pubkey;
use solana_rent::Rent;
use solana_sdk_ids::sysvar;
use thiserror::Error;

use crate::accounts::AccountStore;
use crate::blockhash_queue::RecentBlockhash;

/// Size of the Clock account in bytes.
const CLOCK_LEN: usize = 40;
/// Size of the SlotHashes account in bytes.
const SLOT_HASHES_LEN: usize = 20_488;
/// The most entries SlotHashes holds.
const MAX_SLOT_HASHES: usize = 512;
/// Size of one entry of SlotHashes.
const SLOT_HASH_LEN: usize = 40;
/// Size of the RecentBlockhashes account in bytes.
const RECENT_BLOCKHASHES_LEN: usize = 6_008;
/// The most entries RecentBlockhashes holds.
const MAX_RECENT_BLOCKHASHES: usize = 150;
/// Size of one entry of RecentBlockhashes.
const RECENT_BLOCKHASH_LEN: usize = 40;
/// Size of the SlotHistory account in bytes.
const SLOT_HISTORY_LEN: usize = 131_097;
/// Number of slots SlotHistory remembers, one bit each.
const SLOT_HISTORY_BITS: u64 = 1_048_576;
/// Where the bits of SlotHistory begin.
const SLOT_HISTORY_BITS_OFFSET: usize = 9;
/// Where SlotHistory keeps the slot that follows the newest one it knows.
const SLOT_HISTORY_NEXT_OFFSET: usize = 131_089;
/// Size of the Rent account in bytes.
const RENT_LEN: usize = 17;
/// Size of the EpochSchedule account in bytes.
const EPOCH_SCHEDULE_LEN: usize = 33;

/// A sysvar that the replay cannot do without is missing or malformed.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum SysvarError {
    /// The account is not in the archive.
    #[error("the archive does not hold the sysvar account {0}, which a replay needs")]
    Missing(Pubkey),
    /// The account's data is not what the sysvar's layout says.
    #[error("the sysvar account {0} does not have the layout of its kind")]
    Malformed(Pubkey),
}

/// The Clock sysvar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) slot: u64,
    pub(crate) epoch_start_timestamp: i64,
    pub(crate) epoch: u64,
    pub(crate) leader_schedule_epoch: u64,
    pub(crate) unix_timestamp: i64,
}

impl Clock {
    pub(crate) fn read(accounts: &AccountStore) -> Result<Self, SysvarError> {
        let account = required(accounts, &sysvar::clock::ID)?;
        let data = sized(account.data(), CLOCK_LEN, &sysvar::clock::ID)?;
        Ok(Self {
            slot: u64_at(data, 0),
            epoch_start_timestamp: i64_at(data, 8),
            epoch: u64_at(data, 16),
            leader_schedule_epoch: u64_at(data, 24),
            unix_timestamp: i64_at(data, 32),
        })
    }

    pub(crate) fn write(&self, accounts: &mut AccountStore, rent: &Rent) {
        update(accounts, rent, &sysvar::clock::ID, CLOCK_LEN, |data| {
            put_u64(data, 0, self.slot);
            data[8..16].copy_from_slice(&self.epoch_start_timestamp.to_le_bytes());
            put_u64(data, 16, self.epoch);
            put_u64(data, 24, self.leader_schedule_epoch);
            data[32..40].copy_from_slice(&self.unix_timestamp.to_le_bytes());
        });
    }
}

/// Reads the rent parameters that are in force.
#[expect(
    deprecated,
    reason = "the sysvar still holds the threshold, and a ledger's own value has to be used"
)]
pub(crate) fn read_rent(accounts: &AccountStore) -> Result<Rent, SysvarError> {
    let account = required(accounts, &sysvar::rent::ID)?;
    let data = sized(account.data(), RENT_LEN, &sysvar::rent::ID)?;
    Ok(Rent {
        lamports_per_byte: u64_at(data, 0),
        exemption_threshold: array_at(data, 8),
        burn_percent: data[16],
    })
}

/// Writes new rent parameters.
#[expect(deprecated, reason = "the sysvar still holds the threshold")]
pub(crate) fn write_rent(accounts: &mut AccountStore, rent: &Rent) {
    update(accounts, rent, &sysvar::rent::ID, RENT_LEN, |data| {
        put_u64(data, 0, rent.lamports_per_byte);
        data[8..16].copy_from_slice(&rent.exemption_threshold);
        data[16] = rent.burn_percent;
    });
}

pub(crate) fn read_epoch_schedule(accounts: &AccountStore) -> Result<EpochSchedule, SysvarError> {
    let account = required(accounts, &sysvar::epoch_schedule::ID)?;
    let data = sized(account.data(), EPOCH_SCHEDULE_LEN, &sysvar::epoch_schedule::ID)?;
    let schedule = EpochSchedule {
        slots_per_epoch: u64_at(data, 0),
        leader_schedule_slot_offset: u64_at(data, 8),
        warmup: data[16] != 0,
        first_normal_epoch: u64_at(data, 17),
        first_normal_slot: u64_at(data, 25),
    };
    // The schedule's own arithmetic divides by the length of an epoch.
    if schedule.slots_per_epoch == 0 {
        return Err(SysvarError::Malformed(sysvar::epoch_schedule::ID));
    }
    Ok(schedule)
}

/// The blockhashes that may be used, newest first.
pub(crate) fn read_recent_blockhashes(accounts: &AccountStore) -> Result<Vec<RecentBlockhash>, SysvarError> {
    let id = sysvar::recent_blockhashes::ID;
    let account = required(accounts, &id)?;
    let data = sized(account.data(), 8, &id)?;
    let count = usize::try_from(u64_at(data, 0)).map_err(|_| SysvarError::Malformed(id))?;
    let entries = data[8..].chunks_exact(RECENT_BLOCKHASH_LEN);
    if count == 0 || count > entries.len() {
        return Err(SysvarError::Malformed(id));
    }
    Ok(entries
        .take(count)
        .map(|entry| RecentBlockhash {
            blockhash: Hash::new_from_array(array_at(entry, 0)),
            lamports_per_signature: u64_at(entry, 32),
        })
        .collect())
}

/// Puts a blockhash in front of RecentBlockhashes.
pub(crate) fn push_recent_blockhash(accounts: &mut AccountStore, rent: &Rent, recent: RecentBlockhash) {
    update(
        accounts,
        rent,
        &sysvar::recent_blockhashes::ID,
        RECENT_BLOCKHASHES_LEN,
        |data| {
            let mut entry = [0; RECENT_BLOCKHASH_LEN];
            entry[..32].copy_from_slice(recent.blockhash.as_ref());
            put_u64(&mut entry, 32, recent.lamports_per_signature);
            push_front(data, &entry, MAX_RECENT_BLOCKHASHES);
        },
    );
}

/// Puts the bank hash of a slot in front of SlotHashes.
pub(crate) fn push_slot_hash(accounts: &mut AccountStore, rent: &Rent, slot: u64, hash: &Hash) {
    update(accounts, rent, &sysvar::slot_hashes::ID, SLOT_HASHES_LEN, |data| {
        let mut entry = [0; SLOT_HASH_LEN];
        put_u64(&mut entry, 0, slot);
        entry[8..].copy_from_slice(hash.as_ref());
        push_front(data, &entry, MAX_SLOT_HASHES);
    });
}

/// Notes in SlotHistory that a slot has a block, and that the slots skipped before it have none.
pub(crate) fn add_to_slot_history(accounts: &mut AccountStore, rent: &Rent, slot: u64) {
    update(accounts, rent, &sysvar::slot_history::ID, SLOT_HISTORY_LEN, |data| {
        if data[0] == 0 {
            data[0] = 1;
            put_u64(data, 1, SLOT_HISTORY_BITS / 64);
            put_u64(data, SLOT_HISTORY_NEXT_OFFSET - 8, SLOT_HISTORY_BITS);
        }
        let next = u64_at(data, SLOT_HISTORY_NEXT_OFFSET);
        if slot.saturating_sub(next) >= SLOT_HISTORY_BITS {
            data[SLOT_HISTORY_BITS_OFFSET..SLOT_HISTORY_NEXT_OFFSET - 8].fill(0);
        } else {
            for skipped in next..slot {
                let (byte, bit) = slot_history_bit(skipped);
                data[byte] &= !bit;
            }
        }
        let (byte, bit) = slot_history_bit(slot);
        data[byte] |= bit;
        put_u64(data, SLOT_HISTORY_NEXT_OFFSET, slot.saturating_add(1));
    });
}

fn slot_history_bit(slot: u64) -> (usize, u8) {
    let index = slot % SLOT_HISTORY_BITS;
    let byte = SLOT_HISTORY_BITS_OFFSET + usize::try_from(index / 8).expect("the bit map has 131,072 bytes");
    (byte, 1 << (index % 8))
}

/// Inserts an entry at the front of a counted list and drops what no longer fits.
pub(crate) fn push_front(data: &mut [u8], entry: &[u8], capacity: usize) {
    let count = usize::try_from(u64_at(data, 0)).unwrap_or(usize::MAX).min(capacity);
    let kept = count.min(capacity - 1);
    data.copy_within(8..8 + kept * entry.len(), 8 + entry.len());
    data[8..8 + entry.len()].copy_from_slice(entry);
    put_u64(data, 0, kept as u64 + 1);
}

/// Edits a sysvar account as the runtime does: the data keeps its size, the balance is raised to the rent minimum.
pub(crate) fn update(accounts: &mut AccountStore, rent: &Rent, id: &Pubkey, len: usize, edit: impl FnOnce(&mut [u8])) {
    let mut account = accounts
        .get(id)
        .cloned()
        .unwrap_or_else(|| AccountSharedData::new(0, len, &sysvar::ID));
    account.resize(len, 0);
    edit(account.data_as_mut_slice());
    account.set_owner(sysvar::ID);
    account.set_executable(false);
    account.set_lamports(rent.minimum_balance(len).max(account.lamports()));
    accounts.put(*id, account);
}

fn required<'a>(accounts: &'a AccountStore, id: &Pubkey) -> Result<&'a AccountSharedData, SysvarError> {
    accounts.get(id).ok_or(SysvarError::Missing(*id))
}

fn sized<'a>(data: &'a [u8], len: usize, id: &Pubkey) -> Result<&'a [u8], SysvarError> {
    if data.len() < len {
        Err(SysvarError::Malformed(*id))
    } else {
        Ok(data)
    }
}

pub(crate) fn u64_at(data: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(array_at(data, offset))
}

fn i64_at(data: &[u8], offset: usize) -> i64 {
    i64::from_le_bytes(array_at(data, offset))
}

pub(crate) fn array_at<const N: usize>(data: &[u8], offset: usize) -> [u8; N] {
    data[offset..offset + N]
        .try_into()
        .expect("the slice has the array's length")
}

pub(crate) fn put_u64(data: &mut [u8], offset: usize, value: u64) {
    data[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use simulator_archive::Scope;

    use super::*;
    use crate::accounts::AccountBase;

    fn accounts() -> AccountStore {
        AccountStore::new(Arc::new(AccountBase::from_accounts([], Scope::All)))
    }

    fn rent() -> Rent {
        Rent::with_lamports_per_byte(6960)
    }

    fn data<'a>(accounts: &'a AccountStore, id: &Pubkey) -> &'a [u8] {
        accounts.get(id).expect("it was written").data()
    }

    #[test]
    fn the_clock_reads_as_it_was_written() {
        let mut accounts = accounts();
        assert_eq!(Clock::read(&accounts), Err(SysvarError::Missing(sysvar::clock::ID)));
        let clock = Clock {
            slot: 1,
            epoch_start_timestamp: -2,
            epoch: 3,
            leader_schedule_epoch: 4,
            unix_timestamp: 1_780_000_000,
        };
        clock.write(&mut accounts, &rent());
        assert_eq!(Clock::read(&accounts), Ok(clock));
        let account = accounts.get(&sysvar::clock::ID).expect("it was written");
        assert_eq!(
            (account.lamports(), account.data().len()),
            (rent().minimum_balance(40), 40)
        );
    }

    #[test]
    fn a_truncated_sysvar_is_malformed() {
        let mut accounts = accounts();
        accounts.put(sysvar::rent::ID, AccountSharedData::new(1, 16, &sysvar::ID));
        assert_eq!(read_rent(&accounts), Err(SysvarError::Malformed(sysvar::rent::ID)));
        accounts.put(sysvar::epoch_schedule::ID, AccountSharedData::new(1, 33, &sysvar::ID));
        assert_eq!(
            read_epoch_schedule(&accounts),
            Err(SysvarError::Malformed(sysvar::epoch_schedule::ID))
        );
        let mut recent = AccountSharedData::new(1, 48, &sysvar::ID);
        recent.data_as_mut_slice()[0] = 2;
        accounts.put(sysvar::recent_blockhashes::ID, recent);
        let malformed = SysvarError::Malformed(sysvar::recent_blockhashes::ID);
        assert_eq!(
            read_recent_blockhashes(&accounts).expect_err("one entry, two counted"),
            malformed
        );
    }

    #[test]
    fn slot_hashes_keep_the_newest_512_in_front() {
        let mut accounts = accounts();
        for slot in 0..600 {
            let hash = Hash::new_from_array([u8::try_from(slot % 251).expect("it is smaller"); 32]);
            push_slot_hash(&mut accounts, &rent(), slot, &hash);
        }
        let data = data(&accounts, &sysvar::slot_hashes::ID);
        assert_eq!((data.len(), u64_at(data, 0)), (SLOT_HASHES_LEN, 512));
        assert_eq!(u64_at(data, 8), 599);
        assert_eq!(u64_at(data, 8 + 511 * SLOT_HASH_LEN), 88);
    }

    #[test]
    fn recent_blockhashes_read_as_they_were_pushed_newest_first() {
        let mut accounts = accounts();
        for number in 0..160u8 {
            let recent = RecentBlockhash {
                blockhash: Hash::new_from_array([number; 32]),
                lamports_per_signature: u64::from(number),
            };
            push_recent_blockhash(&mut accounts, &rent(), recent);
        }
        let recent = read_recent_blockhashes(&accounts).expect("well formed");
        assert_eq!(recent.len(), MAX_RECENT_BLOCKHASHES);
        assert_eq!(recent[0].lamports_per_signature, 159);
        assert_eq!(recent[149].lamports_per_signature, 10);
    }

    #[test]
    fn slot_history_clears_skipped_slots_and_wraps_around() {
        let mut accounts = accounts();
        let has = |accounts: &AccountStore, slot: u64| {
            let (byte, bit) = slot_history_bit(slot);
            data(accounts, &sysvar::slot_history::ID)[byte] & bit != 0
        };
        for slot in [0, 1, 5] {
            add_to_slot_history(&mut accounts, &rent(), slot);
        }
        assert_eq!(
            [0, 1, 2, 4, 5].map(|slot| has(&accounts, slot)),
            [true, true, false, false, true]
        );
        add_to_slot_history(&mut accounts, &rent(), SLOT_HISTORY_BITS + 3);
        // The numbers 0 to 2 now stand for slots that were skipped; 5 is still what it was.
        assert_eq!(
            [0, 1, 3, 5].map(|slot| has(&accounts, slot)),
            [false, false, true, true]
        );
        add_to_slot_history(&mut accounts, &rent(), 4 * SLOT_HISTORY_BITS);
        assert_eq!([0, 3, 5].map(|slot| has(&accounts, slot)), [true, false, false]);
        let history = data(&accounts, &sysvar::slot_history::ID);
        assert_eq!(u64_at(history, SLOT_HISTORY_NEXT_OFFSET), 4 * SLOT_HISTORY_BITS + 1);
    }
}
