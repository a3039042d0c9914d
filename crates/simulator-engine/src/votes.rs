//! Bank hashes that votes name.
//!
//! `getBlock` does not give a block's bank hash, but validators do: every vote carries the bank hash of the newest
//! slot it votes for. Layouts: bincode of `VoteInstruction` (`solana-vote-interface`), whose newer kinds pack their
//! lockouts as compact offsets.

use std::collections::BTreeMap;

use simulator_archive::model::Block;
use solana_hash::Hash;
use solana_message::VersionedMessage;
use solana_pubkey::Pubkey;
use solana_sdk_ids::vote;
use solana_transaction::versioned::VersionedTransaction;

/// A lockout list longer than this is not a vote. (Agave: `MAX_LOCKOUT_HISTORY` is 31.)
const MAX_LOCKOUTS: usize = 64;

/// A slot and the bank hash that a vote gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NamedHash {
    pub(crate) slot: u64,
    pub(crate) hash: Hash,
}

/// The bank hash of each slot that the block's successful votes name: the one that most of them name.
pub(crate) fn named_hashes(block: &Block, transactions: &[VersionedTransaction]) -> BTreeMap<u64, Hash> {
    let mut counts: BTreeMap<u64, BTreeMap<Hash, usize>> = BTreeMap::new();
    for (recorded, transaction) in block.transactions.iter().zip(transactions) {
        if recorded.outcome.as_ref().is_some_and(|outcome| outcome.status.is_err()) {
            continue;
        }
        for named in votes_of(&transaction.message) {
            *counts.entry(named.slot).or_default().entry(named.hash).or_default() += 1;
        }
    }
    counts
        .into_iter()
        .filter_map(|(slot, hashes)| Some((slot, most_common(&hashes)?)))
        .collect()
}

fn most_common(hashes: &BTreeMap<Hash, usize>) -> Option<Hash> {
    hashes.iter().max_by_key(|(_, count)| **count).map(|(hash, _)| *hash)
}

fn votes_of(message: &VersionedMessage) -> impl Iterator<Item = NamedHash> {
    let keys = message.static_account_keys();
    message
        .instructions()
        .iter()
        .filter(|instruction| program(keys, instruction.program_id_index) == Some(&vote::ID))
        .filter_map(|instruction| parse(&instruction.data))
}

fn program(keys: &[Pubkey], index: u8) -> Option<&Pubkey> {
    keys.get(usize::from(index))
}

/// Reads the newest slot and its hash from the data of a vote instruction.
fn parse(data: &[u8]) -> Option<NamedHash> {
    let mut reader = Reader(data);
    match reader.u32()? {
        2 | 6 => vote_slots(&mut reader),
        8 | 9 => full_lockouts(&mut reader),
        12..=15 => compact_lockouts(&mut reader),
        _ => None,
    }
}

/// `Vote`, `VoteSwitch`: slots, then the hash.
fn vote_slots(reader: &mut Reader<'_>) -> Option<NamedHash> {
    let count = reader.count()?;
    let mut newest = None;
    for _ in 0..count {
        newest = Some(reader.u64()?);
    }
    Some(NamedHash {
        slot: newest?,
        hash: reader.hash()?,
    })
}

/// `UpdateVoteState`, `UpdateVoteStateSwitch`: lockouts, an optional root, then the hash.
fn full_lockouts(reader: &mut Reader<'_>) -> Option<NamedHash> {
    let count = reader.count()?;
    let mut newest = None;
    for _ in 0..count {
        newest = Some(reader.u64()?);
        reader.u32()?;
    }
    if reader.u8()? == 1 {
        reader.u64()?;
    }
    Some(NamedHash {
        slot: newest?,
        hash: reader.hash()?,
    })
}

/// `CompactUpdateVoteState`, `TowerSync` and their switching forms: the root, lockouts as offsets, then the hash.
fn compact_lockouts(reader: &mut Reader<'_>) -> Option<NamedHash> {
    // A vote without a root says so with the largest number; offsets then count from 0.
    let root = reader.u64()?;
    let mut slot = if root == u64::MAX { 0 } else { root };
    let count = usize::try_from(reader.varint()?)
        .ok()
        .filter(|count| (1..=MAX_LOCKOUTS).contains(count))?;
    for _ in 0..count {
        slot = slot.checked_add(reader.varint()?)?;
        reader.u8()?;
    }
    Some(NamedHash {
        slot,
        hash: reader.hash()?,
    })
}

/// Takes values off the front of instruction data.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn hash(&mut self) -> Option<Hash> {
        self.take().map(Hash::new_from_array)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.u64()?).ok().filter(|count| *count <= MAX_LOCKOUTS)
    }

    /// Seven bits a byte, least significant first, at most ten bytes.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: [u8; 32] = [9; 32];

    fn named(slot: u64) -> Option<NamedHash> {
        Some(NamedHash {
            slot,
            hash: Hash::new_from_array(HASH),
        })
    }

    /// Kind, root, and lockouts as offsets of one byte with a confirmation count each.
    fn tower(kind: u32, root: u64, offsets: &[u8]) -> Vec<u8> {
        let mut data = kind.to_le_bytes().to_vec();
        data.extend(root.to_le_bytes());
        data.push(u8::try_from(offsets.len()).expect("short"));
        data.extend(offsets.iter().flat_map(|offset| [*offset, 1]));
        data.extend(HASH);
        data
    }

    #[test]
    fn the_hash_of_a_tower_is_that_of_its_newest_slot() {
        for kind in 12..=15 {
            assert_eq!(parse(&tower(kind, 100, &[1, 2, 3])), named(106));
        }
        assert_eq!(parse(&tower(14, u64::MAX, &[1, 1])), named(2));
    }

    #[test]
    fn long_offsets_take_several_bytes() {
        let mut data = 14u32.to_le_bytes().to_vec();
        data.extend(0u64.to_le_bytes());
        data.extend([1, 0xe5, 0x8e, 0x26, 1]);
        data.extend(HASH);
        assert_eq!(parse(&data), named(624_485));
    }

    #[test]
    fn older_kinds_of_votes_are_read_too() {
        let mut vote = 2u32.to_le_bytes().to_vec();
        vote.extend(2u64.to_le_bytes());
        vote.extend(7u64.to_le_bytes());
        vote.extend(8u64.to_le_bytes());
        vote.extend(HASH);
        assert_eq!(parse(&vote), named(8));
        let mut update = 8u32.to_le_bytes().to_vec();
        update.extend(1u64.to_le_bytes());
        update.extend(11u64.to_le_bytes());
        update.extend(1u32.to_le_bytes());
        update.push(1);
        update.extend(3u64.to_le_bytes());
        update.extend(HASH);
        assert_eq!(parse(&update), named(11));
    }

    #[test]
    fn what_is_no_vote_names_nothing() {
        let full = tower(14, 100, &[1]);
        for len in 0..full.len() {
            assert_eq!(parse(&full[..len]), None, "{len} bytes");
        }
        assert_eq!(parse(&tower(14, 100, &[])), None);
        assert_eq!(parse(&tower(14, u64::MAX - 1, &[1, 1])), None);
        assert_eq!(parse(&tower(3, 100, &[1])), None);
        let mut endless = 14u32.to_le_bytes().to_vec();
        endless.extend([0xff; 64]);
        assert_eq!(parse(&endless), None);
    }

    #[test]
    fn the_hash_that_most_name_wins() {
        let (a, b) = (Hash::new_from_array([1; 32]), Hash::new_from_array([2; 32]));
        assert_eq!(most_common(&BTreeMap::from([(a, 2), (b, 1)])), Some(a));
        assert_eq!(most_common(&BTreeMap::new()), None);
    }
}
