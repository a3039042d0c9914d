//! Several sessions of one create, driven over one connection.

use std::time::Instant;

use simulator_api::{
    AttachParallelControlSessionRequestV2, BacktestError, BacktestRequest, BacktestResponse, Capability,
    ControlSessionId, CreateBacktestSessionRequest, ParallelSessionAttachedV2, SessionId, SessionsCreatedV2,
};
use simulator_client::transport::{CloseCode, CloseReason, Frame};

use super::server::{ConnId, PeerServer};
use super::session::{Form, Request, Session, frame};

/// Several sessions that share a range.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: ControlSessionId,
    /// In slot order.
    pub(super) sessions: Vec<SessionId>,
    /// The connection that drives them, if there is one.
    owner: Option<ConnId>,
    /// Whether this connection has been told of all of them.
    is_listed: bool,
}

impl PeerServer {
    /// Makes a session for each script.
    pub(super) fn create_several(&mut self, conn: ConnId, create: &CreateBacktestSessionRequest, now: Instant) {
        if let Some(known) = self.group_created_before(create) {
            self.truth.repeated_creates += 1;
            self.own_group(conn, known, now, |session| session.adopt(conn));
            return self.list_again(known);
        }
        let id = ControlSessionId::from_random_bytes([100 + self.groups.len() as u8; 16]);
        let mut sessions = Vec::new();
        for script in self.part_scripts.clone() {
            self.truth.sessions += 1;
            let session_id = SessionId::from_random_bytes([self.truth.sessions as u8; 16]);
            let create = create.clone();
            let mut session = Session::new(session_id, self.generation.clone(), script, create, conn);
            session.form = Form::Envelope;
            session.replay_overlap = self.replay_overlap;
            session.forgets_request_ids = self.forgets_request_ids;
            self.sessions.insert(session_id, session);
            sessions.push(session_id);
        }
        let group = Group {
            id,
            sessions,
            owner: Some(conn),
            is_listed: false,
        };
        self.groups.push(group);
        self.own_group(conn, id, now, |_| {});
    }

    /// The living sessions that an earlier create with the same token has made.
    fn group_created_before(&self, create: &CreateBacktestSessionRequest) -> Option<ControlSessionId> {
        let token = create.create_token.as_ref()?;
        let speaks = self.generation.speaks(&Capability::CreateToken);
        let is_same = |id: &SessionId| {
            let session = &self.sessions[id];
            !session.is_closed() && session.create.create_token.as_ref() == Some(token)
        };
        let mut same = self
            .groups
            .iter()
            .filter(|group| speaks && group.sessions.iter().any(is_same));
        same.next().map(|group| group.id)
    }

    pub(super) fn attach_several(
        &mut self,
        conn: ConnId,
        attach: &AttachParallelControlSessionRequestV2,
        now: Instant,
    ) {
        let id = attach.control_session_id;
        let open = self.open_of(id);
        let error = if open.is_some() {
            self.attach_errors.pop_front()
        } else {
            Some(gone(id))
        };
        if let Some(error) = error {
            return self.push(conn, frame(&BacktestResponse::from(error).into()));
        }
        self.truth.attaches += 1;
        let attached = BacktestResponse::ParallelSessionAttachedV2(ParallelSessionAttachedV2 {
            control_session_id: id,
            session_ids: open.unwrap_or_default(),
            task_ids: Vec::new(),
            capabilities: self.generation.capabilities.clone(),
        });
        self.push(conn, frame(&attached.into()));
        self.own_group(conn, id, now, |session| {
            session.attach_part(conn, attach.last_sequences.get(&session.id).copied(), now);
        });
    }

    /// The sessions of a group that were not closed, if there is such a group and not all of it has expired.
    fn open_of(&self, id: ControlSessionId) -> Option<Vec<SessionId>> {
        let group = self.groups.iter().find(|group| group.id == id)?;
        let open = group.sessions.iter().copied();
        Some(open.filter(|id| !self.sessions[id].is_closed()).collect())
    }

    /// Gives all sessions of a group to a connection, and takes them from the one that has them.
    fn own_group(&mut self, conn: ConnId, id: ControlSessionId, now: Instant, greet: impl Fn(&mut Session)) {
        let Some(group) = self.groups.iter_mut().find(|group| group.id == id) else {
            return;
        };
        let before = group.owner.replace(conn).filter(|owner| *owner != conn);
        for id in group.sessions.clone() {
            if let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.is_closed()) {
                greet(session);
            }
        }
        self.drive_group(conn, id);
        if let Some(before) = before {
            self.lose_owner(before, now);
        }
    }

    /// A connection that has asked for the sessions is told of all of them, whoever has been before.
    fn list_again(&mut self, id: ControlSessionId) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.id == id) {
            group.is_listed = false;
        }
    }

    pub(super) fn lose_group(&mut self, conn: ConnId, id: ControlSessionId, now: Instant) {
        let Some(group) = self.groups.iter_mut().find(|group| group.id == id) else {
            return;
        };
        if group.owner == Some(conn) {
            group.owner = None;
        }
        for id in &group.sessions {
            if let Some(session) = self.sessions.get_mut(id) {
                session.lose(conn, now);
            }
        }
    }

    /// Tells the makers of sessions that all of them are there. Says whether there was anything to tell.
    pub(super) fn list_groups(&mut self) -> bool {
        let mut busy = false;
        for index in 0..self.groups.len() {
            let group = &self.groups[index];
            let (false, Some(owner)) = (group.is_listed, group.owner) else {
                continue;
            };
            if group.sessions.iter().all(|id| self.sessions[id].is_made()) {
                let listed = self.listed(index);
                self.groups[index].is_listed = true;
                self.push(owner, frame(&listed.into()));
                busy = true;
            }
        }
        busy
    }

    fn listed(&self, index: usize) -> BacktestResponse {
        let group = &self.groups[index];
        let blocks = |id: &SessionId| &self.sessions[id].script.blocks;
        BacktestResponse::SessionsCreatedV2(SessionsCreatedV2 {
            control_session_id: group.id,
            session_ids: group.sessions.clone(),
            task_ids: group.sessions.iter().map(|_| None).collect(),
            start_slots: group.sessions.iter().map(|id| blocks(id)[0].slot).collect(),
            end_slots: group
                .sessions
                .iter()
                .map(|id| blocks(id)[blocks(id).len() - 1].slot)
                .collect(),
            control_session_name: None,
            capabilities: self.generation.capabilities.clone(),
        })
    }

    /// A request of the connection that drives the sessions of a group.
    pub(super) fn handle_group(&mut self, conn: ConnId, id: ControlSessionId, request: BacktestRequest, now: Instant) {
        let members = self.groups.iter().find(|group| group.id == id);
        let is_member = |id: &SessionId| members.is_some_and(|group| group.sessions.contains(id));
        match request {
            BacktestRequest::ContinueSessionV1(request) if is_member(&request.session_id) => {
                self.request_of(request.session_id, Request::Continue(request.request), now);
            }
            BacktestRequest::ContinueToSessionV1(request) if is_member(&request.session_id) => {
                self.request_of(request.session_id, Request::ContinueTo(request.request), now);
            }
            BacktestRequest::CloseSessionV1(request) if is_member(&request.session_id) => {
                if let Some(session) = self.sessions.get_mut(&request.session_id) {
                    session.close_part(&mut self.truth);
                }
            }
            BacktestRequest::CloseBacktestSession => self.close_group(conn, id),
            request => self.violation(conn, &format!("a request that does not fit here: {request:?}")),
        }
    }

    fn request_of(&mut self, id: SessionId, request: Request, now: Instant) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.request(request, &mut self.truth, now);
        }
    }

    fn close_group(&mut self, conn: ConnId, id: ControlSessionId) {
        self.truth.closes += 1;
        let members = self.groups.iter().find(|group| group.id == id);
        for id in members.map(|group| group.sessions.clone()).unwrap_or_default() {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.end();
            }
        }
        self.push(conn, frame(&BacktestResponse::Success.into()));
        let reason = CloseReason {
            code: CloseCode::Normal,
            text: String::new(),
        };
        self.push(conn, Frame::Close(Some(reason)));
    }
}

fn gone(id: ControlSessionId) -> BacktestError {
    BacktestError::SessionNotFound {
        session_id: id.to_string(),
    }
}
