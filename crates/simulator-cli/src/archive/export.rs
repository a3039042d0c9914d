//! `sim archive export`.

use std::path::Path;

use simulator_archive::export::{ExportError, ExportOptions, ExportProgress};
use simulator_archive::import::Seeds;
use simulator_archive::model::Slot;
use simulator_archive::{ArchiveError, Location};

use super::ArchiveCommandError;
use super::inspect::print_archive;
use crate::args::ExportArgs;
use crate::exit::Exit;
use crate::prepare::{archive_exit, open_archive};
use crate::progress::{Progress, Unit, Visibility};

/// Exports a part of an archive and prints what came of it.
pub(super) async fn export(args: ExportArgs, visibility: Visibility) -> Result<Exit, ArchiveCommandError> {
    let archive = open_archive(&args.archive).await?;
    if is_same_place(&args.archive, &args.out) {
        return Err(ArchiveCommandError::SamePlace { place: args.out });
    }
    let options = ExportOptions {
        range: args.start_slot.unwrap_or(0)..=args.end_slot.unwrap_or(Slot::MAX),
        seeds: Seeds {
            programs: args.scope_program.iter().copied().collect(),
            accounts: args.scope_account.iter().copied().collect(),
        },
        ..ExportOptions::default()
    };
    let location = Location::create(&args.out).map_err(|error| failed(ArchiveError::from(error)))?;
    let blocks = archive.manifest().blocks;
    let progress = Progress::start(visibility, Unit::Slots, blocks, "exporting");
    let show = |export: ExportProgress| progress.set(export.blocks, blocks);
    let exported = simulator_archive::export::export(&archive, location, options, show).await;
    progress.clear();
    print_archive(&exported.map_err(failed)?)?;
    Ok(Exit::Done)
}

/// Whether two paths are one directory. An archive cannot be read while its place is being written over.
fn is_same_place(one: &str, other: &str) -> bool {
    let canonical = |place: &str| {
        Path::new(place.strip_prefix("file://").unwrap_or(place))
            .canonicalize()
            .ok()
    };
    canonical(one).is_some_and(|one| canonical(other) == Some(one))
}

fn failed(error: impl Into<ExportError>) -> ArchiveCommandError {
    ArchiveCommandError::Export(error.into())
}

/// The exit code for an export that failed.
pub(super) fn exit(error: &ExportError) -> Exit {
    match error {
        ExportError::Archive(error) => archive_exit(error),
        _ => Exit::Failed,
    }
}
