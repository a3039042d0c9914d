//! What an archive holds: the data of `manifest.json` (`docs/archive.md`, section 2).

use serde::{Deserialize, Serialize};

use crate::digest::{ArchiveDigest, Digest};
use crate::model::Slot;

/// The contents of an archive. Its digest names the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The version of the format: 2 with [`state_index`](Self::state_index), else 1.
    pub format_version: u32,
    /// The genesis hash of the cluster in base58, where it is known.
    pub genesis_hash: Option<String>,
    /// The slot of the first block.
    pub first_slot: Slot,
    /// The slot of the last block.
    pub last_slot: Slot,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of transactions in the blocks.
    pub transactions: u64,
    /// How many of the transactions have a recorded outcome.
    pub outcomes: u64,
    /// What the absence of an account from a keyframe means.
    pub scope: Scope,
    /// Why the scope is what it is.
    pub scope_evidence: ScopeEvidence,
    /// From what the scope follows, where it was limited to some programs or accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closure: Option<Closure>,
    /// What the bank of the first block's parent knew beside its accounts, where a snapshot told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank: Option<Bank>,
    /// Where the range has holes.
    pub coverage: Coverage,
    /// The keyframes in slot order, each the state just before the block of that slot. The first is at or before
    /// [`Self::first_slot`].
    pub keyframes: Vec<Slot>,
    /// What the archive was made from, one entry for each import.
    pub sources: Vec<Source>,
    /// How the accounts developed, where that has been added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_index: Option<StateIndex>,
    /// Every other object of the archive, in the order of [`SegmentKind`]: those of blocks, deltas and contexts in slot
    /// order, those of keyframes in order of slot and address.
    pub segments: Vec<Segment>,
}

/// How the accounts developed from the first keyframe on: what a replay of the archive has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateIndex {
    /// What replayed it. Contexts of inner keyframes are this engine's own.
    pub engine: String,
    /// The least number of slots from one keyframe to the next.
    pub interval: u64,
    /// The slots of the inner keyframes, ascending: each is the state just before the block of that slot, as what differs
    /// from the first of [`Manifest::keyframes`].
    pub keyframes: Vec<Slot>,
    /// Whether the deltas hold every change of the accounts in scope: every account was known to what replayed them.
    pub exact: bool,
    /// How many changes the slots' deltas hold.
    pub changes: u64,
}

/// What the absence of an account from a keyframe means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Every account of the chain is in the keyframe: one that is not there did not exist.
    All,
    /// Only some accounts are in the keyframe: one that is not there is unknown.
    Listed,
}

/// What decided the scope of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScopeEvidence {
    /// Whether the importer was told the scope; if not, it decided from the rest of the evidence.
    pub given: bool,
    /// Addresses in base58 that every complete state holds and that are not listed, sorted.
    pub missing_accounts: Vec<String>,
    /// How many vote accounts are listed.
    pub vote_accounts: u64,
    /// How many accounts were compared with the first balance that the blocks recorded for them.
    pub checked_accounts: u64,
    /// How many of these had lamports in the blocks and were not listed.
    pub unlisted_accounts: u64,
    /// How many of these were listed with other lamports.
    pub differing_accounts: u64,
    /// One of the accounts counted in the two fields above, in base58.
    pub example: Option<String>,
}

/// Which accounts an archive of some programs or accounts holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Closure {
    /// How the accounts follow from the chosen addresses.
    pub rule: ClosureRule,
    /// The chosen programs in base58, in order of address.
    pub programs: Vec<String>,
    /// The chosen accounts in base58, in order of address.
    pub accounts: Vec<String>,
    /// How many transactions were chosen.
    pub transactions: u64,
    /// How many transactions have addresses that are not recorded, because they come from lookup tables: those that were
    /// chosen may need more accounts, and others might have been chosen.
    pub undetermined_transactions: u64,
    /// How many addresses the closure names.
    pub addresses: u64,
    /// How many of these have an account in the first keyframe. The others did not exist then, or were not in the archive
    /// of which this is a part.
    pub found: u64,
}

/// How a closure follows from the chosen addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClosureRule {
    /// All accounts and lookup tables of every transaction that has a chosen address among its account keys, the program
    /// data of each of them, the chosen addresses, and every account that the runtime, the feature program or the
    /// sysvar id owns.
    Touched,
}

/// What a bank knows beside its accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bank {
    /// The bank's slot.
    pub slot: Slot,
    /// Its bank hash in base58.
    pub hash: String,
    /// Number of blocks below it.
    pub block_height: u64,
    /// The blockhashes that transactions may name, newest first. Their sysvar holds the first 150 of them.
    pub blockhashes: Vec<RecentBlockhash>,
    /// The stakes that count in the epochs around the bank's, in order of epoch.
    pub epoch_stakes: Vec<EpochStakes>,
}

/// A blockhash that transactions may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecentBlockhash {
    /// The blockhash in base58.
    pub blockhash: String,
    /// The fee rate that went with it, in lamports.
    pub lamports_per_signature: u64,
}

/// The stakes that count in an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EpochStakes {
    /// The epoch.
    pub epoch: u64,
    /// The sum of all stakes in lamports.
    pub total_stake: u64,
    /// The vote accounts, sorted by their address as text.
    pub vote_accounts: Vec<VoterStake>,
}

/// What is delegated to a vote account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VoterStake {
    /// The vote account in base58.
    pub address: String,
    /// Its stake in lamports.
    pub stake: u64,
}

/// How much of its slot range an archive holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Coverage {
    /// Number of places where a block's parent is not in the archive, the first block aside. Blocks are missing there,
    /// so that the state after it cannot be computed from the state before it. A skipped slot is no gap.
    pub gaps: u64,
    /// The first gap.
    pub first_gap: Option<Gap>,
}

/// A place where blocks are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gap {
    /// The last slot before the gap that has a block here.
    pub after: Slot,
    /// The slot of the block after the gap.
    pub slot: Slot,
    /// The slot of that block's parent, which is missing.
    pub parent_slot: Slot,
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// Which importer read it.
    pub importer: Importer,
    /// The files that were read.
    pub files: Vec<SourceFile>,
}

/// The importers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Importer {
    /// A ledger directory: plain files of blocks, and accounts or a snapshot.
    Ledger,
    /// An Agave full snapshot.
    Snapshot,
    /// Results of `getBlock`, one a line.
    GetBlock,
    /// Old Faithful's CAR files.
    Car,
    /// A part of another archive: its digest stands for the file.
    Archive,
    /// Not imported from files but written by a program.
    Program,
}

/// One file that was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceFile {
    /// Its name, without the directory.
    pub name: String,
    /// Its size in bytes, as stored.
    pub size: u64,
    /// BLAKE3 of the file as stored.
    pub digest: Digest,
}

/// One object of an archive beside the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Segment {
    /// The object's name, below the archive's location.
    pub name: String,
    /// What it holds.
    pub kind: SegmentKind,
    /// The slot of its first block, delta or context, or that of its keyframe.
    pub first_slot: Slot,
    /// The slot of its last block, delta or context, or that of its keyframe.
    pub last_slot: Slot,
    /// Number of frames: one for each block or context, or one for each chunk of accounts or changes.
    pub frames: u32,
    /// Number of transactions, accounts, changes or contexts.
    pub records: u64,
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 of the whole object.
    pub digest: Digest,
    /// BLAKE3 of its index and footer, from the first index entry to the end of the object.
    pub index_digest: Digest,
}

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SegmentKind {
    /// Blocks, one a frame, in slot order.
    Blocks,
    /// Accounts of a keyframe, in order of address.
    Accounts,
    /// What each slot changed, in one frame or more, in slot order.
    Deltas,
    /// What differs at an inner keyframe from the first keyframe, in order of address.
    Differences,
    /// What a replay knows at inner keyframes beside the accounts, one frame each, in slot order.
    Contexts,
}

impl Manifest {
    /// The digest of an archive with this manifest.
    pub fn digest(&self) -> ArchiveDigest {
        Digest::of(&self.to_json())
    }

    /// Size of the archive's segments in bytes.
    pub fn size(&self) -> u64 {
        self.segments
            .iter()
            .fold(0, |sum, segment| sum.saturating_add(segment.size))
    }

    /// Number of accounts in the keyframe at `slot`.
    pub fn accounts(&self, slot: Slot) -> u64 {
        self.keyframe_segments(slot)
            .fold(0, |sum, segment| sum.saturating_add(segment.records))
    }

    /// The block segments, in slot order.
    pub fn block_segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments_of(SegmentKind::Blocks)
    }

    /// The segments of the keyframe at `slot`, in order of address.
    pub fn keyframe_segments(&self, slot: Slot) -> impl Iterator<Item = &Segment> {
        self.segments_of(SegmentKind::Accounts)
            .filter(move |segment| segment.first_slot == slot)
    }

    /// The segments of one kind, in order.
    pub fn segments_of(&self, kind: SegmentKind) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(move |segment| segment.kind == kind)
    }

    /// The segments of the inner keyframe at `slot`, in order of address.
    pub(crate) fn difference_segments(&self, slot: Slot) -> impl Iterator<Item = &Segment> {
        self.segments_of(SegmentKind::Differences)
            .filter(move |segment| segment.first_slot == slot)
    }

    /// The version of the format that the contents need.
    pub(crate) fn needed_version(&self) -> u32 {
        let is_part = self.sources.iter().any(|source| source.importer == Importer::Archive);
        match self.state_index.is_some() || is_part {
            false => 1,
            true => 2,
        }
    }

    /// The canonical form: compact JSON, fields in the order of declaration.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain structs of numbers and strings always serialise")
    }
}
