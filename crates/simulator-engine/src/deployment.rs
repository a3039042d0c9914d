//! The slot in which a program was deployed, as its code account says.
//!
//! The virtual machine trusts it, and never finishes loading a program that claims to be deployed in the future. A
//! ledger of a chain has none; code that a user copies from a later state of the chain, or a list of accounts that was
//! put together later, does.

use solana_account::{AccountSharedData, ReadableAccount, WritableAccount};
use solana_sdk_ids::{bpf_loader_upgradeable, loader_v4};

/// What the account of an upgradeable program begins with. (`UpgradeableLoaderState::Program`.)
pub(crate) const PROGRAM_KIND: [u8; 4] = [2, 0, 0, 0];
/// What the account of its code begins with. (`UpgradeableLoaderState::ProgramData`.)
pub(crate) const PROGRAM_DATA_KIND: [u8; 4] = [3, 0, 0, 0];

/// Moves a deployment that lies after `latest` to that slot.
pub(crate) fn limit_slot(account: &mut AccountSharedData, latest: u64) {
    let Some(offset) = slot_offset(account) else { return };
    let Some(slot) = account.data().get(offset..).and_then(|data| data.first_chunk()) else {
        return;
    };
    if u64::from_le_bytes(*slot) > latest {
        account.data_as_mut_slice()[offset..offset + 8].copy_from_slice(&latest.to_le_bytes());
    }
}

/// Whether a deployment lies after `latest`.
pub(crate) fn is_after(account: &AccountSharedData, latest: u64) -> bool {
    let slot = slot_offset(account).and_then(|offset| account.data().get(offset..)?.first_chunk());
    slot.is_some_and(|slot| u64::from_le_bytes(*slot) > latest)
}

/// Where an account says when its code was deployed, if it holds code that can be deployed again.
fn slot_offset(account: &AccountSharedData) -> Option<usize> {
    if *account.owner() == bpf_loader_upgradeable::ID && account.data().starts_with(&PROGRAM_DATA_KIND) {
        return Some(4);
    }
    (*account.owner() == loader_v4::ID).then_some(0)
}

#[cfg(test)]
mod tests {
    use solana_pubkey::Pubkey;

    use super::*;

    fn code(owner: &Pubkey, data: &[u8]) -> AccountSharedData {
        let mut account = AccountSharedData::new(1, 0, owner);
        account.set_data_from_slice(data);
        account
    }

    #[test]
    fn a_deployment_in_the_future_is_moved_and_one_in_the_past_stays() {
        let mut data = vec![3, 0, 0, 0];
        data.extend(50u64.to_le_bytes());
        let mut account = code(&bpf_loader_upgradeable::ID, &data);
        assert!(!is_after(&account, 50));
        assert!(is_after(&account, 49));
        limit_slot(&mut account, 60);
        assert_eq!(account.data(), data);
        limit_slot(&mut account, 40);
        assert_eq!(account.data()[4..], 40u64.to_le_bytes());
    }

    #[test]
    fn other_accounts_and_short_ones_are_left_alone() {
        for (owner, data) in [
            (
                bpf_loader_upgradeable::ID,
                vec![2, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
            ),
            (bpf_loader_upgradeable::ID, vec![3, 0, 0, 0, 255]),
            (loader_v4::ID, vec![255; 7]),
            (Pubkey::default(), vec![255; 64]),
        ] {
            let mut account = code(&owner, &data);
            limit_slot(&mut account, 1);
            assert_eq!(account.data(), data);
            assert!(!is_after(&account, 1));
        }
    }
}
