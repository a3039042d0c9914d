//! The one loop behind every managed connection: connect, hand-shake, move messages, back off, connect again.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::budget::ReconnectBudget;
use super::connection::{Connection, Exit};
use super::endpoint::Endpoint;
use super::error::with_causes;
use super::queue::Room;
use super::{ConnectionCounters, ConnectionError, ConnectionPolicy, ConnectionStatus, ManagedFailure};
use crate::machine::{Ending, Machine, Standing};

/// Between two connections that are made to close a session.
const CLOSE_PAUSE: Duration = Duration::from_millis(200);

/// Where the events of a machine go.
pub(crate) trait Outlet<Event> {
    /// Waits for room for one event.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Room>;

    /// Whether an event takes room at all.
    fn needs_room(&self, _event: &Event) -> bool {
        true
    }

    /// How many more events there is room for, as far as is known without asking; 0 if each is to be asked for.
    fn known_room(&self) -> usize {
        0
    }

    /// Takes an event. There is room for it.
    fn deliver(&mut self, event: Event);

    /// Lets the caller see what was taken.
    fn flush(&mut self);

    /// The event that says that nothing more will come.
    fn failed(&mut self, failure: ManagedFailure);
}

/// Everything that one managed connection is made of. It lives in one task.
pub(crate) struct Supervisor<M: Machine, O> {
    pub(super) machine: M,
    pub(super) outlet: O,
    pub(super) requests: Option<mpsc::Receiver<M::Request>>,
    pub(super) policy: ConnectionPolicy,
    pub(super) connection: Option<Connection>,
    pub(super) watched: Watched,
    endpoint: Endpoint,
    budget: ReconnectBudget,
    cancel: CancellationToken,
    /// Whether the caller wants the conversation to end: events are no longer delivered.
    pub(super) closing: bool,
    /// An event that waits for room.
    pub(super) held: Option<M::Event>,
    /// Why nothing follows, which is told after everything else.
    pub(super) last_words: Option<ManagedFailure>,
}

/// What callers can see of a supervisor.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) status: watch::Sender<ConnectionStatus>,
    /// Whether reading is suspended although the handshake has not ended.
    pub(crate) stalled: watch::Sender<bool>,
    pub(crate) counters: ConnectionCounters,
    pub(crate) failure: Arc<OnceLock<ManagedFailure>>,
    /// Whether the task has ended in good order.
    pub(crate) finished: Arc<AtomicBool>,
}

/// The caller's ends of [`Watched`].
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    pub(crate) status: watch::Receiver<ConnectionStatus>,
    pub(crate) stalled: watch::Receiver<bool>,
    pub(crate) counters: ConnectionCounters,
    failure: Arc<OnceLock<ManagedFailure>>,
    finished: Arc<AtomicBool>,
}

/// What a supervisor is made with, beside its machine.
pub(crate) struct Setup<M: Machine, O> {
    pub(crate) machine: M,
    pub(crate) outlet: O,
    pub(crate) requests: Option<mpsc::Receiver<M::Request>>,
    pub(crate) endpoint: Endpoint,
    pub(crate) policy: ConnectionPolicy,
    pub(crate) cancel: CancellationToken,
    pub(crate) jitter_seed: u64,
}

/// The two sides of what can be watched.
pub(crate) fn watched() -> (Watched, Watcher) {
    let (status, status_seen) = watch::channel(ConnectionStatus::Down);
    let (stalled, stalled_seen) = watch::channel(false);
    let watched = Watched {
        status,
        stalled,
        counters: ConnectionCounters::new(now()),
        failure: Arc::default(),
        finished: Arc::default(),
    };
    let watcher = Watcher {
        status: status_seen,
        stalled: stalled_seen,
        counters: watched.counters.clone(),
        failure: watched.failure.clone(),
        finished: watched.finished.clone(),
    };
    (watched, watcher)
}

/// Tells that a connection can never be made.
pub(crate) async fn refuse<Event>(
    error: ConnectionError,
    mut outlet: impl Outlet<Event>,
    watched: Watched,
    cancel: CancellationToken,
) {
    let failure = ManagedFailure::Permanent(error);
    watched.fail(&failure);
    let room = poll_fn(|cx| outlet.poll_room(cx));
    if cancel.run_until_cancelled(room).await == Some(Room::Free) {
        outlet.failed(failure);
        outlet.flush();
    }
}

/// The time, by the clock that tests can pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl<M: Machine, O: Outlet<M::Event>> Supervisor<M, O> {
    pub(crate) fn new(setup: Setup<M, O>, watched: Watched) -> Self {
        Self {
            machine: setup.machine,
            outlet: setup.outlet,
            requests: setup.requests,
            budget: ReconnectBudget::new(setup.policy.reconnect.clone(), setup.jitter_seed),
            policy: setup.policy,
            connection: None,
            watched,
            endpoint: setup.endpoint,
            cancel: setup.cancel,
            closing: false,
            held: None,
            last_words: None,
        }
    }

    /// Works until the conversation is over, has failed for good, or is cancelled. Everything that must survive a
    /// cancelled await is a field, so that cancellation is observed at any moment.
    pub(crate) async fn run(mut self) {
        let cancel = self.cancel.clone();
        let ending = cancel.run_until_cancelled(self.supervise()).await;
        if let Some(Ending::Failed(failure)) = &ending {
            self.watched.fail(failure);
            self.last_words = Some(failure.clone());
        }
        let limit = self.policy.graceful_close_timeout;
        if timeout(limit, self.close(ending.is_none())).await.is_err() {
            tracing::debug!(?limit, "the connection could not be closed gracefully in time");
        }
        self.connection = None;
        if !matches!(ending, Some(Ending::Failed(_))) {
            self.watched.finished.store(true, Ordering::Release);
            self.watched.status.send_replace(ConnectionStatus::Down);
        }
        if ending.is_some() {
            cancel.run_until_cancelled(poll_fn(|cx| self.poll_deliver(cx))).await;
        }
    }

    async fn supervise(&mut self) -> Ending {
        loop {
            let error = match self.connect_and_converse().await {
                Exit::Over(ending) => return ending,
                Exit::Lost(error) => error,
            };
            self.disconnected();
            if let Standing::Over(ending) = self.machine.standing() {
                return ending;
            }
            if !self.machine.wants_connection() {
                // Only the caller can want something now, and it says so by cancelling.
                self.while_delivering(std::future::pending::<()>()).await;
            }
            if let Err(failure) = self.back_off(error).await {
                return Ending::Failed(failure);
            }
        }
    }

    async fn connect_and_converse(&mut self) -> Exit {
        if let Err(error) = self.connect().await {
            self.watched.counters.failed_attempt();
            return Exit::Lost(error);
        }
        let number = self.watched.counters.snapshot().connections;
        self.converse()
            .instrument(tracing::info_span!("connection", number))
            .await
    }

    async fn connect(&mut self) -> Result<(), ConnectionError> {
        let limit = self.policy.connect_timeout;
        let Endpoint { connector, request } = self.endpoint.clone();
        let transport = self
            .while_delivering(timeout(limit, connector.connect(request)))
            .await
            .map_err(|_| ConnectionError::ConnectTimeout(limit))?
            .map_err(|source| ConnectionError::Connect(Arc::new(source)))?;
        let now = now();
        self.watched.counters.connected();
        self.connection = Some(Connection::new(transport, &self.policy, now));
        self.machine.handle_connected(now);
        Ok(())
    }

    fn disconnected(&mut self) {
        let now = now();
        if let Some(connection) = self.connection.take() {
            if connection.uptime(now) >= self.policy.reconnect.uptime_reset {
                self.budget.reset();
            }
            self.budget.excuse(connection.lifetime());
        }
        self.watched.set_stalled(false);
        self.watched.status.send_if_modified(|status| {
            let was_up = *status == ConnectionStatus::Up;
            *status = ConnectionStatus::Down;
            was_up
        });
        self.machine.handle_disconnected(now);
        self.retire_requests();
    }

    /// Waits before the next attempt, or says why there is none.
    async fn back_off(&mut self, error: ConnectionError) -> Result<(), ManagedFailure> {
        if !error.is_retryable() {
            return Err(ManagedFailure::Permanent(error));
        }
        let now = now();
        let Some(delay) = self.budget.next_backoff(now) else {
            return Err(ManagedFailure::BudgetSpent {
                attempts: self.budget.attempt(),
                elapsed: self.budget.elapsed(now),
                last: error,
            });
        };
        tracing::debug!(
            error = with_causes(&error),
            ?delay,
            attempt = self.budget.attempt(),
            "connecting again"
        );
        self.while_delivering(sleep(delay)).await;
        Ok(())
    }

    /// Waits for something. The caller meanwhile gets the events that wait for it.
    async fn while_delivering<T>(&mut self, wait: impl Future<Output = T>) -> T {
        let mut wait = pin!(wait);
        poll_fn(|cx| {
            // Whether there is more to deliver makes no difference here.
            let _delivered = self.poll_deliver(cx);
            wait.as_mut().poll(cx)
        })
        .await
    }

    /// Ends the conversation and the connection, as gracefully as the peer allows. The caller bounds the time.
    async fn close(&mut self, is_cancelled: bool) {
        if is_cancelled {
            tracing::debug!("closing, because the caller wants it");
            self.closing = true;
            self.machine.handle_close(now());
            self.finish_conversation().await;
        }
        if let Some(mut connection) = self.connection.take() {
            self.while_delivering(connection.close()).await;
        }
    }

    /// Says what is left to be said, on a new connection if need be.
    async fn finish_conversation(&mut self) {
        loop {
            if self.connection.is_some() {
                match self.converse().await {
                    Exit::Over(_) => return,
                    Exit::Lost(_) => {
                        self.disconnected();
                        // A server that is busy with the session's last connection is asked again, but not at once.
                        sleep(CLOSE_PAUSE).await;
                    }
                }
            }
            if !self.machine.needs_connection_to_close() {
                return;
            }
            match self.connect().await {
                Ok(()) => {}
                Err(error) if !error.is_retryable() => return,
                Err(_) => sleep(CLOSE_PAUSE).await,
            }
        }
    }

    /// Nobody reads the events: what is left is to close.
    pub(super) fn abandon(&self) {
        self.cancel.cancel();
    }
}

impl Watched {
    /// Says whether a handshake waits for its caller to read.
    pub(super) fn set_stalled(&self, is_stalled: bool) {
        self.stalled
            .send_if_modified(|stalled| std::mem::replace(stalled, is_stalled) != is_stalled);
    }

    fn fail(&self, failure: &ManagedFailure) {
        let text = with_causes(failure);
        tracing::warn!(reason = text, "the connection failed for good");
        // Only one task sets it, and only once.
        let _already_set = self.failure.set(failure.clone());
        self.status.send_replace(ConnectionStatus::Failed(text));
    }
}

impl Watcher {
    /// What one of several sessions on the same connection shows, which may end in good order before the others.
    pub(crate) fn of_part(&self, finished: Arc<AtomicBool>) -> Self {
        Self {
            finished,
            ..self.clone()
        }
    }

    /// Why nothing follows, if that is not in good order. Asked once the task has ended.
    pub(crate) fn failure(&self) -> Option<ManagedFailure> {
        let is_finished = self.finished.load(Ordering::Acquire);
        let failure = self.failure.get().cloned();
        failure.or_else(|| (!is_finished).then_some(ManagedFailure::Aborted))
    }

    /// Why the connection failed for good, if it did.
    pub(crate) fn known_failure(&self) -> Option<ManagedFailure> {
        self.failure.get().cloned()
    }
}
