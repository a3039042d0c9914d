//! The engine over whole ledgers, through its public interface.

mod bundles;
mod causes;
mod changes;
mod checkpoints;
mod digests;
mod ledgers;
mod parent;
mod real;
mod recorded;
mod scoped;
mod sessions;
mod support;
