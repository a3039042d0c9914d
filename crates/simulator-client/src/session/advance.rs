//! Moving a session forward.

use std::time::Duration;

use simulator_api::{BacktestError, BacktestRequest, BacktestResponse, ContinueParams, ContinueToParams};

use super::BacktestSession;
use crate::Continue;
use crate::error::{BacktestClientError, BacktestClientResult};
use crate::machine::{AdvanceState, ContinueResult, Delivery, Phase, StopReason};

impl BacktestSession {
    /// Asks the session to go on, without waiting for anything. Where the server knows request ids, the request gets
    /// one unless it has one; elsewhere it travels without.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_continue(
        &mut self,
        mut params: ContinueParams,
        limit: Option<Duration>,
    ) -> BacktestClientResult<()> {
        params.request_id = self.link.conversation.assign_request_id(params.request_id.take());
        self.link.send(&BacktestRequest::Continue(params), limit).await
    }

    /// Asks the session to go on to a position, without waiting for anything. While a continue runs, this replaces
    /// where it stops.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_continue_to(
        &mut self,
        mut params: ContinueToParams,
        limit: Option<Duration>,
    ) -> BacktestClientResult<()> {
        params.request_id = self.link.conversation.assign_request_id(params.request_id.take());
        self.link.send(&BacktestRequest::ContinueTo(params), limit).await
    }

    /// Reads one event into `state` and shows it to `on_event`. An event of an earlier step that was still unread is
    /// only shown. Does nothing if the step has stopped.
    ///
    /// # Errors
    ///
    /// [`Remote`](BacktestClientError::Remote) if the event is an error other than a `simulationError`;
    /// [`Closed`](BacktestClientError::Closed) if the stream ends. Otherwise as [`next_event`](Self::next_event).
    pub async fn advance_step(
        &mut self,
        state: &mut AdvanceState,
        limit: Option<Duration>,
        on_event: &mut impl FnMut(&BacktestResponse),
    ) -> BacktestClientResult<()> {
        if state.is_done() {
            return Ok(());
        }
        let delivery = self.deliver(limit, on_event).await?;
        if delivery.is_of_current_step {
            state.observe(&delivery.event.response);
        }
        Ok(())
    }

    /// Sends a continue and reads until something stops the step: `ready`, a pause, a discovery or the end of the
    /// range. If the session is known to be at work still, what it does is read first.
    ///
    /// A run without bound is held before a match that was announced, and the next continue lets it pass. So a step
    /// ends with such a [discovery](crate::StopReason::Discovery), even one that was announced before the step, and
    /// calling this again goes on from there: what is read on the way to the match is then shown, and not counted.
    ///
    /// # Errors
    ///
    /// [`AlreadyCompleted`](BacktestClientError::AlreadyCompleted) if there is nothing left to continue. Otherwise as
    /// [`advance_step`](Self::advance_step); the step then goes on at the server, and can be followed with
    /// [`advance_step`](Self::advance_step) or [`ensure_ready`](Self::ensure_ready).
    pub async fn continue_until_ready(
        &mut self,
        next: Continue,
        limit: Option<Duration>,
        mut on_event: impl FnMut(&BacktestResponse),
    ) -> BacktestClientResult<ContinueResult> {
        self.read_until_idle(limit, &mut on_event).await?;
        let mut state = AdvanceState::new(next.advance_count);
        self.send_continue(next.into_params(), limit).await?;
        let held_before = self.link.conversation.held_before().cloned();
        state.stop = held_before.map(StopReason::Discovery);
        while !state.is_done() {
            self.advance_step(&mut state, limit, &mut on_event).await?;
        }
        Ok(state.into())
    }

    /// The same as [`continue_until_ready`](Self::continue_until_ready): a stop ends the step even if fewer slots
    /// were notified than asked for. Compare `slot_notifications` where that matters.
    ///
    /// # Errors
    ///
    /// As [`continue_until_ready`](Self::continue_until_ready).
    pub async fn advance(
        &mut self,
        next: Continue,
        limit: Option<Duration>,
        on_event: impl FnMut(&BacktestResponse),
    ) -> BacktestClientResult<ContinueResult> {
        self.continue_until_ready(next, limit, on_event).await
    }

    /// Reads while the session is at work on something else than what comes next. After an attach nobody knows, and
    /// the server may be waiting in silence, so nothing is read; nor is it where a match holds the session.
    async fn read_until_idle(
        &mut self,
        limit: Option<Duration>,
        on_event: &mut impl FnMut(&BacktestResponse),
    ) -> BacktestClientResult<()> {
        loop {
            let conversation = &self.link.conversation;
            let is_held = conversation.held_before().is_some() && conversation.is_read();
            match conversation.phase() {
                Phase::Running { .. } if is_held => return Ok(()),
                Phase::Starting | Phase::Running { .. } => {
                    self.deliver(limit, on_event).await?;
                }
                Phase::Attached | Phase::Waiting { .. } => return Ok(()),
                Phase::Completed => return Err(BacktestClientError::AlreadyCompleted),
                Phase::Failed(error) => return Err(BacktestClientError::Remote(error.clone())),
            }
        }
    }

    async fn deliver(
        &mut self,
        limit: Option<Duration>,
        on_event: &mut impl FnMut(&BacktestResponse),
    ) -> BacktestClientResult<Delivery> {
        let Some(delivery) = self.link.next(limit).await? else {
            return Err(BacktestClientError::Closed { reason: None });
        };
        on_event(&delivery.event.response);
        match &delivery.event.response {
            BacktestResponse::Error(BacktestError::SimulationError { .. }) => Ok(delivery),
            BacktestResponse::Error(error) => Err(BacktestClientError::Remote(error.clone())),
            _ => Ok(delivery),
        }
    }
}
