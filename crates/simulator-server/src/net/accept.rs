//! From the listening socket to the routes.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use super::gate::{Gate, Place};
use super::stream::Metered;
use super::tls::{TlsError, TlsFiles};
use super::traffic::{Patience, Traffic};
use crate::config::{Limits, Times};
use crate::metrics::{ConnectionKind, Metrics, OpenConnection, Refusal};

/// Largest head of a request, and what is read of a body at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// What is said to whom there is no place for, as far as the socket takes it at once.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 5\r\nconnection: close\r\n\r\n";

/// How long to wait when the system gives no more connections, mostly because too many files are open.
const BREATHER: Duration = Duration::from_secs(1);

/// Takes connections, and serves each in a task of its own.
pub(crate) struct Acceptor {
    tls: Option<TlsAcceptor>,
    gate: Arc<Gate>,
    patience: Patience,
    metrics: Arc<Metrics>,
    /// Cancelled when the server stops: answers end their connections then.
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// What all connections share with the rest of the server.
pub(crate) struct Shared {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stopping: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Acceptor {
    /// Reads the certificate, if there is to be one.
    ///
    /// # Errors
    /// [`TlsError`] if it cannot be used.
    pub(crate) fn new(
        tls: Option<&TlsFiles>,
        limits: &Limits,
        times: &Times,
        shared: Shared,
    ) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self {
            tls: tls.map(TlsFiles::acceptor).transpose()?,
            gate: Gate::new(limits.connections),
            patience: Patience {
                head: times.head_limit,
                idle: times.idle_limit,
            },
            metrics: shared.metrics,
            stopping: shared.stopping,
            tasks: shared.tasks,
        }))
    }

    /// Whether connections are encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes connections until it is dropped.
    pub(crate) async fn accept(self: Arc<Self>, listener: &TcpListener, router: &Router) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((socket, _)) => self.admit(socket, router),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted; is the limit of open files too low?");
                    tokio::time::sleep(BREATHER).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, socket: TcpStream, router: &Router) {
        self.metrics.connections_accepted.inc();
        let traffic = Traffic::new(self.patience, Arc::clone(&self.metrics));
        let Some(place) = self.gate.admit(traffic) else {
            self.metrics.refused(Refusal::ServerConnections);
            if self.tls.is_none() {
                // A client that does not get it sees the connection closed, which says as much.
                drop(socket.try_write(FULL));
            }
            return;
        };
        without_delay(&socket);
        let serving = Arc::clone(self).serve(socket, place, router.clone());
        self.tasks.spawn(serving);
    }

    /// Serves one connection until it ends, becomes a WebSocket, or takes too long.
    async fn serve(self: Arc<Self>, socket: TcpStream, place: Arc<Place>, router: Router) {
        let _open = OpenConnection::new(&self.metrics, ConnectionKind::Http);
        let stream = Metered::new(socket, Arc::clone(&place));
        let served = async {
            match &self.tls {
                None => self.speak(stream, &place, router).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => self.speak(stream, &place, router).await,
                    Err(error) => {
                        tracing::debug!(%error, "a client did not come to speak TLS");
                        self.metrics.refused(Refusal::Tls);
                    }
                },
            }
        };
        tokio::select! {
            () = served => {}
            why = place.traffic.overdue() => {
                tracing::debug!(?why, "a connection is closed");
                self.metrics.refused(why);
            }
        }
    }

    async fn speak<S>(&self, stream: S, place: &Arc<Place>, router: Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| answer(Arc::clone(place), router.clone(), request));
        let is_late = self.stopping.is_cancelled();
        let connection = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .keep_alive(!is_late)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let stopping = async {
            if is_late {
                std::future::pending::<()>().await;
            }
            self.stopping.cancelled().await;
        };
        let spoken = tokio::select! {
            spoken = connection.as_mut() => spoken,
            () = stopping => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = spoken {
            tracing::debug!(%error, "a connection ends");
            if error.is_parse() {
                self.metrics.refused(Refusal::Violation);
            }
        }
    }
}

async fn answer(
    place: Arc<Place>,
    mut router: Router,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    place.serving();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Arc::clone(&place.traffic));
    let response = router.call(request).await;
    // What has become a WebSocket never waits for a request again.
    let is_upgrade = response
        .as_ref()
        .is_ok_and(|response| response.status() == StatusCode::SWITCHING_PROTOCOLS);
    if !is_upgrade {
        place.answered();
    }
    response
}

/// Messages are small and each of them matters now: none waits for the one before it to be acknowledged.
fn without_delay(socket: &TcpStream) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a connection will be slower than it could be");
    }
}

/// Whether an error is about the connection that would have been accepted, and not about the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
