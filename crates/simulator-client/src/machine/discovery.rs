//! Stepping from match to match of a session's discovery filters.
//!
//! A server announces a match ahead of execution, in either order with the `ready` of the session, and a session that
//! runs passes the match unless it is told to stop. So a match is *held* from its announcement until the session
//! stands before it: whoever reads the announcement in between, it is neither forgotten nor asked for twice.

use std::collections::VecDeque;
use std::mem;

use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, ContinueToParams, DiscoveryBatchEvent, PausedEvent,
};

/// How a step to the next match ended.
#[derive(Clone, Debug, PartialEq)]
pub enum DiscoveryStepResult {
    /// The session waits before a match.
    Paused(DiscoveryPause),
    /// The session could not be stopped before a match. The next step looks for the one after it.
    Missed(MissedDiscovery),
    /// The session has reached the end of its range, and no further match lies in it.
    Completed,
}

/// A session that waits before a match.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscoveryPause {
    /// The match, as it was announced.
    pub discovery: DiscoveryBatchEvent,
    /// Where the session waits; nothing of that batch has been applied. Without a batch it stands at the end of the
    /// slot's block, which happens when the offset leads beyond the last batch.
    pub paused: PausedEvent,
}

/// A match that the session was not stopped before.
#[derive(Clone, Debug, PartialEq)]
pub struct MissedDiscovery {
    /// The match, as it was announced.
    pub discovery: DiscoveryBatchEvent,
    /// Why the server refused to stop there; `None` if the session's events show that it went past, as it does when
    /// the offset of the step before led beyond the match.
    pub refusal: Option<BacktestError>,
}

/// Where a step to the next match stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryStep {
    /// Batches to execute from the matching one on: 0 stops before the match, 1 behind its batch. A server stops at the
    /// end of the block when there are fewer.
    pub batch_offset: u32,
}

/// What a step to the next match does next.
#[derive(Clone, Debug, PartialEq)]
pub enum DiscoveryMove {
    /// Lets the session run without bound.
    RunOn,
    /// Tells the session to stop.
    StopBefore(ContinueToParams),
    /// Receives another message.
    Receive,
    /// Receives another message, which says whether there is a further match. A server that is silent for long says
    /// nothing, and the session runs on.
    Settle,
    /// The step has ended.
    Done(DiscoveryStepResult),
    /// The session reported an error.
    Failed(BacktestError),
}

/// The matches that were announced and not stopped before.
#[derive(Debug)]
pub(super) struct Discoveries {
    /// Matches that the caller has read of, in the order of execution, behind the one that a step is about.
    held: VecDeque<DiscoveryBatchEvent>,
    capacity: usize,
    stage: Stage,
    /// Slot and batch that come next, as far as the events tell.
    position: (u64, u64),
}

/// What has been done about the first match.
#[derive(Debug, Default)]
enum Stage {
    /// Nothing.
    #[default]
    Free,
    /// It is to be asked for.
    Intending(DiscoveryBatchEvent),
    /// The session was told to stop.
    Stopping(DiscoveryBatchEvent),
    /// The step has ended, and its caller has not been told.
    Ended(DiscoveryStepResult),
}

/// What there is to do about the first match.
#[derive(Debug, PartialEq)]
pub(super) enum Intent {
    /// No match is known.
    Search,
    /// Tell the session to stop.
    Stop(ContinueToParams),
    /// The session was told to stop, and has not said where it did.
    Await,
}

impl DiscoveryStepResult {
    /// The match that the step was about.
    pub fn discovery(&self) -> Option<&DiscoveryBatchEvent> {
        match self {
            Self::Paused(pause) => Some(&pause.discovery),
            Self::Missed(missed) => Some(&missed.discovery),
            Self::Completed => None,
        }
    }
}

impl Discoveries {
    /// No matches so far. At most `capacity` are remembered after the caller has read of them.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            held: VecDeque::new(),
            capacity,
            stage: Stage::Free,
            position: (0, 0),
        }
    }

    /// Whether a match that was announced could be held now.
    pub(super) fn wants_match(&self) -> bool {
        matches!(self.stage, Stage::Free) && self.held.is_empty()
    }

    /// The caller has read the announcement of a match. It may be the one that a step is about.
    pub(super) fn on_read(&mut self, discovery: &DiscoveryBatchEvent) {
        let is_under_way = match &self.stage {
            Stage::Free => false,
            Stage::Intending(first) | Stage::Stopping(first) => first == discovery,
            Stage::Ended(result) => result.discovery() == Some(discovery),
        };
        if !is_under_way {
            self.hold(discovery.clone());
        }
    }

    /// Holds a match that was announced.
    pub(super) fn hold(&mut self, discovery: DiscoveryBatchEvent) {
        if self.held.len() == self.capacity {
            // The caller has read of it, and of so many more since.
            self.held.pop_front();
        }
        self.held.push_back(discovery);
    }

    /// The end of the step, if it has ended and its caller has not been told.
    pub(super) fn take_result(&mut self) -> Option<DiscoveryStepResult> {
        match mem::take(&mut self.stage) {
            Stage::Ended(result) => Some(result),
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// Whether `error` is the server's refusal to stop before a match.
    pub(super) fn is_refusal(&self, error: &BacktestError) -> bool {
        matches!(&self.stage, Stage::Ended(DiscoveryStepResult::Missed(missed)) if missed.refusal.as_ref() == Some(error))
    }

    /// What there is to do about the first match. One that the session is beyond ends the step.
    pub(super) fn intend(&mut self, step: DiscoveryStep) -> Intent {
        if matches!(self.stage, Stage::Free) {
            let Some(first) = self.held.pop_front() else {
                return Intent::Search;
            };
            self.stage = if batch_position(&first) < self.position {
                missed(first, None)
            } else {
                Stage::Intending(first)
            };
        }
        match &self.stage {
            Stage::Intending(discovery) => Intent::Stop(ContinueToParams {
                slot: discovery.slot,
                batch_index: Some(discovery.batch_index.saturating_add(step.batch_offset)),
                request_id: None,
            }),
            Stage::Free | Stage::Stopping(_) | Stage::Ended(_) => Intent::Await,
        }
    }

    /// Takes note of a request that was sent, be it for a match or not.
    pub(super) fn on_sent(&mut self, request: &BacktestRequest) {
        if !matches!(request, BacktestRequest::Continue(_) | BacktestRequest::ContinueTo(_)) {
            return;
        }
        self.stage = match mem::take(&mut self.stage) {
            Stage::Intending(discovery) | Stage::Stopping(discovery) if leads_to(request, &discovery) => {
                Stage::Stopping(discovery)
            }
            // The caller has other plans. Whether the session still comes by the match remains to be seen.
            Stage::Stopping(discovery) => Stage::Intending(discovery),
            // The caller has gone on without asking how the step ended; its events tell.
            Stage::Ended(DiscoveryStepResult::Paused(_)) => Stage::Free,
            unchanged => unchanged,
        };
    }

    /// Takes note of an event that was received.
    pub(super) fn on_event(&mut self, event: &BacktestResponse) {
        match event {
            BacktestResponse::SlotNotification(slot) => self.reach((*slot, 0)),
            BacktestResponse::Paused(paused) => {
                let batch = paused.batch_index.map_or(u64::MAX, u64::from);
                self.reach((paused.slot, batch));
                self.on_pause(*paused);
            }
            BacktestResponse::Completed { .. } => {
                self.held.clear();
                self.miss(None);
            }
            BacktestResponse::Error(refusal @ BacktestError::InvalidRequest { .. }) => {
                if matches!(self.stage, Stage::Stopping(_)) {
                    self.miss(Some(refusal.clone()));
                }
            }
            _ => {}
        }
    }

    /// Forgets matches that the caller has read of and the session has left behind. A slot that is notified may still
    /// be about to execute, depending on the server, so its own matches stay.
    fn reach(&mut self, position: (u64, u64)) {
        self.position = self.position.max(position);
        self.held
            .retain(|discovery| (discovery.slot, u64::MAX) >= self.position);
    }

    fn on_pause(&mut self, paused: PausedEvent) {
        self.stage = match mem::take(&mut self.stage) {
            Stage::Stopping(discovery) => {
                Stage::Ended(DiscoveryStepResult::Paused(DiscoveryPause { discovery, paused }))
            }
            unchanged => {
                // The caller stopped the session: a match up to here is behind it, or right before it.
                self.held.retain(|discovery| batch_position(discovery) > self.position);
                unchanged
            }
        };
    }

    fn miss(&mut self, refusal: Option<BacktestError>) {
        self.stage = match mem::take(&mut self.stage) {
            Stage::Intending(discovery) | Stage::Stopping(discovery) => missed(discovery, refusal),
            unchanged => unchanged,
        };
    }
}

fn missed(discovery: DiscoveryBatchEvent, refusal: Option<BacktestError>) -> Stage {
    Stage::Ended(DiscoveryStepResult::Missed(MissedDiscovery { discovery, refusal }))
}

fn batch_position(discovery: &DiscoveryBatchEvent) -> (u64, u64) {
    (discovery.slot, discovery.batch_index.into())
}

/// Whether a request stops the session before a match or in the same block behind it.
fn leads_to(request: &BacktestRequest, discovery: &DiscoveryBatchEvent) -> bool {
    matches!(request, BacktestRequest::ContinueTo(target)
        if target.slot == discovery.slot && target.batch_index.is_some_and(|batch| batch >= discovery.batch_index))
}
