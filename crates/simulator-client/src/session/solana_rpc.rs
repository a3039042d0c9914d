//! Solana's own RPC client for a session.

use std::fmt;
use std::sync::Arc;

use solana_commitment_config::CommitmentConfig;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;
use url::Url;

use super::BacktestSession;
use crate::Limits;

/// The client, behind a `Debug` that does not show the session's id twice.
#[derive(Clone)]
pub(super) struct SolanaRpc(Arc<RpcClient>);

impl SolanaRpc {
    pub(super) fn new(url: &Url, limits: &Limits) -> Self {
        let commitment = CommitmentConfig::confirmed();
        Self(Arc::new(RpcClient::new_with_timeout_and_commitment(
            url.to_string(),
            limits.http_timeout,
            commitment,
        )))
    }
}

impl fmt::Debug for SolanaRpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SolanaRpc")
    }
}

impl BacktestSession {
    /// Solana's own client for the session's JSON-RPC, with the commitment `confirmed`.
    pub fn rpc(&self) -> &RpcClient {
        &self.opened.solana_rpc.0
    }
}
