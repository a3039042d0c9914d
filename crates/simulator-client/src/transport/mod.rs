//! The seam between the client and the network: one trait for a connection, one to open it.
//!
//! [`WebSocketConnector`] is the real one; [`memory`] is its twin for tests. A network of one's own, simulated or
//! tunnelled, goes through [`websocket::from_socket`] or implements [`Connector`].

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Sink, Stream};
use url::Url;

mod error;
pub mod memory;
mod roots;
mod tls;
pub mod websocket;

pub use error::TransportError;
pub use roots::{RootCertificates, RootCertificatesError};
pub(crate) use tls::is_untrusted;
pub use tokio_tungstenite::tungstenite::Utf8Bytes as SharedText;
pub use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};
pub use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
pub use websocket::WebSocketConnector;

/// One message of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text message.
    Text(SharedText),
    /// A binary message.
    Binary(Bytes),
    /// A sign of life that asks for an answer. A connection answers an inbound one by itself.
    Ping(Bytes),
    /// The answer to a ping.
    Pong(Bytes),
    /// The peer closes the connection.
    Close(Option<CloseReason>),
}

/// What a close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    /// The code, as registered for WebSocket.
    pub code: CloseCode,
    /// Free text for people; at most 123 bytes travel.
    pub text: String,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {}", u16::from(self.code))?;
        if self.text.is_empty() {
            Ok(())
        } else {
            write!(f, ", {}", self.text)
        }
    }
}

/// An open connection: frames in, frames out. Reading and writing may be cancelled at any await without loss.
pub trait Transport:
    Stream<Item = Result<Frame, TransportError>> + Sink<Frame, Error = TransportError> + Send + Sync
{
}

impl<T> Transport for T where
    T: Stream<Item = Result<Frame, TransportError>> + Sink<Frame, Error = TransportError> + Send + Sync
{
}

/// A connection of any kind.
pub type BoxTransport = Pin<Box<dyn Transport>>;

/// Where to connect, and with which headers.
#[derive(Clone, Debug)]
pub struct ConnectRequest {
    /// A `ws` or `wss` address.
    pub url: Url,
    /// Headers of the upgrade, beside those of WebSocket itself.
    pub headers: HeaderMap,
}

/// Opens connections.
pub trait Connector: fmt::Debug + Send + Sync + 'static {
    /// Opens one. The caller bounds the time by dropping the future.
    fn connect(&self, request: ConnectRequest) -> BoxFuture<'_, Result<BoxTransport, TransportError>>;
}
