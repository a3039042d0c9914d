//! Accounts of a keyframe (`docs/archive.md`, section 5).

use solana_pubkey::Pubkey;

use super::bytes::{DecodeError, Decoder, Encoder};
use crate::model::Account;

pub(crate) fn encode_account(to: &mut Encoder, address: &Pubkey, account: &Account) {
    to.raw(address.as_array());
    to.u64(account.lamports);
    to.raw(account.owner.as_array());
    to.u8(u8::from(account.executable));
    to.u64(account.rent_epoch);
    to.bytes(&account.data);
}

pub(crate) fn decode_account(from: &mut Decoder) -> Result<(Pubkey, Account), DecodeError> {
    let address = Pubkey::new_from_array(from.array()?);
    let offset = from.offset();
    let lamports = from.u64()?;
    if lamports == 0 {
        return Err(DecodeError::Empty {
            offset,
            what: "an account's balance",
        });
    }
    let account = Account {
        lamports,
        owner: Pubkey::new_from_array(from.array()?),
        executable: from.flag("an executable account")?,
        rent_epoch: from.u64()?,
        data: from.bytes()?,
    };
    Ok((address, account))
}
