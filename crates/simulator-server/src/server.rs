//! A server: bound, run, stopped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use simulator_archive::ArchiveError;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::archives::Archives;
use crate::clock;
use crate::config::ServerConfig;
use crate::durable::{Durability, StateDirectory, StateDirectoryError};
use crate::encode::Encoders;
use crate::housekeeping;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::names::Names;
use crate::net::{Acceptor, Shared, TlsError};
use crate::pubsub::Ended;
use crate::registry::Registry;
use crate::routes::router;
use crate::state::State;
use crate::usage::{Usage, UsageFileError};

/// A server that listens.
pub struct Server {
    acceptor: Arc<Acceptor>,
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
    /// The certificate cannot be used.
    #[error("no TLS connection could be made")]
    Tls(#[from] TlsError),
    /// What was used before cannot be read.
    #[error("the usage of earlier runs is not to be had")]
    Usage(#[from] UsageFileError),
    /// The state directory cannot be used.
    #[error("the state directory cannot be used")]
    State(#[from] StateDirectoryError),
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

/// What went wrong when a server stopped.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The last of what was used could not be written down.
    #[error("the usage since it was last written down is lost")]
    Usage(#[from] UsageFileError),
}

impl Server {
    /// Opens the archives and starts to listen. Connections are served as soon as [`Server::run`] is called; those that
    /// come before wait.
    ///
    /// # Errors
    /// [`BindError`] if an archive cannot be opened or the address cannot be listened on.
    pub async fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let archives = Archives::open(&config.archives, config.limits.idle_account_bases).await?;
        let state_dir = config.state_dir.as_deref();
        let store = state_dir.map(|root| StateDirectory::open(root, config.limits.command_log_bytes));
        let durability = store.transpose()?.map(|store| Durability::new(Arc::new(store)));
        let cannot_listen = |source| BindError::Listen {
            address: config.listen,
            source,
        };
        let names = Names::open(state_dir)?;
        let keys = Keys::new(config.keys);
        let usage = Usage::open(
            &keys,
            config.limits.of_keys(),
            config.state_dir.as_deref(),
            clock::now(),
        )?;
        let (metrics, shutdown, tasks) = (Arc::<Metrics>::default(), CancellationToken::new(), TaskTracker::new());
        let shared = Shared {
            metrics: Arc::clone(&metrics),
            stopping: shutdown.clone(),
            tasks: tasks.clone(),
        };
        let acceptor = Acceptor::new(config.tls.as_ref(), &config.limits, &config.times, shared)?;
        let listener = TcpListener::bind(config.listen).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let state = Arc::new(State {
            archives,
            keys,
            registry: Registry::new(config.limits.sessions),
            names,
            usage,
            metrics,
            data_pool: config.limits.data_pool(),
            durability,
            encoders: Encoders::new(config.limits.encoders),
            ended: Arc::new(Ended::new(config.limits.data_bytes)),
            limits: config.limits,
            times: config.times,
            restored: AtomicBool::new(false),
            shutdown,
            tasks,
        });
        Ok(Self {
            acceptor,
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

    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.acceptor.is_tls()
    }

    /// Serves until `shutdown` resolves, beginning with the sessions of the state directory that no other server has.
    /// Then sessions end, control connections are closed with code 1012, and what
    /// does not end within the time for closing is left behind. Until then `/ready` and everything else that comes is
    /// answered with status 503.
    ///
    /// # Errors
    /// [`ServeError`] if the last of what was used cannot be written down.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let state = self.state;
        let router = router(Arc::clone(&state));
        state.adopt_orphans().await;
        state.tasks.spawn(Arc::clone(&state).watch_orphans());
        state.tasks.spawn(housekeeping::keep(Arc::clone(&state)));
        let stopped = async {
            shutdown.await;
            state.shutdown.cancel();
            finish(&state).await;
        };
        tokio::select! {
            never = self.acceptor.accept(&self.listener, &router) => match never {},
            () = stopped => {}
        }
        Ok(housekeeping::save_usage(&state).await?)
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
