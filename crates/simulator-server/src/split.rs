//! How a range is shared out among sessions: along the archives.

use std::ops::RangeInclusive;

use simulator_archive::model::Slot;
use thiserror::Error;

/// The slots of one archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The slot of the block before the first one: it is known that those in between have none.
    pub(crate) parent: Slot,
    /// The slot of the first block.
    pub(crate) first: Slot,
    /// The slot of the last block.
    pub(crate) last: Slot,
}

/// A slot of which no archive says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no archive holds slot {0}")]
pub(crate) struct Uncovered(Slot);

/// Cuts a range into as few parts as possible, each of which one archive holds. A part begins where its archive does,
/// the first one where the range does. Slots without a block between two archives are in no part.
///
/// # Errors
/// There is a gap.
pub(crate) fn split(archives: &[Held], range: &RangeInclusive<Slot>) -> Result<Vec<RangeInclusive<Slot>>, Uncovered> {
    let mut parts: Vec<RangeInclusive<Slot>> = Vec::new();
    let mut next = *range.start();
    while next <= *range.end() {
        let archive = farthest(archives, next).ok_or(Uncovered(next))?;
        let mut start = next.max(archive.first);
        if let Some(before) = parts.last_mut().filter(|before| archive.first > *before.start()) {
            // They overlap: whoever starts where an archive does, need not execute what comes before in it.
            start = archive.first;
            *before = *before.start()..=(*before.end()).min(start - 1);
        }
        if start <= *range.end() {
            parts.push(start..=archive.last.min(*range.end()));
        }
        let Some(after) = archive.last.checked_add(1) else {
            break;
        };
        next = after;
    }
    Ok(parts)
}

/// Of the archives that know about a slot, the one that reaches farthest.
fn farthest(archives: &[Held], slot: Slot) -> Option<&Held> {
    let knows = |held: &&Held| held.first <= slot || held.parent < slot;
    let later = archives.iter().filter(|held| held.last >= slot).filter(knows);
    later.max_by_key(|held| (held.last, held.first))
}

#[cfg(test)]
mod tests {
    use simulator_api::{AvailableRange, BundleKind, split_range};

    use super::*;

    fn held(parent: Slot, first: Slot, last: Slot) -> Held {
        Held { parent, first, last }
    }

    /// Archives that begin right after a block.
    fn archives(slots: &[(Slot, Slot)]) -> Vec<Held> {
        slots
            .iter()
            .map(|(first, last)| held(first - 1, *first, *last))
            .collect()
    }

    fn parts(archives: &[Held], start: Slot, end: Slot) -> Vec<(Slot, Slot)> {
        let parts = split(archives, &(start..=end)).unwrap();
        parts.into_iter().map(RangeInclusive::into_inner).collect()
    }

    #[test]
    fn a_part_for_each_archive() {
        let archives = archives(&[(10, 19), (20, 29), (30, 39)]);
        assert_eq!(parts(&archives, 12, 35), [(12, 19), (20, 29), (30, 35)]);
        assert_eq!(parts(&archives, 20, 29), [(20, 29)]);
        assert_eq!(parts(&archives, 19, 20), [(19, 19), (20, 20)]);
        assert_eq!(split(&archives, &(12..=40)), Err(Uncovered(40)));
        assert_eq!(split(&archives, &(9..=12)), Err(Uncovered(9)));
    }

    #[test]
    fn overlapping_archives_are_cut_where_the_later_begins() {
        let overlapping = archives(&[(10, 30), (15, 20), (25, 50), (28, 40)]);
        assert_eq!(parts(&overlapping, 10, 50), [(10, 24), (25, 50)]);
        assert_eq!(parts(&overlapping, 26, 45), [(26, 45)]);
        assert_eq!(parts(&overlapping, 10, 30), [(10, 30)]);
    }

    #[test]
    fn skipped_slots_between_archives_are_no_gap() {
        let archives = [held(9, 10, 19), held(19, 22, 29)];
        assert_eq!(parts(&archives, 10, 29), [(10, 19), (22, 29)]);
        assert_eq!(parts(&archives, 10, 21), [(10, 19)]);
        assert_eq!(parts(&archives, 21, 25), [(22, 25)]);
        assert_eq!(parts(&archives, 20, 21), []);
        let missing = [held(9, 10, 19), held(20, 22, 29)];
        assert_eq!(split(&missing, &(10..=29)), Err(Uncovered(20)));
    }

    #[test]
    fn cuts_as_the_published_helper_does() {
        let slots = [(10, 30), (15, 20), (25, 50), (51, 60), (55, 70)];
        let ranges = slots.map(|(first, last)| AvailableRange {
            bundle_start_slot: first,
            bundle_start_slot_utc: None,
            max_bundle_end_slot: Some(last),
            max_bundle_end_slot_utc: None,
            max_bundle_size: None,
            kind: BundleKind::Blocks,
            scope: None,
        });
        let mut compared = 0;
        for (start, end) in [10, 15, 25, 51]
            .iter()
            .flat_map(|start| (start + 1..=70).map(|end| (*start, end)))
        {
            // It is stricter about where a range may begin.
            if let Ok(expected) = split_range(&ranges, start, end) {
                assert_eq!(parts(&archives(&slots), start, end), expected, "{start} to {end}");
                compared += 1;
            }
        }
        assert!(compared > 100, "only {compared} ranges were compared");
    }

    #[test]
    fn the_last_slot_of_all_can_be_asked_for() {
        assert_eq!(parts(&archives(&[(10, Slot::MAX)]), 10, Slot::MAX), [(10, Slot::MAX)]);
    }
}
