//! The engine over whole ledgers, through its public interface.

mod bundles;
mod causes;
mod ledgers;
mod real;
mod sessions;
mod support;
