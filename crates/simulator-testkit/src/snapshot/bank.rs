//! The bank of a snapshot: everything that is no account. What the reader passes over is there, with a few elements.

use std::collections::BTreeMap;

use super::Snapshot;

/// Number of 16-bit elements of the lattice hash.
const ELEMENTS: usize = 1024;

/// The bank in bincode, field by field as Agave 4.2 writes it.
pub(super) fn bank(snapshot: &Snapshot) -> Vec<u8> {
    let mut to = Bincode::default();
    blockhash_queue(&mut to, snapshot);
    versioned_bank(&mut to, snapshot.slot);
    storages(&mut to, snapshot);
    extra_fields(&mut to, snapshot);
    to.0
}

/// The sum over the accounts as they were written last, in bytes.
pub(super) fn sum(snapshot: &Snapshot) -> Vec<u8> {
    let mut last = BTreeMap::new();
    for storage in &snapshot.storages {
        for (account, version) in storage.accounts.iter().zip(storage.write_version..) {
            let time = (storage.slot, version, storage.id);
            let newest = last.entry(account.address).or_insert((time, account));
            if time >= newest.0 {
                *newest = (time, account);
            }
        }
    }
    let mut sum = [0_u16; ELEMENTS];
    for (_, account) in last.values().filter(|(_, account)| account.lamports > 0) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&account.lamports.to_le_bytes()).update(&account.data);
        hasher.update(&[u8::from(account.executable)]);
        hasher.update(account.owner.as_ref()).update(account.address.as_ref());
        let mut bytes = [0; 2 * ELEMENTS];
        hasher.finalize_xof().fill(&mut bytes);
        for (element, pair) in sum.iter_mut().zip(bytes.chunks_exact(2)) {
            *element = element.wrapping_add(u16::from_le_bytes([pair[0], pair[1]]));
        }
    }
    sum.iter().flat_map(|element| element.to_le_bytes()).collect()
}

/// Two blockhashes, the slot's own last.
fn blockhash_queue(to: &mut Bincode, snapshot: &Snapshot) {
    to.number(1);
    to.bytes(&[1]).bytes(snapshot.blockhash.as_ref());
    to.number(2);
    for (hash, index) in [([7; 32], 0), (snapshot.blockhash.to_bytes(), 1)] {
        to.bytes(&hash);
        to.number(5000).number(index).number(0);
    }
    to.number(300);
}

fn versioned_bank(to: &mut Bincode, slot: u64) {
    // An ancestor; the hashes and the parent; a hard fork; counters; hashes a tick.
    to.number(1).number(slot).number(0);
    to.zeros(64).number(slot.saturating_sub(1));
    to.number(1).number(0).number(1);
    to.zeros(5 * 8).bytes(&[1]).number(12_500);
    // Ticks, nanoseconds, genesis, slots of a year, size of all data; slot, epoch, height.
    to.zeros(8 + 16 + 8 + 8 + 8).number(slot).zeros(8).number(slot);
    // Leader, fees, fee calculator, governor, rent, rent collector, epoch schedule, inflation.
    to.zeros(32 + 8 + 8 + 33 + 8 + 66 + 33 + 48);
    stakes(to, 64);
    // Unused sets of accounts, unused stakes, and whether the bank has been frozen.
    to.number(1).zeros(32).number(0).number(1).zeros(40);
    to.number(0).bytes(&[1]);
}

/// One vote account with three bytes of data, two stakes, and one entry of history.
fn stakes(to: &mut Bincode, stake: usize) {
    to.number(1).zeros(32 + 8 + 8).number(3).zeros(3 + 32 + 1 + 8);
    to.number(2).zeros(2 * (32 + stake));
    to.zeros(8 + 8).number(1).zeros(4 * 8);
}

fn storages(to: &mut Bincode, snapshot: &Snapshot) {
    let mut slots: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for storage in &snapshot.storages {
        let files = slots.entry(storage.slot).or_default();
        files.push((storage.id, storage.listed().len() as u64));
    }
    to.number(slots.len() as u64);
    for (slot, files) in slots {
        to.number(slot).number(files.len() as u64);
        for (id, length) in files {
            to.number(id).number(length);
        }
    }
    to.number(0).number(snapshot.slot);
    to.zeros(32 + 32 + 5 * 8);
    to.number(1).number(0).number(1).zeros(8 + 32);
}

fn extra_fields(to: &mut Bincode, snapshot: &Snapshot) {
    to.number(5000).bytes(&[0, 0]);
    // The stakes of one epoch: its number, its kind, stakes, their sum, validators, voters.
    to.number(1).number(0).zeros(4);
    stakes(to, 72);
    to.zeros(8).number(1).zeros(32).number(1).zeros(32 + 8);
    to.number(1).zeros(64);
    if snapshot.has_sum {
        to.bytes(&[1]).bytes(&sum(snapshot));
    } else {
        to.bytes(&[0]);
    }
    to.bytes(&[0]);
}

#[derive(Default)]
struct Bincode(Vec<u8>);

impl Bincode {
    fn number(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn zeros(&mut self, count: usize) -> &mut Self {
        self.bytes(&vec![0; count])
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
}
