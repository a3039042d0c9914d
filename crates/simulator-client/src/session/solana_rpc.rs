//! Solana's own RPC client for a session.

use std::fmt;
use std::sync::Arc;

use solana_commitment_config::CommitmentConfig;
use solana_rpc_client::http_sender::HttpSender;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;
use solana_rpc_client::rpc_client::RpcClientConfig;
use url::Url;

use super::BacktestSession;
use crate::transport::RootCertificates;
use crate::{BacktestClientError, HttpError, Limits};

/// The client, behind a `Debug` that does not show the session's id twice.
#[derive(Clone)]
pub(super) struct SolanaRpc(Arc<RpcClient>);

impl SolanaRpc {
    pub(super) fn new(url: &Url, limits: &Limits, roots: &RootCertificates) -> Result<Self, BacktestClientError> {
        let builder = reqwest::Client::builder()
            .default_headers(HttpSender::default_headers())
            .timeout(limits.http_timeout)
            .pool_idle_timeout(limits.http_timeout);
        let client = roots.add_to(builder).and_then(reqwest::ClientBuilder::build);
        let client = client.map_err(|source| BacktestClientError::Http {
            url: url.to_string(),
            source: HttpError::Request(source),
        })?;
        let config = RpcClientConfig::with_commitment(CommitmentConfig::confirmed());
        let sender = HttpSender::new_with_client(url, client);
        Ok(Self(Arc::new(RpcClient::new_sender(sender, config))))
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
