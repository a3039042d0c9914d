//! `sim archive import`.

use simulator_archive::import::files::{BlockFiles, Files};
use simulator_archive::import::{ImportOptions, ScopeChoice, Seeds};

use super::ArchiveCommandError;
use super::index::add_index;
use super::inspect::print_archive;
use crate::args::{ImportArgs, ScopeArg};
use crate::exit::Exit;
use crate::prepare::{Import, import_shown};
use crate::progress::Visibility;

/// Imports files and prints what came of it.
pub(super) async fn import(args: ImportArgs, visibility: Visibility) -> Result<Exit, ArchiveCommandError> {
    let options = options(&args);
    let (out, interval) = (args.out.clone(), args.index_interval);
    let mut manifest = import_shown(what(args), &out, options, visibility).await?;
    if let Some(interval) = interval {
        manifest = add_index(&out, interval, visibility).await?;
    }
    print_archive(&manifest)?;
    Ok(Exit::Done)
}

fn options(args: &ImportArgs) -> ImportOptions {
    ImportOptions {
        scope: match args.scope {
            ScopeArg::Auto => ScopeChoice::Auto,
            ScopeArg::All => ScopeChoice::All,
            ScopeArg::Listed => ScopeChoice::Listed,
        },
        seeds: Seeds {
            programs: args.scope_program.iter().copied().collect(),
            accounts: args.scope_account.iter().copied().collect(),
        },
        genesis_hash: args.genesis_hash.map(|hash| hash.to_string()),
        sort_memory: (args.sort_memory.get() as usize) << 20,
        ..ImportOptions::default()
    }
}

/// The command line has exactly one of the three.
fn what(args: ImportArgs) -> Import {
    if let Some(ledger) = args.ledger {
        return Import::Ledger(ledger);
    }
    let blocks = match args.car.is_empty() {
        true => BlockFiles::Lines(args.blocks),
        false => BlockFiles::Car(args.car),
    };
    Import::Files(Files {
        snapshot: args.snapshot,
        blocks,
    })
}
