//! Solana's own RPC and PubSub clients against a served ledger. There is nothing here but tests, in a crate of their own:
//! nobody else has to build those clients.
