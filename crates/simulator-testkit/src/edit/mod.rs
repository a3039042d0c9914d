//! Changed and damaged copies: [`copy`] a directory, then change the copy in place.
//!
//! The functions on ledger directories take the directory and rewrite one of its files, plain or packed; those on
//! bytes take any file, so that they serve for archives too.

mod bytes;
mod ledger;

pub use bytes::{copy, flip_byte, truncate};
pub use ledger::{
    EditError, corrupt_transaction, drop_account, drop_block, edit_account, edit_block, forget_outcomes, set_lamports,
    swap_blocks,
};
