//! `sim run`.

mod changes;
mod collect;
mod convert;
mod digest;
mod dump;
mod error;
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

use chrono::{DateTime, Utc};
use simulator_api::{AvailableRange, BundleKind};
use simulator_client::BacktestClient;
use tokio_util::sync::CancellationToken;

use self::changes::LoadedChanges;
use self::convert::ProgramFilter;
pub(crate) use self::error::RunError;
use self::facts::{Circumstances, facts};
use self::meter::Meter;
use self::options::{ReplayOptions, RunOptions};
use self::outputs::Outputs;
use self::plan::{Plan, SlotRange};
use self::session::Common;
use self::sessions::{Replayed, Sessions};
use crate::args::RunArgs;
use crate::connect::{Connection, reach};
use crate::exit::Exit;
use crate::output::WholeFile;
use crate::progress::{Progress, Unit, Visibility};
use crate::report::Facts;
use crate::signals;

/// Replays a range and reports it.
pub(crate) async fn run(args: RunArgs, visibility: Visibility) -> Result<Exit, RunError> {
    let RunOptions {
        place,
        changes,
        replay: options,
    } = RunOptions::try_from(args)?;
    // What the user gives is read before anything is imported, started or written.
    let changes = LoadedChanges::load(changes)?;
    let run = Run {
        visibility,
        stop: signals::stop_requested().map_err(RunError::Signals)?,
        timestamp: now(),
    };
    let connection = tokio::select! {
        connection = Connection::open(place, visibility) => connection?,
        () = run.stop.cancelled() => return Ok(Exit::Interrupted),
    };
    let result = run.replay(connection.client(), changes, options).await;
    connection.close().await;
    result
}

/// One invocation.
struct Run {
    visibility: Visibility,
    stop: CancellationToken,
    timestamp: DateTime<Utc>,
}

impl Run {
    async fn replay(
        &self,
        client: &BacktestClient,
        changes: LoadedChanges,
        options: ReplayOptions,
    ) -> Result<Exit, RunError> {
        let Some(plan) = self.plan(client, &options).await? else {
            return Ok(Exit::Interrupted);
        };
        let outputs = Outputs::create(&options)?;
        let dump = options.dump_accounts.as_deref().map(WholeFile::create).transpose()?;
        let programs = options.programs.iter().map(ToString::to_string).collect();
        let (parallel, max_divergence) = (options.parallel, options.max_divergence);
        let progress = self.progress(&plan);
        let common = Arc::new(Common {
            client: client.clone(),
            changes,
            detail: options.detail,
            filter: ProgramFilter::new(options.programs),
            advance: options.advance,
            stop: self.stop.child_token(),
            meter: Meter::new(progress.clone()),
        });
        let replayed = Sessions {
            common,
            ranges: &plan.sessions,
            parallel,
            dump,
        }
        .replay(outputs.sinks)
        .await;
        progress.clear();
        let Replayed {
            ends,
            written,
            sinks,
            wall,
        } = replayed?;
        let circumstances = Circumstances {
            span: plan.span(),
            programs,
            timestamp: self.timestamp,
            wall,
        };
        let facts = facts(circumstances, &ends, &written).map_err(|source| RunError::Session {
            range: plan.span(),
            source,
        })?;
        sinks.finish(&facts)?;
        warn_of_differing_bank_hashes(&facts);
        outputs.closing.print(&facts)?;
        Ok(exit(&facts, max_divergence))
    }

    /// The sessions of the run; `None` if the user stopped it.
    async fn plan(&self, client: &BacktestClient, options: &ReplayOptions) -> Result<Option<Plan>, RunError> {
        let ranges = tokio::select! {
            ranges = reach(async || client.available_ranges().await) => ranges.map_err(RunError::Ranges)?,
            () = self.stop.cancelled() => return Ok(None),
        };
        Ok(Some(Plan::new(&slot_ranges(&ranges), options.wanted)?))
    }

    fn progress(&self, plan: &Plan) -> Progress {
        let progress = Progress::start(self.visibility, Unit::Slots, plan.slots(), "replaying");
        for gap in &plan.gaps {
            progress.note(&format!("note: nobody offers slots {gap}; they are left out"));
        }
        progress
    }
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

/// Ranges of blocks that have an end.
fn slot_ranges(ranges: &[AvailableRange]) -> Vec<SlotRange> {
    let blocks = ranges.iter().filter(|range| range.kind == BundleKind::Blocks);
    let closed = blocks.filter_map(|range| {
        Some(SlotRange {
            first: range.bundle_start_slot,
            last: range.max_bundle_end_slot?,
        })
    });
    closed.filter(|range| range.first <= range.last).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of a run stands in its report and decides nothing"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}
