//! The machine against a peer that the tests play by hand, without a runtime.

pub(super) mod support;

mod arbitrary;
mod closing;
mod creating;
mod resending;
mod resending_by_order;
mod resuming;
mod streaming;
