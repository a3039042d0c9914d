//! A replay from the plan to its result. What becomes of the result is for the caller to say.

use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use simulator_api::{AvailableRange, BundleKind};
use simulator_client::BacktestClient;
use solana_pubkey::Pubkey;
use tokio_util::sync::CancellationToken;

use super::changes::LoadedChanges;
use super::convert::ProgramFilter;
use super::error::RunError;
use super::facts::{Circumstances, facts};
use super::meter::Meter;
use super::options::Detail;
use super::plan::{Plan, SlotRange, Wanted};
use super::session::{Common, EndState, SessionEnd};
use super::sessions::{Replayed, Sessions};
use crate::connect::{Connection, reach};
use crate::output::WholeFile;
use crate::place::Place;
use crate::progress::{Progress, Unit, Visibility};
use crate::report::{Facts, Sinks};
use crate::signals;

/// One invocation of the tool that replays something.
pub(crate) struct Run {
    visibility: Visibility,
    stop: CancellationToken,
    timestamp: DateTime<Utc>,
}

/// What is to be replayed.
pub(crate) struct Work {
    pub(crate) plan: Plan,
    pub(crate) changes: Arc<LoadedChanges>,
    pub(crate) detail: Detail,
    /// Programs that the report is limited to; empty for all.
    pub(crate) programs: BTreeSet<Pubkey>,
    /// How many sessions run at a time.
    pub(crate) parallel: NonZeroUsize,
    /// Slots a continue.
    pub(crate) advance: Option<NonZeroU64>,
    pub(crate) end_state: EndState,
    /// What is told of every slot.
    pub(crate) sinks: Sinks,
    /// Where the accounts after the last slot go.
    pub(crate) dump: Option<WholeFile>,
}

/// What was replayed, to its end or until the user stopped it.
pub(crate) struct Finished {
    pub(crate) facts: Facts,
    /// In slot order.
    pub(crate) sessions: Vec<SessionEnd>,
    /// Not yet completed.
    pub(crate) sinks: Sinks,
}

impl Work {
    /// A replay that tells nothing but its result.
    pub(crate) fn quiet(plan: Plan, changes: Arc<LoadedChanges>, parallel: NonZeroUsize) -> Self {
        Self {
            plan,
            changes,
            detail: Detail::Divergences,
            programs: BTreeSet::new(),
            parallel,
            advance: None,
            end_state: EndState::Digest,
            sinks: Sinks::default(),
            dump: None,
        }
    }
}

impl Run {
    /// Begins to listen for signals.
    pub(crate) fn begin(visibility: Visibility) -> Result<Self, RunError> {
        Ok(Self {
            visibility,
            stop: signals::stop_requested().map_err(RunError::Signals)?,
            timestamp: now(),
        })
    }

    /// The way to recorded history; `None` if the user stopped the run.
    pub(crate) async fn connect(&self, place: Place) -> Result<Option<Connection>, RunError> {
        tokio::select! {
            connection = Connection::open(place, self.visibility) => Ok(Some(connection?)),
            () = self.stop.cancelled() => Ok(None),
        }
    }

    /// The sessions of the run; `None` if the user stopped it.
    pub(crate) async fn plan(&self, client: &BacktestClient, wanted: Wanted) -> Result<Option<Plan>, RunError> {
        let ranges = tokio::select! {
            ranges = reach(async || client.available_ranges().await) => ranges.map_err(RunError::Ranges)?,
            () = self.stop.cancelled() => return Ok(None),
        };
        Ok(Some(Plan::new(&slot_ranges(&ranges), wanted)?))
    }

    /// Replays everything.
    pub(crate) async fn execute(&self, client: &BacktestClient, work: Work) -> Result<Finished, RunError> {
        let progress = self.progress(&work.plan);
        let programs = work.programs.iter().map(ToString::to_string).collect();
        let common = Arc::new(Common {
            client: client.clone(),
            changes: work.changes,
            detail: work.detail,
            filter: ProgramFilter::new(work.programs),
            advance: work.advance,
            end_state: work.end_state,
            stop: self.stop.child_token(),
            meter: Meter::new(progress.clone()),
        });
        let sessions = Sessions {
            common,
            ranges: &work.plan.sessions,
            parallel: work.parallel,
            dump: work.dump,
        };
        let replayed = sessions.replay(work.sinks).await;
        progress.clear();
        self.finish(&work.plan, programs, replayed?)
    }

    fn finish(&self, plan: &Plan, programs: Vec<String>, replayed: Replayed) -> Result<Finished, RunError> {
        let Replayed {
            ends,
            written,
            sinks,
            wall,
        } = replayed;
        let span = plan.span();
        let circumstances = Circumstances {
            span,
            programs,
            timestamp: self.timestamp,
            wall,
        };
        let facts =
            facts(circumstances, &ends, &written).map_err(|source| RunError::Session { range: span, source })?;
        Ok(Finished {
            facts,
            sessions: ends,
            sinks,
        })
    }

    fn progress(&self, plan: &Plan) -> Progress {
        let progress = Progress::start(self.visibility, Unit::Slots, plan.slots(), "replaying");
        for gap in &plan.gaps {
            progress.note(&format!("note: nobody offers slots {gap}; they are left out"));
        }
        progress
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
