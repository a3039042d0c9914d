//! What is said about a run as a whole, from what its sessions said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use simulator_api::replay::ReplaySummary;
use simulator_archive::Digest;

use super::collect::Written;
use super::digest::{SessionDigest, combine};
use super::error::{SessionError, parse_digest};
use super::plan::SlotRange;
use super::session::SessionEnd;
use crate::report::{BankHashes, Facts, Metadata, Summary, Unreproduced};

/// What is known beside the sessions.
#[derive(Debug)]
pub(super) struct Circumstances {
    pub(super) span: SlotRange,
    pub(super) programs: Vec<String>,
    /// When the run began.
    pub(super) timestamp: DateTime<Utc>,
    pub(super) wall: Duration,
}

/// Puts everything together. `ends` is in slot order.
pub(super) fn facts(
    circumstances: Circumstances,
    ends: &[SessionEnd],
    written: &Written,
) -> Result<Facts, SessionError> {
    let complete = ends.iter().all(|end| end.completion.is_some());
    let Circumstances {
        span,
        programs,
        timestamp,
        wall,
    } = circumstances;
    let end_slot = if complete { Some(span.last) } else { written.last_slot() };
    let ends = contributing(ends, end_slot);
    let digest = if complete {
        Some(result_digest(ends)?.to_string())
    } else {
        None
    };
    let metadata = Metadata {
        start_slot: span.first,
        end_slot,
        program_id: programs,
        session_ids: ends.iter().map(|end| end.id.clone()).collect(),
        timestamp: timestamp.to_rfc3339_opts(SecondsFormat::Secs, true),
        archive: distinct(ends, |summary| &summary.archive_digest),
        engine: distinct(ends, |summary| &summary.engine),
        result_digest: digest,
        complete,
    };
    Ok(Facts {
        metadata,
        summary: summary(written, wall),
        bank_hashes: complete.then(|| bank_hashes(ends)),
        unreproduced: complete.then(|| unreproduced(ends)),
    })
}

/// Sessions of which something was written, or nothing was there to be written. What those behind the last written slot
/// computed was dropped.
fn contributing(ends: &[SessionEnd], last_slot: Option<u64>) -> &[SessionEnd] {
    let count = ends.partition_point(|end| last_slot.is_some_and(|last| end.range.first <= last));
    &ends[..count]
}

fn summaries(ends: &[SessionEnd]) -> impl Iterator<Item = &ReplaySummary> {
    ends.iter().filter_map(|end| end.summary.as_ref())
}

fn result_digest(ends: &[SessionEnd]) -> Result<Digest, SessionError> {
    let digests = ends
        .iter()
        .filter_map(|end| Some((end.range.first, &end.summary.as_ref()?.result_digest)));
    let digests = digests.map(|(start_slot, digest)| {
        let digest = parse_digest(digest)?;
        Ok(SessionDigest { start_slot, digest })
    });
    Ok(combine(digests.collect::<Result<_, SessionError>>()?))
}

/// The values of a text that most sessions share, in the order in which they first appear. `None` if there is none.
fn distinct(ends: &[SessionEnd], text: impl Fn(&ReplaySummary) -> &String) -> Option<String> {
    let mut seen = BTreeSet::new();
    let texts = summaries(ends).map(text).map(String::as_str);
    let texts: Vec<_> = texts.filter(|text| !text.is_empty() && seen.insert(*text)).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

fn summary(written: &Written, wall: Duration) -> Summary {
    let totals = &written.totals;
    Summary {
        slots: written.slots,
        total: totals.total,
        successes: totals.successes,
        failures: totals.failures,
        matched: totals.matched,
        diverged: totals.diverged,
        diverged_by_class: written.diverged_by_class.clone(),
        unverifiable: totals.unverifiable,
        unverifiable_by_reason: written.unverifiable_by_reason.clone(),
        compute_units: totals.compute_units,
        wall_seconds: wall.as_secs_f64(),
    }
}

fn bank_hashes(ends: &[SessionEnd]) -> BankHashes {
    let mut hashes = BankHashes::default();
    for counts in summaries(ends).map(|summary| &summary.bank_hashes) {
        hashes.add(counts);
    }
    hashes
}

/// By kind, over all sessions.
fn unreproduced(ends: &[SessionEnd]) -> Vec<Unreproduced> {
    let mut by_kind: BTreeMap<&str, Unreproduced> = BTreeMap::new();
    for item in summaries(ends).flat_map(|summary| &summary.unreproduced) {
        let known = by_kind.entry(&item.kind).or_insert_with(|| Unreproduced {
            kind: item.kind.clone(),
            count: 0,
            first_slot: item.first_slot,
            reason: item.reason.clone(),
        });
        known.count += item.count;
        known.first_slot = known.first_slot.min(item.first_slot);
    }
    by_kind.into_values().collect()
}

#[cfg(test)]
mod tests {
    use simulator_api::replay::BankHashCounts;

    use super::super::checkpoints::CheckpointCollector;
    use super::super::session::Completion;
    use super::*;
    use crate::report::SlotRow;

    fn end(first: u64, digest: &str, complete: bool) -> SessionEnd {
        let summary = ReplaySummary {
            result_digest: digest.repeat(32),
            archive_digest: "aa".repeat(32),
            engine: "engine 1".into(),
            bank_hashes: BankHashCounts {
                agreed: 2,
                ..BankHashCounts::default()
            },
            ..ReplaySummary::default()
        };
        let range = SlotRange { first, last: first + 9 };
        SessionEnd {
            id: format!("id{first}"),
            range,
            summary: Some(summary),
            completion: complete.then(|| Completion {
                checkpoints: CheckpointCollector::default().finish(),
                state: None,
            }),
        }
    }

    fn circumstances() -> Circumstances {
        Circumstances {
            span: SlotRange { first: 10, last: 29 },
            programs: vec![],
            timestamp: DateTime::UNIX_EPOCH,
            wall: Duration::from_millis(1500),
        }
    }

    fn facts_of(ends: &[SessionEnd]) -> Facts {
        let totals = SlotRow {
            slot: 15,
            total: 3,
            ..SlotRow::default()
        };
        facts(
            circumstances(),
            ends,
            &Written {
                slots: 2,
                totals,
                ..Written::default()
            },
        )
        .expect("good digests")
    }

    #[test]
    fn sessions_are_added_up() {
        let facts = facts_of(&[end(10, "01", true), end(20, "02", true)]);
        assert_eq!(facts.bank_hashes.map(|hashes| hashes.agreed), Some(4));
        assert_eq!((facts.metadata.end_slot, facts.summary.wall_seconds), (Some(29), 1.5));
        assert_eq!(facts.metadata.archive, Some("aa".repeat(32)));
        assert_eq!(facts.metadata.session_ids, ["id10", "id20"]);
        assert_eq!(facts.metadata.result_digest.map(|digest| digest.len()), Some(64));
    }

    #[test]
    fn an_interrupted_run_ends_where_it_was_and_has_no_digest() {
        // Slot 15 is the last that was written; what the session at 20 computed never was.
        let facts = facts_of(&[end(10, "01", false), end(20, "02", true)]);
        assert_eq!(
            (facts.metadata.end_slot, facts.metadata.result_digest),
            (Some(15), None)
        );
        assert_eq!(facts.metadata.session_ids, ["id10"]);
        assert_eq!((facts.bank_hashes, facts.unreproduced), (None, None));
        assert_eq!(facts.metadata.archive, Some("aa".repeat(32)));
    }

    #[test]
    fn an_interrupted_run_that_wrote_nothing_says_nothing() {
        let ends = [end(10, "01", false)];
        let facts = facts(circumstances(), &ends, &Written::default()).expect("no digests");
        let Metadata {
            end_slot,
            session_ids,
            archive,
            engine,
            ..
        } = facts.metadata;
        assert_eq!((end_slot, archive, engine), (None, None, None));
        assert!(session_ids.is_empty());
    }

    #[test]
    fn a_digest_that_is_none_is_refused() {
        let error = facts(circumstances(), &[end(10, "xy", true)], &Written::default()).expect_err("not hexadecimal");
        assert!(matches!(error, SessionError::Digest { .. }));
    }
}
