//! WebSockets over TCP on the loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use simulator_client::transport::websocket::from_socket;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;

use super::{ServedPeer, Shared, connection};

impl ServedPeer {
    /// Listens on a port of the loopback, and says which.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub async fn tcp(&self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let stop = shared.stop.clone();
            while let Some(Ok((socket, _))) = stop.run_until_cancelled(listener.accept()).await {
                tokio::spawn(accept(Arc::clone(&shared), socket));
            }
        });
        Ok(address)
    }
}

async fn accept(shared: Arc<Shared>, socket: TcpStream) {
    let mut conn = None;
    #[expect(clippy::result_large_err, reason = "the library's callback wants it")]
    let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        match connection::open(&shared, request.uri().path()) {
            Ok(opened) => {
                conn = Some(opened);
                Ok(response)
            }
            Err(refused) => {
                let mut response = ErrorResponse::new(Some(refused.to_string()));
                *response.status_mut() = StatusCode::NOT_FOUND;
                Err(response)
            }
        }
    };
    let socket = accept_hdr_async(socket, look).await;
    match (socket, conn) {
        (Ok(socket), Some(conn)) => connection::run(shared, conn, from_socket(socket)).await,
        (Err(_), Some(conn)) => shared.with(|state| state.server.disconnect(conn, ServedPeer::now())),
        (_, None) => {}
    }
}
