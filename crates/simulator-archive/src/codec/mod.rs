//! How blocks and accounts are encoded inside a frame (`docs/archive.md`, sections 4 and 5).

mod account;
mod block;
mod bytes;
mod outcome;

pub(crate) use account::{
    decode_account, decode_change, decode_difference, encode_account, encode_change, encode_difference,
};
pub(crate) use block::{decode_block, encode_block};
pub use bytes::DecodeError;
pub(crate) use bytes::{Decoder, Encoder};

#[cfg(test)]
mod tests;
