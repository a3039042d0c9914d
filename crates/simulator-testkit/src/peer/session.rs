//! One session: who owns it, what it was asked, what it has said.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use simulator_api::{
    AttachBacktestSessionRequest, BacktestError, BacktestResponse, BacktestStatus, Capability, ContinueParams,
    ContinueToParams, CreateBacktestSessionRequest, PausedEvent, RequestId, SequencedResponse, SessionEventKind,
    SessionEventV2, SessionId, SessionOpened,
};
use simulator_client::transport::{CloseCode, CloseReason, Frame};

use super::event_log::EventLog;
use super::server::ConnId;
use super::{Applied, ControlReplay, Generation, Script, Truth, Tx};

/// How long an attached client may leave out the resume before the session goes on without it.
const RESUME_GRACE: Duration = Duration::from_secs(3);
/// How long a session outlives its connection if its create does not say.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) generation: Generation,
    pub(super) script: Arc<Script>,
    pub(super) create: CreateBacktestSessionRequest,
    pub(super) activity: Activity,
    /// The index of the open block and of the batch that comes next in it.
    pub(super) at: (usize, usize),
    /// Matches that were announced.
    pub(super) announced: usize,
    /// Matches that a request has taken note of.
    pub(super) answered: usize,
    pub(super) queued: Option<Request>,
    /// What was executed: indices of block and batch.
    pub(super) history: Vec<(usize, usize)>,
    /// Events that a replay sends again although the client has them.
    pub(super) replay_overlap: u64,
    pub(super) forgets_request_ids: bool,
    pub(super) outgoing: VecDeque<(ConnId, Frame)>,
    pub(super) form: Form,
    link: Link,
    log: EventLog,
    seen: BTreeSet<RequestId>,
    repeat_state_at: Option<Instant>,
}

/// What a session is doing.
#[derive(Debug)]
pub(super) enum Activity {
    /// It does not exist yet; so many statuses come first.
    Starting(usize),
    /// It exists and has said nothing yet.
    Opening,
    /// It waits for a request.
    Waiting(StateEvent),
    /// It executes a request.
    Running(Run),
    /// It executes a request without bounds and has stopped before a match that it has announced.
    Held,
    /// The range is executed, or an error ended it.
    Over,
    /// The client has closed it, or nobody came back.
    Closed,
}

/// How a session says that it waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum StateEvent {
    Ready,
    Paused(PausedEvent),
}

/// A request that is being executed.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) request_id: Option<RequestId>,
    pub(super) stop: Stop,
    pub(super) stage: Stage,
}

/// Where a run stops.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// After so many more blocks.
    After(u64),
    /// At a position.
    At(ContinueToParams),
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Begins,
    Executes,
}

/// A request to move on.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Continue(ContinueParams),
    ContinueTo(ContinueToParams),
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As messages of their own.
    Plain,
    /// In envelopes that name the session, which is one of several.
    Envelope,
}

/// Who owns the session.
#[derive(Clone, Copy, Debug)]
enum Link {
    /// Nobody, for so long.
    Lost(Instant),
    /// A connection that has attached and not resumed.
    Silent {
        conn: ConnId,
        since: Instant,
        last: Option<u64>,
    },
    /// A connection that hears everything.
    Live(ConnId),
}

impl Session {
    pub(super) fn new(
        id: SessionId,
        generation: Generation,
        script: Arc<Script>,
        create: CreateBacktestSessionRequest,
        conn: ConnId,
    ) -> Self {
        Self {
            id,
            activity: Activity::Starting(script.startup_statuses),
            generation,
            script,
            create,
            at: (0, 0),
            announced: 0,
            answered: 0,
            queued: None,
            history: Vec::new(),
            replay_overlap: 0,
            forgets_request_ids: false,
            outgoing: VecDeque::new(),
            form: Form::Plain,
            link: Link::Live(conn),
            log: EventLog::default(),
            seen: BTreeSet::new(),
            repeat_state_at: None,
        }
    }

    /// The connection that owns the session.
    pub(super) fn owner(&self) -> Option<ConnId> {
        match self.link {
            Link::Lost(_) => None,
            Link::Silent { conn, .. } | Link::Live(conn) => Some(conn),
        }
    }

    /// Whether nothing more will be executed.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.activity, Activity::Over | Activity::Closed)
    }

    /// Whether nobody can attach any more.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.activity, Activity::Closed)
    }

    /// The transactions of an executed batch, and their slot.
    pub(super) fn executed(&self, index: usize) -> Option<(u64, &[Tx])> {
        let &(block, batch) = self.history.get(index)?;
        let block = &self.script.blocks[block];
        Some((block.slot, &block.batches[batch]))
    }

    /// The same create came again.
    pub(super) fn adopt(&mut self, conn: ConnId) {
        self.link = Link::Live(conn);
        if !matches!(self.activity, Activity::Starting(_)) {
            self.say_created();
            self.replay(conn, None);
        }
    }

    pub(super) fn say_created(&mut self) {
        let opened = self.opened();
        self.answer(BacktestResponse::SessionCreated(opened));
    }

    pub(super) fn attach(&mut self, conn: ConnId, request: &AttachBacktestSessionRequest, now: Instant) {
        let last = request.last_sequence;
        self.link = Link::Silent { conn, since: now, last };
        let opened = self.opened();
        self.answer(BacktestResponse::SessionAttached(opened));
        if self.generation.control_replay != ControlReplay::AfterResume {
            self.go_live(now);
        }
    }

    /// One of several sessions that were attached to together: there is no resume.
    pub(super) fn attach_part(&mut self, conn: ConnId, last: Option<u64>, now: Instant) {
        self.link = Link::Silent { conn, since: now, last };
        self.go_live(now);
    }

    /// Whether it exists.
    pub(super) fn is_made(&self) -> bool {
        !matches!(self.activity, Activity::Starting(_))
    }

    /// It is closed, and the others of its group go on.
    pub(super) fn close_part(&mut self, truth: &mut Truth) {
        truth.closes += 1;
        self.emit(None, BacktestResponse::Success);
        self.end();
    }

    /// Nothing more happens.
    pub(super) fn end(&mut self) {
        self.activity = Activity::Closed;
    }

    pub(super) fn resume(&mut self, now: Instant) {
        self.answer(BacktestResponse::Success);
        self.go_live(now);
    }

    pub(super) fn lose(&mut self, conn: ConnId, now: Instant) {
        if self.owner() == Some(conn) {
            self.link = Link::Lost(now);
            self.repeat_state_at = None;
        }
    }

    pub(super) fn close(&mut self, truth: &mut Truth) {
        truth.closes += 1;
        self.activity = Activity::Closed;
        self.answer(BacktestResponse::Success);
        if let Some(conn) = self.owner() {
            let reason = CloseReason {
                code: CloseCode::Normal,
                text: String::new(),
            };
            self.outgoing.push_back((conn, Frame::Close(Some(reason))));
        }
    }

    /// A request to move on arrived.
    pub(super) fn request(&mut self, request: Request, truth: &mut Truth, now: Instant) {
        self.go_live(now);
        self.repeat_state_at = None;
        if let Some(id) = request.id() {
            if !self.generation.speaks(&Capability::RequestId) {
                truth
                    .violations
                    .push(format!("request id {id} for a server without request ids"));
            } else if !self.forgets_request_ids && !self.seen.insert(id.clone()) {
                truth.repeated_requests += 1;
                return;
            }
        }
        self.take(request, truth);
    }

    fn take(&mut self, request: Request, truth: &mut Truth) {
        match (&mut self.activity, request) {
            (Activity::Waiting(_) | Activity::Held, request) => self.begin(request, truth),
            (Activity::Running(_), Request::ContinueTo(request)) => self.redirect(request, truth),
            (Activity::Starting(_) | Activity::Opening | Activity::Running(_), request) if self.queued.is_none() => {
                self.queued = Some(request);
            }
            (Activity::Over | Activity::Closed, request) => self.refuse(&request, BacktestError::NoMoreBlocks),
            (_, request) => self.refuse_with(&request, "another request waits already"),
        }
    }

    /// Starts to execute a request.
    pub(super) fn begin(&mut self, request: Request, truth: &mut Truth) {
        if let Request::ContinueTo(target) = &request
            && self.is_behind(target)
        {
            return self.refuse_with(&request, "the target is behind the session");
        }
        self.answered = self.answered.max(self.matches_up_to_here());
        truth.applied.push(request.applied());
        let request_id = request.id().cloned();
        let stop = match request {
            Request::Continue(params) => Stop::After(params.advance_count),
            Request::ContinueTo(params) => Stop::At(params),
        };
        self.activity = Activity::Running(Run {
            request_id,
            stop,
            stage: Stage::Begins,
        });
    }

    fn redirect(&mut self, request: ContinueToParams, truth: &mut Truth) {
        if self.is_behind(&request) {
            return self.refuse_with(&Request::ContinueTo(request), "the target is behind the session");
        }
        truth.applied.push(Request::ContinueTo(request.clone()).applied());
        if let Activity::Running(run) = &mut self.activity {
            run.request_id.clone_from(&request.request_id);
            run.stop = Stop::At(request);
        }
    }

    fn refuse_with(&mut self, request: &Request, error: &str) {
        let error = error.to_owned();
        self.refuse(request, BacktestError::InvalidRequest { error });
    }

    pub(super) fn refuse(&mut self, request: &Request, error: BacktestError) {
        self.emit(request.id().cloned(), error.into());
    }

    /// Appends an event and tells whoever listens.
    pub(super) fn emit(&mut self, request_id: Option<RequestId>, response: BacktestResponse) {
        let event = self.log.append(&self.generation, request_id, response);
        if let Link::Live(conn) = self.link {
            self.send_event(conn, event);
        }
    }

    pub(super) fn emit_status(&mut self, request_id: Option<RequestId>, status: BacktestStatus) {
        self.emit(request_id, status.into());
    }

    /// Says something that is no event of the session.
    pub(super) fn answer(&mut self, response: BacktestResponse) {
        if let Some(conn) = self.owner() {
            self.send(conn, &response.into());
        }
    }

    fn send_event(&mut self, conn: ConnId, event: SequencedResponse) {
        let event = match self.form {
            Form::Plain => event,
            Form::Envelope => in_envelope(self.id, event),
        };
        self.send(conn, &event);
    }

    fn send(&mut self, conn: ConnId, response: &SequencedResponse) {
        self.outgoing.push_back((conn, frame(response)));
    }

    fn go_live(&mut self, now: Instant) {
        let Link::Silent { conn, last, .. } = self.link else {
            return;
        };
        self.link = Link::Live(conn);
        if self.generation.control_replay != ControlReplay::Nothing {
            self.replay(conn, last);
        }
        if matches!(self.activity, Activity::Waiting(_)) {
            self.repeat_state_at = self.generation.repeats_state_after.map(|after| now + after);
        }
    }

    fn replay(&mut self, conn: ConnId, last: Option<u64>) {
        let last = last.map(|last| last.saturating_sub(self.replay_overlap));
        for event in self.log.replay(&self.generation, last) {
            self.send_event(conn, event);
        }
    }

    /// When `handle_timeout` is to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let link = match self.link {
            Link::Lost(since) if !self.is_closed() => Some(since + self.disconnect_timeout()),
            Link::Silent { since, .. } => Some(since + RESUME_GRACE),
            Link::Lost(_) | Link::Live(_) => None,
        };
        link.into_iter().chain(self.repeat_state_at).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self.link {
            Link::Lost(since) if now >= since + self.disconnect_timeout() => self.activity = Activity::Closed,
            Link::Silent { since, .. } if now >= since + RESUME_GRACE => self.go_live(now),
            _ => {}
        }
        if self.repeat_state_at.is_some_and(|at| now >= at) {
            self.repeat_state_at = None;
            if let Activity::Waiting(state) = self.activity {
                self.emit(None, state.response());
            }
        }
    }

    /// The number of the latest event.
    pub(super) fn events(&self) -> u64 {
        self.log.len()
    }

    fn disconnect_timeout(&self) -> Duration {
        let asked = self.create.request.disconnect_timeout_secs;
        asked.map_or(DISCONNECT_TIMEOUT, |secs| Duration::from_secs(secs.min(900).into()))
    }

    fn opened(&self) -> SessionOpened {
        SessionOpened {
            session_id: self.id,
            rpc_endpoint: format!("/backtest/{}", self.id),
            task_id: None,
            session_name: None,
            capabilities: self.generation.capabilities.clone(),
        }
    }
}

impl Request {
    fn id(&self) -> Option<&RequestId> {
        match self {
            Self::Continue(params) => params.request_id.as_ref(),
            Self::ContinueTo(params) => params.request_id.as_ref(),
        }
    }

    fn applied(&self) -> Applied {
        match self.clone() {
            Self::Continue(params) => Applied::Continue(ContinueParams {
                request_id: None,
                ..params
            }),
            Self::ContinueTo(params) => Applied::ContinueTo(ContinueToParams {
                request_id: None,
                ..params
            }),
        }
    }
}

impl StateEvent {
    pub(super) fn response(self) -> BacktestResponse {
        match self {
            Self::Ready => BacktestResponse::ReadyForContinue,
            Self::Paused(paused) => BacktestResponse::Paused(paused),
        }
    }
}

pub(super) fn frame(response: &SequencedResponse) -> Frame {
    let text = serde_json::to_string(response).expect("responses are plain data");
    Frame::Text(text.into())
}

/// An event in the envelope that names its session. Its number is in there, the request that led to it beside it.
fn in_envelope(session_id: SessionId, event: SequencedResponse) -> SequencedResponse {
    let kind = SessionEventKind::try_from(event.response).expect("only events have numbers");
    SequencedResponse {
        seq_id: None,
        response: BacktestResponse::SessionEventV2(SessionEventV2 {
            session_id,
            seq_id: event.seq_id.unwrap_or_default(),
            event: kind,
        }),
        ..event
    }
}
