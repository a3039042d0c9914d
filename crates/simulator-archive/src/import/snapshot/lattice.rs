//! The lattice hash of a set of accounts: a sum, so that their order does not matter. (SIMD-0215)

use solana_hash::Hash;
use solana_pubkey::Pubkey;

use crate::model::Account;

/// Number of 16-bit elements.
pub(super) const ELEMENTS: usize = 1024;

/// The sum of what each account contributes.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Lattice(pub(super) Box<[u16; ELEMENTS]>);

impl Lattice {
    pub(super) fn zero() -> Self {
        Self(Box::new([0; ELEMENTS]))
    }

    /// Adds an account. Its rent epoch does not count.
    pub(super) fn add(&mut self, address: &Pubkey, account: &Account) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&account.lamports.to_le_bytes());
        hasher.update(&account.data);
        hasher.update(&[u8::from(account.executable)]);
        hasher.update(account.owner.as_array());
        hasher.update(address.as_array());
        let mut bytes = [0; 2 * ELEMENTS];
        hasher.finalize_xof().fill(&mut bytes);
        for (sum, pair) in self.0.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *sum = sum.wrapping_add(u16::from_le_bytes(*pair));
        }
    }

    /// The short form, which stands in the names of snapshots.
    pub(super) fn checksum(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        for element in self.0.iter() {
            hasher.update(&element.to_le_bytes());
        }
        Hash::new_from_array(hasher.finalize().into())
    }
}
