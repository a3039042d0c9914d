//! Accounts of a keyframe, and changes of accounts (`docs/archive.md`, section 5).

use solana_pubkey::Pubkey;

use super::bytes::{DecodeError, Decoder, Encoder};
use crate::model::{Account, Change, Writer};

/// Writers of a change that are no transaction; indexes of transactions are below.
const SLOT_START: u32 = u32::MAX - 1;
const SLOT_END: u32 = u32::MAX;

pub(crate) fn encode_account(to: &mut Encoder, address: &Pubkey, account: &Account) {
    to.raw(address.as_array());
    encode_state(to, account);
}

pub(crate) fn decode_account(from: &mut Decoder) -> Result<(Pubkey, Account), DecodeError> {
    Ok((Pubkey::new_from_array(from.array()?), decode_state(from)?))
}

/// An account of an inner keyframe; none if it does not exist.
pub(crate) fn encode_difference(to: &mut Encoder, address: &Pubkey, account: Option<&Account>) {
    to.raw(address.as_array());
    to.option(account, encode_state);
}

pub(crate) fn decode_difference(from: &mut Decoder) -> Result<(Pubkey, Option<Account>), DecodeError> {
    Ok((Pubkey::new_from_array(from.array()?), from.option(decode_state)?))
}

pub(crate) fn encode_change(to: &mut Encoder, change: &Change) {
    to.u32(match change.writer {
        Writer::SlotStart => SLOT_START,
        Writer::Transaction(index) => index,
        Writer::SlotEnd => SLOT_END,
    });
    encode_difference(to, &change.address, change.account.as_ref());
}

pub(crate) fn decode_change(from: &mut Decoder) -> Result<Change, DecodeError> {
    let writer = match from.u32()? {
        SLOT_START => Writer::SlotStart,
        SLOT_END => Writer::SlotEnd,
        index => Writer::Transaction(index),
    };
    let (address, account) = decode_difference(from)?;
    Ok(Change {
        writer,
        address,
        account,
    })
}

fn encode_state(to: &mut Encoder, account: &Account) {
    to.u64(account.lamports);
    to.raw(account.owner.as_array());
    to.u8(u8::from(account.executable));
    to.u64(account.rent_epoch);
    to.bytes(&account.data);
}

fn decode_state(from: &mut Decoder) -> Result<Account, DecodeError> {
    let offset = from.offset();
    let lamports = from.u64()?;
    if lamports == 0 {
        return Err(DecodeError::Empty {
            offset,
            what: "an account's balance",
        });
    }
    Ok(Account {
        lamports,
        owner: Pubkey::new_from_array(from.array()?),
        executable: from.flag("an executable account")?,
        rent_epoch: from.u64()?,
        data: from.bytes()?,
    })
}
