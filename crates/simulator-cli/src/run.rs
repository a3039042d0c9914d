//! `sim run`, and what else replays: [`Run::execute`] is the one way to a result.

mod changes;
mod checkpoints;
mod collect;
mod convert;
mod digest;
mod dump;
mod error;
mod execution;
mod facts;
mod inputs;
mod meter;
mod options;
mod outputs;
mod plan;
mod session;
mod sessions;

use std::io::Write as _;
use std::sync::Arc;

pub(crate) use self::changes::{Loaded, LoadedChanges, LoadedFeatures};
pub(crate) use self::checkpoints::{Checkpoints, Parting};
pub(crate) use self::error::RunError;
pub(crate) use self::execution::{Finished, Run, Work};
pub(crate) use self::inputs::{Input, InputError, read};
pub(crate) use self::options::{Changes, Replacement};
use self::options::{ReplayOptions, RunOptions};
use self::outputs::Outputs;
pub(crate) use self::plan::{End, SlotRange, Wanted};
pub(crate) use self::session::{Completion, EndState, SessionEnd};
use crate::args::RunArgs;
use crate::connect::Connection;
use crate::exit::Exit;
use crate::manifest::ManifestFile;
use crate::output::WholeFile;
use crate::progress::Visibility;
use crate::report::Facts;

/// Replays a range and reports it.
pub(crate) async fn run(args: RunArgs, visibility: Visibility) -> Result<Exit, RunError> {
    let RunOptions {
        place,
        changes,
        replay: options,
    } = RunOptions::try_from(args)?;
    // What the user gives is read before anything is imported, started or written.
    let changes = LoadedChanges::load(changes)?;
    let run = Run::begin(visibility)?;
    let Some(connection) = run.connect(place).await? else {
        return Ok(Exit::Interrupted);
    };
    let result = replay(&run, &connection, changes, options).await;
    connection.close().await;
    result
}

async fn replay(
    run: &Run,
    connection: &Connection,
    changes: LoadedChanges,
    options: ReplayOptions,
) -> Result<Exit, RunError> {
    let Some(plan) = run.plan(connection.client(), options.wanted).await? else {
        return Ok(Exit::Interrupted);
    };
    let changes = Arc::new(changes);
    let outputs = Outputs::create(&options)?;
    let dump = options.dump_accounts.as_deref().map(WholeFile::create).transpose()?;
    let manifest = options.manifest.as_deref();
    let manifest = manifest.map(|path| ManifestFile::begin(path, &changes, connection.archives()));
    let manifest = manifest.transpose()?;
    let work = Work {
        plan,
        changes,
        detail: options.detail,
        programs: options.programs,
        parallel: options.parallel,
        advance: options.advance,
        end_state: match manifest {
            Some(_) => EndState::Digest,
            None => EndState::Ignore,
        },
        sinks: outputs.sinks,
        dump,
    };
    let finished = run.execute(connection.client(), work).await?;
    if let Some(manifest) = manifest {
        manifest.complete(&finished)?;
    }
    finished.sinks.finish(&finished.facts)?;
    warn_of_differing_bank_hashes(&finished.facts);
    outputs.closing.print(&finished.facts)?;
    Ok(exit(&finished.facts, options.max_divergence))
}

/// Transactions may all match while an account that none of them shows is wrong.
fn warn_of_differing_bank_hashes(facts: &Facts) {
    let Some(hashes) = facts.bank_hashes.as_ref().filter(|hashes| hashes.differed > 0) else {
        return;
    };
    let first = hashes
        .first_difference
        .map(|slot| format!(", first in slot {slot}"))
        .unwrap_or_default();
    let warning = format!(
        "warning: {} bank hashes differ from the recorded ones{first}: some account is not as it was on the chain",
        hashes.differed
    );
    // Nobody is left to be warned if this fails.
    let _ = writeln!(std::io::stderr(), "{warning}");
}

fn exit(facts: &Facts, max_divergence: Option<u64>) -> Exit {
    if !facts.metadata.complete {
        Exit::Interrupted
    } else if max_divergence.is_some_and(|max| facts.divergences() > max) {
        Exit::Gate
    } else {
        Exit::Done
    }
}
