//! The sysvars of an epoch boundary: StakeHistory, and EpochRewards, which runs while stake accounts are being paid.
//!
//! Layouts: bincode of `StakeHistory` (`solana-stake-interface`) and `EpochRewards` (`solana-epoch-rewards`).

use solana_account::ReadableAccount;
use solana_hash::Hash;
use solana_rent::Rent;
use solana_sdk_ids::sysvar;
use solana_stake_interface::stake_history::{MAX_ENTRIES, SIZE, StakeHistory, StakeHistoryEntry};

use crate::accounts::AccountStore;
use crate::sysvars::{array_at, push_front, put_u64, u64_at, update};

/// Size of one entry of StakeHistory.
const STAKE_HISTORY_ENTRY_LEN: usize = 32;
/// Size of the EpochRewards account in bytes.
const EPOCH_REWARDS_LEN: usize = 81;

/// How much stake was effective in earlier epochs, as far as the archive says.
pub(crate) fn read_stake_history(accounts: &AccountStore) -> StakeHistory {
    let mut history = StakeHistory::default();
    let account = accounts.get(&sysvar::stake_history::ID);
    let Some((head, entries)) = account.and_then(|account| account.data().split_first_chunk::<8>()) else {
        return history;
    };
    let count = usize::try_from(u64::from_le_bytes(*head)).unwrap_or(usize::MAX);
    for entry in entries.chunks_exact(STAKE_HISTORY_ENTRY_LEN).take(count) {
        let total = StakeHistoryEntry {
            effective: u64_at(entry, 8),
            activating: u64_at(entry, 16),
            deactivating: u64_at(entry, 24),
        };
        history.add(u64_at(entry, 0), total);
    }
    history
}

/// Puts the totals of the epoch that has ended in front of StakeHistory.
pub(crate) fn push_stake_history(accounts: &mut AccountStore, rent: &Rent, epoch: u64, total: &StakeHistoryEntry) {
    update(accounts, rent, &sysvar::stake_history::ID, SIZE, |data| {
        let mut entry = [0; STAKE_HISTORY_ENTRY_LEN];
        put_u64(&mut entry, 0, epoch);
        put_u64(&mut entry, 8, total.effective);
        put_u64(&mut entry, 16, total.activating);
        put_u64(&mut entry, 24, total.deactivating);
        push_front(data, &entry, MAX_ENTRIES);
    });
}

/// The EpochRewards sysvar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochRewards {
    /// Height of the first block that pays stake accounts.
    pub(crate) starting_height: u64,
    /// How many blocks pay stake accounts.
    pub(crate) partitions: u64,
    /// Decides which block pays which account.
    pub(crate) parent_blockhash: Hash,
    pub(crate) total_points: u128,
    pub(crate) total_rewards: u64,
    /// Lamports paid so far, to vote and stake accounts.
    pub(crate) distributed: u64,
    /// Whether stake accounts are still being paid; the stake program refuses all work meanwhile.
    pub(crate) active: bool,
}

impl EpochRewards {
    pub(crate) fn read(accounts: &AccountStore) -> Option<Self> {
        let data = accounts.get(&sysvar::epoch_rewards::ID)?.data();
        (data.len() >= EPOCH_REWARDS_LEN).then(|| Self {
            starting_height: u64_at(data, 0),
            partitions: u64_at(data, 8),
            parent_blockhash: Hash::new_from_array(array_at(data, 16)),
            total_points: u128::from_le_bytes(array_at(data, 48)),
            total_rewards: u64_at(data, 64),
            distributed: u64_at(data, 72),
            active: data[80] != 0,
        })
    }

    pub(crate) fn write(&self, accounts: &mut AccountStore, rent: &Rent) {
        update(accounts, rent, &sysvar::epoch_rewards::ID, EPOCH_REWARDS_LEN, |data| {
            put_u64(data, 0, self.starting_height);
            put_u64(data, 8, self.partitions);
            data[16..48].copy_from_slice(self.parent_blockhash.as_ref());
            data[48..64].copy_from_slice(&self.total_points.to_le_bytes());
            put_u64(data, 64, self.total_rewards);
            put_u64(data, 72, self.distributed);
            data[80] = u8::from(self.active);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use simulator_archive::Scope;

    use super::*;
    use crate::accounts::AccountBase;

    fn store() -> AccountStore {
        AccountStore::new(Arc::new(AccountBase::from_accounts([], Scope::All)))
    }

    #[test]
    fn epoch_rewards_are_read_as_written() {
        let mut accounts = store();
        assert_eq!(EpochRewards::read(&accounts), None);
        let rewards = EpochRewards {
            starting_height: 61,
            partitions: 1,
            parent_blockhash: Hash::new_from_array([7; 32]),
            total_points: 316_970_026_661_324_000,
            total_rewards: 57_426_906,
            distributed: 2_050_516,
            active: true,
        };
        rewards.write(&mut accounts, &Rent::default());
        assert_eq!(EpochRewards::read(&accounts), Some(rewards));
    }

    #[test]
    fn the_newest_epoch_comes_first_in_stake_history() {
        let mut accounts = store();
        assert_eq!(read_stake_history(&accounts), StakeHistory::default());
        for epoch in 4..6 {
            let total = StakeHistoryEntry::with_effective(epoch * 10);
            push_stake_history(&mut accounts, &Rent::default(), epoch, &total);
        }
        let history = read_stake_history(&accounts);
        assert_eq!(history.first(), Some(&(5, StakeHistoryEntry::with_effective(50))));
        assert_eq!(history.get(4), Some(&StakeHistoryEntry::with_effective(40)));
    }
}
