//! What a replay knows beside its accounts, as a JSON document. Nothing in it depends on the order of a map in memory.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use simulator_archive::model::Slot;
use solana_hash::Hash;
use solana_pubkey::Pubkey;

use crate::blockhash_queue::BlockhashQueue;
use crate::cause::Trials;
use crate::lineage::{Lineage, Reached};
use crate::proof::Proof;
use crate::replay::{Replay, Tip};
use crate::report::{BankHashDifference, Occurrences, ProofUnavailable, Unreproduced};

/// Names the shape of the document; a change of the shape changes the number.
const VERSION: u32 = 1;

/// What a replay knows beside its accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Memory {
    version: Version,
    tip: TipMemory,
    blockhashes: QueueMemory,
    /// Message hashes of the transactions of each recent block, oldest first.
    seen: Vec<Hashes>,
    proof: ProofMemory,
    lineage: Vec<LineageMemory>,
    trials: TrialsMemory,
    unreproduced: BTreeMap<Unreproduced, OccurrencesMemory>,
}

/// Reads as nothing but the number that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TipMemory {
    slot: Slot,
    epoch: u64,
    block_height: u64,
    signatures: u64,
    recorded_bank_hash: Option<Base58<Hash>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct QueueMemory {
    /// Newest first, each with the number of blocks since.
    entries: Vec<(Base58<Hash>, u64)>,
    /// For how many more blocks hashes that are valid may be missing.
    incomplete_for: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProofMemory {
    last: Option<Base58<Hash>>,
    first_difference: Option<DifferenceMemory>,
    unavailable: Option<ProofUnavailable>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DifferenceMemory {
    slot: Slot,
    recorded: Base58<Hash>,
    computed: Base58<Hash>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LineageMemory {
    account: Base58<Pubkey>,
    by: Reached,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TrialsMemory {
    left: u32,
    missing: Vec<Base58<Pubkey>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OccurrencesMemory {
    count: u64,
    first_slot: Slot,
}

/// A value that is written as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Base58<T>(T);

/// Hashes one after the other, as base64.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hashes(Vec<Hash>);

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
                recorded_bank_hash: recorded_bank_hash.map(Base58),
            },
            blockhashes: QueueMemory::of(&replay.blockhashes),
            seen: replay.seen.recent().map(Hashes).collect(),
            proof: ProofMemory::of(&replay.proof),
            lineage: lineage(&replay.lineage),
            trials: TrialsMemory {
                left: replay.trials.left,
                missing: replay.trials.missing.iter().copied().map(Base58).collect(),
            },
            unreproduced: unreproduced(replay),
        }
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain structs of numbers and strings always serialise")
    }

    /// Makes a replay over the same accounts know this.
    pub(super) fn restore(&self, replay: &mut Replay) {
        let tip = &self.tip;
        replay.tip = Tip {
            slot: tip.slot,
            epoch: tip.epoch,
            block_height: tip.block_height,
            signatures: tip.signatures,
            recorded_bank_hash: tip.recorded_bank_hash.map(|hash| hash.0),
        };
        let entries = self.blockhashes.entries.iter().map(|(hash, age)| (hash.0, *age));
        replay.blockhashes.replace(entries, self.blockhashes.incomplete_for);
        for block in &self.seen {
            block.0.iter().for_each(|hash| replay.seen.insert(*hash));
            replay.seen.close_block();
        }
        self.proof.restore(&mut replay.proof);
        for LineageMemory { account, by } in &self.lineage {
            replay.lineage.reach([&account.0], *by);
        }
        replay.trials = Trials {
            left: self.trials.left,
            missing: self.trials.missing.iter().map(|feature| feature.0).collect(),
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
            entries: entries.map(|(hash, age)| (Base58(hash), age)).collect(),
            incomplete_for: queue.incomplete_for(),
        }
    }
}

impl ProofMemory {
    fn of(proof: &Proof) -> Self {
        let results = proof.results();
        let difference = results.first_difference.map(|difference| DifferenceMemory {
            slot: difference.slot,
            recorded: Base58(difference.recorded),
            computed: Base58(difference.computed),
        });
        Self {
            last: proof.last().map(Base58),
            first_difference: difference,
            unavailable: results.unavailable,
        }
    }

    fn restore(&self, proof: &mut Proof) {
        let difference = self.first_difference.map(|difference| BankHashDifference {
            slot: difference.slot,
            recorded: difference.recorded.0,
            computed: difference.computed.0,
        });
        proof.remember(self.last.map(|hash| hash.0), difference, self.unavailable);
    }
}

fn lineage(lineage: &Lineage) -> Vec<LineageMemory> {
    let reached = lineage.reached().into_iter();
    let memory = reached.map(|(account, by)| LineageMemory {
        account: Base58(account),
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

impl<T: Display> Serialize for Base58<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Base58<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for Hashes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(Hash::to_bytes).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(D::Error::custom("the last hash is cut short"));
        }
        Ok(Self(hashes.iter().copied().map(Hash::new_from_array).collect()))
    }
}
