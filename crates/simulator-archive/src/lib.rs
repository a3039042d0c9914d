//! Recorded Solana history: an archive is a directory, or a prefix in an object store, of immutable segments plus one
//! manifest. Blocks stand in block segments; keyframes hold the state of every known account at one slot, and deltas what
//! each slot changed.
//!
//! * [`Archive`] opens and reads one: [`Archive::blocks`], [`Archive::accounts_at`].
//! * [`import::ledger::import`] makes one from a ledger directory; [`ArchiveWriter`] makes one from values, and
//!   [`IndexWriter`] adds deltas and keyframes.
//! * [`export::export`] makes one of a part of another one.
//! * [`verify`] re-reads one, byte by byte.
//!
//! The format is described in `docs/archive.md`. Nothing here knows the virtual machine or the wire protocol.

mod codec;
mod digest;
mod error;
pub mod export;
pub mod import;
mod lattice;
mod location;
mod manifest;
mod manifest_file;
pub mod model;
mod reader;
mod segment;
mod verify;
mod writer;

pub use codec::DecodeError;
pub use digest::{ArchiveDigest, Digest, ParseDigestError};
pub use error::{ArchiveError, MalformedError, ManifestError, WriteError};
pub use lattice::{LatticeAccount, LatticeHash};
pub use location::{Location, LocationError};
pub use manifest::{
    Bank, Closure, ClosureRule, Coverage, EpochStakes, Gap, Importer, Manifest, RecentBlockhash, Scope, ScopeEvidence,
    Segment, SegmentKind, Source, SourceFile, StateIndex, VoterStake,
};
pub use reader::{AccountReader, Archive, BlockReader, DeltaReader, DifferenceReader, KeyframeReader};
pub use verify::{VerifyProgress, VerifyReport, verify};
pub use writer::{ArchiveWriter, Description, IndexDescription, IndexWriter, SegmentLimits};

/// The newest format version that this crate reads and writes. It writes version 1 where that can hold the contents.
pub const FORMAT_VERSION: u32 = 2;

/// The name of the object that holds the manifest.
pub const MANIFEST_NAME: &str = "manifest.json";
