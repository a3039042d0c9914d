//! What discovery filters find in the blocks ahead of a session.
//!
//! Blocks are read a second time for it, some way ahead of the replay, and nothing but what matched is kept. Filters
//! look at what the chain recorded, not at what the session computes, so that what they find is a matter of the archive
//! and the filters only.

mod facts;
mod filters;
mod scout;

pub(crate) use filters::Filters;
#[cfg(test)]
pub(crate) use filters::tests;
pub(crate) use scout::Scout;
