//! What was used, by key and by day. No clock and no disk.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};
use simulator_api::usage::{ComputeTotals, DailyUsage, SessionCounts, UsageReport};

use super::counts::Counts;

/// Most days that are kept of a key; older ones are forgotten.
const MAX_DAYS: usize = 400;

/// The layout of the book on disk.
const VERSION: u32 = 1;

/// Everything that was counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Book {
    version: u32,
    since: DateTime<Utc>,
    keys: BTreeMap<String, BTreeMap<NaiveDate, Counts>>,
}

/// A span of time that somebody asks about; an open end is the begin of the book, or now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) until: Option<DateTime<Utc>>,
}

/// What was used in a span.
#[derive(Debug)]
pub(super) struct Page {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    pub(super) total: Counts,
    daily: Vec<DailyUsage>,
}

/// A book that this version does not know.
#[derive(Debug, thiserror::Error)]
pub(super) enum BookError {
    #[error("it is not JSON of the form that is written here")]
    Shape(#[from] serde_json::Error),
    #[error("its version is {0}, and this program knows version {VERSION}")]
    Version(u32),
}

impl Book {
    /// An empty book that begins now.
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self {
            version: VERSION,
            since: now,
            keys: BTreeMap::new(),
        }
    }

    /// Reads a book.
    ///
    /// # Errors
    /// [`BookError`] if it is none, or of another version.
    pub(super) fn from_json(text: &str) -> Result<Self, BookError> {
        let book: Self = serde_json::from_str(text)?;
        if book.version == VERSION {
            Ok(book)
        } else {
            Err(BookError::Version(book.version))
        }
    }

    /// The book as text.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a book has text keys only, so that it always serialises")
    }

    /// Whether nothing was counted.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds everything in another book.
    pub(super) fn merge(&mut self, other: &Self) {
        for (key, days) in &other.keys {
            for (day, counts) in days {
                self.add(key, *day, *counts);
            }
        }
    }

    /// Takes everything away that was in this book before, and is in `part`.
    pub(super) fn take_away(&mut self, part: &Self) {
        self.keys.retain(|key, days| {
            let taken = part.keys.get(key);
            days.retain(|day, counts| {
                if let Some(taken) = taken.and_then(|days| days.get(day)) {
                    counts.take_away(taken);
                }
                *counts != Counts::default()
            });
            !days.is_empty()
        });
    }

    /// When counting began.
    pub(super) fn since(&self) -> DateTime<Utc> {
        self.since
    }

    /// Adds to a day of a key.
    pub(super) fn add(&mut self, key: &str, day: NaiveDate, counts: Counts) {
        if counts == Counts::default() {
            return;
        }
        let days = self.keys.entry(key.to_owned()).or_default();
        days.entry(day).or_default().add(&counts);
        while days.len() > MAX_DAYS {
            days.pop_first();
        }
    }

    /// What a key used in a span, by this book and a later one. It begins at midnight, and nothing is known within a day.
    pub(super) fn report(&self, later: &Self, key: &str, span: Span, now: DateTime<Utc>) -> Page {
        let until = span.until.unwrap_or(now).min(now);
        let begin = span.since.unwrap_or(self.since).max(self.since).min(until).date_naive();
        let (mut total, mut daily) = (Counts::default(), Vec::new());
        for day in begin.iter_days() {
            let start = midnight(day);
            if start >= until && day > begin {
                break;
            }
            let mut counts = self.on(key, day);
            counts.add(&later.on(key, day));
            total.add(&counts);
            daily.push(DailyUsage {
                start,
                end: day.checked_add_days(Days::new(1)).map_or(until, midnight).min(until),
                sessions: sessions(&counts),
                compute: compute(&counts),
            });
        }
        Page {
            since: midnight(begin),
            until,
            total,
            daily,
        }
    }
}

impl Book {
    fn on(&self, key: &str, day: NaiveDate) -> Counts {
        let days = self.keys.get(key);
        days.and_then(|days| days.get(&day)).copied().unwrap_or_default()
    }
}

impl Page {
    pub(super) fn into_report(self, key: &str) -> UsageReport {
        UsageReport {
            api_key_name: key.to_owned(),
            since: self.since,
            until: self.until,
            sessions: sessions(&self.total),
            compute: compute(&self.total),
            daily: self.daily,
            bundle_builds: None,
            pricing: None,
            activity: None,
        }
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

fn sessions(counts: &Counts) -> SessionCounts {
    SessionCounts {
        started: counts.started,
        completed: counts.completed,
        failed: counts.failed,
    }
}

fn compute(counts: &Counts) -> ComputeTotals {
    ComputeTotals {
        executed_slot_count: counts.slots,
        session_duration_ms: counts.session_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn slots(slots: u64) -> Counts {
        Counts {
            slots,
            ..Counts::default()
        }
    }

    /// Three days of one key, the second of which it did not come.
    fn book() -> Book {
        let mut book = Book::new(time("2026-03-01T12:00:00Z"));
        for (key, day, count) in [("a", "2026-03-01", 1), ("a", "2026-03-03", 10), ("b", "2026-03-03", 5)] {
            book.add(key, day.parse().unwrap(), slots(count));
        }
        book
    }

    fn report(since: Option<&str>, until: Option<&str>) -> UsageReport {
        let span = Span {
            since: since.map(time),
            until: until.map(time),
        };
        let now = time("2026-03-03T09:30:00Z");
        book().report(&Book::new(now), "a", span, now).into_report("a")
    }

    #[test]
    fn days_have_no_gap_and_the_last_may_be_partial() {
        let report = report(None, None);
        let days: Vec<_> = report
            .daily
            .iter()
            .map(|day| {
                (
                    day.start.to_rfc3339(),
                    day.end.to_rfc3339(),
                    day.compute.executed_slot_count,
                )
            })
            .collect();
        let day =
            |start: &str, end: &str, slots| (format!("2026-03-{start}+00:00"), format!("2026-03-{end}+00:00"), slots);
        assert_eq!(
            days,
            [
                day("01T00:00:00", "02T00:00:00", 1),
                day("02T00:00:00", "03T00:00:00", 0),
                day("03T00:00:00", "03T09:30:00", 10)
            ]
        );
        assert_eq!(report.compute.executed_slot_count, 11);
        assert_eq!(report.since, time("2026-03-01T00:00:00Z"));
    }

    #[test]
    fn a_span_is_cut_to_what_there_is() {
        let days = |since, until| report(since, until).daily.len();
        assert_eq!(days(Some("1970-01-01T00:00:00Z"), Some("2999-01-01T00:00:00Z")), 3);
        assert_eq!(days(Some("2026-03-03T08:00:00Z"), None), 1);
        assert_eq!(days(None, Some("2026-03-02T00:00:00Z")), 1);
        assert_eq!(days(Some("2999-01-01T00:00:00Z"), None), 1, "that is today");
    }

    #[test]
    fn keys_see_themselves_only() {
        let now = time("2026-03-03T09:30:00Z");
        let slots = |key| book().report(&book(), key, Span::default(), now).total.slots;
        assert_eq!((slots("a"), slots("b"), slots("c")), (22, 10, 0));
    }

    #[test]
    fn what_was_merged_elsewhere_can_be_taken_away() {
        let (mut all, part) = (book(), book());
        all.merge(&part);
        all.add("c", "2026-03-03".parse().unwrap(), slots(1));
        assert_eq!(all.keys["a"].values().map(|counts| counts.slots).sum::<u64>(), 22);
        all.take_away(&part);
        all.take_away(&part);
        assert_eq!(all.keys.keys().collect::<Vec<_>>(), ["c"]);
        assert!(!all.is_empty() && Book::new(all.since).is_empty());
    }

    #[test]
    fn comes_back_as_it_was_written() {
        let text = book().to_json();
        assert_eq!(Book::from_json(&text).unwrap(), book());
        let other = text.replace("\"version\":1", "\"version\":2");
        assert!(matches!(Book::from_json(&other), Err(BookError::Version(2))));
        assert!(matches!(Book::from_json("{"), Err(BookError::Shape(_))));
    }

    #[test]
    fn old_days_are_forgotten() {
        let mut book = book();
        let first: NaiveDate = "2020-01-01".parse().unwrap();
        first
            .iter_days()
            .take(MAX_DAYS + 7)
            .for_each(|day| book.add("c", day, slots(1)));
        assert_eq!(book.keys["c"].len(), MAX_DAYS);
    }
}
