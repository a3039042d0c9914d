//! The made-up chain: which slots have blocks, and every hash.

use std::num::NonZeroU64;

use solana_hash::Hash;

use super::LedgerOptions;
use crate::seeded::Seeded;

const BLOCKHASHES: u64 = 0;
const BANK_HASHES: u64 = 1;

/// The time of slot 0, in seconds since 1970.
const GENESIS_TIME: i64 = 1_780_000_000;

/// One slot that has a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: u64,
    pub(super) parent_slot: u64,
    pub(super) height: u64,
    pub(super) empty: bool,
}

/// The slots that have blocks, in order.
pub(super) fn places(options: &LedgerOptions) -> impl Iterator<Item = Place> + use<> {
    let (start, skip_every, empty_every) = (options.start_slot, options.skip_every, options.empty_every);
    let produced = (0..options.slots).filter(move |offset| !is_nth(*offset, skip_every));
    produced.enumerate().scan(start - 1, move |parent, (number, offset)| {
        let number = number as u64;
        let slot = start + offset;
        let parent_slot = std::mem::replace(parent, slot);
        Some(Place {
            slot,
            parent_slot,
            height: start + number,
            empty: is_nth(number, empty_every),
        })
    })
}

/// The blockhash of the block in `slot`.
pub(super) fn blockhash(seed: u64, slot: u64) -> Hash {
    Hash::new_from_array(Seeded::for_item(seed, BLOCKHASHES, slot).bytes())
}

/// The bank hash of a slot before the first block; nothing in the ledger depends on it.
pub(super) fn bank_hash(seed: u64, slot: u64) -> Hash {
    Hash::new_from_array(Seeded::for_item(seed, BANK_HASHES, slot).bytes())
}

/// The Clock's time in `slot`, at 400 ms a slot, in seconds since 1970.
pub(super) fn time(slot: u64) -> i64 {
    let seconds = slot * 2 / 5;
    GENESIS_TIME.saturating_add_unsigned(seconds)
}

fn is_nth(offset: u64, every: Option<NonZeroU64>) -> bool {
    every.is_some_and(|every| (offset + 1).is_multiple_of(every.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_slots_have_no_place_and_parents_are_true() {
        let options = LedgerOptions {
            start_slot: 10,
            slots: 7,
            skip_every: NonZeroU64::new(3),
            ..LedgerOptions::default()
        };
        let found: Vec<_> = places(&options)
            .map(|place| (place.slot, place.parent_slot, place.height))
            .collect();
        assert_eq!(
            found,
            [(10, 9, 10), (11, 10, 11), (13, 11, 12), (14, 13, 13), (16, 14, 14)]
        );
    }

    #[test]
    fn every_nth_block_is_empty() {
        let options = LedgerOptions {
            slots: 5,
            empty_every: NonZeroU64::new(2),
            ..LedgerOptions::default()
        };
        let empty: Vec<_> = places(&options).map(|place| place.empty).collect();
        assert_eq!(empty, [false, true, false, true, false]);
    }
}
