//! Whether a run without bound is held before a match.
//!
//! A server lets a run to the end of the range pass no match that it has announced: before the matching batch it waits,
//! without a word, for the next request. So only what was announced and what was sent tells that a session is held, or
//! will be once it comes there.

use std::sync::Arc;

use simulator_api::{BacktestRequest, BacktestResponse, DiscoveryBatchEvent};

use super::is_rejection;

/// What holds the current run, if anything does.
#[derive(Debug, Default)]
pub(super) struct Hold {
    now: Run,
    /// As it would be without the last request, which a server may refuse.
    before: Run,
}

#[derive(Clone, Debug, Default)]
struct Run {
    /// The match that was announced last, unless it was answered or the session has left it behind.
    announced: Option<Arc<DiscoveryBatchEvent>>,
    is_without_bound: bool,
}

impl Hold {
    /// The match before which the session waits, or will wait when it comes there.
    pub(super) fn before(&self) -> Option<&DiscoveryBatchEvent> {
        let announced = self.now.announced.as_deref();
        announced.filter(|_| self.now.is_without_bound)
    }

    /// Takes note of a request that was sent.
    pub(super) fn on_sent(&mut self, request: &BacktestRequest) {
        let is_without_bound = match request {
            BacktestRequest::Continue(params) => params.advance_count == u64::MAX,
            BacktestRequest::ContinueTo(_) => false,
            _ => return,
        };
        self.before = self.now.clone();
        let is_answer = self.now.is_without_bound && matches!(request, BacktestRequest::Continue(_));
        if is_answer {
            self.now.announced = None;
        }
        self.now.is_without_bound = is_without_bound;
    }

    /// Takes note of an event that was received.
    pub(super) fn on_event(&mut self, event: &BacktestResponse) {
        if matches!(event, BacktestResponse::Error(error) if is_rejection(error)) {
            self.now = self.before.clone();
            return;
        }
        self.now.on_event(event);
        self.before.on_event(event);
    }
}

impl Run {
    fn on_event(&mut self, event: &BacktestResponse) {
        match event {
            BacktestResponse::DiscoveryBatch(discovery) => self.announced = Some(Arc::new(discovery.clone())),
            // A server that notifies a slot before it executes it may hold the run in there.
            BacktestResponse::SlotNotification(slot) if self.is_without_bound => self.leave((*slot, 0)),
            BacktestResponse::SlotNotification(slot) => self.leave((slot.saturating_add(1), 0)),
            BacktestResponse::Paused(paused) => {
                let batch = paused.batch_index.map_or(u64::MAX, u64::from);
                self.leave((paused.slot, batch.saturating_add(1)));
                self.is_without_bound = false;
            }
            BacktestResponse::Completed { .. } => *self = Self::default(),
            _ => {}
        }
    }

    /// The session stands at `position`, a slot and a batch, and is held before nothing that comes before that.
    fn leave(&mut self, position: (u64, u64)) {
        self.announced
            .take_if(|discovery| (discovery.slot, u64::from(discovery.batch_index)) < position);
    }
}

#[cfg(test)]
mod tests {
    use simulator_api::{BacktestError, ContinueParams, ContinueToParams, PausedEvent};

    use super::*;

    fn announce(hold: &mut Hold, slot: u64) {
        hold.on_event(&BacktestResponse::DiscoveryBatch(DiscoveryBatchEvent {
            slot,
            batch_index: 3,
            matched: vec![],
            transactions: vec![],
            transaction_indices: vec![],
        }));
    }

    fn send(hold: &mut Hold, advance_count: u64) {
        hold.on_sent(&BacktestRequest::Continue(ContinueParams {
            advance_count,
            ..ContinueParams::default()
        }));
    }

    fn held_at(hold: &Hold) -> Option<u64> {
        hold.before().map(|discovery| discovery.slot)
    }

    #[test]
    fn a_run_without_bound_is_held_before_what_was_announced_before_it_or_while_it_runs() {
        let mut hold = Hold::default();
        announce(&mut hold, 7);
        assert_eq!(held_at(&hold), None, "nothing runs");
        send(&mut hold, u64::MAX);
        assert_eq!(held_at(&hold), Some(7));
        send(&mut hold, u64::MAX);
        assert_eq!(held_at(&hold), None, "answered");
        announce(&mut hold, 9);
        assert_eq!(held_at(&hold), Some(9));
        send(&mut hold, 2);
        assert_eq!(held_at(&hold), None, "answered by a run that passes everything");
    }

    #[test]
    fn what_a_run_with_a_bound_has_passed_holds_nothing() {
        let mut hold = Hold::default();
        announce(&mut hold, 7);
        send(&mut hold, 1);
        hold.on_event(&BacktestResponse::SlotNotification(7));
        send(&mut hold, u64::MAX);
        assert_eq!(held_at(&hold), None);
    }

    #[test]
    fn a_pause_before_the_match_is_beyond_its_hold() {
        for (batch, held) in [(Some(2), Some(7)), (Some(3), None), (None, None)] {
            let mut hold = Hold::default();
            announce(&mut hold, 7);
            hold.on_event(&BacktestResponse::Paused(PausedEvent {
                slot: 7,
                batch_index: batch,
            }));
            send(&mut hold, u64::MAX);
            assert_eq!(held_at(&hold), held);
        }
    }

    #[test]
    fn a_refused_request_lets_nothing_go() {
        let refusal = BacktestResponse::Error(BacktestError::InvalidRequest { error: "behind".into() });
        let target = ContinueToParams {
            slot: 1,
            batch_index: None,
            request_id: None,
        };
        let mut hold = Hold::default();
        send(&mut hold, u64::MAX);
        announce(&mut hold, 7);
        hold.on_sent(&BacktestRequest::ContinueTo(target));
        assert_eq!(held_at(&hold), None);
        hold.on_event(&refusal);
        assert_eq!(held_at(&hold), Some(7));
        send(&mut hold, u64::MAX);
        hold.on_event(&refusal);
        assert_eq!(held_at(&hold), Some(7));
    }
}
