//! A conversation that steps from match to match.

use simulator_api::{
    BacktestError, BacktestResponse, ContinueToParams, DiscoveryBatchEvent, PausedEvent, SequencedResponse,
};

use super::conversation::is_stop;
use super::discovery::Intent;
use super::{Conversation, DiscoveryMove, DiscoveryStep, DiscoveryStepResult, Phase, Scan};

impl Conversation {
    /// What a step to the next match does next. When it ends, it takes the announcement of the match, the stop that it
    /// waited for, or the refusal out of the unread events; the end of the range and everything else stays. Errors are
    /// taken too.
    pub fn poll_discovery(&mut self, step: DiscoveryStep, scan: &mut Scan) -> DiscoveryMove {
        if let Some(result) = self.end_step(scan) {
            return DiscoveryMove::Done(result);
        }
        if let Some(error) = self.take_step_error(scan) {
            return DiscoveryMove::Failed(error);
        }
        match &self.phase {
            Phase::Completed => return DiscoveryMove::Done(DiscoveryStepResult::Completed),
            Phase::Failed(error) => return DiscoveryMove::Failed(error.clone()),
            _ => {}
        }
        if self.discoveries.wants_match()
            && let Some(discovery) = self.unread.first_discovery()
        {
            self.discoveries.hold(discovery.clone());
        }
        match self.discoveries.intend(step) {
            Intent::Search => self.search(scan),
            Intent::Stop(target) => self.stop_before(target, scan),
            Intent::Await => self.end_step(scan).map_or(DiscoveryMove::Receive, DiscoveryMove::Done),
        }
    }

    /// Whether `error` refuses to stop before a match, so that it ends a step and is no failure.
    pub fn is_discovery_refusal(&self, error: &BacktestError) -> bool {
        self.discoveries.is_refusal(error)
    }

    fn search(&mut self, scan: &mut Scan) -> DiscoveryMove {
        match &self.phase {
            Phase::Waiting { paused: None } => {
                self.take_unread_stop(scan);
                DiscoveryMove::RunOn
            }
            Phase::Waiting { paused: Some(_) } | Phase::Attached => DiscoveryMove::Settle,
            _ => DiscoveryMove::Receive,
        }
    }

    fn stop_before(&mut self, target: ContinueToParams, scan: &mut Scan) -> DiscoveryMove {
        if self.phase == Phase::Starting {
            // The session says soon that it waits; a request before that would be hard to tell from an early one.
            return DiscoveryMove::Receive;
        }
        self.take_unread_stop(scan);
        DiscoveryMove::StopBefore(target)
    }

    /// The end of the step, if it has ended. The events that it consists of are read by that.
    fn end_step(&mut self, scan: &mut Scan) -> Option<DiscoveryStepResult> {
        let result = self.discoveries.take_result()?;
        match &result {
            DiscoveryStepResult::Paused(pause) => {
                self.take_announcement(&pause.discovery, scan);
                self.take_stops_up_to(pause.paused, scan);
            }
            DiscoveryStepResult::Missed(missed) => {
                self.take_announcement(&missed.discovery, scan);
                let is_refusal = |event: &BacktestResponse| matches!(event, BacktestResponse::Error(error) if Some(error) == missed.refusal.as_ref());
                if let Some(index) = self.unread.newest(self.step_began, is_refusal) {
                    self.unread.remove(index, scan);
                }
            }
            DiscoveryStepResult::Completed => {}
        }
        Some(result)
    }

    fn take_announcement(&mut self, discovery: &DiscoveryBatchEvent, scan: &mut Scan) {
        let announces =
            |event: &BacktestResponse| matches!(event, BacktestResponse::DiscoveryBatch(found) if found == discovery);
        self.unread.remove_first(scan, announces);
    }

    /// Takes a pause out, and each `ready` of the step before it, which answered nothing.
    fn take_stops_up_to(&mut self, paused: PausedEvent, scan: &mut Scan) {
        let is_pause = |event: &BacktestResponse| *event == BacktestResponse::Paused(paused);
        let Some(mut pause) = self.unread.newest(self.step_began, is_pause) else {
            return;
        };
        self.unread.remove(pause, scan);
        let stop = |event: &SequencedResponse| is_stop(&event.response).then_some(());
        while let Some((index, ())) = self.unread.find(self.step_began, &mut Scan::default(), stop)
            && index < pause
        {
            self.unread.remove(index, scan);
            pause -= 1;
        }
    }
}
