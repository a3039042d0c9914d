//! A server over a ledger, a session, and Solana's clients of it.

use std::path::Path;
use std::time::Duration;

use simulator_archive::import::{ImportOptions, ScopeChoice, ledger};
use simulator_client::{BacktestClient, BacktestSession, Continue, CreateSession};
use simulator_server::{Server, ServerConfig};
use simulator_testkit::paths;
use solana_pubsub_client::nonblocking::pubsub_client::PubsubClient;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::recorded::Ledger;

/// Longest wait for anything; only a defect makes a test wait so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The genesis hash that the archives are given.
pub(crate) const GENESIS: &str = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d";

pub(crate) struct Stage {
    pub(crate) ledger: Ledger,
    pub(crate) session: BacktestSession,
    pub(crate) rpc: RpcClient,
    _stop_on_drop: DropGuard,
    _archive: TempDir,
}

impl Stage {
    /// A session over the sample that stands in its first slot.
    pub(crate) async fn sample() -> Self {
        Self::of(&paths::sample("agave-small"), ScopeChoice::All).await
    }

    /// A session over the whole of a ledger.
    pub(crate) async fn of(directory: &Path, scope: ScopeChoice) -> Self {
        Self::until(directory, scope, u64::MAX).await
    }

    /// A session over a ledger that ends with this slot at the latest.
    pub(crate) async fn until(directory: &Path, scope: ScopeChoice, last_slot: u64) -> Self {
        let archive = import(directory, scope).await;
        let mut config = ServerConfig::local(vec![archive.path().to_str().unwrap().to_owned()]);
        config.times.subscribe_pause = Duration::ZERO;
        let server = Server::bind(config).await.unwrap();
        let address = server.local_addr();
        let stop = CancellationToken::new();
        tokio::spawn(server.run(stop.clone().cancelled_owned()));
        let mut ledger = Ledger::read(directory);
        ledger.blocks.retain(|block| block.slot <= last_slot);
        let client = BacktestClient::builder()
            .url(format!("ws://{address}/backtest"))
            .build();
        let create = CreateSession::builder()
            .start_slot(ledger.first_slot())
            .end_slot(ledger.last_slot())
            .disconnect_timeout_secs(900)
            .build();
        let mut session = client.create_session(create).await.unwrap();
        session.ensure_ready(Some(PATIENCE)).await.unwrap();
        let rpc = RpcClient::new(session.rpc_endpoint().to_owned());
        Self {
            ledger,
            session,
            rpc,
            _stop_on_drop: stop.drop_guard(),
            _archive: archive,
        }
    }

    /// The same address with the scheme of WebSockets, as Solana's clients are given it.
    pub(crate) fn pubsub_url(&self) -> String {
        self.session.rpc_endpoint().replacen("http", "ws", 1)
    }

    pub(crate) async fn pubsub(&self) -> PubsubClient {
        PubsubClient::new(self.pubsub_url()).await.unwrap()
    }

    /// Goes on by so many blocks.
    pub(crate) async fn advance(&mut self, blocks: u64) {
        let next = Continue::builder().advance_count(blocks).build();
        self.session.advance(next, Some(PATIENCE), |_| {}).await.unwrap();
    }

    /// Executes everything there is.
    pub(crate) async fn finish(&mut self) {
        self.advance(u64::MAX).await;
        let end = self.session.ensure_ready(Some(PATIENCE)).await.unwrap();
        assert!(end.is_completed());
    }
}

async fn import(directory: &Path, scope: ScopeChoice) -> TempDir {
    let archive = tempfile::tempdir().unwrap();
    let options = ImportOptions {
        scope,
        genesis_hash: Some(GENESIS.to_owned()),
        ..ImportOptions::default()
    };
    ledger::import(directory, archive.path().to_str().unwrap(), options, |_| {})
        .await
        .unwrap();
    archive
}
