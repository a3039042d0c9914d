//! Every account of the state at the start.

use std::collections::BTreeMap;

use solana_pubkey::Pubkey;
use solana_sdk_ids as ids;

use super::sysvars::{rent_exempt, sysvars};
use super::{Features, LedgerOptions};
use crate::accounts::{self, AccountDump, AccountRecord};
use crate::paths;
use crate::seeded::Seeded;
use crate::text::FileError;

const VALIDATORS: u64 = 4;
const VOTE_BYTES: usize = 3762;

/// The programs that the runtime holds itself; the data is their name. Signature programs have none.
const NATIVE: [(Pubkey, &str); 10] = [
    (ids::system_program::ID, "solana_system_program"),
    (ids::vote::ID, "solana_vote_program"),
    (ids::compute_budget::ID, "compute_budget_program"),
    (ids::bpf_loader_deprecated::ID, "solana_bpf_loader_program"),
    (ids::bpf_loader::ID, "solana_bpf_loader_program"),
    (ids::bpf_loader_upgradeable::ID, "solana_bpf_loader_upgradeable_program"),
    (ids::zk_elgamal_proof_program::ID, "zk_elgamal_proof_program"),
    (ids::ed25519_program::ID, ""),
    (ids::secp256k1_program::ID, ""),
    (ids::secp256r1_program::ID, ""),
];

/// The leader's account, which collects the fees, and its balance at the start in lamports.
pub(super) struct Leader {
    pub(super) address: Pubkey,
    pub(super) lamports: u64,
}

impl Leader {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            address: validator_key(seed, 0),
            lamports: 50_000_000_000,
        }
    }
}

/// The state at the start.
pub(super) fn accounts(
    options: &LedgerOptions,
    leader: &Leader,
    wallets: &BTreeMap<Pubkey, u64>,
) -> Result<AccountDump, FileError> {
    let wallets = wallets
        .iter()
        .map(|(address, lamports)| system_account(*address, *lamports));
    let records = sysvars(options)
        .into_iter()
        .chain(NATIVE.map(|(address, name)| native(address, name)))
        .chain([
            system_account(leader.address, leader.lamports),
            vote_account(options.seed, leader),
        ])
        .chain(features(options.features)?)
        .chain(wallets);
    Ok(records.map(|record| (record.address, record)).collect())
}

fn features(which: Features) -> Result<Vec<AccountRecord>, FileError> {
    if which == Features::Absent {
        return Ok(Vec::new());
    }
    let sample = accounts::read(&paths::sample("agave-small").join("accounts-start.jsonl.gz"))?;
    Ok(sample
        .into_values()
        .filter(|record| record.owner == ids::feature::ID)
        .collect())
}

fn native(address: Pubkey, name: &str) -> AccountRecord {
    let owner = ids::native_loader::ID;
    AccountRecord {
        address,
        lamports: 1,
        owner,
        executable: true,
        rent_epoch: 0,
        data: name.into(),
    }
}

fn system_account(address: Pubkey, lamports: u64) -> AccountRecord {
    let owner = ids::system_program::ID;
    AccountRecord {
        address,
        lamports,
        owner,
        executable: false,
        rent_epoch: u64::MAX,
        data: Vec::new(),
    }
}

fn vote_account(seed: u64, leader: &Leader) -> AccountRecord {
    AccountRecord {
        address: validator_key(seed, 1),
        lamports: rent_exempt(VOTE_BYTES),
        owner: ids::vote::ID,
        executable: false,
        rent_epoch: u64::MAX,
        data: vote_state(&leader.address),
    }
}

/// A vote state of version 3 of which nothing has been voted: the leader may do everything, no commission.
fn vote_state(leader: &Pubkey) -> Vec<u8> {
    let mut data = 2_u32.to_le_bytes().to_vec();
    data.extend_from_slice(leader.as_ref()); // the node
    data.extend_from_slice(leader.as_ref()); // who may withdraw
    data.extend_from_slice(&[0; 10]); // commission, number of votes, no root
    data.extend_from_slice(&1_u64.to_le_bytes()); // voters: from epoch 0, the leader
    data.extend_from_slice(&0_u64.to_le_bytes());
    data.extend_from_slice(leader.as_ref());
    data.extend_from_slice(&[0; 32 * 48]); // earlier voters: a ring of 32, its position, and that it is empty
    data.extend_from_slice(&31_u64.to_le_bytes());
    data.push(1);
    data.resize(VOTE_BYTES, 0); // no credits, no timestamp
    data
}

fn validator_key(seed: u64, number: u64) -> Pubkey {
    Pubkey::new_from_array(Seeded::for_item(seed, VALIDATORS, number).bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_programs_and_features_are_those_of_the_runtime() {
        let sample = accounts::read(&paths::sample("agave-small").join("accounts-start.jsonl.gz")).unwrap();
        let options = LedgerOptions::default();
        let made = super::accounts(&options, &Leader::new(1), &BTreeMap::new()).unwrap();
        for owner in [ids::native_loader::ID, ids::feature::ID] {
            let owned = |dump: &AccountDump| -> Vec<_> {
                dump.values().filter(|record| record.owner == owner).cloned().collect()
            };
            assert_eq!(owned(&made), owned(&sample));
        }
    }
}
