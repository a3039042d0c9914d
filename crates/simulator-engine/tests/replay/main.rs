//! The engine over whole ledgers, through its public interface.

mod ledgers;
mod sessions;
mod support;
