//! Requests that move a session forward.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::decode::{Decode, Fields, deserialize_by_decoding};
use crate::{AccountModifications, DecodeError, RequestId};

/// Moves a session on by a number of blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContinueParams {
    /// How many blocks; slots without a block do not count.
    pub advance_count: u64,
    /// Transactions to execute first, in the slot that is open: base64 of Solana's wire encoding.
    pub transactions: Vec<String>,
    /// Accounts to replace before that.
    pub modify_account_states: AccountModifications,
    /// Names the request; an extension of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// Moves a session on to a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContinueToParams {
    /// The slot to stop in.
    pub slot: u64,
    /// The batch before which to stop; `None` runs the whole block and stops at its end.
    pub batch_index: Option<u32>,
    /// Names the request; an extension of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

impl ContinueParams {
    /// What `advance_count` is when the request does not say.
    pub fn default_advance_count() -> u64 {
        1
    }
}

impl ContinueToParams {
    /// Stops at the end of this slot.
    pub fn slot_end(slot: u64) -> Self {
        Self {
            slot,
            batch_index: None,
            request_id: None,
        }
    }

    /// Stops right before this batch of the slot.
    pub fn before_batch(slot: u64, batch_index: u32) -> Self {
        Self {
            batch_index: Some(batch_index),
            ..Self::slot_end(slot)
        }
    }
}

impl Default for ContinueParams {
    fn default() -> Self {
        Self {
            advance_count: Self::default_advance_count(),
            transactions: Vec::new(),
            modify_account_states: AccountModifications::default(),
            request_id: None,
        }
    }
}

impl Decode for ContinueParams {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            advance_count: fields.or("advanceCount", Self::default_advance_count())?,
            transactions: fields.or_default("transactions")?,
            modify_account_states: fields.or_default("modifyAccountStates")?,
            request_id: fields.optional("requestId")?,
        })
    }
}

impl Decode for ContinueToParams {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            slot: fields.required("slot")?,
            batch_index: fields.optional("batchIndex")?,
            request_id: fields.optional("requestId")?,
        })
    }
}

deserialize_by_decoding!(ContinueParams, ContinueToParams);
