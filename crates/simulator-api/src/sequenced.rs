//! A response with its sequence number.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::decode::{Decode, decode_text, deserialize_by_decoding};
use crate::message::{Envelope, WriteMessage};
use crate::{BacktestResponse, DecodeError, RequestId};

/// A response and what stands beside its `method` and `params`. A response without any of it decodes too.
#[derive(Clone, Debug, PartialEq)]
pub struct SequencedResponse {
    /// The event's number within the session.
    pub seq_id: Option<u64>,
    /// The request that produced the event; an extension of ours.
    pub request_id: Option<RequestId>,
    /// Whether an attach sent the event again; an extension of ours.
    pub replayed: bool,
    /// The response itself.
    pub response: BacktestResponse,
}

impl SequencedResponse {
    /// Decodes a message with or without a sequence wrapper.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the text is not JSON, is no message, or a known message has wrong content.
    pub fn from_json(text: &str) -> Result<Self, DecodeError> {
        decode_text(text)
    }
}

/// A response that is not numbered.
impl From<BacktestResponse> for SequencedResponse {
    fn from(response: BacktestResponse) -> Self {
        Self {
            seq_id: None,
            request_id: None,
            replayed: false,
            response,
        }
    }
}

impl Serialize for SequencedResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(seq_id) = self.seq_id {
            map.serialize_entry("seqId", &seq_id)?;
        }
        if let Some(request_id) = &self.request_id {
            map.serialize_entry("requestId", request_id)?;
        }
        if self.replayed {
            map.serialize_entry("replayed", &true)?;
        }
        self.response.write(&mut map)?;
        map.end()
    }
}

impl Decode for SequencedResponse {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let message = Envelope::of(raw)?;
        Ok(Self {
            seq_id: message.fields().optional("seqId")?,
            request_id: message.fields().optional("requestId")?,
            replayed: message.fields().or_default("replayed")?,
            response: BacktestResponse::from_envelope(&message)?,
        })
    }
}

deserialize_by_decoding!(SequencedResponse);
