//! The result digest of a run over one or several sessions.

use std::fmt;

/// A BLAKE3 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest([u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// What one session computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionDigest {
    /// First slot of the session's range.
    pub(crate) start_slot: u64,
    /// The session's own result digest.
    pub(crate) digest: [u8; 32],
}

/// BLAKE3 over the start slot (8 bytes, little-endian) and the digest of each session, in slot order.
///
/// The same rule holds for a run of one session, so that how many sessions ran at a time never shows.
pub(crate) fn combine(mut sessions: Vec<SessionDigest>) -> Digest {
    sessions.sort();
    let mut hasher = blake3::Hasher::new();
    for session in sessions {
        hasher.update(&session.start_slot.to_le_bytes());
        hasher.update(&session.digest);
    }
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(start_slot: u64, byte: u8) -> SessionDigest {
        SessionDigest {
            start_slot,
            digest: [byte; 32],
        }
    }

    #[test]
    fn order_of_completion_does_not_matter() {
        assert_eq!(
            combine(vec![session(1, 7), session(2, 8)]),
            combine(vec![session(2, 8), session(1, 7)])
        );
    }

    #[test]
    fn slot_and_digest_both_count() {
        let digests = [
            combine(vec![session(1, 7)]),
            combine(vec![session(2, 7)]),
            combine(vec![session(1, 8)]),
        ];
        assert!(digests[0] != digests[1] && digests[0] != digests[2] && digests[1] != digests[2]);
    }

    #[test]
    fn digest_is_written_in_hex() {
        assert_eq!(Digest([0xab; 32]).to_string(), "ab".repeat(32));
    }
}
