//! What the tests of several crates share. Nothing here is published, and no other crate depends on it outside its
//! tests.
//!
//! * [`paths`]: where the samples are, and recordings that may or may not be there
//! * [`ledger`]: synthetic ledger directories of any length, with valid, signed transactions
//! * [`edit`]: changed and damaged copies of directories and files
//! * [`accounts`]: account dumps, and what two of them differ in
//! * [`text`]: text files, packed or not
//! * [`seeded`]: numbers that look random and are the same in every run
//! * [`peer`]: a scripted server, without any I/O
//! * [`fuzz`]: arbitrary bytes as what a server sends
//! * [`wire`]: the client's machines against that server, over a link that is cut at any frame
//! * [`snapshot`]: Agave full snapshots, small and made up
//! * [`serve`]: the scripted server behind a network in memory, or WebSockets over TCP
//! * [`proxy`]: a TCP proxy that cuts, resets, stalls, delays and splits
//!
//! Ledgers and edits work on files, so that a test can give the result to the real binary.

pub mod accounts;
pub mod edit;
pub mod fuzz;
pub mod ledger;
pub mod paths;
pub mod peer;
pub mod proxy;
pub mod seeded;
pub mod serve;
pub mod snapshot;
pub mod text;
pub mod wire;
