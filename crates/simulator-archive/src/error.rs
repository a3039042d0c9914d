//! What can be wrong with an archive.

use object_store::path::Path;

use crate::codec::DecodeError;
use crate::digest::Digest;
use crate::location::LocationError;
use crate::manifest::SegmentKind;
use crate::model::Slot;

/// Why an archive could not be opened, read or written. Objects are named by their path in the store.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The location cannot be used at all.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// There is no manifest at the location.
    #[error("{location} is not an archive: it has no {manifest}; make one with `sim archive import`", manifest = crate::MANIFEST_NAME)]
    NotAnArchive {
        /// The location.
        location: String,
    },
    /// The manifest names an object that does not exist.
    #[error("{object} is missing from the archive; import the range again or copy the object from another copy")]
    NotFound {
        /// The missing object.
        object: Path,
    },
    /// A newer program wrote the archive.
    #[error("{object} has format version {found}, and this program reads versions up to {supported}; upgrade it")]
    NewerFormat {
        /// The object that says so.
        object: Path,
        /// Its version.
        found: u32,
        /// The newest version that can be read.
        supported: u32,
    },
    /// An object is shorter than it was.
    #[error("{object} is truncated: {found} bytes are left of {expected}; import the range again or copy it anew")]
    Truncated {
        /// The truncated object.
        object: Path,
        /// Its size according to the manifest.
        expected: u64,
        /// Its size in the store.
        found: u64,
    },
    /// An object is longer than it was.
    #[error("{object} is damaged: it has {found} bytes instead of {expected}; import the range again or copy it anew")]
    Trailing {
        /// The object.
        object: Path,
        /// Its size according to the manifest.
        expected: u64,
        /// Its size in the store.
        found: u64,
    },
    /// Bytes of an object are not those that were written.
    #[error(
        "{object} is damaged: the checksum of the bytes at offset {offset} is wrong; import the range again or copy it anew"
    )]
    ChecksumMismatch {
        /// The damaged object.
        object: Path,
        /// Where the bytes start that the checksum covers.
        offset: u64,
    },
    /// An object as a whole is not the one that was written.
    #[error(
        "{object} is damaged: its digest is {found} and should be {expected}; import the range again or copy it anew"
    )]
    DigestMismatch {
        /// The damaged object.
        object: Path,
        /// What the digest should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// The manifest is not what a manifest looks like.
    #[error("{object} is not a manifest of format version 1; import the range again or copy it anew")]
    Manifest {
        /// The manifest.
        object: Path,
        /// What is wrong with it.
        #[source]
        source: ManifestError,
    },
    /// An object is intact but does not say what it should. Either another program wrote it, or this one has a defect.
    #[error(
        "{object} is malformed at offset {offset}; import the range again, and report a defect if that does not help"
    )]
    Malformed {
        /// The malformed object.
        object: Path,
        /// Where the malformed structure starts.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: MalformedError,
    },
    /// Somebody else has written to the same place.
    #[error("the archive at {location} was replaced while this one was being written; try again, one at a time")]
    ReplacedMeanwhile {
        /// The location.
        location: String,
    },
    /// No keyframe is early enough.
    #[error("no state is known at slot {slot}; the first keyframe of the archive is at slot {first}")]
    NoKeyframe {
        /// The slot that was asked for.
        slot: Slot,
        /// The slot of the first keyframe.
        first: Slot,
    },
    /// The store failed.
    #[error("cannot access {object}")]
    Io {
        /// The object.
        object: Path,
        /// What the store says.
        #[source]
        source: object_store::Error,
    },
    /// Something was written that does not fit into the format.
    #[error("cannot write the archive")]
    Write(#[from] WriteError),
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON of the right shape.
    #[error("it does not parse")]
    Json(#[from] serde_json::Error),
    /// It is larger than any manifest.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// It contradicts itself.
    #[error("segment {segment} does not follow from the one before it")]
    SegmentOrder {
        /// The name of the segment.
        segment: String,
    },
    /// A segment's name leads elsewhere.
    #[error("{segment:?} is not a name that a segment can have")]
    SegmentName {
        /// The name.
        segment: String,
    },
    /// Its counts or slots are not those of its segments.
    #[error("its totals are not those of its segments")]
    Totals,
}

/// What is wrong with an intact object.
#[derive(Debug, thiserror::Error)]
pub enum MalformedError {
    /// It does not start or end as a segment does.
    #[error("it is not a segment: the magic bytes are missing")]
    Magic,
    /// It holds something else.
    #[error("it is not a segment of the kind {expected:?}")]
    Kind {
        /// The kind that the manifest says.
        expected: SegmentKind,
    },
    /// Its index is impossible, or not what the manifest says.
    #[error("its index contradicts itself or the manifest")]
    Index,
    /// A frame does not decompress to what its index entry says.
    #[error("a frame does not decompress to {expected} bytes")]
    Decompress {
        /// The size that the index gives.
        expected: u32,
        /// What the decompressor says, where it says something.
        #[source]
        source: Option<std::io::Error>,
    },
    /// A record does not decode.
    #[error("a record does not decode")]
    Decode(#[from] DecodeError),
    /// Records are out of order, or not those which the index announces.
    #[error("the records are not those that the index announces, or out of order")]
    Records,
}

/// What was written that does not fit into the format.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A block is not after the one before it.
    #[error("block {slot} comes after block {previous}")]
    BlockOrder {
        /// The slot of the block.
        slot: Slot,
        /// The slot of the block before it.
        previous: Slot,
    },
    /// A block's parent is not before it, or is before the block before it.
    #[error("block {slot} has the parent {parent}, which does not follow from the blocks before it")]
    Parent {
        /// The slot of the block.
        slot: Slot,
        /// The slot of its parent.
        parent: Slot,
    },
    /// An account is not after the one before it.
    #[error("account {address} is not sorted, or comes twice")]
    AccountOrder {
        /// The account's address.
        address: solana_pubkey::Pubkey,
    },
    /// One block or account is larger than a frame can be.
    #[error("a record of {size} bytes is larger than a frame can hold ({limit} bytes)")]
    RecordTooLarge {
        /// The size of the record.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// There is no block.
    #[error("an archive has at least one block")]
    NoBlocks,
    /// No keyframe is early enough for the first block.
    #[error("an archive has a keyframe at or before its first block")]
    NoKeyframe,
    /// A keyframe is not after the one before it.
    #[error("keyframe {slot} is not after the one before it")]
    KeyframeOrder {
        /// The slot of the keyframe.
        slot: Slot,
    },
}
