//! What a session had computed at some of its slots: few enough for a small file, whatever the length of the range.

use serde::{Deserialize, Serialize};
use simulator_archive::Digest;

/// The most that are kept.
const MAX: usize = 256;

/// The digest of everything that a session has done up to the end of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkpoint {
    pub(crate) slot: u64,
    pub(crate) digest: Digest,
}

/// Every `interval`-th slot with a block, and the last one. Which slots these are follows from how many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkpoints {
    pub(crate) interval: u64,
    pub(crate) slots: Vec<Checkpoint>,
}

/// Where two sessions part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parting {
    /// The last slot up to whose end they are known to have done the same.
    pub(crate) after: Option<u64>,
    /// The first slot at whose end they are known to differ.
    pub(crate) slot: u64,
    /// Whether no slot with a block lies between the two.
    pub(crate) exact: bool,
}

/// Collects checkpoints slot by slot.
#[derive(Clone, Debug)]
pub(crate) struct CheckpointCollector {
    kept: Vec<Checkpoint>,
    interval: u64,
    seen: u64,
    last: Option<Checkpoint>,
}

impl Default for CheckpointCollector {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            interval: 1,
            seen: 0,
            last: None,
        }
    }
}

impl CheckpointCollector {
    /// Takes the next slot.
    pub(crate) fn push(&mut self, checkpoint: Checkpoint) {
        self.seen += 1;
        self.last = Some(checkpoint);
        if self.seen.is_multiple_of(self.interval) {
            self.kept.push(checkpoint);
        }
        if self.kept.len() > MAX {
            let mut number = 0_u64;
            self.kept.retain(|_| {
                number += 1;
                number.is_multiple_of(2)
            });
            self.interval *= 2;
        }
    }

    /// All that are kept.
    pub(crate) fn finish(mut self) -> Checkpoints {
        if self.kept.last() != self.last.as_ref() {
            self.kept.extend(self.last);
        }
        Checkpoints {
            interval: self.interval,
            slots: self.kept,
        }
    }
}

impl Checkpoints {
    /// Where another session over the same range parts from this one, if it does.
    pub(crate) fn parting(&self, other: &Self) -> Option<Parting> {
        let pairs = self.slots.iter().zip(&other.slots);
        let same = pairs.take_while(|(one, other)| one == other).count();
        let one = self.slots.get(same).map(|checkpoint| checkpoint.slot);
        let other = other.slots.get(same).map(|checkpoint| checkpoint.slot);
        let slot = one.into_iter().chain(other).min()?;
        Some(Parting {
            after: same.checked_sub(1).map(|last| self.slots[last].slot),
            slot,
            exact: self.interval == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(slot: u64, byte: u8) -> Checkpoint {
        Checkpoint {
            slot,
            digest: Digest([byte; 32]),
        }
    }

    /// Slots 10 to 10 + `count`, whose digests change from `parting` on.
    fn session(count: u64, parting: u64) -> Checkpoints {
        let mut collector = CheckpointCollector::default();
        for slot in 10..10 + count {
            collector.push(checkpoint(slot, u8::from(slot >= parting)));
        }
        collector.finish()
    }

    #[test]
    fn every_slot_of_a_short_range_is_kept() {
        let short = session(3, 99);
        assert_eq!(short.slots, [10, 11, 12].map(|slot| checkpoint(slot, 0)));
        assert_eq!((short.interval, session(256, 0).slots.len()), (1, 256));
    }

    #[test]
    fn a_long_range_keeps_few_and_always_the_last() {
        for count in [257, 1000, 4097, 100_000] {
            let long = session(count, 0);
            assert!(long.slots.len() <= MAX + 1, "{}", long.slots.len());
            assert_eq!(long.slots.last().expect("some").slot, 9 + count);
            let apart = long.slots.windows(2).map(|pair| pair[1].slot - pair[0].slot);
            assert!(apart.take(long.slots.len() - 2).all(|slots| slots == long.interval));
        }
    }

    #[test]
    fn sessions_part_where_the_first_digest_differs() {
        let same = session(20, 99);
        assert_eq!(same.parting(&same), None);
        let exact = |after, slot| Parting {
            after,
            slot,
            exact: true,
        };
        assert_eq!(same.parting(&session(20, 14)), Some(exact(Some(13), 14)));
        assert_eq!(same.parting(&session(20, 10)), Some(exact(None, 10)));
        assert_eq!(same.parting(&session(18, 99)), Some(exact(Some(27), 28)));
        assert_eq!(session(18, 99).parting(&same), Some(exact(Some(27), 28)));
    }

    #[test]
    fn in_a_long_range_they_part_between_two_checkpoints() {
        let parting = session(1000, 9999).parting(&session(1000, 700)).expect("they part");
        assert!(!parting.exact);
        assert!(parting.after.expect("some are the same") < 700 && parting.slot >= 700);
    }
}
