//! Re-reading an archive.

use crate::error::ArchiveError;
use crate::reader::Archive;

/// What has been verified so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Segments that were read to the end.
    pub segments: u64,
    /// Bytes of segments.
    pub bytes: u64,
    /// Blocks that decode.
    pub blocks: u64,
    /// Transactions that decode.
    pub transactions: u64,
    /// Accounts that decode.
    pub accounts: u64,
}

/// The result of verifying an archive.
#[derive(Debug)]
pub struct VerifyReport {
    /// What was read.
    pub read: VerifyProgress,
    /// What is wrong, at most one problem for each object. Empty if the archive is as it was written.
    pub problems: Vec<ArchiveError>,
}

impl VerifyReport {
    /// Whether the archive is as it was written.
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Re-reads every byte of an archive against its digest, decodes every record, and checks order and counts. Calls
/// `progress` after each frame. Replays nothing.
pub async fn verify(_archive: &Archive, _progress: impl FnMut(VerifyProgress) + Send) -> VerifyReport {
    todo!()
}
