//! Tests of the wire types, from outside.

mod addresses;
mod decode_errors;
mod discovery;
mod golden;
mod identifiers;
mod identity;
mod leniency;
mod ranges;
mod strategies;
mod subscribe;
