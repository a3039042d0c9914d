//! The accounts of a program, byte by byte.

use simulator_api::{AccountData, AccountModifications, BinaryEncoding, EncodedBinary};
use solana_address::Address;

/// Bytes of a ProgramData account before the ELF: tag, slot, and room for an authority whether there is one or not.
pub const PROGRAM_DATA_HEADER_LEN: usize = 45;

/// Bytes of a program account: tag and address of the ProgramData.
pub(super) const PROGRAM_LEN: usize = 36;

/// The loader whose programs have a ProgramData account.
pub(super) const UPGRADEABLE_LOADER: Address = Address::from_str_const("BPFLoaderUpgradeab1e11111111111111111111111");

/// Tags of the loader's accounts, little-endian 32-bit integers.
const PROGRAM_TAG: u32 = 2;
const PROGRAM_DATA_TAG: u32 = 3;

/// Where the option of an authority begins in a ProgramData account.
const AUTHORITY_OFFSET: usize = 12;

/// The content of a ProgramData account: a header of always 45 bytes, which is where the loader looks for the ELF,
/// then the ELF. Without an authority the program cannot be upgraded.
pub fn build_programdata_bytes(elf: &[u8], deploy_slot: u64, authority: Option<&Address>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PROGRAM_DATA_HEADER_LEN + elf.len());
    bytes.extend_from_slice(&PROGRAM_DATA_TAG.to_le_bytes());
    bytes.extend_from_slice(&deploy_slot.to_le_bytes());
    bytes.push(u8::from(authority.is_some()));
    bytes.extend_from_slice(authority.unwrap_or(&Address::default()).as_ref());
    bytes.extend_from_slice(elf);
    bytes
}

/// The modification that puts `elf` into the ProgramData account at `programdata`. The code can be called in slots
/// after `deploy_slot`; `lamports` is the balance that the account gets.
pub fn build_program_injection(
    programdata: Address,
    elf: &[u8],
    deploy_slot: u64,
    authority: Option<Address>,
    lamports: u64,
) -> AccountModifications {
    let bytes = build_programdata_bytes(elf, deploy_slot, authority.as_ref());
    let account = account(&bytes, UPGRADEABLE_LOADER, lamports);
    AccountModifications::from_iter([(programdata, account)])
}

/// An account of a loader.
pub(super) fn account(bytes: &[u8], owner: Address, lamports: u64) -> AccountData {
    AccountData {
        data: EncodedBinary::from_bytes(bytes, BinaryEncoding::Base64),
        executable: false,
        lamports,
        owner,
        space: bytes.len() as u64,
    }
}

/// The address at which the loader keeps the code of a program.
pub(super) fn derive_programdata(program_id: &Address) -> Address {
    Address::find_program_address(&[program_id.as_ref()], &UPGRADEABLE_LOADER).0
}

/// The content of a program account that points to `programdata`.
pub(super) fn program_bytes(programdata: &Address) -> [u8; PROGRAM_LEN] {
    let mut bytes = [0; PROGRAM_LEN];
    bytes[..4].copy_from_slice(&PROGRAM_TAG.to_le_bytes());
    bytes[4..].copy_from_slice(programdata.as_ref());
    bytes
}

/// The ProgramData that a program account points to, if it is a program account.
pub(super) fn read_program(bytes: &[u8]) -> Option<Address> {
    let programdata = bytes.strip_prefix(&PROGRAM_TAG.to_le_bytes())?;
    programdata.first_chunk::<32>().map(|address| Address::from(*address))
}

/// The authority of a ProgramData account, if it is one and has one.
pub(super) fn read_authority(bytes: &[u8]) -> Option<Address> {
    if !bytes.starts_with(&PROGRAM_DATA_TAG.to_le_bytes()) {
        return None;
    }
    let authority = bytes.get(AUTHORITY_OFFSET..)?.strip_prefix(&[1])?;
    authority.first_chunk::<32>().map(|address| Address::from(*address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELF: &[u8] = b"\x7fELF";

    #[test]
    fn w8_the_elf_begins_at_byte_45_with_and_without_an_authority() {
        let authority = Address::new_from_array([7; 32]);
        for authority in [None, Some(&authority)] {
            let bytes = build_programdata_bytes(ELF, 9, authority);
            assert_eq!(&bytes[PROGRAM_DATA_HEADER_LEN..], ELF);
            assert_eq!(&bytes[..4], [3, 0, 0, 0]);
            assert_eq!(&bytes[4..12], 9u64.to_le_bytes());
            assert_eq!(read_authority(&bytes).as_ref(), authority);
        }
        assert_eq!(build_programdata_bytes(&[], 9, None)[12..], [0; 33]);
    }

    #[test]
    fn an_injection_is_one_account_of_the_loader() {
        let programdata = Address::new_from_array([5; 32]);
        let accounts = build_program_injection(programdata, ELF, 9, None, 77);
        let (address, account) = accounts.iter().next().unwrap();
        assert_eq!((accounts.len(), *address), (1, programdata));
        assert_eq!(
            (account.owner, account.lamports, account.space),
            (UPGRADEABLE_LOADER, 77, 49)
        );
        assert_eq!(account.data.decode().unwrap(), build_programdata_bytes(ELF, 9, None));
    }

    #[test]
    fn a_program_account_points_to_its_programdata() {
        let programdata = derive_programdata(&Address::new_from_array([1; 32]));
        assert_eq!(read_program(&program_bytes(&programdata)), Some(programdata));
        assert_eq!(read_program(&[3, 0, 0, 0]), None);
        assert_eq!(read_program(&program_bytes(&programdata)[..35]), None);
    }
}
