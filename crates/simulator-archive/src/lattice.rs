//! The lattice hash of a set of accounts: a sum over all of them, so that their order does not matter and a change of one
//! is a change of the sum. (Agave: `solana-lattice-hash`; SIMD-0215.)

use solana_hash::Hash;
use solana_pubkey::Pubkey;

use crate::model::Account;

/// Number of 16-bit elements.
const ELEMENTS: usize = 1024;

/// The sum of what each account contributes.
#[derive(Clone, PartialEq, Eq)]
pub struct LatticeHash(Box<[u16; ELEMENTS]>);

/// What of an account counts. Its rent epoch does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatticeAccount<'a> {
    /// Balance in lamports.
    pub lamports: u64,
    /// The program that owns the account.
    pub owner: &'a Pubkey,
    /// Whether the account is a program.
    pub executable: bool,
    /// The account's data.
    pub data: &'a [u8],
}

impl LatticeHash {
    /// Length in bytes.
    pub const LEN: usize = 2 * ELEMENTS;

    /// The sum that these bytes say, two for each element, little-endian.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut sum = Self::default();
        for (element, pair) in sum.0.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *element = u16::from_le_bytes(*pair);
        }
        sum
    }

    /// Two bytes for each element, little-endian: the form in which it enters into other hashes.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        for (pair, element) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(self.0.iter()) {
            *pair = element.to_le_bytes();
        }
        bytes
    }

    /// Adds an account.
    pub fn add<'a>(&mut self, address: &Pubkey, account: impl Into<LatticeAccount<'a>>) {
        for (sum, element) in self.0.iter_mut().zip(elements(address, account.into())) {
            *sum = sum.wrapping_add(element);
        }
    }

    /// Takes an account away that has been added.
    pub fn subtract<'a>(&mut self, address: &Pubkey, account: impl Into<LatticeAccount<'a>>) {
        for (sum, element) in self.0.iter_mut().zip(elements(address, account.into())) {
            *sum = sum.wrapping_sub(element);
        }
    }

    /// The short form, which stands in the names of snapshots.
    pub fn checksum(&self) -> Hash {
        Hash::new_from_array(*blake3::hash(&self.to_bytes()).as_bytes())
    }
}

impl Default for LatticeHash {
    /// The sum over no account.
    fn default() -> Self {
        Self(Box::new([0; ELEMENTS]))
    }
}

impl std::fmt::Debug for LatticeHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LatticeHash({})", self.checksum())
    }
}

impl<'a> From<&'a Account> for LatticeAccount<'a> {
    fn from(account: &'a Account) -> Self {
        Self {
            lamports: account.lamports,
            owner: &account.owner,
            executable: account.executable,
            data: &account.data,
        }
    }
}

/// What one account contributes.
fn elements(address: &Pubkey, account: LatticeAccount<'_>) -> [u16; ELEMENTS] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&account.lamports.to_le_bytes());
    hasher.update(account.data);
    hasher.update(&[u8::from(account.executable)]);
    hasher.update(account.owner.as_ref());
    hasher.update(address.as_ref());
    let mut bytes = [0; LatticeHash::LEN];
    hasher.finalize_xof().fill(&mut bytes);
    let mut elements = [0; ELEMENTS];
    for (element, pair) in elements.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *element = u16::from_le_bytes(*pair);
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(owner: &Pubkey, lamports: u64) -> LatticeAccount<'_> {
        LatticeAccount {
            lamports,
            owner,
            executable: false,
            data: b"data",
        }
    }

    fn sum(accounts: &[(u8, u64)]) -> LatticeHash {
        let owner = Pubkey::new_from_array([9; 32]);
        let mut sum = LatticeHash::default();
        for (address, lamports) in accounts {
            sum.add(&Pubkey::new_from_array([*address; 32]), account(&owner, *lamports));
        }
        sum
    }

    #[test]
    fn order_does_not_matter_and_every_field_does() {
        assert_eq!(sum(&[(1, 5), (2, 6)]), sum(&[(2, 6), (1, 5)]));
        let sums = [sum(&[(1, 5)]), sum(&[(2, 5)]), sum(&[(1, 6)]), sum(&[(1, 5), (1, 5)])];
        for (index, one) in sums.iter().enumerate() {
            assert!(sums[index + 1..].iter().all(|other| one != other));
        }
    }

    #[test]
    fn what_was_added_can_be_taken_away() {
        let owner = Pubkey::new_from_array([9; 32]);
        let mut changed = sum(&[(1, 5), (2, 6)]);
        changed.subtract(&Pubkey::new_from_array([2; 32]), account(&owner, 6));
        assert_eq!(changed, sum(&[(1, 5)]));
        changed.subtract(&Pubkey::new_from_array([1; 32]), account(&owner, 5));
        assert_eq!(changed, LatticeHash::default());
    }

    #[test]
    fn bytes_are_the_whole_sum() {
        let sum = sum(&[(1, 5), (2, 6)]);
        assert_eq!(LatticeHash::from_bytes(&sum.to_bytes()), sum);
        assert_eq!(sum.checksum().to_bytes(), *blake3::hash(&sum.to_bytes()).as_bytes());
    }
}
