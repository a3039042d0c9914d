//! One session: created, driven to its end over the control channel, and read over JSON-RPC at the same time.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use simulator_api::replay::{GetReplayOutcomesParams, OutcomeDetail, ReplayStateDigest, ReplaySummary};
use simulator_client::rpc::RpcEndpoint;
use simulator_client::{BacktestClient, BacktestSession, Continue, CreateSession};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::changes::LoadedChanges;
use super::checkpoints::{Checkpoint, CheckpointCollector, Checkpoints};
use super::collect::Item;
use super::convert::{self, ProgramFilter};
use super::dump::dump_accounts;
use super::error::{SessionError, parse_digest};
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
/// How long the server may take to go through all accounts.
const STATE_WAIT: Duration = Duration::from_secs(60);
/// When results cannot be read any more, the control channel gets this long to say why.
const REASON_WAIT: Duration = Duration::from_secs(2);
/// How long an interrupted run waits for what a session can say about itself.
const FAREWELL_WAIT: Duration = Duration::from_secs(2);

/// What all sessions of a run have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) client: BacktestClient,
    pub(super) changes: Arc<LoadedChanges>,
    pub(super) detail: Detail,
    pub(super) filter: ProgramFilter,
    pub(super) advance: Option<NonZeroU64>,
    pub(super) end_state: EndState,
    pub(super) stop: CancellationToken,
    pub(super) meter: Meter,
}

/// What is asked about the accounts after the last slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndState {
    /// Nothing.
    Ignore,
    /// The digest over all of them.
    Digest,
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
pub(crate) struct SessionEnd {
    pub(crate) id: String,
    pub(crate) range: SlotRange,
    /// Totals of the server; missing if an interrupted session could not give them any more.
    pub(crate) summary: Option<ReplaySummary>,
    /// What it came to; missing if the session was interrupted.
    pub(crate) completion: Option<Completion>,
}

/// What a session came to that was replayed to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) checkpoints: Checkpoints,
    /// The accounts after the last slot, if they were asked for.
    pub(crate) state: Option<ReplayStateDigest>,
}

/// What was read of a session while it ran.
struct Read {
    transactions: u64,
    checkpoints: Checkpoints,
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
            Ok(Some((summary, completion))) => Ok(self.end(id, Some(summary), Some(completion))),
            Ok(None) => Ok(self.end(id, farewell(&session).await, None)),
            Err(error) => Err(error),
        };
        if let Err(error) = session.close(None).await {
            tracing::debug!(%error, "the session could not be closed");
        }
        end
    }

    fn never_started(&self) -> SessionEnd {
        self.end(String::new(), None, None)
    }

    fn end(&self, id: String, summary: Option<ReplaySummary>, completion: Option<Completion>) -> SessionEnd {
        SessionEnd {
            id,
            range: self.range,
            summary,
            completion,
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
            .maybe_features(changes.feature_selection())
            .start_paused(changes.replace_something())
            .outcomes(wire_detail(*detail, filter))
            .build()
    }

    async fn replay(&mut self, session: &mut BacktestSession) -> Result<(ReplaySummary, Completion), SessionError> {
        let ready = session.ensure_ready(None).await?;
        self.common.changes.apply(session).await?;
        let rpc = session.json_rpc().clone();
        let read = {
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
        if summary.counts.total != read.transactions {
            return Err(SessionError::Incomplete {
                reported: summary.counts.total,
                received: read.transactions,
            });
        }
        let state = match self.common.end_state {
            EndState::Ignore => None,
            EndState::Digest => Some(rpc.get_replay_state_digest(STATE_WAIT).await?),
        };
        if let Some(file) = self.dump.take() {
            dump_accounts(&rpc, file).await?;
        }
        self.send(Item::Finished { session: self.index }).await?;
        let checkpoints = read.checkpoints;
        Ok((summary, Completion { checkpoints, state }))
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

    /// Reads the outcome of every slot and passes it on.
    async fn read_outcomes(&self, rpc: &RpcEndpoint) -> Result<Read, SessionError> {
        let wait_millis = PAGE_WAIT.as_millis().try_into().expect("a few seconds");
        let mut page = GetReplayOutcomesParams {
            after: None,
            max_slots: PAGE_SLOTS,
            wait_millis,
        };
        let mut transactions = 0;
        let mut checkpoints = CheckpointCollector::default();
        loop {
            let outcomes = rpc.get_replay_outcomes(&page).await?;
            // The last page is acknowledged by asking for what comes after it.
            if outcomes.complete && outcomes.slots.is_empty() {
                let checkpoints = checkpoints.finish();
                return Ok(Read {
                    transactions,
                    checkpoints,
                });
            }
            for slot in outcomes.slots {
                page.after = Some(slot.slot);
                transactions += slot.counts.total;
                if let Some(digest) = &slot.digest {
                    checkpoints.push(Checkpoint {
                        slot: slot.slot,
                        digest: parse_digest(digest)?,
                    });
                }
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
