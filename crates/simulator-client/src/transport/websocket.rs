//! The real connection: a WebSocket over TCP or TLS.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::TlsError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tokio_tungstenite::{Connector as TlsConnector, WebSocketStream, connect_async_tls_with_config};

use super::{BoxTransport, CloseReason, ConnectRequest, Connector, Frame, RootCertificates, TransportError, tls};
use crate::Limits;

/// Connects over TCP, with TLS for `wss` addresses.
#[derive(Clone, Debug)]
pub struct WebSocketConnector {
    config: WebSocketConfig,
    roots: RootCertificates,
}

impl WebSocketConnector {
    /// A connector that refuses frames and messages larger than `limits` say.
    pub fn new(limits: &Limits) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits.message_bytes))
            .max_frame_size(Some(limits.frame_bytes));
        Self {
            config,
            roots: RootCertificates::default(),
        }
    }

    /// The same, which trusts these authorities beside Mozilla's.
    #[must_use]
    pub fn with_root_certificates(self, roots: RootCertificates) -> Self {
        Self { roots, ..self }
    }
}

impl Default for WebSocketConnector {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

impl Connector for WebSocketConnector {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<'_, Result<BoxTransport, TransportError>> {
        open(request, self.config, &self.roots).boxed()
    }
}

/// Makes a connection of an upgraded WebSocket, over whatever stream it runs.
pub fn from_socket<S>(socket: WebSocketStream<S>) -> BoxTransport
where
    S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
{
    Box::pin(Upgraded(socket))
}

/// Messages of the library as frames of ours.
struct Upgraded<S>(WebSocketStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Upgraded<S> {
    type Item = Result<Frame, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(received) = ready!(self.0.poll_next_unpin(cx)) else {
                return Poll::Ready(None);
            };
            if let Some(frame) = incoming(received) {
                return Poll::Ready(Some(frame));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Frame> for Upgraded<S> {
    type Error = TransportError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_ready_unpin(cx).map_err(TransportError::from)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), TransportError> {
        self.0.start_send_unpin(frame.into()).map_err(TransportError::from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_flush_unpin(cx).map_err(TransportError::from)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_close_unpin(cx).map_err(TransportError::from)
    }
}

async fn open(
    request: ConnectRequest,
    config: WebSocketConfig,
    roots: &RootCertificates,
) -> Result<BoxTransport, TransportError> {
    let tls = match request.url.scheme() {
        "wss" => TlsConnector::Rustls(tls::config(roots).map_err(tls_error)?),
        _ => TlsConnector::Plain,
    };
    let mut upgrade = request.url.as_str().into_client_request()?;
    upgrade.headers_mut().extend(request.headers);
    let without_nagle = true;
    let (socket, _response) = connect_async_tls_with_config(upgrade, Some(config), without_nagle, Some(tls)).await?;
    Ok(from_socket(socket))
}

fn tls_error(error: rustls::Error) -> TransportError {
    WebSocketError::Tls(TlsError::from(error)).into()
}

fn incoming(received: Result<Message, WebSocketError>) -> Option<Result<Frame, TransportError>> {
    match received {
        // A library that reads never hands out raw frames; there is nothing to tell a caller about one.
        Ok(Message::Frame(_)) => None,
        Ok(Message::Text(text)) => Some(Ok(Frame::Text(text))),
        Ok(Message::Binary(bytes)) => Some(Ok(Frame::Binary(bytes))),
        Ok(Message::Ping(bytes)) => Some(Ok(Frame::Ping(bytes))),
        Ok(Message::Pong(bytes)) => Some(Ok(Frame::Pong(bytes))),
        Ok(Message::Close(frame)) => Some(Ok(Frame::Close(frame.map(CloseReason::from)))),
        Err(error) => Some(Err(error.into())),
    }
}

impl From<Frame> for Message {
    fn from(frame: Frame) -> Self {
        match frame {
            Frame::Text(text) => Self::Text(text),
            Frame::Binary(bytes) => Self::Binary(bytes),
            Frame::Ping(bytes) => Self::Ping(bytes),
            Frame::Pong(bytes) => Self::Pong(bytes),
            Frame::Close(reason) => Self::Close(reason.map(CloseFrame::from)),
        }
    }
}

impl From<CloseFrame> for CloseReason {
    fn from(frame: CloseFrame) -> Self {
        Self {
            code: frame.code,
            text: frame.reason.as_str().to_owned(),
        }
    }
}

impl From<CloseReason> for CloseFrame {
    fn from(reason: CloseReason) -> Self {
        Self {
            code: reason.code,
            reason: reason.text.into(),
        }
    }
}
