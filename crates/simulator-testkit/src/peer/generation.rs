//! What a server knows of the protocol.

use std::time::Duration;

use simulator_api::Capability;

/// What a server knows of the protocol, and how it fills what the published documents leave open.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The extensions it announces and speaks.
    pub capabilities: Vec<Capability>,
    /// Whether its events have numbers.
    pub numbering: Numbering,
    /// What an attach sends again, and when.
    pub control_replay: ControlReplay,
    /// How long an attached session that waits is silent before the server says again that it waits; `None` never does.
    pub repeats_state_after: Option<Duration>,
    /// What a subscription gets to see of the past.
    pub data_replay: DataReplay,
}

/// Whether events have numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// From 1, without gaps.
    Numbered,
    /// None at all.
    Plain,
}

/// What an attach sends again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlReplay {
    /// The events after the client's last, once the client has asked to resume.
    AfterResume,
    /// The events after the client's last, right behind `sessionAttached`.
    AfterAttach,
    /// Nothing: what was said to a lost connection is gone.
    Nothing,
}

/// What a subscription gets to see of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataReplay {
    /// Everything, or everything from where the client asks.
    History,
    /// Nothing; options are not read, and notifications are not compressed.
    LiveOnly,
}

impl Generation {
    /// Our own server: request ids, create tokens, cursors.
    pub fn ours() -> Self {
        Self {
            capabilities: vec![Capability::RequestId, Capability::CreateToken, Capability::Cursor],
            repeats_state_after: Some(Duration::from_secs(3)),
            ..Self::published_028()
        }
    }

    /// A server for the published client 0.28.
    pub fn published_028() -> Self {
        Self {
            capabilities: Vec::new(),
            numbering: Numbering::Numbered,
            control_replay: ControlReplay::AfterResume,
            repeats_state_after: None,
            data_replay: DataReplay::History,
        }
    }

    /// A server for the published client 0.8.
    pub fn published_08() -> Self {
        Self {
            data_replay: DataReplay::LiveOnly,
            ..Self::published_028()
        }
    }

    /// A server that does not number its events and repeats everything when it is attached to.
    pub fn unnumbered() -> Self {
        Self {
            numbering: Numbering::Plain,
            ..Self::published_028()
        }
    }

    /// Whether it speaks an extension.
    pub fn speaks(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
    }
}
