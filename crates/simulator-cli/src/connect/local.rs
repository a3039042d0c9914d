//! A server in this process.

use simulator_server::{BindError, Limits, Server, ServerConfig};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Sessions at a time: how many there are is for `--parallel` to say.
const MAX_SESSIONS: usize = 10_000;
/// Bytes of recent transactions and events that a session remembers. Nobody asks this server for them.
const HISTORY_BYTES: usize = 1 << 20;
const RETAINED_EVENTS: usize = 1024;
/// Bytes of transactions and account changes that a session keeps for subscribers, of whom there are none here.
const DATA_BYTES: usize = 4 << 20;

/// A server on any free port of the loopback interface. It has no keys: whoever is on this machine may use it.
#[derive(Debug)]
pub(crate) struct LocalServer {
    url: String,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), simulator_server::ServeError>>,
}

/// Why the server could not be started.
#[derive(Debug, Error)]
#[error(transparent)]
pub(crate) struct LocalServerError(Box<BindError>);

impl From<BindError> for LocalServerError {
    fn from(error: BindError) -> Self {
        Self(Box::new(error))
    }
}

impl LocalServer {
    /// Opens the archives and starts to serve them.
    pub(crate) async fn start(archives: &[String]) -> Result<Self, LocalServerError> {
        let limits = Limits {
            sessions: MAX_SESSIONS,
            key_sessions: MAX_SESSIONS,
            connections: 4 * MAX_SESSIONS,
            key_connections: 4 * MAX_SESSIONS,
            history_bytes: HISTORY_BYTES,
            retained_events: RETAINED_EVENTS,
            data_bytes: DATA_BYTES,
            data_cache_bytes: DATA_BYTES / 4,
            ..Limits::default()
        };
        let server = Server::bind(ServerConfig {
            limits,
            ..ServerConfig::local(archives.to_vec())
        })
        .await?;
        let url = format!("ws://{}", server.local_addr());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(server.run(shutdown.clone().cancelled_owned()));
        Ok(Self { url, shutdown, task })
    }

    /// The address of its control channel.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops the server. All sessions have been closed by now, so that nothing is left to fail.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the server in this process failed"),
            Err(error) => tracing::debug!(%error, "the server in this process was lost"),
        }
    }
}
