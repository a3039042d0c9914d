//! What the pings of a control connection ask, and their pongs answer.
//!
//! A client answers a ping after it has taken everything that was sent before it. So a pong says which events the client
//! has, which a write to the socket does not say, and that the connection is not half-open.

/// The payload of a ping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ping {
    /// The latest probe of the connection, or 0.
    pub(super) probe: u64,
    /// Its number, under which is noted what was sent before it.
    pub(super) number: u64,
}

impl Ping {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.probe.to_le_bytes(), self.number.to_le_bytes()].concat()
    }

    /// Reads the payload of a pong; one that was not asked for may hold anything.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (probe, number) = bytes.split_first_chunk()?;
        Some(Self {
            probe: u64::from_le_bytes(*probe),
            number: u64::from_le_bytes(number.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was_sent() {
        let ping = Ping {
            probe: 7,
            number: 1 << 40,
        };
        assert_eq!(Ping::from_bytes(&ping.to_bytes()), Some(ping));
        for length in [0, 8, 15, 17] {
            assert_eq!(Ping::from_bytes(&vec![1; length]), None);
        }
    }
}
