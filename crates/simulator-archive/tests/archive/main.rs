//! Tests of the archive through its public interface.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod car;
mod encodings;
mod export;
mod faults;
mod golden;
mod import;
mod index;
mod real;
mod resume;
mod round_trip;
mod snapshot;
mod streaming;
mod support;
