//! The task of one managed connection, as its caller's end has it.

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{Instrument, Span};

use super::endpoint::Endpoint;
use super::supervisor::{Outlet, Setup, Supervisor, Watcher, refuse, watched};
use super::{ConnectionCounters, ConnectionError, ConnectionPolicy, ConnectionStatus, ManagedFailure};
use crate::ids::random_seed;
use crate::machine::Machine;

/// The task of one managed connection. Dropping it ends the conversation.
#[derive(Debug)]
pub(super) struct Manager {
    watcher: Watcher,
    /// None for a part of a conversation that another manager has the task of.
    task: Option<JoinHandle<()>>,
    guard: DropGuard,
}

/// What a manager is made with, beside its machine.
pub(super) struct Surroundings<M: Machine, O> {
    pub(super) outlet: O,
    pub(super) requests: Option<mpsc::Receiver<M::Request>>,
    pub(super) policy: ConnectionPolicy,
    pub(super) span: Span,
}

impl Manager {
    /// Starts a task that connects a machine, or tells why that can never be done. It also ends with `cancel`.
    pub(super) fn spawn<M, O>(
        prepared: Result<(Endpoint, M), ConnectionError>,
        surroundings: Surroundings<M, O>,
        cancel: &CancellationToken,
    ) -> Self
    where
        M: Machine<Request: Send, Event: Send> + Send + 'static,
        O: Outlet<M::Event> + Send + 'static,
    {
        let cancel = cancel.child_token();
        let guard = cancel.clone().drop_guard();
        let (watched, watcher) = watched();
        let Surroundings {
            outlet,
            requests,
            policy,
            span,
        } = surroundings;
        let task = match prepared {
            Ok((endpoint, machine)) => {
                let setup = Setup {
                    machine,
                    outlet,
                    requests,
                    endpoint,
                    policy,
                    cancel,
                    jitter_seed: random_seed(),
                };
                tokio::spawn(Supervisor::new(setup, watched).run().instrument(span))
            }
            Err(error) => tokio::spawn(refuse(error, outlet, watched, cancel).instrument(span)),
        };
        Self {
            watcher,
            task: Some(task),
            guard,
        }
    }

    /// What one of several sessions has of the manager of them all. Dropping it ends nothing.
    pub(super) fn of_part(watcher: Watcher) -> Self {
        Self {
            watcher,
            task: None,
            guard: CancellationToken::new().drop_guard(),
        }
    }

    pub(super) fn status(&self) -> watch::Receiver<ConnectionStatus> {
        self.watcher.status.clone()
    }

    pub(super) fn stalled(&self) -> watch::Receiver<bool> {
        self.watcher.stalled.clone()
    }

    pub(super) fn watcher(&self) -> Watcher {
        self.watcher.clone()
    }

    /// Why the connection failed for good, if it did.
    pub(super) fn failure(&self) -> Option<ManagedFailure> {
        self.watcher.known_failure()
    }

    /// Why nothing follows the last event, if that is not in good order.
    pub(super) fn abnormal_end(&self) -> Option<ManagedFailure> {
        self.watcher.failure()
    }

    pub(super) fn counters(&self) -> &ConnectionCounters {
        &self.watcher.counters
    }

    /// Ends the conversation, without waiting.
    pub(super) fn close(&mut self) {
        let token = CancellationToken::new();
        std::mem::replace(&mut self.guard, token.drop_guard()).disarm().cancel();
    }

    /// Ends the conversation and waits until the task has ended.
    pub(super) async fn join(self) {
        drop(self.guard);
        if let Some(task) = self.task {
            // A panic of the task has been reported where it happened.
            let _panicked = task.await;
        }
    }
}
