//! Requests that name a session: on a control connection over several, and when attaching.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::decode::{Decode, Fields, deserialize_by_decoding};
use crate::{ContinueParams, ContinueToParams, ControlSessionId, DecodeError, SessionId};

/// A continue for one of several sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContinueSessionRequestV1 {
    /// The session to move on.
    pub session_id: SessionId,
    /// How to move it on.
    pub request: ContinueParams,
}

/// A continue to a position for one of several sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContinueToSessionRequestV1 {
    /// The session to move on.
    pub session_id: SessionId,
    /// Where to move it.
    pub request: ContinueToParams,
}

/// Closes one of several sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CloseSessionRequestV1 {
    /// The session to close.
    pub session_id: SessionId,
}

/// Takes over an existing session. The spelling `sessionId`, `lastSequence` is accepted too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AttachBacktestSessionRequest {
    /// The session.
    pub session_id: SessionId,
    /// The last event that was received; `None` asks for everything that is retained.
    pub last_sequence: Option<u64>,
}

/// Takes over existing sessions. The spelling `controlSessionId`, `lastSequences` is accepted too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachParallelControlSessionRequestV2 {
    /// The control connection that made them.
    pub control_session_id: ControlSessionId,
    /// The last event of each session that was received; a session that is missing wants everything that is retained.
    pub last_sequences: BTreeMap<SessionId, u64>,
}

impl Decode for ContinueSessionRequestV1 {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        let mut request: ContinueParams = fields.required("request")?;
        request.request_id = request.request_id.or(fields.optional("requestId")?);
        Ok(Self {
            session_id: session_id(&fields)?,
            request,
        })
    }
}

impl Decode for ContinueToSessionRequestV1 {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        let mut request: ContinueToParams = fields.required("request")?;
        request.request_id = request.request_id.or(fields.optional("requestId")?);
        Ok(Self {
            session_id: session_id(&fields)?,
            request,
        })
    }
}

impl Decode for CloseSessionRequestV1 {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        Ok(Self {
            session_id: session_id(&Fields::of(raw)?)?,
        })
    }
}

impl Decode for AttachBacktestSessionRequest {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            session_id: fields.required_either("session_id", "sessionId")?,
            last_sequence: fields.optional_either("last_sequence", "lastSequence")?,
        })
    }
}

impl Decode for AttachParallelControlSessionRequestV2 {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            control_session_id: fields.required_either("control_session_id", "controlSessionId")?,
            last_sequences: fields.or_default_either("last_sequences", "lastSequences")?,
        })
    }
}

deserialize_by_decoding!(
    ContinueSessionRequestV1,
    ContinueToSessionRequestV1,
    CloseSessionRequestV1,
    AttachBacktestSessionRequest,
    AttachParallelControlSessionRequestV2,
);

fn session_id(fields: &Fields<'_>) -> Result<SessionId, DecodeError> {
    fields.required("sessionId")
}
