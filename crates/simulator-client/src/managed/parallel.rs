//! Several sessions that share a range: one control connection, and one stream of all their events.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::future::join_all;
use simulator_api::{ControlSessionId, CreateBacktestSessionRequest, SessionId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::control::{ControlStart, PartStart, REQUEST_QUEUE};
use super::manager::{Manager, Surroundings};
use super::queue::{EventSender, Room, queue};
use super::session::{Assembly, Event, Told, managed_event};
use super::supervisor::Outlet;
use super::{
    ConnectionCounters, ConnectionPolicy, ConnectionStatus, ControlEvent, EventReceiver, ManagedBacktestSession,
    ManagedEvent, ManagedFailure, ManagedSessionBuilder, ManagedSessionError,
};
use crate::machine::control::parallel::{ParallelInfo, ParallelMachine, ParallelOutput, ParallelRequest, PartEnd};

/// Several sessions that share a range and look after themselves.
///
/// The server cuts the range along what it offers and makes a session for each part, all of which share one control
/// connection. Each is a [`ManagedBacktestSession`] with everything that one can do: it goes on by blocks or to a
/// position, and has subscriptions of its own.
///
/// ```no_run
/// use simulator_api::ContinueParams;
/// use simulator_client::CreateSession;
/// use simulator_client::managed::{ManagedEvent, ManagedParallelSession};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let create = CreateSession::builder().start_slot(402_000_000).slot_count(9_999).build().into_request()?;
/// let url = "ws://127.0.0.1:8900/backtest".to_owned();
/// let mut parallel = ManagedParallelSession::start(url, String::new(), create).await?;
/// while let Some(event) = parallel.next_event().await {
///     let session = event.session.and_then(|index| parallel.session_mut(index));
///     if let (Ok(ManagedEvent::ReadyForContinue), Some(session)) = (event.event, session) {
///         session.send_continue(ContinueParams { advance_count: 100, ..ContinueParams::default() }).await?;
///     }
/// }
/// parallel.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// Read the events with [`next_event`](Self::next_event) of this, not of its sessions: those that nobody reads fill the
/// queue of their session, and a full queue stops the connection that all of them share. Nothing is dropped.
#[derive(Debug)]
pub struct ManagedParallelSession {
    info: ParallelInfo,
    sessions: Vec<ManagedBacktestSession>,
    /// What the server says about none of them.
    events: EventReceiver<ControlEvent>,
    requests: mpsc::Sender<ParallelRequest>,
    /// Which session is asked first next time.
    turn: usize,
    manager: Manager,
    cancel: CancellationToken,
    _guard: DropGuard,
}

/// An event of one of several sessions.
#[derive(Debug)]
#[non_exhaustive]
pub struct ParallelEvent {
    /// Which one it is of, by its place in slot order; `None` if the server said it about none of them.
    pub session: Option<usize>,
    /// The event, as [`ManagedBacktestSession::next_event`] gives it.
    pub event: Result<ManagedEvent, ManagedSessionError>,
}

impl ManagedParallelSession {
    /// Creates the sessions of a request and waits until they exist. They may still be starting then.
    ///
    /// # Errors
    ///
    /// [`Create`](ManagedSessionError::Create) with the reason.
    pub async fn start(
        url: String,
        api_key: String,
        request: CreateBacktestSessionRequest,
    ) -> Result<Self, ManagedSessionError> {
        Self::builder(url, request).api_key(api_key).start_parallel().await
    }

    /// Sessions with headers, a policy or a network of their own: end it with
    /// [`start_parallel`](ManagedSessionBuilder::start_parallel).
    pub fn builder(url: impl Into<String>, request: CreateBacktestSessionRequest) -> ManagedSessionBuilder {
        ManagedSessionBuilder::new(url.into(), request)
    }

    pub(super) async fn start_with(
        start: ControlStart,
        cancel: CancellationToken,
    ) -> Result<Self, ManagedSessionError> {
        let guard = cancel.clone().drop_guard();
        let (policy, connector) = (start.policy.clone(), start.connector.clone());
        let start_slot = start.create.request.start_slot;
        let Spawned {
            manager,
            events,
            requests,
            opened,
        } = spawn(start, &cancel);
        let opened = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(ManagedSessionError::Cancelled),
            opened = opened => opened,
        };
        let Ok(Opened { info, parts }) = opened else {
            let failure = manager.abnormal_end();
            return Err(failure.map_or(ManagedSessionError::Cancelled, ManagedSessionError::create));
        };
        let of_parts = info
            .sessions
            .iter()
            .zip(parts)
            .map(|(part, OpenedPart { events, finished })| {
                let control = super::ControlHandle::of_part(PartStart {
                    id: part.id,
                    info: part.session.clone(),
                    events,
                    watcher: manager.watcher().of_part(finished),
                    requests: requests.clone(),
                });
                ManagedBacktestSession::assemble(Assembly {
                    info: part.session.clone(),
                    control,
                    start_slot: part.slots.as_ref().map_or(start_slot, |slots| *slots.start()),
                    policy: policy.clone(),
                    connector: connector.clone(),
                    cancel: cancel.child_token(),
                })
            });
        Ok(Self {
            sessions: of_parts.collect(),
            info,
            events,
            requests,
            turn: 0,
            manager,
            cancel,
            _guard: guard,
        })
    }

    /// By which the server knows all of them together. It is a secret. `None` from a server of the older generation.
    pub fn control_session_id(&self) -> Option<ControlSessionId> {
        self.info.control_session_id
    }

    /// The sessions, in slot order.
    pub fn sessions(&self) -> &[ManagedBacktestSession] {
        &self.sessions
    }

    /// One of them, to ask it for something.
    pub fn session_mut(&mut self, index: usize) -> Option<&mut ManagedBacktestSession> {
        self.sessions.get_mut(index)
    }

    /// The part of the range that one of them has, if the server says so.
    pub fn slots(&self, index: usize) -> Option<RangeInclusive<u64>> {
        self.info.sessions.get(index)?.slots.clone()
    }

    /// The next event of any of them; none can hold the others up. `None` once each has told its last: `Completed`, or
    /// a [final](ManagedSessionError::is_final) error. Cancelling the call loses nothing.
    pub async fn next_event(&mut self) -> Option<ParallelEvent> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Ends one of them at the server. What it has told can still be read; its last event is
    /// [`ControlClosed`](ManagedSessionError::ControlClosed).
    ///
    /// # Errors
    ///
    /// [`ContinueSend`](ManagedSessionError::ContinueSend) if there is no such session, or all have ended.
    pub async fn close_session(&mut self, index: usize) -> Result<(), ManagedSessionError> {
        let part = self.info.sessions.get(index).ok_or(ManagedSessionError::ContinueSend)?;
        let asked = self.requests.send(ParallelRequest::Close(part.id)).await;
        asked.map_err(|_| ManagedSessionError::ContinueSend)
    }

    /// Whether the control connection is established.
    pub fn status(&self) -> watch::Receiver<ConnectionStatus> {
        self.manager.status()
    }

    /// What the control connection has been through.
    pub fn counters(&self) -> &ConnectionCounters {
        self.manager.counters()
    }

    /// Ends all sessions and waits until they are closed at the server, as
    /// [`ManagedBacktestSession::shutdown`] does.
    pub async fn shutdown(self) {
        let Self {
            sessions,
            events,
            manager,
            cancel,
            ..
        } = self;
        cancel.cancel();
        drop(events);
        let sessions = sessions.into_iter().map(ManagedBacktestSession::shutdown);
        tokio::join!(join_all(sessions), manager.join());
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<ParallelEvent>> {
        if let Poll::Ready(event) = self.poll_whole(cx) {
            return Poll::Ready(Some(ParallelEvent { session: None, event }));
        }
        let count = self.sessions.len();
        for offset in 0..count {
            let index = (self.turn + offset) % count;
            let session = &mut self.sessions[index];
            if session.is_over() {
                continue;
            }
            if let Poll::Ready(event) = session.poll_event(cx) {
                self.turn = index + 1;
                let session = Some(index);
                return Poll::Ready(Some(ParallelEvent { session, event }));
            }
        }
        if self.sessions.iter().all(ManagedBacktestSession::is_over) {
            self.manager.close();
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// What the server says about no session. An end of the connection is told by each session.
    fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        while let Poll::Ready(Some(event)) = self.events.poll_recv(cx) {
            if let Told::Event(event) = managed_event(event) {
                return Poll::Ready(event);
            }
        }
        Poll::Pending
    }
}

/// A control connection that was started.
struct Spawned {
    manager: Manager,
    events: EventReceiver<ControlEvent>,
    requests: mpsc::Sender<ParallelRequest>,
    opened: oneshot::Receiver<Opened>,
}

/// The sessions, once they exist.
struct Opened {
    info: ParallelInfo,
    parts: Vec<OpenedPart>,
}

struct OpenedPart {
    events: EventReceiver<ControlEvent>,
    finished: Arc<AtomicBool>,
}

fn spawn(start: ControlStart, cancel: &CancellationToken) -> Spawned {
    let policy = start.policy.clone();
    // Nobody reads before the sessions exist; what is told on the way must not keep them from being told of.
    let (events, received) = queue(usize::MAX, policy.queue_bytes);
    let (requests, requested) = mpsc::channel(REQUEST_QUEUE);
    let (opened, opens) = oneshot::channel();
    let outlet = ParallelOutlet {
        events,
        policy: policy.clone(),
        opened: Some(opened),
        parts: BTreeMap::new(),
    };
    let surroundings = Surroundings {
        outlet,
        requests: Some(requested),
        policy,
        span: tracing::info_span!("parallel"),
    };
    let prepared = start
        .configure()
        .map(|(endpoint, config)| (endpoint, ParallelMachine::new(config)));
    Spawned {
        manager: Manager::spawn(prepared, surroundings, cancel),
        events: received,
        requests,
        opened: opens,
    }
}

/// Sorts what the conversation of several sessions tells.
struct ParallelOutlet {
    events: EventSender<ControlEvent>,
    policy: ConnectionPolicy,
    /// Taken once they are opened.
    opened: Option<oneshot::Sender<Opened>>,
    /// The sessions that may have more to tell.
    parts: BTreeMap<SessionId, PartOutlet>,
}

struct PartOutlet {
    events: EventSender<ControlEvent>,
    finished: Arc<AtomicBool>,
}

impl ParallelOutlet {
    fn open(&mut self, info: ParallelInfo) {
        self.events.set_capacity(self.policy.control_queue);
        let bytes = self.policy.queue_bytes / info.sessions.len().max(1);
        let mut parts = Vec::new();
        for session in &info.sessions {
            let (events, received) = queue(self.policy.control_queue, bytes.max(1));
            let finished = Arc::<AtomicBool>::default();
            parts.push(OpenedPart {
                events: received,
                finished: finished.clone(),
            });
            self.parts.insert(session.id, PartOutlet { events, finished });
        }
        if let Some(opened) = self.opened.take() {
            // Whoever waited for it may have gone; the queue of the connection says so.
            drop(opened.send(Opened { info, parts }));
        }
    }

    fn end(&mut self, id: SessionId, end: PartEnd) {
        let Some(mut part) = self.parts.remove(&id) else { return };
        match end {
            PartEnd::Finished => part.finished.store(true, Ordering::Release),
            PartEnd::Failed(failure) => part.events.send(ControlEvent::Failed(failure)),
        }
    }
}

impl Outlet<ParallelOutput> for ParallelOutlet {
    fn needs_room(&self, output: &ParallelOutput) -> bool {
        !matches!(output, ParallelOutput::Opened(_) | ParallelOutput::Ended(..))
    }

    /// Whose the next event will be is not known, so that there has to be room for one of each.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        let mut all = self.events.poll_room(cx);
        // A session that nobody reads any more is told nothing, and nobody waits for room in its queue.
        self.parts.retain(|_, part| match part.events.poll_room(cx) {
            Poll::Ready(room) => room == Room::Free,
            Poll::Pending => {
                if all == Poll::Ready(Room::Free) {
                    all = Poll::Pending;
                }
                true
            }
        });
        all
    }

    fn deliver(&mut self, output: ParallelOutput) {
        match output {
            ParallelOutput::Opened(info) => self.open(info),
            ParallelOutput::Session(id, event) => {
                if let Some(part) = self.parts.get_mut(&id) {
                    part.events.send(event);
                }
            }
            ParallelOutput::Ended(id, end) => self.end(id, end),
            ParallelOutput::Event(event) => self.events.send(event),
        }
    }

    fn flush(&mut self) {
        self.events.flush();
        self.parts.values_mut().for_each(|part| part.events.flush());
    }

    fn failed(&mut self, failure: ManagedFailure) {
        for part in self.parts.values_mut() {
            part.events.send(ControlEvent::Failed(failure.clone()));
        }
        self.events.send(ControlEvent::Failed(failure));
    }
}
