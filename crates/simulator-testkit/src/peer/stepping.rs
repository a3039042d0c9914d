//! What a session does in one step, and where it stops.

use simulator_api::{
    BacktestError, BacktestResponse, BacktestStatus, ContinueToParams, DiscoveryBatchEvent, EncodedBinary, PausedEvent,
    RequestId,
};

use super::session::{Activity, Run, Session, Stage, StateEvent, Stop};
use super::{Position, Truth};

/// A run to more blocks than this has no bounds, whatever its number says.
const UNBOUNDED: u64 = u64::MAX / 2;

impl Session {
    /// Does one step of work. Says whether there was any.
    pub(super) fn tick(&mut self, truth: &mut Truth) -> bool {
        match std::mem::replace(&mut self.activity, Activity::Closed) {
            Activity::Starting(left) => self.start(left),
            Activity::Opening => self.open(),
            Activity::Running(run) => self.step(run, truth),
            idle => {
                self.activity = idle;
                return false;
            }
        }
        true
    }

    fn start(&mut self, left: usize) {
        if let Some(left) = left.checked_sub(1) {
            self.activity = Activity::Starting(left);
            return self.answer(BacktestStatus::StartingRuntime.into());
        }
        self.activity = Activity::Opening;
        self.say_created();
    }

    /// With filters a session begins before its first batch, so that a match in it can still be paused at; without it
    /// begins after its first block.
    fn open(&mut self) {
        if self.has_filters() {
            self.activity = Activity::Waiting(StateEvent::Ready);
            self.emit(None, BacktestResponse::ReadyForContinue);
            self.announce_next(None);
        } else {
            self.activity = Activity::Running(Run {
                request_id: None,
                stop: Stop::After(1),
                stage: Stage::Begins,
            });
        }
    }

    fn step(&mut self, run: Run, truth: &mut Truth) {
        match run.stage {
            Stage::Begins => self.step_begin(run),
            Stage::Executes if self.is_at_stop(&run) => self.finish(&run, truth),
            Stage::Executes if self.is_at_end() => self.complete(run.request_id),
            Stage::Executes => self.step_batch(run),
        }
    }

    fn step_begin(&mut self, run: Run) {
        self.emit_status(run.request_id.clone(), BacktestStatus::ExecutingBlockTransactions);
        self.activity = Activity::Running(Run {
            stage: Stage::Executes,
            ..run
        });
    }

    /// Executes the next batch, unless there is a reason not to.
    fn step_batch(&mut self, mut run: Run) {
        if self.is_after_block() {
            // The run may stop right there, before the first batch.
            self.at = (self.at.0 + 1, 0);
            self.activity = Activity::Running(run);
            return;
        }
        if let Some(failure) = self.script.failure.clone()
            && failure.slot == self.slot()
        {
            self.activity = Activity::Over;
            return self.emit(run.request_id, failure.error.into());
        }
        if let Some(number) = self.match_here() {
            if self.announced == number {
                self.announce_next(run.request_id.clone());
            }
            if self.answered <= number && matches!(run.stop, Stop::After(left) if left > UNBOUNDED) {
                self.activity = Activity::Held;
                return;
            }
            self.answered = self.answered.max(number + 1);
        }
        self.history.push(self.at);
        self.at.1 += 1;
        if self.is_after_block() {
            self.after_block(&mut run);
        }
        self.activity = Activity::Running(run);
    }

    fn after_block(&mut self, run: &mut Run) {
        let slot = self.slot();
        self.emit(run.request_id.clone(), BacktestResponse::SlotNotification(slot));
        if self.script.complaints.contains(&slot) {
            let error = format!("a transaction of slot {slot} was not executed");
            self.emit(run.request_id.clone(), BacktestError::SimulationError { error }.into());
        }
        if let Stop::After(left) = &mut run.stop {
            *left = left.saturating_sub(1);
        }
    }

    fn finish(&mut self, run: &Run, truth: &mut Truth) {
        let id = &run.request_id;
        self.emit_status(id.clone(), BacktestStatus::ExecutedBlockTransactions);
        let state = match run.stop {
            Stop::After(_) => StateEvent::Ready,
            Stop::At(_) => StateEvent::Paused(self.paused_here()),
        };
        self.activity = Activity::Waiting(state);
        self.emit(id.clone(), state.response());
        let announced = self.announced > self.matches_up_to_here() || self.announce_next(id.clone());
        if self.has_filters() && !announced && matches!(state, StateEvent::Paused(_)) {
            // Whoever steps from match to match waits for one or the other.
            self.activity = Activity::Waiting(StateEvent::Ready);
            self.emit(id.clone(), BacktestResponse::ReadyForContinue);
        }
        if let Some(request) = self.queued.take() {
            self.begin(request, truth);
        }
    }

    fn complete(&mut self, request_id: Option<RequestId>) {
        self.activity = Activity::Over;
        let summary = self.create.request.send_summary.then(|| self.script.summary.clone());
        let completed = BacktestResponse::Completed {
            summary: summary.flatten(),
            agent_stats: None,
        };
        self.emit(request_id, completed);
        if let Some(request) = self.queued.take() {
            self.refuse(&request, BacktestError::NoMoreBlocks);
        }
    }

    /// Announces the next match, if there is one.
    fn announce_next(&mut self, request_id: Option<RequestId>) -> bool {
        let Some(&Position { slot, batch }) = self.script.matches.get(self.announced) else {
            return false;
        };
        if !self.has_filters() {
            return false;
        }
        self.announced += 1;
        let event = DiscoveryBatchEvent {
            slot,
            batch_index: batch,
            matched: self.create.request.discoveries.clone(),
            transactions: vec![EncodedBinary::default()],
            transaction_indices: vec![0],
        };
        self.emit(request_id, BacktestResponse::DiscoveryBatch(event));
        true
    }

    fn has_filters(&self) -> bool {
        !self.create.request.discoveries.is_empty()
    }

    /// The number of the match that the next batch is.
    fn match_here(&self) -> Option<usize> {
        let here = Position {
            slot: self.slot(),
            batch: self.at.1 as u32,
        };
        let number = self.script.matches.iter().position(|position| *position == here);
        number.filter(|_| self.has_filters())
    }

    /// How many matches are not ahead: they were passed, or are the next batch.
    pub(super) fn matches_up_to_here(&self) -> usize {
        let here = Position {
            slot: self.slot(),
            batch: self.at.1 as u32,
        };
        self.script.matches.iter().filter(|position| **position <= here).count()
    }

    pub(super) fn is_behind(&self, target: &ContinueToParams) -> bool {
        let here = (self.slot(), self.at.1 as u64);
        let batches = self.script.blocks[self.at.0].batches.len() as u64;
        let batch = target
            .batch_index
            .map_or(batches, |batch| u64::from(batch).min(batches));
        target.slot < here.0 || (target.slot == here.0 && batch < here.1)
    }

    fn slot(&self) -> u64 {
        self.script.blocks[self.at.0].slot
    }

    fn is_after_block(&self) -> bool {
        self.at.1 == self.script.blocks[self.at.0].batches.len()
    }

    fn is_at_end(&self) -> bool {
        self.is_after_block() && self.at.0 + 1 == self.script.blocks.len()
    }

    fn is_at_stop(&self, run: &Run) -> bool {
        match &run.stop {
            Stop::After(left) => *left == 0,
            Stop::At(target) if self.is_after_block() => {
                let next = self.script.blocks.get(self.at.0 + 1);
                self.slot() == target.slot && self.is_reached_in_block(target)
                    || next.is_some_and(|next| next.slot > target.slot)
            }
            Stop::At(target) => self.slot() == target.slot && self.is_reached_in_block(target),
        }
    }

    fn is_reached_in_block(&self, target: &ContinueToParams) -> bool {
        match target.batch_index {
            Some(batch) => self.at.1 as u64 >= u64::from(batch) || self.is_after_block(),
            None => self.is_after_block(),
        }
    }

    fn paused_here(&self) -> PausedEvent {
        PausedEvent {
            slot: self.slot(),
            batch_index: (!self.is_after_block()).then_some(self.at.1 as u32),
        }
    }
}
