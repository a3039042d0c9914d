//! Slot ranges that a server offers: the body of `GET /available-ranges` is an array of [`AvailableRange`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::open_names::open_names;

/// One bundle of slots that sessions can be made from. A session begins at the start of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvailableRange {
    /// First slot.
    pub bundle_start_slot: u64,
    /// Time of the first slot.
    #[serde(default)]
    pub bundle_start_slot_utc: Option<DateTime<Utc>>,
    /// Last slot that a session may end at; `None` if the server does not say.
    #[serde(default)]
    pub max_bundle_end_slot: Option<u64>,
    /// Time of that slot.
    #[serde(default)]
    pub max_bundle_end_slot_utc: Option<DateTime<Utc>>,
    /// Most slots in the bundle.
    #[serde(default)]
    pub max_bundle_size: Option<u64>,
    /// What the bundle holds.
    #[serde(default)]
    pub kind: BundleKind,
    /// Who may use it; `None` if the server does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<RangeScope>,
}

open_names! {
    /// What a bundle of slots holds.
    #[derive(Default)]
    pub enum BundleKind {
        /// Blocks.
        #[default]
        Blocks = "blocks",
        /// Account states only.
        AccountState = "account_state",
    }
}

open_names! {
    /// Who may use a range.
    pub enum RangeScope {
        /// Everyone.
        Global = "global",
        /// The owner of the key.
        User = "user",
    }
}

/// A range of slots, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotRange {
    /// First slot.
    pub start: u64,
    /// Last slot.
    pub end: u64,
}

impl SlotRange {
    /// From `start` to `end`, both included.
    pub fn new(start: u64, end: u64) -> Self {
        Self { start, end }
    }
}
