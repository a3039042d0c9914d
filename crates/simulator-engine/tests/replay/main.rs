//! The engine over whole ledgers, through its public interface.

mod bundles;
mod ledgers;
mod sessions;
mod support;
