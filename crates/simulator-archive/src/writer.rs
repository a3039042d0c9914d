//! Writing an archive.

use solana_pubkey::Pubkey;

use crate::error::ArchiveError;
use crate::location::Location;
use crate::manifest::{Manifest, Scope, ScopeEvidence, Source};
use crate::model::{Account, Block, Slot};

/// How large the pieces of an archive become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLimits {
    /// A segment is closed when it has this many bytes. It is held in memory until then.
    pub segment_bytes: u64,
    /// A block segment is closed when it has this many blocks.
    pub segment_blocks: u32,
    /// A chunk of accounts is closed when it has this many bytes, uncompressed.
    pub chunk_bytes: u32,
}

impl Default for SegmentLimits {
    /// 32 MiB or 4096 blocks a segment, 1 MiB of accounts a chunk.
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            segment_blocks: 4096,
            chunk_bytes: 1 << 20,
        }
    }
}

/// What the manifest says beside what the writer has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The genesis hash of the cluster in base58, where it is known.
    pub genesis_hash: Option<String>,
    /// What the absence of an account means.
    pub scope: Scope,
    /// Why.
    pub scope_evidence: ScopeEvidence,
    /// What the archive was made from.
    pub sources: Vec<Source>,
}

/// Writes an archive. Nothing that it writes can be opened before [`ArchiveWriter::finish`], and an archive that is
/// already at the location stays as it is until then.
#[derive(Debug)]
pub struct ArchiveWriter {}

impl ArchiveWriter {
    /// Starts to write at a location.
    pub fn new(_location: Location, _limits: SegmentLimits) -> Self {
        todo!()
    }

    /// Starts the keyframe of the state just before the block of `slot`.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if keyframes are out of order.
    pub async fn start_keyframe(&mut self, _slot: Slot) -> Result<(), ArchiveError> {
        todo!()
    }

    /// Adds an account to the keyframe that was started last. One without lamports is left out.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if the account is not sorted.
    pub async fn account(&mut self, _address: &Pubkey, _account: &Account) -> Result<(), ArchiveError> {
        todo!()
    }

    /// Adds a block.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if the block is not after the one before it.
    pub async fn block(&mut self, _block: &Block) -> Result<(), ArchiveError> {
        todo!()
    }

    /// Publishes the archive, then removes segments at the location that do not belong to it.
    ///
    /// # Errors
    ///
    /// Fails if the store does, or if there is no block or no keyframe.
    pub async fn finish(self, _description: Description) -> Result<Manifest, ArchiveError> {
        todo!()
    }
}
