//! What a replay knows beside its accounts, in bincode with integers of fixed size. Nothing in it depends on the order of a
//! map in memory.

use std::collections::BTreeMap;

use bincode::Options;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use simulator_archive::model::Slot;
use solana_hash::Hash;
use solana_pubkey::Pubkey;

use crate::blockhash_queue::BlockhashQueue;
use crate::cause::{MAX_TRIALS, Trials};
use crate::lineage::{Lineage, Reached};
use crate::proof::Proof;
use crate::replay::{Replay, Tip};
use crate::report::{BankHashDifference, Occurrences, ProofUnavailable, Unreproduced};

/// Names the encoding. It changes with these structures, and with the order of the variants of the enumerations in them
/// ([`Unreproduced`], [`ProofUnavailable`], [`DivergenceClass`](crate::DivergenceClass)).
const VERSION: u32 = 1;

/// What a replay knows beside its accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    version: Version,
    tip: TipMemory,
    blockhashes: QueueMemory,
    /// Message hashes of the transactions of each recent block, oldest first.
    seen: Vec<Vec<Raw>>,
    proof: ProofMemory,
    lineage: Vec<LineageMemory>,
    trials: TrialsMemory,
    unreproduced: BTreeMap<Unreproduced, OccurrencesMemory>,
}

/// Reads as nothing but the number that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TipMemory {
    slot: Slot,
    epoch: u64,
    block_height: u64,
    signatures: u64,
    recorded_bank_hash: Option<Raw>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct QueueMemory {
    /// Newest first, each with the number of blocks since.
    entries: Vec<(Raw, u64)>,
    /// For how many more blocks hashes that are valid may be missing.
    incomplete_for: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ProofMemory {
    last: Option<Raw>,
    first_difference: Option<DifferenceMemory>,
    unavailable: Option<ProofUnavailable>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DifferenceMemory {
    slot: Slot,
    recorded: Raw,
    computed: Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LineageMemory {
    account: Raw,
    by: Reached,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TrialsMemory {
    left: u32,
    missing: Vec<Raw>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OccurrencesMemory {
    count: u64,
    first_slot: Slot,
}

/// A hash or an address, as its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Raw([u8; 32]);

impl From<Hash> for Raw {
    fn from(hash: Hash) -> Self {
        Self(hash.to_bytes())
    }
}

impl From<Raw> for Hash {
    fn from(raw: Raw) -> Self {
        Self::new_from_array(raw.0)
    }
}

impl From<Pubkey> for Raw {
    fn from(address: Pubkey) -> Self {
        Self(address.to_bytes())
    }
}

impl From<Raw> for Pubkey {
    fn from(raw: Raw) -> Self {
        Self::new_from_array(raw.0)
    }
}

/// Nothing may be left over, and no length is believed that the bytes do not bear out.
fn encoding() -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding()
}

impl Memory {
    pub(super) fn of(replay: &Replay) -> Self {
        let Tip {
            slot,
            epoch,
            block_height,
            signatures,
            recorded_bank_hash,
        } = replay.tip;
        Self {
            version: Version,
            tip: TipMemory {
                slot,
                epoch,
                block_height,
                signatures,
                recorded_bank_hash: recorded_bank_hash.map(Raw::from),
            },
            blockhashes: QueueMemory::of(&replay.blockhashes),
            seen: replay
                .seen
                .recent()
                .map(|block| block.into_iter().map(Raw::from).collect())
                .collect(),
            proof: ProofMemory::of(&replay.proof),
            lineage: lineage(&replay.lineage),
            trials: TrialsMemory {
                left: replay.trials.left,
                missing: replay.trials.missing.iter().copied().map(Raw::from).collect(),
            },
            unreproduced: unreproduced(replay),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, bincode::Error> {
        encoding().deserialize(bytes)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let encoded = encoding().serialize(self);
        encoded.expect("plain structs of numbers and bytes always serialise")
    }

    /// Makes a replay over the same accounts know this.
    pub(super) fn restore(&self, replay: &mut Replay) {
        let tip = &self.tip;
        replay.tip = Tip {
            slot: tip.slot,
            epoch: tip.epoch,
            block_height: tip.block_height,
            signatures: tip.signatures,
            recorded_bank_hash: tip.recorded_bank_hash.map(Hash::from),
        };
        let entries = self
            .blockhashes
            .entries
            .iter()
            .map(|(hash, age)| (Hash::from(*hash), *age));
        replay.blockhashes.replace(entries, self.blockhashes.incomplete_for);
        for block in &self.seen {
            for hash in block {
                replay.seen.insert(Hash::from(*hash));
            }
            replay.seen.close_block();
        }
        self.proof.restore(&mut replay.proof);
        for LineageMemory { account, by } in &self.lineage {
            replay.lineage.reach([&Pubkey::from(*account)], *by);
        }
        replay.trials = Trials {
            left: self.trials.left.min(MAX_TRIALS),
            missing: self.trials.missing.iter().copied().map(Pubkey::from).collect(),
        };
        for (what, occurrences) in &self.unreproduced {
            let occurrences = Occurrences {
                count: occurrences.count,
                first_slot: occurrences.first_slot,
            };
            replay.recorder.remember_unreproduced(*what, occurrences);
        }
        replay.await_session();
    }
}

impl QueueMemory {
    fn of(queue: &BlockhashQueue) -> Self {
        let entries = queue.by_age().into_iter();
        Self {
            entries: entries.map(|(hash, age)| (Raw::from(hash), age)).collect(),
            incomplete_for: queue.incomplete_for(),
        }
    }
}

impl ProofMemory {
    fn of(proof: &Proof) -> Self {
        let results = proof.results();
        let difference = results.first_difference.map(|difference| DifferenceMemory {
            slot: difference.slot,
            recorded: difference.recorded.into(),
            computed: difference.computed.into(),
        });
        Self {
            last: proof.last().map(Raw::from),
            first_difference: difference,
            unavailable: results.unavailable,
        }
    }

    fn restore(&self, proof: &mut Proof) {
        let difference = self.first_difference.map(|difference| BankHashDifference {
            slot: difference.slot,
            recorded: difference.recorded.into(),
            computed: difference.computed.into(),
        });
        proof.remember(self.last.map(Hash::from), difference, self.unavailable);
    }
}

fn lineage(lineage: &Lineage) -> Vec<LineageMemory> {
    let reached = lineage.reached().into_iter();
    let memory = reached.map(|(account, by)| LineageMemory {
        account: account.into(),
        by,
    });
    memory.collect()
}

fn unreproduced(replay: &Replay) -> BTreeMap<Unreproduced, OccurrencesMemory> {
    let unreproduced = replay.recorder.summary().unreproduced.into_iter();
    let memory = unreproduced.map(|(what, occurrences)| {
        let memory = OccurrencesMemory {
            count: occurrences.count,
            first_slot: occurrences.first_slot,
        };
        (what, memory)
    });
    memory.collect()
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        VERSION.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Self),
            other => Err(D::Error::custom(format_args!("version {other} is not {VERSION}"))),
        }
    }
}
