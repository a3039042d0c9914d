//! Events of a session that carry a structure.

use serde::{Deserialize, Serialize};

use crate::{DiscoveryFilter, EncodedBinary};

/// The session stopped where it was asked to, and waits for a continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PausedEvent {
    /// The slot that is open.
    pub slot: u64,
    /// The batch before which the session stopped: everything up to it has been applied. `None` after the whole block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_index: Option<u32>,
}

/// A coming batch holds transactions that a filter looks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveryBatchEvent {
    /// The slot of the batch.
    pub slot: u64,
    /// The batch's number within its block, from 0.
    pub batch_index: u32,
    /// The filters that matched; never empty.
    pub matched: Vec<DiscoveryFilter>,
    /// The transactions that matched.
    pub transactions: Vec<EncodedBinary>,
    /// Each transaction's index within its block (0.28).
    #[serde(default)]
    pub transaction_indices: Vec<u32>,
}
