//! `sim archive inspect`.

use serde::Serialize;
use simulator_archive::{Closure, Manifest, Scope, StateIndex};

use super::ArchiveCommandError;
use crate::args::ArchiveArgs;
use crate::exit::Exit;
use crate::output::OutputError;
use crate::prepare::open_archive;
use crate::report::Grouped;
use crate::stdout::{name_value_table, print, print_json};

/// Prints what an archive holds.
pub(super) async fn inspect(args: ArchiveArgs) -> Result<Exit, ArchiveCommandError> {
    let archive = open_archive(&args.archive).await?;
    if args.json {
        let inspection = Inspection::of(archive.manifest());
        print_json(&inspection)?;
    } else {
        print_archive(archive.manifest())?;
    }
    Ok(Exit::Done)
}

/// Prints the table of an archive.
pub(super) fn print_archive(manifest: &Manifest) -> Result<(), OutputError> {
    print(|stdout| write!(stdout, "{}", name_value_table(rows(manifest))))
}

/// An archive in JSON.
#[derive(Debug, Serialize)]
struct Inspection<'a> {
    digest: String,
    format_version: u32,
    genesis_hash: Option<&'a str>,
    first_slot: u64,
    last_slot: u64,
    blocks: u64,
    transactions: u64,
    outcomes: u64,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    closure: Option<&'a Closure>,
    gaps: u64,
    size: u64,
    keyframes: Vec<Keyframe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_index: Option<&'a StateIndex>,
    segments: Vec<SegmentView<'a>>,
    sources: Vec<SourceView<'a>>,
}

#[derive(Debug, Serialize)]
struct Keyframe {
    slot: u64,
    accounts: u64,
}

#[derive(Debug, Serialize)]
struct SegmentView<'a> {
    name: &'a str,
    first_slot: u64,
    last_slot: u64,
    records: u64,
    size: u64,
    digest: String,
}

#[derive(Debug, Serialize)]
struct SourceView<'a> {
    name: &'a str,
    size: u64,
    digest: String,
}

impl<'a> Inspection<'a> {
    fn of(manifest: &'a Manifest) -> Self {
        Self {
            digest: manifest.digest().to_string(),
            format_version: manifest.format_version,
            genesis_hash: manifest.genesis_hash.as_deref(),
            first_slot: manifest.first_slot,
            last_slot: manifest.last_slot,
            blocks: manifest.blocks,
            transactions: manifest.transactions,
            outcomes: manifest.outcomes,
            scope: scope_name(manifest.scope),
            closure: manifest.closure.as_ref(),
            gaps: manifest.coverage.gaps,
            size: manifest.size(),
            keyframes: keyframes(manifest).collect(),
            state_index: manifest.state_index.as_ref(),
            segments: segments(manifest),
            sources: sources(manifest),
        }
    }
}

fn keyframes(manifest: &Manifest) -> impl Iterator<Item = Keyframe> {
    manifest.keyframes.iter().map(|&slot| Keyframe {
        slot,
        accounts: manifest.accounts(slot),
    })
}

fn segments(manifest: &Manifest) -> Vec<SegmentView<'_>> {
    let segments = manifest.segments.iter().map(|segment| SegmentView {
        name: &segment.name,
        first_slot: segment.first_slot,
        last_slot: segment.last_slot,
        records: segment.records,
        size: segment.size,
        digest: segment.digest.to_string(),
    });
    segments.collect()
}

fn sources(manifest: &Manifest) -> Vec<SourceView<'_>> {
    let files = manifest.sources.iter().flat_map(|source| &source.files);
    let files = files.map(|file| SourceView {
        name: &file.name,
        size: file.size,
        digest: file.digest.to_string(),
    });
    files.collect()
}

fn rows(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let keyframes =
        keyframes(manifest).map(|keyframe| format!("slot {} ({} accounts)", keyframe.slot, Grouped(keyframe.accounts)));
    let without_outcome = manifest.transactions - manifest.outcomes;
    let mut rows = vec![
        ("slots", format!("{} to {}", manifest.first_slot, manifest.last_slot)),
        ("blocks", Grouped(manifest.blocks).to_string()),
        (
            "transactions",
            format!(
                "{}, {} without an outcome",
                Grouped(manifest.transactions),
                Grouped(without_outcome)
            ),
        ),
        ("accounts", scope_words(manifest.scope).to_owned()),
        ("keyframes", keyframes.collect::<Vec<_>>().join(", ")),
        (
            "size",
            format!(
                "{} bytes in {} segments",
                Grouped(manifest.size()),
                manifest.segments.len()
            ),
        ),
        ("format", format!("version {}", manifest.format_version)),
        ("digest", manifest.digest().to_string()),
    ];
    if let Some(index) = &manifest.state_index {
        let text = format!(
            "{} changes of accounts by slot, {} keyframes on the way; by {}",
            Grouped(index.changes),
            Grouped(index.keyframes.len() as u64),
            index.engine
        );
        rows.push(("index", text));
    }
    if let Some(gap) = manifest.coverage.first_gap {
        let text = format!(
            "{}; the first is after slot {}, where block {} is missing",
            manifest.coverage.gaps, gap.after, gap.parent_slot
        );
        rows.push(("gaps", text));
    }
    if let Some(closure) = &manifest.closure {
        let text = format!(
            "{} of {} addresses that {} chosen transactions touch exist at the start",
            Grouped(closure.found),
            Grouped(closure.addresses),
            Grouped(closure.transactions)
        );
        rows.push(("closure", text));
    }
    if let Some(hash) = &manifest.genesis_hash {
        rows.push(("genesis", hash.clone()));
    }
    rows
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::All => "all",
        Scope::Listed => "listed",
    }
}

fn scope_words(scope: Scope) -> &'static str {
    match scope {
        Scope::All => "all of the chain",
        Scope::Listed => "some; others are unknown",
    }
}
