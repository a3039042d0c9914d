//! Several sessions that one request made.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use simulator_api::{
    BacktestRequest, BacktestResponse, Capability, ControlSessionId, SessionId, SessionOpened, SessionsCreatedV2,
};
use url::Url;

use super::link::Link;
use crate::error::BacktestClientResult;
use crate::urls::{UrlError, resolve_rpc_endpoint};

/// The sessions that one request made, and the connection that keeps them.
///
/// Each session is driven on a connection of its own: [`attach_session`](crate::BacktestClient::attach_session).
/// **Keep this handle as long as the sessions are needed.** Dropping it closes the control connection, and a session
/// that nobody has attached to then lives only for its disconnect timeout; [`close`](Self::close) ends them all.
///
/// The handle reads only while a call waits. Events of the sessions that arrived during the creation are unread, in
/// order, each in the envelope that names its session.
pub struct CreatedSessions {
    link: Link,
    control_session_id: Option<ControlSessionId>,
    control_session_name: Option<String>,
    sessions: Vec<CreatedSession>,
}

/// One of several sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatedSession {
    /// Its id, by which it can be attached to. It is a secret.
    pub session_id: SessionId,
    /// The absolute address of its JSON-RPC; `None` if the server named the session only at the end.
    pub rpc_endpoint: Option<Url>,
    /// What the server calls the process that runs it, for its operators.
    pub task_id: Option<String>,
    /// Its name, if it has one.
    pub session_name: Option<String>,
    /// Its part of the range; `None` if the server did not say, or has not yet.
    pub slots: Option<RangeInclusive<u64>>,
}

impl CreatedSessions {
    pub(super) fn new(link: Link, sessions: Vec<CreatedSession>, created: Option<SessionsCreatedV2>) -> Self {
        let (control_session_id, control_session_name) = created
            .map(|created| (created.control_session_id, created.control_session_name))
            .unzip();
        Self {
            link,
            control_session_id,
            control_session_name: control_session_name.flatten(),
            sessions,
        }
    }

    /// The sessions, in slot order.
    pub fn sessions(&self) -> &[CreatedSession] {
        &self.sessions
    }

    /// The ids of the sessions, in slot order.
    pub fn session_ids(&self) -> Vec<SessionId> {
        self.sessions.iter().map(|session| session.session_id).collect()
    }

    /// The id of the control connection, by which all sessions together can be attached to; `None` if the request was
    /// for a single session, or the server is an old one.
    pub fn control_session_id(&self) -> Option<ControlSessionId> {
        self.control_session_id
    }

    /// The name that the request gave, if any.
    pub fn control_session_name(&self) -> Option<&str> {
        self.control_session_name.as_deref()
    }

    /// The extensions that the server announced.
    pub fn capabilities(&self) -> &[Capability] {
        self.link.conversation.capabilities()
    }

    /// Sends a request on the control connection, such as a
    /// [`ContinueSessionV1`](BacktestRequest::ContinueSessionV1).
    ///
    /// # Errors
    ///
    /// As [`BacktestSession::send`](crate::BacktestSession::send).
    pub async fn send(&mut self, request: &BacktestRequest, limit: Option<Duration>) -> BacktestClientResult<()> {
        self.link.send(request, limit).await
    }

    /// The next event of the control connection, unread or new. `None` at the end of the stream. Each session numbers
    /// its events on its own; the numbers are in the envelopes, and are not checked here.
    ///
    /// # Errors
    ///
    /// As [`BacktestSession::next_event`](crate::BacktestSession::next_event).
    pub async fn next_event(&mut self, limit: Option<Duration>) -> BacktestClientResult<Option<BacktestResponse>> {
        Ok(self.link.next(limit).await?.map(|delivery| delivery.event.response))
    }

    /// Ends all sessions at the server and closes the control connection.
    ///
    /// # Errors
    ///
    /// As [`BacktestSession::close`](crate::BacktestSession::close).
    pub async fn close(&mut self, limit: Option<Duration>) -> BacktestClientResult<()> {
        self.link.close(limit, None).await
    }
}

impl Drop for CreatedSessions {
    fn drop(&mut self) {
        self.link.close_at_once(None);
    }
}

impl fmt::Debug for CreatedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedSessions")
            .field("control_session_id", &self.control_session_id)
            .field("sessions", &self.sessions)
            .field("conversation", &self.link.conversation)
            .finish_non_exhaustive()
    }
}

impl CreatedSession {
    /// A session as it was announced while it came up.
    pub(super) fn announced(control_url: &Url, opened: SessionOpened) -> Result<Self, UrlError> {
        Ok(Self {
            session_id: opened.session_id,
            rpc_endpoint: Some(resolve_rpc_endpoint(control_url, &opened.rpc_endpoint)?),
            task_id: opened.task_id,
            session_name: opened.session_name,
            slots: None,
        })
    }

    fn named(session_id: SessionId) -> Self {
        Self {
            session_id,
            rpc_endpoint: None,
            task_id: None,
            session_name: None,
            slots: None,
        }
    }
}

/// All sessions: those that the final list names, in its order and with what it says, then those that only their own
/// announcement named. A server may leave lists out or cut them short.
pub(super) fn complete(announced: Vec<CreatedSession>, created: &SessionsCreatedV2) -> Vec<CreatedSession> {
    let mut sessions = in_order(announced, &created.session_ids);
    for (index, session) in sessions.iter_mut().take(created.session_ids.len()).enumerate() {
        let task_id = created.task_ids.get(index).cloned().flatten();
        session.task_id = task_id.or(session.task_id.take());
        let bounds = created.start_slots.get(index).zip(created.end_slots.get(index));
        session.slots = bounds.map(|(start, end)| *start..=*end);
    }
    sessions
}

/// The sessions named by `ids`, in that order, then the others.
pub(super) fn in_order(announced: Vec<CreatedSession>, ids: &[SessionId]) -> Vec<CreatedSession> {
    let mut unlisted = Vec::new();
    let mut known = BTreeMap::new();
    for session in announced {
        if ids.contains(&session.session_id) {
            known.insert(session.session_id, session);
        } else {
            unlisted.push(session);
        }
    }
    ids.iter()
        .map(|id| known.remove(id).unwrap_or_else(|| CreatedSession::named(*id)))
        .chain(unlisted)
        .collect()
}
