//! The machine against a peer that the tests play by hand, without a runtime.

mod support;

mod creating;
