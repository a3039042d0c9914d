//! What a server sends over the control channel.

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::decode::{Decode, decode_text, derived, deserialize_by_decoding};
use crate::message::{Envelope, WriteMessage, serialize_message, write_bare, write_params};
use crate::session_event::{write_completed, write_status};
use crate::{
    AgentStatsReport, BacktestError, BacktestStatus, Capability, ControlSessionId, DecodeError, DiscoveryBatchEvent,
    PausedEvent, SessionEventKind, SessionEventV1, SessionEventV2, SessionId, SessionSummary, UnknownMessage,
};

/// A message from a server to its client.
#[derive(Clone, Debug, PartialEq)]
pub enum BacktestResponse {
    /// A session has been made.
    SessionCreated(SessionOpened),
    /// The connection owns an existing session now.
    SessionAttached(SessionOpened),
    /// Several sessions have been made (0.8).
    SessionsCreated(SessionsCreated),
    /// Several sessions have been made.
    SessionsCreatedV2(SessionsCreatedV2),
    /// The connection owns existing sessions now.
    ParallelSessionAttachedV2(ParallelSessionAttachedV2),
    /// The session waits for a continue.
    ReadyForContinue,
    /// A request succeeded.
    Success,
    /// The historical transactions of this slot have been applied; the slot is still open.
    SlotNotification(u64),
    /// The session stopped where it was asked to, and waits for a continue.
    Paused(PausedEvent),
    /// A coming batch holds transactions that a filter looks for.
    DiscoveryBatch(DiscoveryBatchEvent),
    /// Progress.
    Status {
        /// What the session is doing.
        status: BacktestStatus,
    },
    /// The last block has been executed.
    Completed {
        /// Totals, if the create asked for them.
        summary: Option<SessionSummary>,
        /// What the agents did, if there were any (0.8).
        agent_stats: Option<Vec<AgentStatsReport>>,
    },
    /// An event of one of several sessions, without a sequence number (0.8).
    SessionEventV1(SessionEventV1),
    /// An event of one of several sessions.
    SessionEventV2(SessionEventV2),
    /// Something went wrong.
    Error(BacktestError),
    /// A message that this version does not know.
    Unknown(UnknownMessage),
}

/// A session that a connection owns now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// The session's id.
    pub session_id: SessionId,
    /// Where its data channel is: a path on the same host, or a whole http(s) URL.
    pub rpc_endpoint: String,
    /// Who executes it, for operators; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The session's name, if it has one (0.28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// Extensions that the server speaks; an extension of ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
}

/// Sessions that a create has made (0.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsCreated {
    /// Their ids, in slot order.
    pub session_ids: Vec<SessionId>,
}

/// Sessions that a create has made. The lists are parallel, in slot order; those of the slots must be as long as that
/// of the ids, because published clients insist on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsCreatedV2 {
    /// Names the control connection, for a later attach.
    pub control_session_id: ControlSessionId,
    /// The sessions.
    pub session_ids: Vec<SessionId>,
    /// Who executes each, for operators; may be shorter.
    #[serde(default)]
    pub task_ids: Vec<Option<String>>,
    /// First slot of each; empty from a server older than 0.9.
    #[serde(default)]
    pub start_slots: Vec<u64>,
    /// Last slot of each; empty from a server older than 0.9.
    #[serde(default)]
    pub end_slots: Vec<u64>,
    /// The name that the create gave, if any (0.28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_session_name: Option<String>,
    /// Extensions that the server speaks; an extension of ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
}

/// Sessions that a connection owns now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParallelSessionAttachedV2 {
    /// Names the control connection, for a later attach.
    pub control_session_id: ControlSessionId,
    /// The sessions, in slot order.
    pub session_ids: Vec<SessionId>,
    /// Who executes each, for operators; may be shorter.
    #[serde(default)]
    pub task_ids: Vec<Option<String>>,
    /// Extensions that the server speaks; an extension of ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
}

impl BacktestResponse {
    /// Decodes a message without a sequence wrapper; the wrapper's keys are ignored.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the text is not JSON, is no message, or a known message has wrong content.
    pub fn from_json(text: &str) -> Result<Self, DecodeError> {
        decode_text(text)
    }

    /// Whether the session completed.
    pub fn is_completed(&self) -> bool {
        matches!(self, Self::Completed { .. })
    }

    /// Whether nothing follows: the session completed, or an error ended it.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Completed { .. } => true,
            Self::Error(error) => error.is_terminal(),
            _ => false,
        }
    }

    pub(crate) fn from_envelope(message: &Envelope<'_>) -> Result<Self, DecodeError> {
        Ok(match message.method.as_str() {
            "sessionCreated" => Self::SessionCreated(message.params_with(derived)?),
            "sessionAttached" => Self::SessionAttached(message.params_with(derived)?),
            "sessionsCreated" => Self::SessionsCreated(message.params_with(derived)?),
            "sessionsCreatedV2" => Self::SessionsCreatedV2(message.params_with(derived)?),
            "parallelSessionAttachedV2" => Self::ParallelSessionAttachedV2(message.params_with(derived)?),
            "sessionEventV1" => Self::SessionEventV1(message.params_with(derived)?),
            "sessionEventV2" => Self::SessionEventV2(message.params_with(derived)?),
            _ => SessionEventKind::from_envelope(message)?.into(),
        })
    }
}

impl From<BacktestStatus> for BacktestResponse {
    fn from(status: BacktestStatus) -> Self {
        Self::Status { status }
    }
}

impl From<BacktestError> for BacktestResponse {
    fn from(error: BacktestError) -> Self {
        Self::Error(error)
    }
}

/// A text is an internal error.
impl From<String> for BacktestResponse {
    fn from(error: String) -> Self {
        Self::Error(BacktestError::Internal { error })
    }
}

/// A text is an internal error.
impl From<&str> for BacktestResponse {
    fn from(error: &str) -> Self {
        error.to_owned().into()
    }
}

impl WriteMessage for BacktestResponse {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::SessionCreated(session) => write_params(map, "sessionCreated", session),
            Self::SessionAttached(session) => write_params(map, "sessionAttached", session),
            Self::SessionsCreated(sessions) => write_params(map, "sessionsCreated", sessions),
            Self::SessionsCreatedV2(sessions) => write_params(map, "sessionsCreatedV2", sessions),
            Self::ParallelSessionAttachedV2(sessions) => write_params(map, "parallelSessionAttachedV2", sessions),
            Self::ReadyForContinue => write_bare(map, "readyForContinue"),
            Self::Success => write_bare(map, "success"),
            Self::SlotNotification(slot) => write_params(map, "slotNotification", slot),
            Self::Paused(paused) => write_params(map, "paused", paused),
            Self::DiscoveryBatch(batch) => write_params(map, "discoveryBatch", batch),
            Self::Status { status } => write_status(map, status),
            Self::Completed { summary, agent_stats } => write_completed(map, summary.as_ref(), agent_stats.as_deref()),
            Self::SessionEventV1(event) => write_params(map, "sessionEventV1", event),
            Self::SessionEventV2(event) => write_params(map, "sessionEventV2", event),
            Self::Error(error) => write_params(map, "error", error),
            Self::Unknown(message) => message.write(map),
        }
    }
}

impl Serialize for BacktestResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unknown(message) => message.serialize(serializer),
            known => serialize_message(known, serializer),
        }
    }
}

impl Decode for BacktestResponse {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        Self::from_envelope(&Envelope::of(raw)?)
    }
}

deserialize_by_decoding!(BacktestResponse);
