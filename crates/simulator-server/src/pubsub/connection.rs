//! One data connection: a socket, what its client asks, and what it is told.

use std::io;
use std::sync::Arc;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use simulator_api::Compression;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::compress::Compressor;
use super::ended::Channel;
use super::log::Reader;
use super::request::{Call, Request};
use super::slots::{Next, Position, Start, StartError};
use super::subscriptions::{Subject, Subscriptions, Telling, Told};
use crate::config::Times;
use crate::encode::Encoders;
use crate::rpc::{self, Answer, Reply, RpcError};
use crate::state::State;
use crate::websocket::WebSocket;

/// The largest request that is read.
pub(crate) const MAX_REQUEST_BYTES: usize = 1 << 20;

/// Requests that wait for the writer.
const WAITING_REQUESTS: usize = 16;

/// Why a data connection ends.
#[derive(Debug)]
enum Ending {
    /// The client left.
    Left,
    /// The socket broke, or nothing arrived for too long.
    Lost,
    /// Nothing can be sent any more.
    Stuck,
    /// The session ended long enough ago.
    Over,
    /// The server stops.
    Restart,
}

/// Why nothing can be sent any more.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the socket failed")]
    Socket(#[from] SocketError),
    #[error("a message could not be sent in time")]
    Late(#[from] tokio::time::error::Elapsed),
    #[error("a message could not be compressed")]
    Compression(#[from] io::Error),
}

/// Serves one data connection to its end.
pub(crate) async fn serve(socket: WebSocket, channel: Channel, reader: Reader, state: Arc<State>) {
    let (sink, mut frames) = socket.split();
    let (requests, waiting) = mpsc::channel(WAITING_REQUESTS);
    let mut connection = Connection::new(sink, reader, &state);
    let ending = tokio::select! {
        biased;
        () = state.shutdown.cancelled() => Ending::Restart,
        () = over(&channel, &state.times) => Ending::Over,
        ending = listen(&mut frames, &requests, &state.times) => ending,
        error = connection.run(waiting) => {
            tracing::debug!(%error, "a data connection cannot be written to");
            Ending::Stuck
        }
    };
    tracing::debug!(?ending, session = channel.number, "a data connection ends");
    let Connection { sink, reader, .. } = connection;
    match ending {
        Ending::Lost | Ending::Stuck => {
            drop((sink, frames));
            await_return(&reader, &channel, &state).await;
        }
        // Whoever has gone holds nobody up while hands are shaken.
        Ending::Left | Ending::Over | Ending::Restart => {
            drop(reader);
            say_goodbye(&ending, sink, &mut frames, &state.times).await;
        }
    }
}

/// Keeps what a lost connection has not been sent for a while.
async fn await_return(reader: &Reader, channel: &Channel, state: &State) {
    reader.lose();
    tokio::select! {
        () = state.shutdown.cancelled() => {}
        () = over(channel, &state.times) => {}
        () = tokio::time::sleep(state.times.data_grace) => {}
    }
}

/// Waits until the session has ended, and for the time in which its last words may be read.
async fn over(channel: &Channel, times: &Times) {
    channel.finished.cancelled().await;
    tokio::time::sleep(times.data_drain).await;
}

/// Reads requests until the client leaves or is lost.
async fn listen(frames: &mut SplitStream<WebSocket>, requests: &mpsc::Sender<Request>, times: &Times) -> Ending {
    while let Ok(Some(Ok(frame))) = timeout(times.silence_limit, frames.next()).await {
        let request = match frame {
            Message::Text(text) => Request::from_json(text.as_str()),
            Message::Binary(_) => Request::unreadable(RpcError::invalid_request("requests are text")),
            Message::Close(_) => return Ending::Left,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        if requests.send(request).await.is_err() {
            break;
        }
    }
    Ending::Lost
}

/// A closing handshake, if there may be someone to shake hands with, within the time for it.
async fn say_goodbye(
    ending: &Ending,
    mut sink: SplitSink<WebSocket, Message>,
    frames: &mut SplitStream<WebSocket>,
    times: &Times,
) {
    let (code, reason) = match ending {
        Ending::Stuck | Ending::Lost => return,
        Ending::Left => (CloseCode::Normal, ""),
        Ending::Over => (CloseCode::Normal, "session closed"),
        Ending::Restart => (CloseCode::Restart, "server is stopping"),
    };
    let close = Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }));
    let handshake = async {
        // A client that has closed gets its own frame back, and this one is not sent.
        drop(sink.send(close).await);
        while let Some(Ok(_)) = frames.next().await {}
    };
    drop(timeout(times.close_limit, handshake).await);
}

/// The writing side.
struct Connection {
    sink: SplitSink<WebSocket, Message>,
    reader: Reader,
    subscriptions: Subscriptions,
    compressor: Option<Compressor>,
    /// Until then nothing is told: clients of the older generation lose what arrives while they subscribe to more.
    quiet_until: Instant,
    max_subscriptions: usize,
    encoders: Encoders,
    times: Times,
}

impl Connection {
    fn new(sink: SplitSink<WebSocket, Message>, reader: Reader, state: &State) -> Self {
        Self {
            sink,
            reader,
            subscriptions: Subscriptions::default(),
            compressor: None,
            quiet_until: Instant::now(),
            max_subscriptions: state.limits.subscriptions,
            encoders: state.encoders.clone(),
            times: state.times.clone(),
        }
    }

    /// Answers and tells, until something cannot be sent.
    async fn run(&mut self, mut requests: mpsc::Receiver<Request>) -> WriteError {
        loop {
            if let Err(error) = self.work(&mut requests).await {
                return error;
            }
        }
    }

    async fn work(&mut self, requests: &mut mpsc::Receiver<Request>) -> Result<(), WriteError> {
        // None at once: Solana's blocking client takes the first message for the answer to its subscribe.
        let mut pings = interval_at(Instant::now() + self.times.ping_interval, self.times.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Everything before has been written.
            let position = self.subscriptions.position();
            self.reader.hold(position);
            tokio::select! {
                biased;
                Some(request) = requests.recv() => self.answer(request).await?,
                next = next(&self.reader, position, self.quiet_until) => self.tell(next).await?,
                _ = pings.tick() => self.send(Message::Ping(Vec::new().into())).await?,
            }
        }
    }

    async fn answer(&mut self, request: Request) -> Result<(), WriteError> {
        let Some(id) = request.id else {
            // What has no id wants no answer, and can follow no subscription.
            if let Ok(call @ Call::Unsubscribe(..)) = request.call {
                drop(self.carry_out(call));
            }
            return Ok(());
        };
        let answer = request.call.and_then(|call| self.carry_out(call));
        let reply = Reply::new(Some(&id), answer);
        let text = serde_json::to_string(&reply).expect("replies have text keys only, so that they always serialise");
        self.send(Message::Text(text.into())).await
    }

    fn carry_out(&mut self, call: Call) -> Answer {
        match call {
            Call::Subscribe(subject, start) => rpc::result(&self.subscribe(subject, start)?),
            Call::Unsubscribe(kind, subscription) if self.subscriptions.remove(kind, subscription) => {
                rpc::result(&true)
            }
            Call::Unsubscribe(..) => Err(RpcError::invalid_params("Invalid subscription id.")),
        }
    }

    fn subscribe(&mut self, subject: Subject, start: Start) -> Result<u64, RpcError> {
        if self.subscriptions.len() >= self.max_subscriptions {
            return Err(RpcError::invalid_request(&format!(
                "this connection has {} subscriptions; open another connection",
                self.max_subscriptions
            )));
        }
        let begin = self
            .reader
            .start(start, &subject.topic)
            .map_err(|error| refusal(&error))?;
        self.quiet_until = Instant::now() + self.times.subscribe_pause;
        Ok(self.subscriptions.add(subject, begin))
    }

    /// Tells every subscription what comes next, one message after the other: each is written when the one before it is
    /// on its way, so that a slow reader holds one of them.
    async fn tell(&mut self, next: Next) -> Result<(), WriteError> {
        match next {
            Next::Entry(position, entry) => {
                for id in self.subscriptions.behind(position) {
                    let tellings = self.subscriptions.take(id, position, &entry);
                    self.tell_all(tellings).await?;
                }
            }
            Next::End => {
                let ends = self.subscriptions.finish();
                self.tell_all(ends).await?;
            }
        }
        Ok(timeout(self.times.write_limit, self.sink.flush()).await??)
    }

    async fn tell_all(&mut self, tellings: Vec<Telling>) -> Result<(), WriteError> {
        for telling in tellings {
            let message = self.message(telling).await?;
            timeout(self.times.write_limit, self.sink.feed(message)).await??;
        }
        Ok(())
    }

    async fn message(&mut self, telling: Telling) -> io::Result<Message> {
        let (size, log) = (telling.size(), Arc::clone(self.reader.log()));
        let mut compressor = self.compressor.take();
        let write = move || {
            let message = message(telling.write(&log.cache), &mut compressor);
            (message, compressor)
        };
        let (message, compressor) = self.encoders.run(size, write).await;
        self.compressor = compressor;
        message
    }

    async fn send(&mut self, message: Message) -> Result<(), WriteError> {
        Ok(timeout(self.times.write_limit, self.sink.send(message)).await??)
    }
}

/// The message in the form that its subscription asked for.
fn message(told: Told, compressor: &mut Option<Compressor>) -> io::Result<Message> {
    match told.compression {
        None => Ok(Message::Text(told.text.into())),
        Some(Compression::Zstd) => {
            let compressor = match compressor {
                Some(compressor) => compressor,
                none => none.insert(Compressor::new()?),
            };
            Ok(Message::Binary(compressor.message(&told.text)?.into()))
        }
    }
}

async fn next(reader: &Reader, position: Option<Position>, quiet_until: Instant) -> Next {
    match position {
        Some(position) => {
            sleep_until(quiet_until).await;
            reader.next(position).await
        }
        None => std::future::pending().await,
    }
}

fn refusal(error: &StartError) -> RpcError {
    match error {
        StartError::NotRetained { oldest } => RpcError::not_retained(&error.to_string(), *oldest),
        StartError::Ended => RpcError::refused(&error.to_string()),
    }
}
