//! JSON-RPC of a session: typed calls over HTTP.
//!
//! [`RpcEndpoint`] knows the envelope of JSON-RPC 2.0 and a handful of methods that this library and its tools need.
//! Any other method goes through [`RpcEndpoint::call`]. The full Solana client is behind the cargo feature
//! `solana-rpc-client`.

mod account;
mod endpoint;
mod envelope;
mod error;
mod methods;

pub use account::RpcAccount;
pub use endpoint::RpcEndpoint;
pub use error::{RpcCallError, RpcError};
pub use methods::modify_accounts;
