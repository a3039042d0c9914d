//! What a session's thread waits for when there is nothing that it can do.

use std::sync::Arc;

use simulator_engine::DecodedBlock;
use tokio::time::{Instant, sleep_until};

use super::{Lookahead, Worker, advance_failed};
use crate::discovery::Scout;
use crate::feed::FeedError;
use crate::handle::Message;
use crate::outcomes::OutcomeQueue;
use crate::usage::Pause;

/// Why there is nothing to do right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A message.
    Message,
    /// A message, or the next block.
    Block,
    /// A message, or that the scout looks at another block.
    Sight,
    /// A message, or room for events.
    EventRoom,
    /// A message, or room for outcomes.
    OutcomeRoom,
    /// A message, or room for what subscribers are told.
    DataRoom,
    /// A message, or subscribers who have been sent everything.
    Drained,
}

impl Need {
    /// The slow reader that is waited for, if it is one.
    pub(super) fn pause(self) -> Option<Pause> {
        match self {
            Self::EventRoom => Some(Pause::Events),
            Self::OutcomeRoom => Some(Pause::Outcomes),
            Self::DataRoom | Self::Drained => Some(Pause::Subscribers),
            Self::Message | Self::Block | Self::Sight => None,
        }
    }
}

/// What ended a wait.
enum Woken {
    Stop,
    Message(Message),
    Block(Option<Result<Arc<DecodedBlock>, FeedError>>),
    Room,
    Sight,
}

impl Worker {
    /// What another slot has no room in.
    pub(super) fn lacking_room(&self) -> Option<Need> {
        if self.pace.is_repeating {
            None
        } else if self.outcomes.as_ref().is_some_and(|outcomes| !outcomes.has_room()) {
            Some(Need::OutcomeRoom)
        } else {
            (!self.data.has_room()).then_some(Need::DataRoom)
        }
    }

    /// Waits for what is needed, or a message; `false` when the session is stopped.
    pub(super) fn wait(&mut self, need: Need) -> bool {
        match self.runtime.clone().block_on(self.woken(need)) {
            Woken::Stop => return false,
            Woken::Message(message) => self.take(message),
            Woken::Block(Some(Ok(block))) => self.upcoming = Lookahead::Block(block),
            Woken::Block(Some(Err(error))) => self.fail(advance_failed(self.executor.replay().slot(), &error)),
            Woken::Block(None) => self.upcoming = Lookahead::End,
            Woken::Room | Woken::Sight => {}
        }
        true
    }

    async fn woken(&mut self, need: Need) -> Woken {
        let held_until = self.held.as_ref().map(|held| held.until);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Woken::Stop,
            message = self.inbox.recv() => message.map_or(Woken::Stop, Woken::Message),
            block = self.feed.recv(), if need == Need::Block => Woken::Block(block),
            () = look_further(self.scout.as_mut()), if need == Need::Sight => Woken::Sight,
            () = self.events.room(), if need == Need::EventRoom => Woken::Room,
            () = outcome_room(self.outcomes.as_deref()), if need == Need::OutcomeRoom => Woken::Room,
            () = self.data.room(), if need == Need::DataRoom => Woken::Room,
            () = self.data.drained(), if need == Need::Drained => Woken::Room,
            () = until(held_until), if need == Need::Drained => Woken::Room,
        }
    }
}

async fn look_further(scout: Option<&mut Scout>) {
    if let Some(scout) = scout {
        scout.look_further().await;
    }
}

async fn outcome_room(outcomes: Option<&OutcomeQueue>) {
    if let Some(outcomes) = outcomes {
        outcomes.room().await;
    }
}

async fn until(instant: Option<Instant>) {
    if let Some(instant) = instant {
        sleep_until(instant).await;
    }
}
