//! Going from match to match.

use std::time::Duration;

use simulator_api::{BacktestError, BacktestResponse, ContinueParams};
use tokio::time::timeout;

use super::BacktestSession;
use crate::error::{BacktestClientError, BacktestClientResult};
use crate::machine::{DiscoveryMove, DiscoveryStep, DiscoveryStepResult, Scan};

const ACTION: &str = "advance to the next discovery";

impl BacktestSession {
    /// Goes on to the next match of the session's [discovery filters](crate::CreateSession::discoveries) and waits
    /// there: nothing of the matching batch has been applied. Where no further match exists, the session runs to the
    /// end of its range.
    ///
    /// A match that was announced before, read or unread, is not forgotten: the step goes to the first one that no step
    /// went to. When it ends, the step takes the announcement and the stop; all other events stay unread. Over a long way [`advance_to_discovery_with`](Self::advance_to_discovery_with) shows them as
    /// they come. A call that failed or was cancelled can be repeated, and goes on with the same match.
    ///
    /// # Errors
    ///
    /// [`Remote`](BacktestClientError::Remote) if the session reports an error other than a `simulationError`;
    /// [`UnreadEvents`](BacktestClientError::UnreadEvents) if too many events are left unread. Otherwise as
    /// [`next_event`](Self::next_event). A server that refuses to stop before a match is no error, but
    /// [`Missed`](DiscoveryStepResult::Missed).
    pub async fn advance_to_discovery(&mut self, limit: Option<Duration>) -> BacktestClientResult<DiscoveryStepResult> {
        let mut scan = Scan::default();
        loop {
            let next = self
                .link
                .conversation
                .poll_discovery(DiscoveryStep::default(), &mut scan);
            if let Some(result) = self.step_to_discovery(next, limit).await? {
                return Ok(result);
            }
        }
    }

    /// As [`advance_to_discovery`](Self::advance_to_discovery), but stops where `step` says, and reads every event and
    /// shows it to `on_event`, those first that were unread.
    ///
    /// # Errors
    ///
    /// As [`advance_to_discovery`](Self::advance_to_discovery), but never
    /// [`UnreadEvents`](BacktestClientError::UnreadEvents).
    pub async fn advance_to_discovery_with(
        &mut self,
        step: DiscoveryStep,
        limit: Option<Duration>,
        mut on_event: impl FnMut(&BacktestResponse),
    ) -> BacktestClientResult<DiscoveryStepResult> {
        loop {
            self.show_unread(&mut on_event)?;
            let next = self.link.conversation.poll_discovery(step, &mut Scan::default());
            if let Some(result) = self.step_to_discovery(next, limit).await? {
                return Ok(result);
            }
        }
    }

    fn show_unread(&mut self, on_event: &mut impl FnMut(&BacktestResponse)) -> BacktestClientResult<()> {
        while let Some(delivery) = self.link.conversation.next_event() {
            on_event(&delivery.event.response);
            match delivery.event.response {
                BacktestResponse::Error(BacktestError::SimulationError { .. }) => {}
                BacktestResponse::Error(error) if !self.link.conversation.is_discovery_refusal(&error) => {
                    return Err(BacktestClientError::Remote(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn step_to_discovery(
        &mut self,
        next: DiscoveryMove,
        limit: Option<Duration>,
    ) -> BacktestClientResult<Option<DiscoveryStepResult>> {
        match next {
            DiscoveryMove::Done(result) => return Ok(Some(result)),
            DiscoveryMove::Failed(error) => return Err(BacktestClientError::Remote(error)),
            // What is there already may announce a match.
            DiscoveryMove::RunOn if self.link.receive_at_once()? => {}
            DiscoveryMove::RunOn => self.run_on(limit).await?,
            DiscoveryMove::StopBefore(target) => self.send_continue_to(target, limit).await?,
            DiscoveryMove::Receive => self.link.receive_another(ACTION, limit).await?,
            DiscoveryMove::Settle => self.settle(limit).await?,
        }
        Ok(None)
    }

    async fn settle(&mut self, limit: Option<Duration>) -> BacktestClientResult<()> {
        let Some(patience) = self.link.limits.discovery_settle else {
            return self.link.receive_another(ACTION, limit).await;
        };
        match timeout(patience, self.link.receive_another(ACTION, limit)).await {
            Ok(received) => received,
            Err(_nothing_said) => self.run_on(limit).await,
        }
    }

    /// Lets the session run without bound. Servers hold it before a match that they have announced.
    async fn run_on(&mut self, limit: Option<Duration>) -> BacktestClientResult<()> {
        let without_bound = ContinueParams {
            advance_count: u64::MAX,
            ..ContinueParams::default()
        };
        self.send_continue(without_bound, limit).await
    }
}
