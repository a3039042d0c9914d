//! A server as its clients see it: black box, over real sockets.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the report, and helpers are part of the test"
)]

mod actions;
mod attach;
mod attacks;
mod changes;
mod conversation;
mod data;
mod discovery;
mod edges;
mod endings;
mod floods;
mod frames;
mod fuzz;
mod generations;
mod indexing;
mod ledger;
mod managed;
mod managed_parallel;
mod operation;
mod options;
mod parallel;
mod parallel_restart;
mod pubsub;
mod restart;
mod searches;
mod simulations;
mod state_only;
mod support;
mod tls;
mod tokens;
mod web;
