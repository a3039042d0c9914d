//! One session: created, driven to its end over the control channel, and read over JSON-RPC at the same time.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use simulator_api::replay::{GetReplayOutcomesParams, OutcomeDetail, ReplaySummary};
use simulator_client::rpc::RpcEndpoint;
use simulator_client::{BacktestClient, BacktestSession, Continue, CreateSession};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::changes::LoadedChanges;
use super::collect::Item;
use super::convert::{self, ProgramFilter};
use super::dump::dump_accounts;
use super::error::SessionError;
use super::meter::Meter;
use super::options::Detail;
use super::plan::SlotRange;
use crate::connect::reach;
use crate::output::WholeFile;

/// Slots a continue where the user does not say. Each is one message to the server, and what the client remembers of a
/// continue grows with it.
const ADVANCE_SLOTS: u64 = 1024;
/// Slots in one answer, at most.
const PAGE_SLOTS: u32 = 64;
/// How long the server may wait for the next slot before it answers that there is none yet.
const PAGE_WAIT: Duration = Duration::from_secs(10);
/// When results cannot be read any more, the control channel gets this long to say why.
const REASON_WAIT: Duration = Duration::from_secs(2);
/// How long an interrupted run waits for what a session can say about itself.
const FAREWELL_WAIT: Duration = Duration::from_secs(2);

/// What all sessions of a run have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) client: BacktestClient,
    pub(super) changes: LoadedChanges,
    pub(super) detail: Detail,
    pub(super) filter: ProgramFilter,
    pub(super) advance: Option<NonZeroU64>,
    pub(super) stop: CancellationToken,
    pub(super) meter: Meter,
}

/// One session that is to be run.
#[derive(Debug)]
pub(super) struct SessionJob {
    pub(super) common: Arc<Common>,
    /// Its number in slot order.
    pub(super) index: usize,
    pub(super) range: SlotRange,
    pub(super) items: mpsc::Sender<Item>,
    /// Where the accounts after its last slot go.
    pub(super) dump: Option<WholeFile>,
}

/// How a session ended.
#[derive(Debug)]
pub(super) struct SessionEnd {
    pub(super) id: String,
    pub(super) range: SlotRange,
    /// Totals of the server; missing if an interrupted session could not give them any more.
    pub(super) summary: Option<ReplaySummary>,
    pub(super) complete: bool,
}

impl SessionJob {
    /// Runs the session to its end, or until the run is stopped. Closes it in either case.
    pub(super) async fn run(mut self) -> Result<SessionEnd, SessionError> {
        let common = self.common.clone();
        let create = self.create_request();
        let mut session = tokio::select! {
            session = reach(async || common.client.create_session(create.clone()).await) => session?,
            () = common.stop.cancelled() => return Ok(self.never_started()),
        };
        let id = session.session_id().to_string();
        let replayed = tokio::select! {
            summary = self.replay(&mut session) => summary.map(Some),
            () = common.stop.cancelled() => Ok(None),
        };
        let end = match replayed {
            Ok(Some(summary)) => Ok(SessionEnd {
                id,
                range: self.range,
                summary: Some(summary),
                complete: true,
            }),
            Ok(None) => Ok(SessionEnd {
                id,
                range: self.range,
                summary: farewell(&session).await,
                complete: false,
            }),
            Err(error) => Err(error),
        };
        if let Err(error) = session.close(None).await {
            tracing::debug!(%error, "the session could not be closed");
        }
        end
    }

    fn never_started(&self) -> SessionEnd {
        SessionEnd {
            id: String::new(),
            range: self.range,
            summary: None,
            complete: false,
        }
    }

    fn create_request(&self) -> CreateSession {
        let Common {
            changes,
            detail,
            filter,
            ..
        } = &*self.common;
        CreateSession::builder()
            .start_slot(self.range.first)
            .end_slot(self.range.last)
            .signer_filter(changes.ignored_signers.clone())
            .maybe_extra_compute_units(changes.extra_compute_units)
            .maybe_features(changes.features.clone())
            .start_paused(changes.replace_something())
            .outcomes(wire_detail(*detail, filter))
            .build()
    }

    async fn replay(&mut self, session: &mut BacktestSession) -> Result<ReplaySummary, SessionError> {
        let ready = session.ensure_ready(None).await?;
        self.common.changes.apply(session).await?;
        let rpc = session.json_rpc().clone();
        let total = {
            let advance = async {
                if ready.is_completed() {
                    Ok(())
                } else {
                    self.advance(session).await
                }
            };
            both(advance, self.read_outcomes(&rpc)).await?
        };
        let summary = rpc.get_replay_summary().await?;
        if summary.counts.total != total {
            return Err(SessionError::Incomplete {
                reported: summary.counts.total,
                received: total,
            });
        }
        if let Some(file) = self.dump.take() {
            dump_accounts(&rpc, file).await?;
        }
        self.send(Item::Finished { session: self.index }).await?;
        Ok(summary)
    }

    /// Continues until the end of the range.
    async fn advance(&self, session: &mut BacktestSession) -> Result<(), SessionError> {
        let count = self.common.advance.map_or(ADVANCE_SLOTS, NonZeroU64::get);
        loop {
            let next = Continue::builder().advance_count(count).build();
            let step = session.advance(next, None, |_event| {}).await?;
            if step.completed {
                return Ok(());
            }
            if !session.is_ready_for_continue() {
                return Err(SessionError::Stopped);
            }
        }
    }

    /// Reads the outcome of every slot, passes it on, and returns how many transactions there were.
    async fn read_outcomes(&self, rpc: &RpcEndpoint) -> Result<u64, SessionError> {
        let wait_millis = PAGE_WAIT.as_millis().try_into().expect("a few seconds");
        let mut page = GetReplayOutcomesParams {
            after: None,
            max_slots: PAGE_SLOTS,
            wait_millis,
        };
        let mut total = 0;
        loop {
            let outcomes = rpc.get_replay_outcomes(&page).await?;
            // The last page is acknowledged by asking for what comes after it.
            if outcomes.complete && outcomes.slots.is_empty() {
                return Ok(total);
            }
            for slot in outcomes.slots {
                page.after = Some(slot.slot);
                total += slot.counts.total;
                self.common.meter.slot(slot.counts.total);
                let record = Box::new(convert::record(slot, &self.common.filter));
                self.send(Item::Slot {
                    session: self.index,
                    record,
                })
                .await?;
            }
        }
    }

    async fn send(&self, item: Item) -> Result<(), SessionError> {
        self.items.send(item).await.map_err(|_| SessionError::Writer)
    }
}

/// A filter by program needs to know the programs of every transaction.
fn wire_detail(detail: Detail, filter: &ProgramFilter) -> OutcomeDetail {
    match detail {
        Detail::Divergences if filter.is_selective() => OutcomeDetail::Transactions,
        Detail::Divergences => OutcomeDetail::Divergences,
        Detail::Transactions => OutcomeDetail::Transactions,
        Detail::AccountDiffs => OutcomeDetail::AccountDiffs,
    }
}

/// Drives and reads at the same time. Of two failures, that of the driver tells more.
async fn both<T>(
    drive: impl Future<Output = Result<(), SessionError>>,
    read: impl Future<Output = Result<T, SessionError>>,
) -> Result<T, SessionError> {
    tokio::pin!(drive, read);
    tokio::select! {
        biased;
        driven = &mut drive => {
            driven?;
            read.await
        }
        result = &mut read => match result {
            Ok(value) => drive.await.map(|()| value),
            Err(SessionError::Writer) => Err(SessionError::Writer),
            Err(error) => match timeout(REASON_WAIT, drive).await {
                Ok(Err(reason)) => Err(reason),
                _ => Err(error),
            },
        },
    }
}

async fn farewell(session: &BacktestSession) -> Option<ReplaySummary> {
    timeout(FAREWELL_WAIT, session.json_rpc().get_replay_summary())
        .await
        .ok()?
        .ok()
}
