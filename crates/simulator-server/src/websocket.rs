//! WebSockets over the connections of the HTTP server. A message that is too long for one frame goes in several, because
//! the published clients refuse a longer one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// A WebSocket of a client.
pub(crate) type WebSocket = Socket<TokioIo<Upgraded>>;

/// A request that asks for a WebSocket, and may have one.
pub(crate) struct Upgrade {
    upgraded: OnUpgrade,
    accept: HeaderValue,
}

/// How long messages and frames may be, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketLimits {
    /// A message that is read.
    pub(crate) message_bytes: usize,
    /// A frame that is read or written.
    pub(crate) frame_bytes: usize,
}

/// A WebSocket whose messages go in frames of limited length.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: WebSocketStream<S>,
    frame_bytes: usize,
    /// What is left to be written of a message.
    rest: Bytes,
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let upgraded = parts.extensions.get::<OnUpgrade>().cloned();
        let key = parts.headers.get(SEC_WEBSOCKET_KEY).cloned();
        // This one checks the request, and is not used further: it writes frames of any length.
        let _checked = WebSocketUpgrade::from_request_parts(parts, state).await?;
        let key = key.expect("it was checked that there is one, as nothing but HTTP/1.1 is served");
        let accept = derive_accept_key(key.as_bytes());
        Ok(Self {
            upgraded: upgraded.expect("it was checked that the connection can be upgraded"),
            accept: HeaderValue::from_str(&accept).expect("base64 can stand in a header"),
        })
    }
}

impl Upgrade {
    /// The answer that grants the WebSocket. It is served in a task of its own when the client has been told.
    pub(crate) fn serve<F>(self, limits: SocketLimits, serve: impl FnOnce(WebSocket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { upgraded, accept } = self;
        tokio::spawn(async move {
            match upgraded.await {
                Ok(upgraded) => serve(Socket::new(TokioIo::new(upgraded), limits).await).await,
                Err(error) => tracing::debug!(%error, "a client went before it had its WebSocket"),
            }
        });
        let headers = [
            (CONNECTION, HeaderValue::from_static("upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_ACCEPT, accept),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    async fn new(stream: S, limits: SocketLimits) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits.message_bytes))
            .max_frame_size(Some(limits.frame_bytes.min(limits.message_bytes)));
        Self {
            stream: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await,
            frame_bytes: limits.frame_bytes.max(1),
            rest: Bytes::new(),
        }
    }

    /// The first frame of a message that is too long for one; the others follow when there is room.
    fn first_frame(&mut self, kind: Data, mut message: Bytes) -> Message {
        let first = message.split_to(self.frame_bytes);
        self.rest = message;
        Message::Frame(Frame::message(first, OpCode::Data(kind), false))
    }

    fn next_frame(&mut self) -> Message {
        let length = self.frame_bytes.min(self.rest.len());
        let next = self.rest.split_to(length);
        let is_last = self.rest.is_empty();
        Message::Frame(Frame::message(next, OpCode::Data(Data::Continue), is_last))
    }

    /// Hands over the rest of a message, as far as there is room.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.rest.is_empty() {
            ready!(self.stream.poll_ready_unpin(cx))?;
            let next = self.next_frame();
            self.stream.start_send_unpin(next)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Socket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for Socket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_rest(cx))?;
        self.stream.poll_ready_unpin(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let message = match message {
            Message::Text(text) if text.len() > self.frame_bytes => self.first_frame(Data::Text, text.into()),
            Message::Binary(bytes) if bytes.len() > self.frame_bytes => self.first_frame(Data::Binary, bytes),
            short => short,
        };
        self.stream.start_send_unpin(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_rest(cx))?;
        self.stream.poll_flush_unpin(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_rest(cx))?;
        self.stream.poll_close_unpin(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_BYTES: usize = 8;

    async fn pair() -> (
        Socket<tokio::io::DuplexStream>,
        WebSocketStream<tokio::io::DuplexStream>,
    ) {
        // Narrow, so that nothing is written at once.
        let (here, there) = tokio::io::duplex(11);
        let limits = SocketLimits {
            message_bytes: 1 << 20,
            frame_bytes: FRAME_BYTES,
        };
        let config = WebSocketConfig::default().max_frame_size(Some(FRAME_BYTES));
        let client = WebSocketStream::from_raw_socket(there, Role::Client, Some(config)).await;
        (Socket::new(here, limits).await, client)
    }

    #[tokio::test]
    async fn messages_of_any_length_arrive_whole_in_frames_that_are_short_enough() {
        let (mut server, mut client) = pair().await;
        // Letters of two bytes are cut in the middle.
        let texts = (0..40).map(|length| Message::text("\u{fc}x".repeat(length)));
        let binary = (0..40).map(|length| Message::binary(vec![7; length]));
        let pings = (0..40).map(|_| Message::Ping(Bytes::from_static(b"there?")));
        let messages: Vec<Message> = texts.zip(binary).zip(pings).flat_map(|((a, b), c)| [a, b, c]).collect();
        let sent = messages.clone();
        let sending = tokio::spawn(async move {
            for message in sent {
                server.send(message).await.unwrap();
            }
            server.close().await.unwrap();
            // The answers to the pings.
            while let Some(Ok(_)) = server.next().await {}
        });
        for message in messages {
            assert_eq!(client.next().await.unwrap().unwrap(), message);
        }
        assert!(matches!(client.next().await, Some(Ok(Message::Close(_)))));
        while let Some(Ok(_)) = client.next().await {}
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_wants_short_frames_refuses_one_that_is_not_cut() {
        let (server, mut client) = pair().await;
        let Socket { mut stream, .. } = server;
        let sending = tokio::spawn(async move { stream.send(Message::text("more than eight")).await });
        assert!(client.next().await.unwrap().is_err());
        drop(client);
        drop(sending.await);
    }
}
