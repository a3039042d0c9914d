//! The closing table of a run, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::{BankHashes, DivergenceRow, Facts, Metadata, Sink, SlotRecord, Unreproduced};
use crate::output::OutputError;
use crate::stdout::name_value_table;

/// How many divergences are told in words.
const TOLD: usize = 5;
/// How much of a recorded or computed value is shown, in characters.
const VALUE_LEN: usize = 120;

/// The first divergences of a run, collected as a sink and read at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct FirstDivergences(Arc<Mutex<Collected>>);

#[derive(Debug, Default)]
struct Collected {
    first: Vec<DivergenceRow>,
    /// How many there are altogether; a transaction counts once for each field.
    count: u64,
}

impl FirstDivergences {
    /// The first few.
    pub(crate) fn rows(&self) -> Vec<DivergenceRow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).first.clone()
    }
}

impl Sink for FirstDivergences {
    fn slot(&mut self, record: &SlotRecord) -> Result<(), OutputError> {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = TOLD.saturating_sub(collected.first.len());
        collected.first.extend(record.divergences.iter().take(room).cloned());
        collected.count += record.divergences.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>, _facts: &Facts) -> Result<(), OutputError> {
        Ok(())
    }
}

/// Prints the table and the first divergences.
pub(crate) fn print_table(to: &mut dyn Write, facts: &Facts, divergences: &FirstDivergences) -> io::Result<()> {
    write!(to, "{}", name_value_table(rows(facts)))?;
    let collected = divergences.0.lock().unwrap_or_else(PoisonError::into_inner);
    if collected.first.is_empty() {
        return Ok(());
    }
    writeln!(to, "\ndivergences:")?;
    for row in &collected.first {
        writeln!(to, "  {}", Told(row))?;
    }
    match collected.count - collected.first.len() as u64 {
        0 => Ok(()),
        more => writeln!(
            to,
            "  and {} more; --json or --output-file lists them all",
            Grouped(more)
        ),
    }
}

fn rows(facts: &Facts) -> Vec<(&'static str, String)> {
    let Facts { metadata, summary, .. } = facts;
    let mut rows = vec![
        ("range", range(metadata)),
        ("slots", format!("{} with a block", Grouped(summary.slots))),
        (
            "transactions",
            format!(
                "{}: {} succeeded, {} failed",
                Grouped(summary.total),
                Grouped(summary.successes),
                Grouped(summary.failures)
            ),
        ),
        ("matched", Grouped(summary.matched).to_string()),
        ("diverged", with_kinds(summary.diverged, &summary.diverged_by_class)),
        (
            "unverifiable",
            with_kinds(summary.unverifiable, &summary.unverifiable_by_reason),
        ),
        ("compute units", Grouped(summary.compute_units).to_string()),
        (
            "bank hashes",
            unless_interrupted(facts.bank_hashes.as_ref(), bank_hashes),
        ),
        (
            "unreproduced",
            unless_interrupted(facts.unreproduced.as_deref(), unreproduced),
        ),
        ("wall time", format!("{:.2} s", summary.wall_seconds)),
        ("speed", speed(facts)),
    ];
    if let Some(digest) = &metadata.result_digest {
        rows.push(("result digest", digest.clone()));
    }
    let archives = metadata.archive.iter().flat_map(|digests| digests.split(','));
    rows.extend(archives.map(|digest| ("archive", digest.to_owned())));
    rows
}

/// How many transactions there are, and why.
fn with_kinds(total: u64, kinds: &BTreeMap<String, u64>) -> String {
    let kinds = kinds.iter().map(|(kind, count)| format!("{} {kind}", Grouped(*count)));
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    match kinds.as_str() {
        "" => Grouped(total).to_string(),
        kinds => format!("{}: {kinds}", Grouped(total)),
    }
}

fn range(metadata: &Metadata) -> String {
    let interrupted = if metadata.complete { "" } else { " (interrupted)" };
    match metadata.end_slot {
        Some(end) => format!("{} to {end}{interrupted}", metadata.start_slot),
        None => format!("nothing from {}{interrupted}", metadata.start_slot),
    }
}

fn unless_interrupted<T: ?Sized>(known: Option<&T>, text: impl FnOnce(&T) -> String) -> String {
    known.map_or_else(|| "not known: the run was interrupted".to_owned(), text)
}

fn bank_hashes(hashes: &BankHashes) -> String {
    let BankHashes {
        agreed,
        differed,
        not_recorded,
        first_difference,
        unavailable,
    } = hashes;
    let computed = agreed + differed + not_recorded > 0;
    let mut text = String::new();
    if computed {
        text = format!(
            "{} agreed, {} differed, {} not recorded",
            Grouped(*agreed),
            Grouped(*differed),
            Grouped(*not_recorded)
        );
    }
    if let Some(slot) = first_difference {
        text.push_str(&format!("; the first that differs is that of slot {slot}"));
    }
    match unavailable {
        Some(reason) if computed => text.push_str(&format!("; others not computed: {reason}")),
        Some(reason) => text.push_str(&format!("not computed: {reason}")),
        None if !computed => text.push_str("none"),
        None => {}
    }
    text
}

fn unreproduced(items: &[Unreproduced]) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    let told = items.iter().take(TOLD).map(|item| {
        format!(
            "{} ({} times, first in slot {})",
            item.reason,
            Grouped(item.count),
            item.first_slot
        )
    });
    let mut told = told.collect::<Vec<_>>().join("; ");
    if items.len() > TOLD {
        told.push_str("; ...");
    }
    told
}

fn speed(facts: &Facts) -> String {
    let seconds = facts.summary.wall_seconds;
    if seconds <= 0.0 {
        return "unknown".to_owned();
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate that a person reads needs no more than 52 bits"
    )]
    let rate = |count: u64| count as f64 / seconds;
    format!(
        "{:.0} tx/s, {:.1} slots/s",
        rate(facts.summary.total),
        rate(facts.summary.slots)
    )
}

/// A divergence in words.
struct Told<'a>(&'a DivergenceRow);

impl fmt::Display for Told<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DivergenceRow {
            slot,
            index,
            signature,
            field,
            recorded,
            computed,
            class,
            culprit,
            root,
        } = self.0;
        let (recorded, computed) = (short(&recorded.to_string()), short(&computed.to_string()));
        let follows = if *root { "" } else { ", follows from an earlier one" };
        let culprit = culprit.iter().map(|culprit| format!(" {culprit}")).collect::<String>();
        write!(
            formatter,
            "slot {slot}, transaction {index} ({signature}): {field} was {recorded} and is {computed} ({class}{culprit}{follows})"
        )
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(VALUE_LEN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// A number with its digits in groups of three.
pub(crate) struct Grouped(pub(crate) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                formatter.write_str(",")?;
            }
            write!(formatter, "{digit}")?;
        }
        Ok(())
    }
}
