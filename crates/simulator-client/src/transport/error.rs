//! Why a connection failed.

use thiserror::Error;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::http::{self, StatusCode};

use super::is_untrusted;

/// Why a connection could not be opened, or broke.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The server answered the WebSocket upgrade with an HTTP status of its own.
    #[error("the server refused the connection with HTTP status {status}: {body}")]
    Refused {
        /// The status; 401 and 403 speak of the API key.
        status: StatusCode,
        /// The body, shortened.
        body: String,
    },
    /// The request for the upgrade could not be built.
    #[error("the connect request is not valid")]
    Request(#[source] http::Error),
    /// TCP, or the system under it.
    #[error("the connection failed")]
    Io(#[source] std::io::Error),
    /// The peer went away without closing.
    #[error("the connection was lost")]
    Lost,
    /// The server's certificate is not to be trusted: none of the authorities has signed it, it has expired, or it is
    /// another server's. [`RootCertificates`](super::RootCertificates) adds authorities.
    #[error("the server's certificate is not trusted")]
    Certificate(#[source] Box<WebSocketError>),
    /// TLS, or the WebSocket protocol.
    #[error("the WebSocket failed")]
    WebSocket(#[source] Box<WebSocketError>),
}

/// Longest text of a refusal that is kept.
const REFUSAL_CHARS: usize = 1024;

impl TransportError {
    /// Whether the same attempt may succeed later. A refusal of the key or the address stays one.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
            Self::Request(_) | Self::Certificate(_) => false,
            Self::Io(_) | Self::Lost => true,
            Self::WebSocket(error) => !matches!(
                **error,
                WebSocketError::Url(_) | WebSocketError::HttpFormat(_) | WebSocketError::Capacity(_)
            ),
        }
    }
}

impl From<WebSocketError> for TransportError {
    fn from(error: WebSocketError) -> Self {
        match error {
            WebSocketError::Http(response) => {
                let body = response.body().as_deref().unwrap_or_default();
                Self::Refused {
                    status: response.status(),
                    body: shortened(body),
                }
            }
            WebSocketError::HttpFormat(source) => Self::Request(source),
            untrusted if is_untrusted(&untrusted) => Self::Certificate(Box::new(untrusted)),
            WebSocketError::Io(source) => Self::Io(source),
            WebSocketError::ConnectionClosed | WebSocketError::AlreadyClosed => Self::Lost,
            other => Self::WebSocket(Box::new(other)),
        }
    }
}

fn shortened(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .trim()
        .chars()
        .take(REFUSAL_CHARS)
        .collect()
}
