//! Cutting a range of slots along the bundles that a server offers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use thiserror::Error;

use crate::{AvailableRange, BundleKind, SlotRange};

/// Why a range cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SplitRangeError {
    /// The range ends before it begins.
    #[error("end slot {end} is before start slot {start}")]
    Reversed {
        /// The start that was asked for.
        start: u64,
        /// The end that was asked for.
        end: u64,
    },
    /// No bundle starts exactly at the range.
    #[error("no available range starts at slot {start}")]
    StartNotAvailable {
        /// The start that was asked for.
        start: u64,
    },
    /// A slot of the range is in no bundle that fits the pieces before it.
    #[error("slot {slot} is not covered by the available ranges")]
    Uncovered {
        /// The first such slot.
        slot: u64,
    },
}

/// Cuts `start..=end` into as few pieces as possible (0.8).
///
/// The first piece must start where a bundle does; every further piece starts where a bundle does, too, and a piece
/// ends before the next one starts. Bundles of unknown end or a single slot are not considered, nor those that start
/// at `end`, unless the range is a single slot.
///
/// # Errors
///
/// [`SplitRangeError`] if no bundle starts at `start`, or there is a gap.
pub fn split_range(ranges: &[AvailableRange], start: u64, end: u64) -> Result<Vec<(u64, u64)>, SplitRangeError> {
    if end < start {
        return Err(SplitRangeError::Reversed { start, end });
    }
    let bundles = farthest_ends(ranges, start..end.max(start.saturating_add(1)));
    let mut covered_to = *bundles
        .get(&start)
        .ok_or(SplitRangeError::StartNotAvailable { start })?;
    let mut starts = vec![start];
    while covered_to < end {
        let next = covered_to + 1;
        let reachable = bundles.range(..=next).max_by_key(|(_, bundle_end)| **bundle_end);
        match reachable {
            Some((bundle_start, bundle_end)) if *bundle_end > covered_to => {
                starts.push(*bundle_start);
                covered_to = *bundle_end;
            }
            _ => return Err(SplitRangeError::Uncovered { slot: next }),
        }
    }
    Ok(pieces_from_starts(&starts, end))
}

/// Cuts a range into as many gap-free pieces as the bundles of a kind allow (0.28).
///
/// The first piece starts where the latest bundle starts that covers the start of the range, which may be before it.
/// Every piece starts where a bundle does and ends where a bundle with that start does; the last is cut to the range.
///
/// # Errors
///
/// [`SplitRangeError`] if the range is reversed or the bundles leave a gap.
pub fn split_range_finest(
    ranges: &[AvailableRange],
    range: SlotRange,
    kind: &BundleKind,
) -> Result<Vec<SlotRange>, SplitRangeError> {
    tile(ranges, range, kind, |pieces, best| pieces > best)
}

/// Like [`split_range_finest`], with as few pieces as possible (0.28).
///
/// # Errors
///
/// As [`split_range_finest`].
pub fn split_range_fewest(
    ranges: &[AvailableRange],
    range: SlotRange,
    kind: &BundleKind,
) -> Result<Vec<SlotRange>, SplitRangeError> {
    tile(ranges, range, kind, |pieces, best| pieces < best)
}

/// For each start in the range, the farthest end of a bundle.
fn farthest_ends(ranges: &[AvailableRange], starts: Range<u64>) -> BTreeMap<u64, u64> {
    let mut farthest = BTreeMap::new();
    for bundle in ranges {
        let (start, Some(end)) = (bundle.bundle_start_slot, bundle.max_bundle_end_slot) else {
            continue;
        };
        if end > start && starts.contains(&start) {
            let known = farthest.entry(start).or_insert(end);
            *known = end.max(*known);
        }
    }
    farthest
}

/// Pieces that reach from each start to the slot before the next.
fn pieces_from_starts(starts: &[u64], end: u64) -> Vec<(u64, u64)> {
    let ends = starts.iter().skip(1).map(|next| next - 1).chain([end]);
    starts.iter().copied().zip(ends).collect()
}

/// Ends of the bundles of one kind, by start.
type EndsByStart = BTreeMap<u64, BTreeSet<u64>>;

fn tile(
    ranges: &[AvailableRange],
    range: SlotRange,
    kind: &BundleKind,
    is_better: impl Fn(usize, usize) -> bool,
) -> Result<Vec<SlotRange>, SplitRangeError> {
    let SlotRange { start, end } = range;
    if end < start {
        return Err(SplitRangeError::Reversed { start, end });
    }
    let bundles = ends_by_start(ranges, kind);
    let anchor = anchor(&bundles, start).ok_or(SplitRangeError::Uncovered { slot: start })?;
    let tilings = best_tilings(&bundles, anchor, end, is_better);
    if !tilings.contains_key(&anchor) {
        return Err(SplitRangeError::Uncovered {
            slot: first_uncovered(&bundles, anchor, start),
        });
    }
    Ok(follow(&tilings, anchor, end))
}

fn ends_by_start(ranges: &[AvailableRange], kind: &BundleKind) -> EndsByStart {
    let mut bundles = EndsByStart::new();
    for bundle in ranges.iter().filter(|bundle| bundle.kind == *kind) {
        if let Some(end) = bundle
            .max_bundle_end_slot
            .filter(|end| *end >= bundle.bundle_start_slot)
        {
            bundles.entry(bundle.bundle_start_slot).or_default().insert(end);
        }
    }
    bundles
}

/// The latest start whose bundle covers the slot.
fn anchor(bundles: &EndsByStart, slot: u64) -> Option<u64> {
    let covering = |ends: &BTreeSet<u64>| ends.last().is_some_and(|end| *end >= slot);
    bundles
        .range(..=slot)
        .rev()
        .find(|(_, ends)| covering(ends))
        .map(|(start, _)| *start)
}

/// The best way on from one start.
#[derive(Clone, Copy)]
struct Tiling {
    /// Where the piece ends.
    end: u64,
    /// How many pieces there are from here to the end of the range.
    pieces: usize,
}

/// The best tiling from each start from which there is one; decided from the last start backwards.
fn best_tilings(
    bundles: &EndsByStart,
    anchor: u64,
    range_end: u64,
    is_better: impl Fn(usize, usize) -> bool,
) -> BTreeMap<u64, Tiling> {
    let mut tilings: BTreeMap<u64, Tiling> = BTreeMap::new();
    for (start, ends) in bundles.range(anchor..=range_end).rev() {
        let candidates = ends.iter().filter_map(|end| extend(&tilings, *end, range_end));
        let better = |best: Tiling, tiling: Tiling| {
            if is_better(tiling.pieces, best.pieces) {
                tiling
            } else {
                best
            }
        };
        if let Some(best) = candidates.reduce(better) {
            tilings.insert(*start, best);
        }
    }
    tilings
}

fn extend(tilings: &BTreeMap<u64, Tiling>, end: u64, range_end: u64) -> Option<Tiling> {
    if end >= range_end {
        return Some(Tiling {
            end: range_end,
            pieces: 1,
        });
    }
    tilings.get(&(end + 1)).map(|rest| Tiling {
        end,
        pieces: rest.pieces + 1,
    })
}

fn follow(tilings: &BTreeMap<u64, Tiling>, anchor: u64, range_end: u64) -> Vec<SlotRange> {
    let mut pieces = Vec::new();
    let mut start = anchor;
    while let Some(tiling) = tilings.get(&start) {
        pieces.push(SlotRange { start, end: tiling.end });
        if tiling.end >= range_end {
            break;
        }
        start = tiling.end + 1;
    }
    pieces
}

/// The slot after the farthest piece that can be reached from the anchor. Only asked when there is no tiling.
fn first_uncovered(bundles: &EndsByStart, anchor: u64, range_start: u64) -> u64 {
    let mut reached = BTreeSet::from([anchor]);
    let mut farthest = range_start;
    while let Some(start) = reached.pop_first() {
        for end in bundles.get(&start).into_iter().flatten() {
            let next = end.saturating_add(1);
            farthest = farthest.max(next);
            reached.insert(next);
        }
    }
    farthest
}
