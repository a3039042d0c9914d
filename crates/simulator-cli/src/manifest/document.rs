//! The document, as it is written.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use simulator_archive::Digest;
use solana_pubkey::Pubkey;

use crate::report::{BankHashes, Summary, Unreproduced};
use crate::run::Checkpoints;

/// What the file says that it is.
pub(super) const FORMAT: &str = "simulator run manifest";
/// The version of the format that this tool writes, and the only one that it reads.
pub(super) const VERSION: u32 = 1;

/// The whole document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunManifest {
    pub(crate) format: String,
    pub(crate) version: u32,
    /// This tool and its version.
    pub(crate) tool: String,
    /// The engine and its version: results can only be compared with those of the same.
    pub(crate) engine: String,
    /// In the order in which they were given; empty if a server was asked.
    pub(crate) archives: Vec<ArchiveEntry>,
    pub(crate) range: RangeEntry,
    pub(crate) options: Options,
    /// What every session was told after its create, in this order.
    pub(crate) commands: Vec<Command>,
    /// In slot order.
    pub(crate) sessions: Vec<SessionEntry>,
    /// BLAKE3 over the start slot and the result digest of each session.
    pub(crate) result_digest: Digest,
    pub(crate) totals: Totals,
}

/// An archive that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArchiveEntry {
    /// A URL, or a path relative to the manifest.
    pub(crate) place: String,
    /// BLAKE3 of the archive's own manifest, which names everything in it.
    pub(crate) digest: Digest,
}

/// First and last slot, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RangeEntry {
    pub(crate) first_slot: u64,
    pub(crate) last_slot: u64,
}

/// What every session was created with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    pub(crate) features: Features,
    pub(crate) extra_compute_units: u32,
    pub(crate) ignored_signers: Vec<Address>,
}

/// Which features are active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Features {
    /// Those of the archive's feature accounts.
    Accounts,
    /// All that the engine knows.
    All,
    /// Those that a file lists.
    Listed(FileEntry),
}

/// A file that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileEntry {
    /// Relative to the manifest.
    pub(crate) path: String,
    /// BLAKE3 of its content.
    pub(crate) digest: Digest,
}

/// What a session was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// Replace the code of a program with an ELF file.
    ReplaceProgram(ReplacementEntry),
    /// Replace accounts, all at once.
    ReplaceAccounts(Vec<ReplacementEntry>),
    /// Go on to the end of the session's range.
    ContinueToEnd,
}

/// What was replaced, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplacementEntry {
    pub(crate) address: Address,
    pub(crate) file: FileEntry,
}

/// What one session came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionEntry {
    pub(crate) range: RangeEntry,
    /// The digest of the archive that it replayed.
    pub(crate) archive: Digest,
    pub(crate) result_digest: Digest,
    /// The accounts after its last slot.
    pub(crate) state: StateEntry,
    pub(crate) bank_hashes: BankHashes,
    pub(crate) unreproduced: Vec<Unreproduced>,
    pub(crate) checkpoints: Checkpoints,
}

/// The accounts at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateEntry {
    pub(crate) accounts: u64,
    pub(crate) digest: Digest,
}

/// The summary of the run, without what the clock says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Totals {
    pub(crate) slots: u64,
    pub(crate) total: u64,
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) matched: u64,
    pub(crate) diverged: u64,
    pub(crate) diverged_by_class: BTreeMap<String, u64>,
    pub(crate) unverifiable: u64,
    pub(crate) unverifiable_by_reason: BTreeMap<String, u64>,
    pub(crate) compute_units: u64,
}

impl From<&Summary> for Totals {
    fn from(summary: &Summary) -> Self {
        Self {
            slots: summary.slots,
            total: summary.total,
            successes: summary.successes,
            failures: summary.failures,
            matched: summary.matched,
            diverged: summary.diverged,
            diverged_by_class: summary.diverged_by_class.clone(),
            unverifiable: summary.unverifiable,
            unverifiable_by_reason: summary.unverifiable_by_reason.clone(),
            compute_units: summary.compute_units,
        }
    }
}

/// An address in base58.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(pub(crate) Pubkey);

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|error| D::Error::custom(format!("{text:?} is not an address: {error}")))
    }
}
