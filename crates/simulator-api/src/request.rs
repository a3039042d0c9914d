//! What a client sends over the control channel.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::decode::{Decode, decode_text, deserialize_by_decoding};
use crate::message::{Envelope, WriteMessage, serialize_message, write_bare, write_params};
use crate::{
    AttachBacktestSessionRequest, AttachParallelControlSessionRequestV2, CloseSessionRequestV1, ContinueParams,
    ContinueSessionRequestV1, ContinueToParams, ContinueToSessionRequestV1, CreateBacktestSessionRequest, DecodeError,
    UnknownMessage,
};

/// A message from a client to its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BacktestRequest {
    /// Makes one or several sessions.
    CreateBacktestSession(Box<CreateBacktestSessionRequest>),
    /// Moves the session on by a number of blocks.
    Continue(ContinueParams),
    /// Moves the session on to a position.
    ContinueTo(ContinueToParams),
    /// Moves one of several sessions on by a number of blocks.
    ContinueSessionV1(ContinueSessionRequestV1),
    /// Moves one of several sessions on to a position.
    ContinueToSessionV1(ContinueToSessionRequestV1),
    /// Closes one of several sessions.
    CloseSessionV1(CloseSessionRequestV1),
    /// Closes the session.
    CloseBacktestSession,
    /// Asks the session that was attached to go on.
    ResumeAttachedSession,
    /// Takes over an existing session.
    AttachBacktestSession(AttachBacktestSessionRequest),
    /// Takes over existing sessions.
    AttachParallelControlSessionV2(AttachParallelControlSessionRequestV2),
    /// A request that this version does not know.
    Unknown(UnknownMessage),
}

impl BacktestRequest {
    /// Decodes a request.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], naming the field, if the text is not JSON, is no message, or a known request has wrong content.
    pub fn from_json(text: &str) -> Result<Self, DecodeError> {
        decode_text(text)
    }

    fn from_envelope(message: &Envelope<'_>) -> Result<Self, DecodeError> {
        Ok(match message.method.as_str() {
            "createBacktestSession" => Self::CreateBacktestSession(Box::new(message.params()?)),
            "continue" => Self::Continue(message.params()?),
            "continueTo" => Self::ContinueTo(message.params()?),
            "continueSessionV1" => Self::ContinueSessionV1(message.params()?),
            "continueToSessionV1" => Self::ContinueToSessionV1(message.params()?),
            "closeSessionV1" => Self::CloseSessionV1(message.params()?),
            "closeBacktestSession" => message.bare(Self::CloseBacktestSession)?,
            "resumeAttachedSession" => message.bare(Self::ResumeAttachedSession)?,
            "attachBacktestSession" => Self::AttachBacktestSession(message.params()?),
            "attachParallelControlSessionV2" => Self::AttachParallelControlSessionV2(message.params()?),
            _ => Self::Unknown(message.verbatim()),
        })
    }
}

impl From<CreateBacktestSessionRequest> for BacktestRequest {
    fn from(request: CreateBacktestSessionRequest) -> Self {
        Self::CreateBacktestSession(Box::new(request))
    }
}

impl WriteMessage for BacktestRequest {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::CreateBacktestSession(create) => write_params(map, "createBacktestSession", create),
            Self::Continue(request) => write_params(map, "continue", request),
            Self::ContinueTo(request) => write_params(map, "continueTo", request),
            Self::ContinueSessionV1(request) => write_params(map, "continueSessionV1", request),
            Self::ContinueToSessionV1(request) => write_params(map, "continueToSessionV1", request),
            Self::CloseSessionV1(request) => write_params(map, "closeSessionV1", request),
            Self::CloseBacktestSession => write_bare(map, "closeBacktestSession"),
            Self::ResumeAttachedSession => write_bare(map, "resumeAttachedSession"),
            Self::AttachBacktestSession(request) => write_params(map, "attachBacktestSession", request),
            Self::AttachParallelControlSessionV2(request) => {
                write_params(map, "attachParallelControlSessionV2", request)
            }
            Self::Unknown(message) => message.write(map),
        }
    }
}

impl Serialize for BacktestRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unknown(message) => message.serialize(serializer),
            known => serialize_message(known, serializer),
        }
    }
}

impl Decode for BacktestRequest {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        Self::from_envelope(&Envelope::of(raw)?)
    }
}

deserialize_by_decoding!(BacktestRequest);
