//! `sim archive import`.

use super::ArchiveCommandError;
use super::inspect::print_archive;
use crate::args::ImportArgs;
use crate::exit::Exit;
use crate::prepare::import_shown;
use crate::progress::Visibility;

/// Imports a ledger directory and prints what came of it.
pub(super) async fn import(args: ImportArgs, visibility: Visibility) -> Result<Exit, ArchiveCommandError> {
    let ImportArgs { ledger, out } = args;
    let manifest = import_shown(&ledger, &out, visibility).await?;
    print_archive(&manifest)?;
    Ok(Exit::Done)
}
