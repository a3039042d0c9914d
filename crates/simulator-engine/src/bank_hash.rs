//! The bank hash: one hash a slot over every account of the chain.
//!
//! The accounts enter as a lattice hash: a sum over all accounts, so that a slot changes it by what it changed.
//! (Agave: `solana-lattice-hash`, `Bank::hash_internal_state`; SIMD-0215.)

use sha2::{Digest, Sha256};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_hash::Hash;
use solana_pubkey::Pubkey;

/// Number of 16-bit elements of the lattice hash.
const ELEMENTS: usize = 1024;

/// The sum of all accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LatticeHash(Box<[u16; ELEMENTS]>);

impl Default for LatticeHash {
    fn default() -> Self {
        Self(Box::new([0; ELEMENTS]))
    }
}

impl LatticeHash {
    /// The sum over some accounts. The order does not matter.
    pub(crate) fn of<'a>(accounts: impl Iterator<Item = (&'a Pubkey, &'a AccountSharedData)>) -> Self {
        let mut sum = Self::default();
        for (address, account) in accounts {
            sum.add(address, account);
        }
        sum
    }

    pub(crate) fn add(&mut self, address: &Pubkey, account: &AccountSharedData) {
        for (sum, element) in self.0.iter_mut().zip(elements(address, account)) {
            *sum = sum.wrapping_add(element);
        }
    }

    pub(crate) fn subtract(&mut self, address: &Pubkey, account: &AccountSharedData) {
        for (sum, element) in self.0.iter_mut().zip(elements(address, account)) {
            *sum = sum.wrapping_sub(element);
        }
    }
}

/// What one account contributes. Its rent epoch does not count.
fn elements(address: &Pubkey, account: &AccountSharedData) -> [u16; ELEMENTS] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&account.lamports().to_le_bytes());
    hasher.update(account.data());
    hasher.update(&[u8::from(account.executable())]);
    hasher.update(account.owner().as_ref());
    hasher.update(address.as_ref());
    let mut bytes = [0; ELEMENTS * 2];
    hasher.finalize_xof().fill(&mut bytes);
    let mut elements = [0; ELEMENTS];
    for (element, pair) in elements.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *element = u16::from_le_bytes(*pair);
    }
    elements
}

/// What the bank hash of a slot covers besides its accounts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotIdentity {
    /// The bank hash of the parent.
    pub(crate) parent: Hash,
    /// Signatures of the processed transactions, those of precompiles left out.
    pub(crate) signatures: u64,
    /// The block's own blockhash.
    pub(crate) blockhash: Hash,
}

/// The bank hash of a slot.
pub(crate) fn bank_hash(slot: &SlotIdentity, accounts: &LatticeHash) -> Hash {
    let identity = Sha256::new()
        .chain_update(slot.parent.as_ref())
        .chain_update(slot.signatures.to_le_bytes())
        .chain_update(slot.blockhash.as_ref())
        .finalize();
    let mut hasher = Sha256::new().chain_update(identity);
    for element in accounts.0.iter() {
        hasher.update(element.to_le_bytes());
    }
    Hash::new_from_array(hasher.finalize().into())
}
