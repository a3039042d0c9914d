//! The result digest of a run over one or several sessions.

use simulator_archive::Digest;

/// What one session computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionDigest {
    /// First slot of the session's range.
    pub(crate) start_slot: u64,
    /// The session's own result digest.
    pub(crate) digest: Digest,
}

/// BLAKE3 over the start slot (8 bytes, little-endian) and the digest of each session, in slot order.
///
/// The same rule holds for a run of one session, so that how many sessions ran at a time never shows.
pub(crate) fn combine(mut sessions: Vec<SessionDigest>) -> Digest {
    sessions.sort();
    let mut hasher = blake3::Hasher::new();
    for session in sessions {
        hasher.update(&session.start_slot.to_le_bytes());
        hasher.update(&session.digest.0);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(start_slot: u64, byte: u8) -> SessionDigest {
        SessionDigest {
            start_slot,
            digest: Digest([byte; 32]),
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
}
