//! A server: bound, run, stopped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::ListenerExt as _;
use simulator_archive::ArchiveError;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::archives::Archives;
use crate::config::ServerConfig;
use crate::keys::Keys;
use crate::names::Names;
use crate::registry::Registry;
use crate::routes::router;
use crate::state::State;

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<State>,
}

/// Why a server cannot be started.
#[derive(Debug, Error)]
pub enum BindError {
    /// An archive cannot be opened.
    #[error("an archive cannot be served: {0}")]
    Archive(#[from] ArchiveError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; choose another address or port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Why a server stopped by itself.
#[derive(Debug, Error)]
#[error("the server cannot accept connections any more")]
pub struct ServeError(#[from] io::Error);

impl Server {
    /// Opens the archives and starts to listen. Connections are served as soon as [`Server::run`] is called; those that
    /// come before wait.
    ///
    /// # Errors
    /// [`BindError`] if an archive cannot be opened or the address cannot be listened on.
    pub async fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let archives = Archives::open(&config.archives, config.limits.idle_account_bases).await?;
        let cannot_listen = |source| BindError::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let state = Arc::new(State {
            archives,
            keys: Keys::new(config.keys),
            registry: Registry::new(config.limits.sessions),
            names: Names::default(),
            limits: config.limits,
            times: config.times,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        Ok(Self {
            listener,
            address,
            state,
        })
    }

    /// The address that the server listens on, with the port that it got.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` resolves. Then sessions end, control connections are closed with code 1012, and what
    /// does not end within the time for closing is left behind.
    ///
    /// # Errors
    /// [`ServeError`] if no more connections can be accepted.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let state = self.state;
        let stopping = state.shutdown.clone();
        let graceful = async move {
            shutdown.await;
            stopping.cancel();
        };
        let serving = axum::serve(self.listener.tap_io(without_delay), router(Arc::clone(&state)))
            .with_graceful_shutdown(graceful);
        let overdue = async {
            state.shutdown.cancelled().await;
            tokio::time::sleep(state.times.close_limit).await;
        };
        let served = tokio::select! {
            served = serving.into_future() => served,
            () = overdue => Ok(()),
        };
        state.shutdown.cancel();
        finish(&state).await;
        Ok(served?)
    }
}

/// Messages are small and each of them matters now: none waits for the one before it to be acknowledged.
fn without_delay(connection: &mut TcpStream) {
    if let Err(error) = connection.set_nodelay(true) {
        tracing::debug!(%error, "a connection will be slower than it could be");
    }
}

/// Ends all sessions at once, and waits for them and for the connections, all within the time for closing.
async fn finish(state: &State) {
    state.tasks.close();
    let sessions = state.registry.all();
    sessions.iter().for_each(|session| session.stop.cancel());
    let ended = async {
        state.tasks.wait().await;
        for session in &sessions {
            session.finished.cancelled().await;
        }
    };
    if tokio::time::timeout(state.times.close_limit, ended).await.is_err() {
        tracing::warn!("some connections or sessions did not end in time and were left to themselves");
    }
}
