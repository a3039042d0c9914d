//! The manager of a control channel, and its caller's end.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use simulator_api::{ContinueParams, ContinueToParams, CreateBacktestSessionRequest, SessionId};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::endpoint::{Endpoint, Identity, default_connector};
use super::manager::{Manager, Surroundings};
use super::policy::{DEFAULT_DISCONNECT_TIMEOUT, MAX_DISCONNECT_TIMEOUT};
use super::queue::{EventSender, Room, Weigh, queue};
use super::supervisor::{Outlet, Watcher};
use super::{
    ConnectionCounters, ConnectionError, ConnectionPolicy, ConnectionStatus, ControlEvent, EventReceiver,
    ManagedFailure, ManagedSessionError, SessionInfo,
};
use crate::ids::unique_name;
use crate::machine::control::parallel::ParallelRequest;
use crate::machine::control::{AfterCompletion, ControlConfig, ControlMachine, ControlOutput, ControlRequest};
use crate::transport::Connector;
use crate::urls::control_url;

/// The caller's end of a control channel. Dropping it ends the session.
#[derive(Debug)]
pub struct ControlHandle {
    /// The session's events, in order. While nobody reads them, the session waits.
    pub events: EventReceiver<ControlEvent>,
    /// Whether the control channel is connected.
    pub status: watch::Receiver<ConnectionStatus>,
    requests: Requests,
    opened: watch::Receiver<Option<SessionInfo>>,
    manager: Manager,
}

/// Where requests go.
#[derive(Debug)]
enum Requests {
    /// To a connection of the session's own.
    Own(mpsc::Sender<ControlRequest>),
    /// To the connection of several sessions.
    Shared(SessionId, mpsc::Sender<ParallelRequest>),
}

/// What is known of one of several sessions.
pub(super) struct PartStart {
    pub(super) id: SessionId,
    pub(super) info: SessionInfo,
    pub(super) events: EventReceiver<ControlEvent>,
    pub(super) watcher: Watcher,
    pub(super) requests: mpsc::Sender<ParallelRequest>,
}

/// What a control manager is started with.
#[derive(Debug)]
pub(crate) struct ControlStart {
    pub(crate) url: String,
    pub(crate) identity: Identity,
    pub(crate) create: CreateBacktestSessionRequest,
    pub(crate) policy: ConnectionPolicy,
    pub(crate) connector: Option<Arc<dyn Connector>>,
    pub(crate) after_completion: AfterCompletion,
}

/// Requests that wait while the control channel cannot take them.
pub(super) const REQUEST_QUEUE: usize = 1;

/// Creates a session and keeps its control channel connected until it ends or is cancelled. The session is closed at
/// the server when its range has ended, when `cancel` is cancelled, and when the handle is dropped.
///
/// The address may lack its scheme and its path, as [`control_url`] completes it. A request without a create token or
/// a disconnect timeout gets them, so that the session survives a lost connection.
///
/// Must be called within a tokio runtime.
#[expect(clippy::needless_pass_by_value, reason = "users of the published client call it so")]
pub fn spawn_control_manager(
    url: String,
    api_key: String,
    request: CreateBacktestSessionRequest,
    cancel: CancellationToken,
) -> ControlHandle {
    let start = ControlStart {
        url,
        identity: Identity::new(api_key),
        create: request,
        policy: ConnectionPolicy::default(),
        connector: None,
        after_completion: AfterCompletion::Close,
    };
    start.spawn(&cancel)
}

impl ControlStart {
    pub(crate) fn spawn(self, cancel: &CancellationToken) -> ControlHandle {
        // Nobody reads the events of a session that is being made; what it tells on the way must not keep it from being
        // told that it is made.
        let (events, received) = queue(usize::MAX, self.policy.queue_bytes);
        let (opened, opened_seen) = watch::channel(None);
        let (requests, requested) = mpsc::channel(REQUEST_QUEUE);
        let span = tracing::info_span!("control", session = tracing::field::Empty);
        let outlet = ControlOutlet {
            events,
            capacity: self.policy.control_queue,
            opened,
            span: span.clone(),
        };
        let surroundings = Surroundings {
            outlet,
            requests: Some(requested),
            policy: self.policy.clone(),
            span,
        };
        let manager = Manager::spawn(self.prepare(), surroundings, cancel);
        ControlHandle {
            events: received,
            status: manager.status(),
            requests: Requests::Own(requests),
            opened: opened_seen,
            manager,
        }
    }

    fn prepare(self) -> Result<(Endpoint, ControlMachine), ConnectionError> {
        let (endpoint, config) = self.configure()?;
        Ok((endpoint, ControlMachine::new(config)))
    }

    /// Where to connect, and what to say there.
    pub(super) fn configure(mut self) -> Result<(Endpoint, ControlConfig), ConnectionError> {
        let control_url = control_url(&self.url).map_err(|source| ConnectionError::Url(Arc::new(source)))?;
        let connector = self.connector.take().unwrap_or_else(|| default_connector(&self.policy));
        let endpoint = Endpoint::control(control_url.clone(), &self.identity, connector)?;
        let mut create = self.create;
        create.create_token.get_or_insert_with(unique_name);
        create
            .request
            .disconnect_timeout_secs
            .get_or_insert(disconnect_window(&self.policy));
        let config = ControlConfig {
            control_url,
            create,
            request_id_prefix: unique_name(),
            after_completion: self.after_completion,
            handshake_response_timeout: self.policy.handshake_response_timeout,
            handshake_total_timeout: self.policy.handshake_total_timeout,
            resend_settle_time: self.policy.resend_settle_time,
        };
        Ok((endpoint, config))
    }
}

impl ControlHandle {
    /// The caller's end of one of several sessions, which share a connection.
    pub(super) fn of_part(start: PartStart) -> Self {
        let manager = Manager::of_part(start.watcher);
        let (_never_again, opened) = watch::channel(Some(start.info));
        Self {
            events: start.events,
            status: manager.status(),
            requests: Requests::Shared(start.id, start.requests),
            opened,
            manager,
        }
    }

    /// Waits until the session exists.
    ///
    /// # Errors
    ///
    /// [`Create`](ManagedSessionError::Create) with the reason, or [`Cancelled`](ManagedSessionError::Cancelled).
    pub async fn wait_for_session(&mut self) -> Result<SessionInfo, ManagedSessionError> {
        let opened = self.opened.wait_for(Option::is_some).await;
        let opened = opened.ok().and_then(|opened| opened.clone());
        opened.ok_or_else(|| {
            self.failure()
                .map_or(ManagedSessionError::Cancelled, ManagedSessionError::create)
        })
    }

    /// Asks the session to go on by a number of blocks. Returns when the request is queued, which it is at once unless
    /// others wait; it is then sent as soon as the control channel is up, and again after a loss, but never applied
    /// twice.
    ///
    /// # Errors
    ///
    /// [`ControlFailed`](ManagedSessionError::ControlFailed), or [`ContinueSend`](ManagedSessionError::ContinueSend)
    /// if the session has ended.
    pub async fn send_continue(&self, params: ContinueParams) -> Result<(), ManagedSessionError> {
        self.send(ControlRequest::Continue(params)).await
    }

    /// Asks the session to go on to a position. Otherwise as [`send_continue`](Self::send_continue).
    ///
    /// # Errors
    ///
    /// As [`send_continue`](Self::send_continue).
    pub async fn send_continue_to(&self, params: ContinueToParams) -> Result<(), ManagedSessionError> {
        self.send(ControlRequest::ContinueTo(params)).await
    }

    /// Why the control channel failed for good, if it did.
    pub fn failure(&self) -> Option<ManagedFailure> {
        self.manager.failure()
    }

    /// What the control channel has been through.
    pub fn counters(&self) -> &ConnectionCounters {
        self.manager.counters()
    }

    /// Waits until the manager has ended. Events are no longer read, so that a session that has not ended is closed.
    pub async fn join(self) {
        drop(self.events);
        self.manager.join().await;
    }

    /// Why nothing follows the last event, if that is not in good order.
    pub(super) fn abnormal_end(&self) -> Option<ManagedFailure> {
        self.manager.abnormal_end()
    }

    /// Whether no request is taken any more.
    pub(super) fn is_over(&self) -> bool {
        self.requests.is_closed()
    }

    /// Waits until no request is taken any more.
    pub(super) async fn takes_no_more(&self) {
        self.requests.closed().await;
    }

    pub(super) fn stalled(&self) -> watch::Receiver<bool> {
        self.manager.stalled()
    }

    /// Closes the session, without waiting.
    pub(super) fn close(&mut self) {
        self.manager.close();
    }

    async fn send(&self, request: ControlRequest) -> Result<(), ManagedSessionError> {
        if self.requests.send(request).await {
            return Ok(());
        }
        Err(self
            .failure()
            .map_or(ManagedSessionError::ContinueSend, ManagedSessionError::control_failed))
    }
}

impl Requests {
    /// Hands a request over; whether it was taken.
    async fn send(&self, request: ControlRequest) -> bool {
        match self {
            Self::Own(requests) => requests.send(request).await.is_ok(),
            Self::Shared(id, requests) => requests.send(ParallelRequest::Session(*id, request)).await.is_ok(),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Own(requests) => requests.is_closed(),
            Self::Shared(_, requests) => requests.is_closed(),
        }
    }

    async fn closed(&self) {
        match self {
            Self::Own(requests) => requests.closed().await,
            Self::Shared(_, requests) => requests.closed().await,
        }
    }
}

/// How long the server is asked to keep a session without a connection: longer than the client tries to come back.
fn disconnect_window(policy: &ConnectionPolicy) -> u16 {
    const MARGIN: Duration = Duration::from_secs(60);
    let patience = policy.reconnect.max_total.saturating_add(MARGIN);
    let window = patience.clamp(DEFAULT_DISCONNECT_TIMEOUT, MAX_DISCONNECT_TIMEOUT);
    u16::try_from(window.as_secs()).unwrap_or(u16::MAX)
}

/// Sorts what a control conversation tells.
struct ControlOutlet {
    events: EventSender<ControlEvent>,
    /// Of the queue, once the session is there.
    capacity: usize,
    opened: watch::Sender<Option<SessionInfo>>,
    span: tracing::Span,
}

impl Outlet<ControlOutput> for ControlOutlet {
    fn needs_room(&self, output: &ControlOutput) -> bool {
        !matches!(output, ControlOutput::Opened(_))
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        self.events.poll_room(cx)
    }

    fn deliver(&mut self, output: ControlOutput) {
        match output {
            ControlOutput::Event(event) => self.events.send(event),
            ControlOutput::Opened(info) => {
                self.events.set_capacity(self.capacity);
                self.span.record("session", shortened(&info.session_id));
                self.opened.send_replace(Some(info));
            }
        }
    }

    fn flush(&mut self) {
        self.events.flush();
    }

    fn failed(&mut self, failure: ManagedFailure) {
        self.events.send(ControlEvent::Failed(failure));
    }
}

/// Enough of a session's id to tell it from others in a log; the whole id is a secret.
pub(super) fn shortened(session_id: &str) -> &str {
    const SHOWN: usize = "backtest_".len() + 8;
    session_id.get(..SHOWN).unwrap_or(session_id)
}

impl Weigh for ControlEvent {
    fn weight(&self) -> usize {
        let content = match self {
            Self::DiscoveryBatch(batch) => batch
                .transactions
                .iter()
                .map(|transaction| transaction.data.len())
                .sum(),
            Self::Fault(fault) => fault.size(),
            Self::Unknown(message) => message.text().len(),
            Self::Error(error) => error.to_string().len(),
            _ => 0,
        };
        size_of::<Self>() + content
    }
}
