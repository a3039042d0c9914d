//! What the conversation of several sessions is asked, and what it tells.

use std::ops::RangeInclusive;

use simulator_api::{Capability, ControlSessionId, SessionId};

use crate::machine::control::ControlRequest;
use crate::managed::{ControlEvent, ManagedFailure, SessionInfo};

/// What a caller asks of one of several sessions.
#[derive(Clone, Debug, PartialEq)]
pub enum ParallelRequest {
    /// To go on.
    Session(SessionId, ControlRequest),
    /// To end it. The others go on.
    Close(SessionId),
}

/// What the conversation of several sessions tells.
#[derive(Clone, Debug)]
pub enum ParallelOutput {
    /// The sessions exist. Told once.
    Opened(ParallelInfo),
    /// An event of one of them.
    Session(SessionId, ControlEvent),
    /// Nothing more follows of one of them.
    Ended(SessionId, PartEnd),
    /// Something that the server says about none of them.
    Event(ControlEvent),
}

/// How one of several sessions ended.
#[derive(Clone, Debug)]
pub enum PartEnd {
    /// Its range is executed, or its caller has closed it.
    Finished,
    /// It cannot go on.
    Failed(ManagedFailure),
}

/// What a server says about several sessions that it has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParallelInfo {
    /// By which all sessions together are attached to; `None` from a server of the older generation, whose sessions end
    /// with their connection. It is a secret.
    pub control_session_id: Option<ControlSessionId>,
    /// The name that the create gave, if any.
    pub name: Option<String>,
    /// The sessions, in slot order.
    pub sessions: Vec<PartInfo>,
    /// The extensions of the protocol that the server speaks.
    pub capabilities: Vec<Capability>,
}

/// What a server says about one of several sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartInfo {
    /// Its id.
    pub id: SessionId,
    /// The rest of what is said about any session.
    pub session: SessionInfo,
    /// Its part of the range; `None` if the server does not say.
    pub slots: Option<RangeInclusive<u64>>,
}
