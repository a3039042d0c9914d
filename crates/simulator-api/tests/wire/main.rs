//! Tests of the wire types, from outside.

#![expect(clippy::unwrap_used, reason = "a test that panics fails, in its helpers too")]

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
