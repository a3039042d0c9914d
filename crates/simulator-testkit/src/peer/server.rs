//! The server: its connections and its sessions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use simulator_api::{
    AttachBacktestSessionRequest, BacktestError, BacktestRequest, Capability, ControlSessionId,
    CreateBacktestSessionRequest, SessionId,
};
use simulator_client::transport::{CloseCode, CloseReason, Frame};
use thiserror::Error;

use super::data::DataConnection;
use super::group::Group;
use super::session::{Request, Session, frame};
use super::{Generation, Script, Truth};

/// A server. See the [module](super).
#[derive(Debug)]
pub struct PeerServer {
    pub(super) generation: Generation,
    script: Arc<Script>,
    pub(super) part_scripts: Vec<Arc<Script>>,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) groups: Vec<Group>,
    connections: BTreeMap<ConnId, Connection>,
    pub(super) truth: Truth,
    create_errors: VecDeque<BacktestError>,
    pub(super) attach_errors: VecDeque<BacktestError>,
    pub(super) replay_overlap: u64,
    pub(super) forgets_request_ids: bool,
}

/// A connection of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(u64);

/// A connection that a server does not accept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("status 404: there is nothing at {path}")]
pub struct Refused {
    /// Where the client wanted to connect.
    pub path: String,
}

#[derive(Debug)]
struct Connection {
    kind: ConnectionKind,
    outgoing: VecDeque<Frame>,
    /// The server has closed it, and reads it no more.
    is_closed: bool,
}

#[derive(Debug)]
enum ConnectionKind {
    Control(Option<SessionId>),
    Several(ControlSessionId),
    Data(Box<DataConnection>),
}

impl PeerServer {
    /// A server of a generation, all of whose sessions follow the script.
    pub fn new(generation: Generation, script: Script) -> Self {
        Self {
            generation,
            script: Arc::new(script),
            part_scripts: Vec::new(),
            sessions: BTreeMap::new(),
            groups: Vec::new(),
            connections: BTreeMap::new(),
            truth: Truth::default(),
            create_errors: VecDeque::new(),
            attach_errors: VecDeque::new(),
            replay_overlap: 0,
            forgets_request_ids: false,
        }
    }

    /// Cuts the range of a parallel create into parts that follow these scripts.
    pub fn share_out(&mut self, scripts: impl IntoIterator<Item = Script>) {
        self.part_scripts = scripts.into_iter().map(Arc::new).collect();
    }

    /// Answers the next creates with these errors.
    pub fn fail_creates(&mut self, errors: impl IntoIterator<Item = BacktestError>) {
        self.create_errors.extend(errors);
    }

    /// Answers the next attaches with these errors.
    pub fn fail_attaches(&mut self, errors: impl IntoIterator<Item = BacktestError>) {
        self.attach_errors.extend(errors);
    }

    /// Lets every replay begin so many events before the place where it should.
    pub fn overlap_replays(&mut self, events: u64) {
        self.replay_overlap = events;
    }

    /// Announces request ids, and forgets them as soon as they were seen: a broken server, to try tests with.
    pub fn forget_request_ids(&mut self) {
        self.forgets_request_ids = true;
    }

    /// Closes every connection with code 1012, as a server does that another process will replace.
    pub fn restart(&mut self, now: Instant) {
        let reason = CloseReason {
            code: CloseCode::Restart,
            text: "management handoff".to_owned(),
        };
        for connection in self.connections.values_mut() {
            connection.outgoing.push_back(Frame::Close(Some(reason.clone())));
            connection.is_closed = true;
        }
        let all: Vec<_> = self.connections.keys().copied().collect();
        for conn in all {
            self.lose_owner(conn, now);
        }
    }

    /// What has happened so far.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// The sessions that were made and can still be attached to.
    pub fn open_sessions(&self) -> Vec<SessionId> {
        let open = self.sessions.values().filter(|session| !session.is_closed());
        open.map(|session| session.id).collect()
    }

    /// How many events a session has had.
    pub fn events(&self, session: SessionId) -> u64 {
        self.sessions.get(&session).map_or(0, Session::events)
    }

    /// A client connects, to `/backtest` or to `/backtest/{session}`.
    ///
    /// # Errors
    ///
    /// [`Refused`] if there is no such session.
    pub fn connect(&mut self, path: &str, _now: Instant) -> Result<ConnId, Refused> {
        let kind = self.kind_of(path).ok_or_else(|| Refused { path: path.to_owned() })?;
        let conn = ConnId(self.truth.connections as u64);
        self.truth.connections += 1;
        let connection = Connection {
            kind,
            outgoing: VecDeque::new(),
            is_closed: false,
        };
        self.connections.insert(conn, connection);
        Ok(conn)
    }

    /// A connection is gone.
    pub fn disconnect(&mut self, conn: ConnId, now: Instant) {
        self.lose_owner(conn, now);
        self.connections.remove(&conn);
    }

    /// A frame of the client arrived.
    pub fn handle(&mut self, conn: ConnId, frame: Frame, now: Instant) {
        if self
            .connections
            .get(&conn)
            .is_none_or(|connection| connection.is_closed)
        {
            return;
        }
        match frame {
            Frame::Text(text) => self.handle_text(conn, &text, now),
            Frame::Binary(_) => self.violation(conn, "a binary message"),
            Frame::Ping(payload) => self.push(conn, Frame::Pong(payload)),
            Frame::Pong(_) => {}
            Frame::Close(_) => {
                self.lose_owner(conn, now);
                self.push(conn, Frame::Close(None));
            }
        }
        self.settle();
    }

    /// The next frame for a client, in order. Nothing follows a close frame.
    pub fn poll_transmit(&mut self, conn: ConnId) -> Option<Frame> {
        let outgoing = &mut self.connections.get_mut(&conn)?.outgoing;
        let frame = outgoing.pop_front()?;
        if matches!(frame, Frame::Close(_)) {
            outgoing.clear();
        }
        Some(frame)
    }

    /// Does one step of work for each session. Says whether there was any.
    pub fn tick(&mut self) -> bool {
        let mut busy = false;
        for session in self.sessions.values_mut() {
            busy |= session.tick(&mut self.truth);
        }
        self.settle();
        self.list_groups() || busy
    }

    /// When `handle_timeout` is to be called, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.sessions.values().filter_map(Session::poll_timeout).min()
    }

    /// The time that `poll_timeout` named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for session in self.sessions.values_mut() {
            session.handle_timeout(now);
        }
        self.settle();
    }

    fn kind_of(&self, path: &str) -> Option<ConnectionKind> {
        let rest = path.strip_prefix("/backtest")?;
        if rest.is_empty() {
            return Some(ConnectionKind::Control(None));
        }
        let id = rest.strip_prefix('/')?.parse().ok()?;
        self.sessions
            .contains_key(&id)
            .then(|| ConnectionKind::Data(Box::new(DataConnection::new(id))))
    }

    fn handle_text(&mut self, conn: ConnId, text: &str, now: Instant) {
        match self.connections.get_mut(&conn).map(|connection| &mut connection.kind) {
            Some(ConnectionKind::Control(session)) => {
                let session = *session;
                self.handle_control(conn, session, text, now);
            }
            Some(ConnectionKind::Several(group)) => {
                let group = *group;
                match BacktestRequest::from_json(text) {
                    Ok(request) => self.handle_group(conn, group, request, now),
                    Err(error) => self.violation(conn, &error.to_string()),
                }
            }
            Some(ConnectionKind::Data(data)) => {
                let Some(session) = self.sessions.get(&data.session) else {
                    return;
                };
                let answer = data.request(text, session);
                let answer = answer.unwrap_or_else(|(answer, wrong)| {
                    self.truth.violations.push(format!("{wrong}: {text}"));
                    answer
                });
                self.push(conn, answer);
            }
            None => {}
        }
    }

    fn handle_control(&mut self, conn: ConnId, session: Option<SessionId>, text: &str, now: Instant) {
        let request = match BacktestRequest::from_json(text) {
            Ok(request) => request,
            Err(error) => return self.violation(conn, &error.to_string()),
        };
        match (request, session.and_then(|id| self.sessions.get_mut(&id))) {
            (BacktestRequest::CreateBacktestSession(create), None) => self.create(conn, *create, now),
            (BacktestRequest::AttachBacktestSession(attach), None) => self.attach(conn, attach, now),
            (BacktestRequest::AttachParallelControlSessionV2(attach), None) => self.attach_several(conn, &attach, now),
            (BacktestRequest::Continue(params), Some(session)) => {
                session.request(Request::Continue(params), &mut self.truth, now);
            }
            (BacktestRequest::ContinueTo(params), Some(session)) => {
                session.request(Request::ContinueTo(params), &mut self.truth, now);
            }
            (BacktestRequest::ResumeAttachedSession, Some(session)) => session.resume(now),
            (BacktestRequest::CloseBacktestSession, Some(session)) => session.close(&mut self.truth),
            (request, _) => self.violation(conn, &format!("a request that does not fit here: {request:?}")),
        }
    }

    fn create(&mut self, conn: ConnId, create: CreateBacktestSessionRequest, now: Instant) {
        if let Some(error) = self.create_errors.pop_front() {
            return self.push(conn, frame(&simulator_api::BacktestResponse::from(error).into()));
        }
        if create.parallel {
            return self.create_several(conn, &create, now);
        }
        if let Some(known) = self.created_before(&create) {
            self.truth.repeated_creates += 1;
            return self.own(conn, known, now, Session::adopt);
        }
        self.truth.sessions += 1;
        let id = SessionId::from_random_bytes([self.truth.sessions as u8; 16]);
        let mut session = Session::new(id, self.generation.clone(), self.script.clone(), create, conn);
        session.replay_overlap = self.replay_overlap;
        session.forgets_request_ids = self.forgets_request_ids;
        self.sessions.insert(id, session);
        self.own(conn, id, now, |_, _| {});
    }

    /// The living session that an earlier create with the same token has made.
    fn created_before(&self, create: &CreateBacktestSessionRequest) -> Option<SessionId> {
        let token = create.create_token.as_ref()?;
        let speaks = self.generation.speaks(&Capability::CreateToken);
        let mut same = self
            .sessions
            .values()
            .filter(|session| speaks && !session.is_closed() && session.create.create_token.as_ref() == Some(token));
        same.next().map(|session| session.id)
    }

    fn attach(&mut self, conn: ConnId, attach: AttachBacktestSessionRequest, now: Instant) {
        let id = attach.session_id;
        let error = match self.sessions.get(&id) {
            Some(session) if !session.is_closed() => self.attach_errors.pop_front(),
            _ => Some(BacktestError::SessionNotFound {
                session_id: id.to_string(),
            }),
        };
        if let Some(error) = error {
            return self.push(conn, frame(&simulator_api::BacktestResponse::from(error).into()));
        }
        self.truth.attaches += 1;
        self.own(conn, id, now, |session, conn| session.attach(conn, &attach, now));
    }

    /// Gives a session to a connection and takes it from the one that has it: by then that one is dead.
    fn own(&mut self, conn: ConnId, id: SessionId, now: Instant, greet: impl FnOnce(&mut Session, ConnId)) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let before = session.owner().filter(|owner| *owner != conn);
        greet(session, conn);
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.kind = ConnectionKind::Control(Some(id));
        }
        if let Some(before) = before {
            self.lose_owner(before, now);
        }
    }

    pub(super) fn drive_group(&mut self, conn: ConnId, id: ControlSessionId) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.kind = ConnectionKind::Several(id);
        }
    }

    pub(super) fn lose_owner(&mut self, conn: ConnId, now: Instant) {
        let kind = self.connections.get_mut(&conn).map(|connection| &mut connection.kind);
        match kind {
            Some(ConnectionKind::Control(session)) => {
                if let Some(session) = session.take().and_then(|id| self.sessions.get_mut(&id)) {
                    session.lose(conn, now);
                }
            }
            Some(kind @ ConnectionKind::Several(_)) => {
                if let ConnectionKind::Several(id) = std::mem::replace(kind, ConnectionKind::Control(None)) {
                    self.lose_group(conn, id, now);
                }
            }
            Some(ConnectionKind::Data(_)) | None => {}
        }
    }

    pub(super) fn violation(&mut self, conn: ConnId, what: &str) {
        self.truth.violations.push(what.to_owned());
        let error = BacktestError::InvalidRequest { error: what.to_owned() };
        self.push(conn, frame(&simulator_api::BacktestResponse::from(error).into()));
    }

    pub(super) fn push(&mut self, conn: ConnId, frame: Frame) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.outgoing.push_back(frame);
        }
    }

    /// Hands on what the sessions have to say.
    fn settle(&mut self) {
        for session in self.sessions.values_mut() {
            for (conn, frame) in session.outgoing.drain(..) {
                if let Some(connection) = self.connections.get_mut(&conn) {
                    connection.outgoing.push_back(frame);
                }
            }
        }
        for connection in self.connections.values_mut() {
            if let ConnectionKind::Data(data) = &mut connection.kind
                && let Some(session) = self.sessions.get(&data.session)
            {
                connection.outgoing.extend(data.due(session));
            }
        }
    }
}
