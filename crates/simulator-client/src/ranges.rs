//! Choosing among the slot ranges that a server offers.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use simulator_api::AvailableRange;
use thiserror::Error;

/// A bound of a search for ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeBound {
    /// A slot.
    Slot(u64),
    /// A time.
    Time(DateTime<Utc>),
}

/// A text that is neither a slot nor a time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("expected a slot, a date as 2026-02-21 or a time as 2026-02-21T10:00:00Z, got {text:?}")]
pub struct ParseRangeBoundError {
    text: String,
    #[source]
    source: chrono::ParseError,
}

impl FromStr for RangeBound {
    type Err = ParseRangeBoundError;

    /// Reads a slot, an RFC 3339 time, or a date, which stands for its first moment in UTC.
    fn from_str(text: &str) -> Result<Self, ParseRangeBoundError> {
        if let Ok(slot) = text.parse() {
            return Ok(Self::Slot(slot));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Time(time.to_utc()));
        }
        let date: NaiveDate = text.parse().map_err(|source| ParseRangeBoundError {
            text: text.to_owned(),
            source,
        })?;
        Ok(Self::Time(date.and_time(NaiveTime::MIN).and_utc()))
    }
}

/// The ranges that start at or after `after` and end at or before `before`. Where a range does not say when it starts
/// or where it ends, it is kept.
pub fn filter_ranges(
    ranges: &[AvailableRange],
    after: Option<&RangeBound>,
    before: Option<&RangeBound>,
) -> Vec<AvailableRange> {
    let starts_late_enough = |range: &AvailableRange| match after {
        None => true,
        Some(RangeBound::Slot(slot)) => range.bundle_start_slot >= *slot,
        Some(RangeBound::Time(time)) => range.bundle_start_slot_utc.is_none_or(|start| start >= *time),
    };
    let ends_early_enough = |range: &AvailableRange| match before {
        None => true,
        Some(RangeBound::Slot(slot)) => range.max_bundle_end_slot.is_none_or(|end| end <= *slot),
        Some(RangeBound::Time(time)) => range.max_bundle_end_slot_utc.is_none_or(|end| end <= *time),
    };
    ranges
        .iter()
        .filter(|range| starts_late_enough(range) && ends_early_enough(range))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges() -> Vec<AvailableRange> {
        serde_json::from_str(
            r#"[
                {"bundle_start_slot": 100, "bundle_start_slot_utc": "2026-02-21T10:00:00Z",
                 "max_bundle_end_slot": 199, "max_bundle_end_slot_utc": "2026-02-21T11:00:00Z"},
                {"bundle_start_slot": 200, "bundle_start_slot_utc": "2026-02-22T10:00:00Z",
                 "max_bundle_end_slot": 299, "max_bundle_end_slot_utc": "2026-02-22T11:00:00Z"},
                {"bundle_start_slot": 300}
            ]"#,
        )
        .unwrap()
    }

    fn starts(after: Option<&str>, before: Option<&str>) -> Vec<u64> {
        let bound = |text: &str| text.parse::<RangeBound>().unwrap();
        let (after, before) = (after.map(bound), before.map(bound));
        let found = filter_ranges(&ranges(), after.as_ref(), before.as_ref());
        found.iter().map(|range| range.bundle_start_slot).collect()
    }

    #[test]
    fn bounds_are_inclusive_and_what_is_unknown_is_kept() {
        assert_eq!(starts(None, None), [100, 200, 300]);
        assert_eq!(starts(Some("200"), None), [200, 300]);
        assert_eq!(starts(None, Some("199")), [100, 300]);
        assert_eq!(starts(Some("2026-02-22"), None), [200, 300]);
        assert_eq!(starts(None, Some("2026-02-21T12:00:00+01:00")), [100, 300]);
        assert_eq!(starts(Some("101"), Some("298")), [300]);
    }

    #[test]
    fn a_text_that_is_no_bound_is_refused() {
        let error = "yesterday".parse::<RangeBound>().unwrap_err();
        assert!(error.to_string().ends_with("got \"yesterday\""));
        assert!("-1".parse::<RangeBound>().is_err());
        assert_eq!("7".parse(), Ok(RangeBound::Slot(7)));
    }
}
