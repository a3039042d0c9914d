//! The sysvar accounts of the state at the start, in the layouts that the runtime gives them.

use solana_pubkey::Pubkey;
use solana_sdk_ids::sysvar;

use super::{LedgerOptions, chain};
use crate::accounts::AccountRecord;

/// Rent-exempt balance a byte, in lamports, and what an account without data counts as.
const LAMPORTS_PER_BYTE: u64 = 6960;
const ACCOUNT_OVERHEAD: u64 = 128;

const LAMPORTS_PER_SIGNATURE: u64 = 5000;
const MAX_BLOCKHASHES: u64 = 150;
const MAX_SLOT_HASHES: u64 = 512;
const HISTORY_WORDS: u64 = 16_384;
const HISTORY_BITS: u64 = HISTORY_WORDS * 64;

/// All sysvars as they stand after slot `start_slot - 1`, in a chain in which every slot had a block.
pub(super) fn sysvars(options: &LedgerOptions) -> Vec<AccountRecord> {
    let mut rewards = account(sysvar::epoch_rewards::id(), Data::sized(81));
    rewards.rent_epoch = u64::MAX; // made by a feature, when accounts were already created exempt
    vec![
        account(sysvar::clock::id(), clock(options)),
        account(sysvar::epoch_schedule::id(), epoch_schedule(options)),
        account(sysvar::rent::id(), rent()),
        account(sysvar::slot_hashes::id(), slot_hashes(options)),
        account(sysvar::recent_blockhashes::id(), recent_blockhashes(options)),
        account(sysvar::slot_history::id(), slot_history(options)),
        account(sysvar::stake_history::id(), Data::sized(16_392)),
        account(sysvar::last_restart_slot::id(), Data::sized(8)),
        rewards,
    ]
}

/// The balance at which an account of that many bytes is exempt from rent, in lamports.
pub(super) fn rent_exempt(bytes: usize) -> u64 {
    (ACCOUNT_OVERHEAD + bytes as u64) * LAMPORTS_PER_BYTE
}

fn clock(options: &LedgerOptions) -> Data {
    let slot = options.start_slot - 1;
    let epoch = slot / options.slots_per_epoch;
    Data::default()
        .number(slot)
        .time(chain::time(epoch * options.slots_per_epoch))
        .number(epoch)
        .number(epoch + 1)
        .time(chain::time(slot))
}

/// Epochs of one length from slot 0, without warm-up; the leader schedule is known one epoch ahead.
fn epoch_schedule(options: &LedgerOptions) -> Data {
    let data = Data::default()
        .number(options.slots_per_epoch)
        .number(options.slots_per_epoch);
    data.bytes(&[0]).number(0).number(0)
}

/// Rent since the exemption threshold is 1 year: per byte, threshold, and the share that was burnt, in percent.
fn rent() -> Data {
    Data::default()
        .number(LAMPORTS_PER_BYTE)
        .bytes(&1.0_f64.to_le_bytes())
        .bytes(&[50])
}

/// The bank hashes of the slots before the parent: the parent's own enters when the first slot starts.
fn slot_hashes(options: &LedgerOptions) -> Data {
    let parent = options.start_slot - 1;
    let count = parent.min(MAX_SLOT_HASHES);
    let data = Data::default().number(count);
    newest(parent, count)
        .fold(data, |data, slot| {
            data.number(slot).bytes(chain::bank_hash(options.seed, slot).as_ref())
        })
        .padded(20_488)
}

fn recent_blockhashes(options: &LedgerOptions) -> Data {
    let count = options.start_slot.min(MAX_BLOCKHASHES);
    let data = Data::default().number(count);
    newest(options.start_slot, count)
        .fold(data, |data, slot| {
            data.bytes(chain::blockhash(options.seed, slot).as_ref())
                .number(LAMPORTS_PER_SIGNATURE)
        })
        .padded(6008)
}

/// A bit vector with one bit a slot, all of them set, and the slot after the last.
fn slot_history(options: &LedgerOptions) -> Data {
    let next = options.start_slot;
    let words = (0..HISTORY_WORDS).map(|word| history_word(next.saturating_sub(word * 64)));
    let data = Data::default().bytes(&[1]).number(HISTORY_WORDS);
    words.fold(data, Data::number).number(HISTORY_BITS).number(next)
}

fn history_word(set: u64) -> u64 {
    if set >= 64 { u64::MAX } else { (1 << set) - 1 }
}

/// The `count` slots below `end`, newest first.
fn newest(end: u64, count: u64) -> impl Iterator<Item = u64> {
    (end - count..end).rev()
}

fn account(address: Pubkey, Data(data): Data) -> AccountRecord {
    let lamports = rent_exempt(data.len());
    AccountRecord {
        address,
        lamports,
        owner: sysvar::id(),
        executable: false,
        rent_epoch: 0,
        data,
    }
}

/// Account data under construction: little-endian, without alignment.
#[derive(Default)]
struct Data(Vec<u8>);

impl Data {
    fn sized(length: usize) -> Self {
        Self::default().padded(length)
    }

    fn number(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    fn time(self, value: i64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn padded(mut self, length: usize) -> Self {
        self.0.resize(length, 0);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{accounts, paths};

    /// The sample's state is that after slot 35, and the real runtime wrote it.
    #[test]
    fn what_is_not_made_up_is_what_the_runtime_wrote() {
        let sample = accounts::read(&paths::sample("agave-small").join("accounts-start.jsonl.gz")).unwrap();
        let options = LedgerOptions {
            start_slot: 36,
            slots_per_epoch: 64,
            ..LedgerOptions::default()
        };
        for mut made in sysvars(&options) {
            let mut real = sample[&made.address].clone();
            if let Some(unknown) = made_up(&made.address) {
                made.data[unknown.clone()].fill(0);
                real.data[unknown].fill(0);
            }
            assert_eq!(made, real);
        }
    }

    fn made_up(address: &Pubkey) -> Option<std::ops::Range<usize>> {
        match *address {
            sysvar::clock::ID => Some(32..40),
            sysvar::slot_hashes::ID => Some(16..20_488),
            sysvar::recent_blockhashes::ID => Some(0..6008),
            _ => None,
        }
    }

    #[test]
    fn long_histories_are_capped() {
        let made = sysvars(&LedgerOptions {
            start_slot: 2_000_000,
            ..LedgerOptions::default()
        });
        let data = |id: Pubkey| &made.iter().find(|record| record.address == id).unwrap().data;
        assert_eq!(
            data(sysvar::slot_hashes::ID)[..16],
            [&512_u64.to_le_bytes()[..], &1_999_998_u64.to_le_bytes()].concat()
        );
        assert_eq!(data(sysvar::slot_hashes::ID).len(), 20_488);
        assert_eq!(data(sysvar::recent_blockhashes::ID)[..8], 150_u64.to_le_bytes());
        assert_eq!(data(sysvar::recent_blockhashes::ID).len(), 6008);
        assert!(
            data(sysvar::slot_history::ID)[9..131_081]
                .iter()
                .all(|byte| *byte == 0xff)
        );
    }
}
