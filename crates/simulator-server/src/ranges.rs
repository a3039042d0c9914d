//! The slot ranges that a server offers.

use chrono::DateTime;
use simulator_api::{AvailableRange, BundleKind, RangeScope};

use crate::archives::{Archives, ServedArchive};

/// One range for each archive, in slot order. Sessions may start and end anywhere inside.
pub(crate) fn available_ranges(archives: &Archives) -> Vec<AvailableRange> {
    archives.iter().map(range).collect()
}

fn range(served: &ServedArchive) -> AvailableRange {
    let (first, last) = served.slots().into_inner();
    AvailableRange {
        bundle_start_slot: first,
        bundle_start_slot_utc: served.first_time.and_then(|time| DateTime::from_timestamp(time, 0)),
        max_bundle_end_slot: Some(last),
        max_bundle_end_slot_utc: served.last_time.and_then(|time| DateTime::from_timestamp(time, 0)),
        max_bundle_size: Some(last - first + 1),
        kind: BundleKind::Blocks,
        scope: Some(RangeScope::Global),
    }
}
