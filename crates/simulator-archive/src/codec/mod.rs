//! How blocks and accounts are encoded inside a frame (`docs/archive.md`, sections 4 and 5).

mod bytes;

pub use bytes::DecodeError;
