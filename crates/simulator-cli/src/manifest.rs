//! The manifest of a run: what was replayed, how, and digests of what came out, so that anybody can run it again and
//! compare.
//!
//! It holds nothing that differs between two runs of the same: no time, no name of a machine, no id of a session. Files are
//! named relative to the manifest, with the digest of what was in them. `docs/cli.md` describes the document.

mod difference;
mod document;
mod file;
mod paths;
mod read;

pub(crate) use difference::{Difference, in_archives, in_files, in_ranges, in_sessions};
pub(crate) use document::SessionEntry;
pub(crate) use file::{ManifestFile, ManifestWriteError};
pub(crate) use read::{FoundManifest, ManifestReadError};
