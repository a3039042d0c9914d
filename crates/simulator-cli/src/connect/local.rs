//! A server in this process.

use simulator_server::{BindError, Server, ServerConfig};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

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
pub(crate) struct LocalServerError(#[from] BindError);

impl LocalServer {
    /// Opens the archives and starts to serve them.
    pub(crate) async fn start(archives: &[String]) -> Result<Self, LocalServerError> {
        let server = Server::bind(ServerConfig::local(archives.to_vec())).await?;
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
