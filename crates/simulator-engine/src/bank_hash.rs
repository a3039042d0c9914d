//! The bank hash: one hash a slot over every account of the chain, which enter as their lattice hash.
//! (Agave: `Bank::hash_internal_state`)

use sha2::{Digest, Sha256};
use simulator_archive::{LatticeAccount, LatticeHash};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_hash::Hash;

/// What of an account enters into the lattice hash.
pub(crate) fn in_lattice(account: &AccountSharedData) -> LatticeAccount<'_> {
    LatticeAccount {
        lamports: account.lamports(),
        owner: account.owner(),
        executable: account.executable(),
        data: account.data(),
    }
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
    let hash = Sha256::new().chain_update(identity).chain_update(accounts.to_bytes());
    Hash::new_from_array(hash.finalize().into())
}
