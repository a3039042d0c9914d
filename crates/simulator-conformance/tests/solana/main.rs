//! Every method of JSON-RPC and every subscription that a session serves, called by Solana's own clients with exactly the
//! addresses that the create answers, and compared with what the validator recorded.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the report, and helpers are part of the test"
)]

mod accounts;
mod blocking;
mod bot;
mod errors;
mod history;
mod pubsub;
mod recorded;
mod simulations;
mod stage;
mod unsubscribe;
