//! The real binary, black box: what it prints, what it writes, and its exit codes.

mod archive;
mod bad_input;
mod changes;
mod examples;
mod export;
mod help;
mod import;
mod index;
mod ledgers;
mod long_runs;
mod manifest;
mod outputs;
mod restart;
mod restart_parallel;
mod run;
mod serve;
mod sessions;
mod settings;
mod support;
