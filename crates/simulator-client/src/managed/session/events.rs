//! The one stream of events of a session.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use simulator_api::{AgentStatsReport, SessionSummary};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::ManagedBacktestSession;
use super::gate::{Subscribed, SubscriptionState};
use crate::managed::{
    ConnectionStatus, ControlEvent, ManagedEvent, ManagedFailure, ManagedSessionError, SubscriptionNotification,
};

/// How far the stream has been read.
pub(super) struct Progress {
    stage: Stage,
    summary: Option<SessionSummary>,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
}

enum Stage {
    Running,
    /// The control channel has told its last; the subscriptions are read to their ends.
    Draining {
        last: Last,
        /// Runs while there is nothing to read.
        silence: Option<Pin<Box<Sleep>>>,
    },
    Over,
}

/// What the caller gets last.
#[derive(Clone)]
enum Last {
    Completed { agent_stats: Option<Vec<AgentStatsReport>> },
    Failed(ManagedFailure),
}

pub(in crate::managed) type Event = Result<ManagedEvent, ManagedSessionError>;

impl Progress {
    pub(super) fn new(cancel: &CancellationToken) -> Self {
        Self {
            stage: Stage::Running,
            summary: None,
            cancelled: Box::pin(cancel.clone().cancelled_owned()),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether the control channel may have more to tell.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running)
    }

    pub(super) fn summary(&self) -> Option<&SessionSummary> {
        self.summary.as_ref()
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage {
            Stage::Running => "Running",
            Stage::Draining { .. } => "Draining",
            Stage::Over => "Over",
        })
    }
}

impl ManagedBacktestSession {
    pub(in crate::managed) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if self.progress.is_over() {
            return Poll::Ready(Err(ManagedSessionError::ControlClosed));
        }
        if self.progress.cancelled.as_mut().poll(cx).is_ready() {
            self.progress.stage = Stage::Over;
            return Poll::Ready(Err(ManagedSessionError::Cancelled));
        }
        if let Poll::Ready(event) = self.poll_sources(cx) {
            if let Stage::Draining { silence, .. } = &mut self.progress.stage {
                *silence = None;
            }
            return Poll::Ready(event);
        }
        self.poll_drained(cx)
    }

    /// Asks every source once, each time beginning with another one, so that none can starve the others.
    fn poll_sources(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let sources = self.subscriptions.len() + 1;
        self.turn = (self.turn + 1) % sources;
        for offset in 0..sources {
            let event = match (self.turn + offset) % sources {
                0 => self.poll_control(cx),
                number => self.poll_subscription(number - 1, cx),
            };
            if event.is_ready() {
                return event;
            }
        }
        Poll::Pending
    }

    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        while matches!(self.progress.stage, Stage::Running) {
            let Poll::Ready(event) = self.control.events.poll_recv(cx) else {
                return Poll::Pending;
            };
            let last = match event.map(managed_event) {
                Some(Told::Event(event)) => return Poll::Ready(event),
                Some(Told::Completed { summary, agent_stats }) => {
                    self.progress.summary = summary;
                    Last::Completed { agent_stats }
                }
                Some(Told::Failed(failure)) => Last::Failed(failure),
                None => {
                    self.progress.stage = Stage::Over;
                    let error = self.control.abnormal_end();
                    return Poll::Ready(Err(
                        error.map_or(ManagedSessionError::ControlClosed, ManagedSessionError::control_failed)
                    ));
                }
            };
            self.progress.stage = Stage::Draining { last, silence: None };
        }
        Poll::Pending
    }

    fn poll_subscription(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<Event> {
        let subscribed = &mut self.subscriptions[index];
        if !subscribed.is_open() {
            return Poll::Pending;
        }
        match subscribed.handle.notifications.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => match subscribed.handle.abnormal_end() {
                None => {
                    subscribed.state = SubscriptionState::Ended;
                    Poll::Pending
                }
                Some(failure) => Poll::Ready(Err(subscribed.fail(failure))),
            },
            Poll::Ready(Some(notification)) => Poll::Ready(match notification {
                SubscriptionNotification::Transaction(transaction) => Ok(ManagedEvent::Transaction(transaction)),
                SubscriptionNotification::AccountDiff(diff) => Ok(ManagedEvent::AccountDiff(diff)),
                SubscriptionNotification::Logs(logs) => Ok(ManagedEvent::Logs(logs)),
                SubscriptionNotification::Action(action) => Ok(ManagedEvent::Action(action)),
                SubscriptionNotification::Fault(fault) => Err(fault.into()),
                SubscriptionNotification::Failed(failure) => Err(subscribed.fail(failure)),
            }),
        }
    }

    /// Whether everything has been told, or a subscription has been silent for too long.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let Stage::Draining { last, silence } = &mut self.progress.stage else {
            return Poll::Pending;
        };
        let is_waited_for = |subscribed: &&Subscribed| subscribed.is_open();
        let mut open = self.subscriptions.iter().filter(is_waited_for).peekable();
        // A connection that cannot reach the server says nothing about the subscriptions, but there is nothing to wait
        // for either.
        let is_worth_waiting = matches!(last, Last::Completed { .. } | Last::Failed(ManagedFailure::Session(_)));
        if open.peek().is_none() || !is_worth_waiting {
            return Poll::Ready(self.last_event(None));
        }
        let limit = self.policy.completion_drain_timeout;
        let silence = silence.get_or_insert_with(|| Box::pin(sleep(limit)));
        if silence.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        // A connection that is being made again has limits of its own.
        let is_up = |subscribed: &&Subscribed| *subscribed.handle.status.borrow() == ConnectionStatus::Up;
        let Some(target) = open.find(is_up).map(|subscribed| subscribed.target.clone()) else {
            silence.as_mut().reset(tokio::time::Instant::now() + limit);
            return self.poll_drained(cx);
        };
        let incomplete = ManagedSessionError::Incomplete { target, silence: limit };
        Poll::Ready(self.last_event(Some(incomplete)))
    }

    /// What the caller gets last. The session is closed at the server from here on.
    fn last_event(&mut self, incomplete: Option<ManagedSessionError>) -> Event {
        let stage = std::mem::replace(&mut self.progress.stage, Stage::Over);
        self.control.close();
        let failed = self
            .subscriptions
            .iter()
            .find_map(|subscribed| match &subscribed.state {
                SubscriptionState::Failed(failure) => Some(subscribed.failed(failure.clone())),
                SubscriptionState::Open | SubscriptionState::Ended => None,
            });
        match stage {
            Stage::Draining {
                last: Last::Failed(failure),
                ..
            } => Err(ManagedSessionError::control_failed(failure)),
            Stage::Draining {
                last: Last::Completed { agent_stats },
                ..
            } => match incomplete.or(failed) {
                Some(error) => Err(error),
                None => Ok(ManagedEvent::Completed {
                    summary: self.progress.summary.clone(),
                    agent_stats,
                }),
            },
            Stage::Running | Stage::Over => Err(ManagedSessionError::ControlClosed),
        }
    }
}

/// What a control event means to the whole session.
pub(in crate::managed) enum Told {
    Event(Event),
    Completed {
        summary: Option<SessionSummary>,
        agent_stats: Option<Vec<AgentStatsReport>>,
    },
    Failed(ManagedFailure),
}

pub(in crate::managed) fn managed_event(event: ControlEvent) -> Told {
    Told::Event(Ok(match event {
        ControlEvent::ReadyForContinue => ManagedEvent::ReadyForContinue,
        ControlEvent::Paused(position) => ManagedEvent::Paused(position),
        ControlEvent::DiscoveryBatch(batch) => ManagedEvent::DiscoveryBatch(batch),
        ControlEvent::Slot(slot) => ManagedEvent::Slot(slot),
        ControlEvent::Status(status) => ManagedEvent::Status(status),
        ControlEvent::Error(error) => ManagedEvent::Error(error),
        ControlEvent::Unknown(message) => ManagedEvent::Unknown(message),
        ControlEvent::Completed { summary, agent_stats } => return Told::Completed { summary, agent_stats },
        ControlEvent::Failed(failure) => return Told::Failed(failure),
        ControlEvent::Fault(fault) => return Told::Event(Err(fault.into())),
    }))
}
