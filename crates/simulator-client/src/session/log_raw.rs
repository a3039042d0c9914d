//! The record of what travels, for people who look for a fault.

/// Whether messages are logged as they travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogRaw {
    /// They are not.
    #[default]
    Off,
    /// They are, at the level `debug`, with the target `simulator_client::wire`.
    On,
}

const TARGET: &str = "simulator_client::wire";

impl LogRaw {
    pub(crate) fn outgoing(self, text: &str) {
        if self == Self::On {
            tracing::debug!(target: TARGET, text, "sent");
        }
    }

    pub(crate) fn incoming(self, text: &str) {
        if self == Self::On {
            tracing::debug!(target: TARGET, text, "received");
        }
    }
}

impl From<bool> for LogRaw {
    fn from(is_on: bool) -> Self {
        if is_on { Self::On } else { Self::Off }
    }
}
