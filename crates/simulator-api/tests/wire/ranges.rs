//! Ranges of unknown kinds, and cutting a range along bundles.

use simulator_api::{
    AvailableRange, BundleKind, RangeScope, SlotRange, SplitRangeError, split_range, split_range_fewest,
    split_range_finest,
};

#[test]
fn a_range_needs_only_its_start() {
    let range: AvailableRange = serde_json::from_str(r#"{"bundle_start_slot": 5}"#).unwrap();
    assert_eq!(
        (range.kind, range.scope, range.max_bundle_end_slot),
        (BundleKind::Blocks, None, None)
    );
    let text = r#"{"bundle_start_slot": 5, "kind": "shreds", "scope": "team"}"#;
    let range: AvailableRange = serde_json::from_str(text).unwrap();
    assert_eq!(range.kind, BundleKind::Unknown("shreds".into()));
    assert_eq!(range.scope, Some(RangeScope::Unknown("team".into())));
}

#[test]
fn coarse_pieces_start_at_bundles_and_end_at_the_range() {
    let bundles = bundles(&[(0, 99), (100, 199), (100, 299), (300, 399)]);
    assert_eq!(split_range(&bundles, 0, 350), Ok(vec![(0, 99), (100, 299), (300, 350)]));
    assert_eq!(split_range(&bundles, 100, 150), Ok(vec![(100, 150)]));
    assert_eq!(split_range(&bundles, 100, 100), Ok(vec![(100, 100)]));
}

#[test]
fn overlapping_bundles_are_cut_where_the_next_starts() {
    let bundles = bundles(&[(0, 99), (10, 60), (50, 149)]);
    assert_eq!(split_range(&bundles, 0, 140), Ok(vec![(0, 49), (50, 140)]));
}

#[test]
fn a_coarse_split_says_what_is_missing() {
    let mut bundles = bundles(&[(0, 99), (150, 199)]);
    assert_eq!(
        split_range(&bundles, 1, 50),
        Err(SplitRangeError::StartNotAvailable { start: 1 })
    );
    assert_eq!(
        split_range(&bundles, 0, 180),
        Err(SplitRangeError::Uncovered { slot: 100 })
    );
    assert_eq!(
        split_range(&bundles, 5, 4),
        Err(SplitRangeError::Reversed { start: 5, end: 4 })
    );
    bundles[0].max_bundle_end_slot = None;
    assert_eq!(
        split_range(&bundles, 0, 50),
        Err(SplitRangeError::StartNotAvailable { start: 0 })
    );
}

#[test]
fn finest_and_fewest_tile_from_the_covering_bundle() {
    let bundles = bundles(&[(0, 99), (0, 199), (100, 149), (150, 199), (200, 299)]);
    let range = SlotRange::new(10, 220);
    assert_eq!(
        split_range_finest(&bundles, range, &BundleKind::Blocks),
        Ok(pieces(&[(0, 99), (100, 149), (150, 199), (200, 220)]))
    );
    assert_eq!(
        split_range_fewest(&bundles, range, &BundleKind::Blocks),
        Ok(pieces(&[(0, 199), (200, 220)]))
    );
    let range = SlotRange::new(160, 170);
    assert_eq!(
        split_range_finest(&bundles, range, &BundleKind::Blocks),
        Ok(pieces(&[(150, 170)]))
    );
}

#[test]
fn a_piece_that_leads_nowhere_is_not_taken() {
    let bundles = bundles(&[(0, 49), (0, 99), (50, 80), (100, 199)]);
    let range = SlotRange::new(0, 150);
    assert_eq!(
        split_range_finest(&bundles, range, &BundleKind::Blocks),
        Ok(pieces(&[(0, 99), (100, 150)]))
    );
}

#[test]
fn a_tiling_says_which_slot_is_not_covered() {
    let bundles = bundles(&[(10, 49), (50, 80), (100, 199)]);
    let split = |start, end| split_range_finest(&bundles, SlotRange::new(start, end), &BundleKind::Blocks);
    assert_eq!(split(20, 150), Err(SplitRangeError::Uncovered { slot: 81 }));
    assert_eq!(split(5, 20), Err(SplitRangeError::Uncovered { slot: 5 }));
    assert_eq!(split(90, 120), Err(SplitRangeError::Uncovered { slot: 90 }));
    assert_eq!(split(20, 10), Err(SplitRangeError::Reversed { start: 20, end: 10 }));
}

#[test]
fn a_tiling_takes_bundles_of_its_kind_only() {
    let bundles = bundles(&[(0, 99)]);
    let range = SlotRange::new(0, 50);
    let other = split_range_finest(&bundles, range, &BundleKind::AccountState);
    assert_eq!(other, Err(SplitRangeError::Uncovered { slot: 0 }));
}

fn bundles(ranges: &[(u64, u64)]) -> Vec<AvailableRange> {
    let bundle = |&(start, end): &(u64, u64)| AvailableRange {
        bundle_start_slot: start,
        bundle_start_slot_utc: None,
        max_bundle_end_slot: Some(end),
        max_bundle_end_slot_utc: None,
        max_bundle_size: None,
        kind: BundleKind::Blocks,
        scope: None,
    };
    ranges.iter().map(bundle).collect()
}

fn pieces(ranges: &[(u64, u64)]) -> Vec<SlotRange> {
    ranges.iter().map(|&(start, end)| SlotRange::new(start, end)).collect()
}
