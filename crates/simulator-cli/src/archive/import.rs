//! `sim archive import`.

use simulator_archive::import::{ImportOptions, ScopeChoice};

use super::ArchiveCommandError;
use super::inspect::print_archive;
use crate::args::{ImportArgs, ScopeArg};
use crate::exit::Exit;
use crate::prepare::import_shown;
use crate::progress::Visibility;

/// Imports a ledger directory and prints what came of it.
pub(super) async fn import(args: ImportArgs, visibility: Visibility) -> Result<Exit, ArchiveCommandError> {
    let ImportArgs { ledger, out, scope } = args;
    let options = ImportOptions {
        scope: match scope {
            ScopeArg::Auto => ScopeChoice::Auto,
            ScopeArg::All => ScopeChoice::All,
            ScopeArg::Listed => ScopeChoice::Listed,
        },
        ..ImportOptions::default()
    };
    let manifest = import_shown(&ledger, &out, options, visibility).await?;
    print_archive(&manifest)?;
    Ok(Exit::Done)
}
