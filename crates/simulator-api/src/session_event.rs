//! Events of one session, and their envelopes on a control connection over several.

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::decode::{Decode, derived, deserialize_by_decoding};
use crate::message::{Envelope, WriteMessage, serialize_message, write_bare, write_params};
use crate::{
    AgentStatsReport, BacktestError, BacktestResponse, BacktestStatus, DecodeError, DiscoveryBatchEvent, PausedEvent,
    SessionId, SessionSummary, UnknownMessage,
};

/// What happened in one session.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEventKind {
    /// The session waits for a continue.
    ReadyForContinue,
    /// The historical transactions of this slot have been applied; the slot is still open.
    SlotNotification(u64),
    /// The session stopped where it was asked to, and waits for a continue.
    Paused(PausedEvent),
    /// A coming batch holds transactions that a filter looks for.
    DiscoveryBatch(DiscoveryBatchEvent),
    /// Something went wrong.
    Error(BacktestError),
    /// A request succeeded.
    Success,
    /// The last block has been executed.
    Completed {
        /// Totals, if the create asked for them.
        summary: Option<SessionSummary>,
        /// What the agents did, if there were any (0.8).
        agent_stats: Option<Vec<AgentStatsReport>>,
    },
    /// Progress.
    Status {
        /// What the session is doing.
        status: BacktestStatus,
    },
    /// An event that this version does not know.
    Unknown(UnknownMessage),
}

/// An event of one of several sessions, without a sequence number (0.8).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionEventV1 {
    /// The session in which it happened.
    pub session_id: SessionId,
    /// What happened.
    pub event: SessionEventKind,
}

/// An event of one of several sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionEventV2 {
    /// The session in which it happened.
    pub session_id: SessionId,
    /// The event's number within its session, from 1.
    pub seq_id: u64,
    /// What happened.
    pub event: SessionEventKind,
}

impl SessionEventKind {
    /// Whether nothing follows in this session: it completed, or an error ended it.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Completed { .. } => true,
            Self::Error(error) => error.is_terminal(),
            _ => false,
        }
    }

    pub(crate) fn from_envelope(message: &Envelope<'_>) -> Result<Self, DecodeError> {
        Ok(match message.method.as_str() {
            "readyForContinue" => message.bare(Self::ReadyForContinue)?,
            "slotNotification" => Self::SlotNotification(message.params()?),
            "paused" => Self::Paused(message.params_with(derived)?),
            "discoveryBatch" => Self::DiscoveryBatch(message.params_with(derived)?),
            "error" => Self::Error(message.params()?),
            "success" => message.bare(Self::Success)?,
            "completed" => message.params_with(derived::<CompletedParams>)?.into(),
            "status" => Self::Status {
                status: message.params_with(derived::<StatusParams>)?.status,
            },
            _ => Self::Unknown(message.unwrapped()),
        })
    }
}

/// The content of `completed`.
#[derive(Deserialize)]
struct CompletedParams {
    summary: Option<SessionSummary>,
    agent_stats: Option<Vec<AgentStatsReport>>,
}

/// The content of `status`.
#[derive(Deserialize)]
struct StatusParams {
    status: BacktestStatus,
}

/// Writes `completed`, whose content leaves out what there is not.
pub(crate) fn write_completed<M: SerializeMap>(
    map: &mut M,
    summary: Option<&SessionSummary>,
    agent_stats: Option<&[AgentStatsReport]>,
) -> Result<(), M::Error> {
    #[derive(Serialize)]
    struct Params<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        summary: Option<&'a SessionSummary>,
        #[serde(skip_serializing_if = "Option::is_none")]
        agent_stats: Option<&'a [AgentStatsReport]>,
    }
    write_params(map, "completed", &Params { summary, agent_stats })
}

/// Writes `status`.
pub(crate) fn write_status<M: SerializeMap>(map: &mut M, status: &BacktestStatus) -> Result<(), M::Error> {
    #[derive(Serialize)]
    struct Params<'a> {
        status: &'a BacktestStatus,
    }
    write_params(map, "status", &Params { status })
}

impl From<CompletedParams> for SessionEventKind {
    fn from(CompletedParams { summary, agent_stats }: CompletedParams) -> Self {
        Self::Completed { summary, agent_stats }
    }
}

/// The events of a session are also messages of their own.
impl From<SessionEventKind> for BacktestResponse {
    fn from(event: SessionEventKind) -> Self {
        match event {
            SessionEventKind::ReadyForContinue => Self::ReadyForContinue,
            SessionEventKind::SlotNotification(slot) => Self::SlotNotification(slot),
            SessionEventKind::Paused(paused) => Self::Paused(paused),
            SessionEventKind::DiscoveryBatch(batch) => Self::DiscoveryBatch(batch),
            SessionEventKind::Error(error) => Self::Error(error),
            SessionEventKind::Success => Self::Success,
            SessionEventKind::Completed { summary, agent_stats } => Self::Completed { summary, agent_stats },
            SessionEventKind::Status { status } => Self::Status { status },
            SessionEventKind::Unknown(message) => Self::Unknown(message),
        }
    }
}

/// What is no event of a session is given back.
impl TryFrom<BacktestResponse> for SessionEventKind {
    type Error = Box<BacktestResponse>;

    fn try_from(response: BacktestResponse) -> Result<Self, Box<BacktestResponse>> {
        Ok(match response {
            BacktestResponse::ReadyForContinue => Self::ReadyForContinue,
            BacktestResponse::SlotNotification(slot) => Self::SlotNotification(slot),
            BacktestResponse::Paused(paused) => Self::Paused(paused),
            BacktestResponse::DiscoveryBatch(batch) => Self::DiscoveryBatch(batch),
            BacktestResponse::Error(error) => Self::Error(error),
            BacktestResponse::Success => Self::Success,
            BacktestResponse::Completed { summary, agent_stats } => Self::Completed { summary, agent_stats },
            BacktestResponse::Status { status } => Self::Status { status },
            BacktestResponse::Unknown(message) => Self::Unknown(message),
            other => return Err(Box::new(other)),
        })
    }
}

impl WriteMessage for SessionEventKind {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::ReadyForContinue => write_bare(map, "readyForContinue"),
            Self::SlotNotification(slot) => write_params(map, "slotNotification", slot),
            Self::Paused(paused) => write_params(map, "paused", paused),
            Self::DiscoveryBatch(batch) => write_params(map, "discoveryBatch", batch),
            Self::Error(error) => write_params(map, "error", error),
            Self::Success => write_bare(map, "success"),
            Self::Completed { summary, agent_stats } => write_completed(map, summary.as_ref(), agent_stats.as_deref()),
            Self::Status { status } => write_status(map, status),
            Self::Unknown(message) => message.write(map),
        }
    }
}

impl Serialize for SessionEventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unknown(message) => message.serialize(serializer),
            known => serialize_message(known, serializer),
        }
    }
}

impl Decode for SessionEventKind {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        Self::from_envelope(&Envelope::of(raw)?)
    }
}

deserialize_by_decoding!(SessionEventKind);
