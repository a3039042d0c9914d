//! A scripted server behind real transports: a network in memory, or WebSockets over TCP on the loopback.
//!
//! A [`ServedPeer`] gives each connection a task that moves frames, and the server a task that does its work and looks
//! at tokio's clock. Connections can be cut at any frame, as on a [wire](crate::wire).

mod connection;
mod memory;
mod tcp;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use simulator_client::transport::Frame;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::peer::{ConnId, PeerServer};
use crate::wire::{Direction, Plan, Side};

/// A server that is being served. Everything stops when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct ServedPeer {
    shared: Arc<Shared>,
    _guard: Arc<DropGuard>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct State {
    server: PeerServer,
    plan: Plan,
    to_server: usize,
    to_client: usize,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passage {
    /// It arrives.
    Through,
    /// It arrives, and the connection is cut.
    Last,
    /// It is lost with the connection.
    Lost,
}

impl ServedPeer {
    /// Starts to serve. Only the cuts of the plan are heeded.
    pub fn new(server: PeerServer, plan: Plan) -> Self {
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                server,
                plan,
                to_server: 0,
                to_client: 0,
            }),
            changed: watch::Sender::new(()),
            stop: stop.clone(),
        });
        tokio::spawn(work(shared.clone()));
        Self {
            shared,
            _guard: Arc::new(stop.drop_guard()),
        }
    }

    /// Speaks to the server.
    pub fn with<T>(&self, speak: impl FnOnce(&mut PeerServer) -> T) -> T {
        self.shared.with(|state| speak(&mut state.server))
    }

    /// Frames to the server and to the client so far.
    pub fn frames(&self) -> (usize, usize) {
        self.shared.with(|state| (state.to_server, state.to_client))
    }

    /// What the clock shows, as the server takes it.
    pub fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl Shared {
    /// Does something with the server, and lets every task look whether that concerns it.
    fn with<T>(&self, speak: impl FnOnce(&mut State) -> T) -> T {
        let answer = self.look(speak);
        self.changed.send_replace(());
        answer
    }

    /// Does something that concerns nobody else.
    fn look<T>(&self, speak: impl FnOnce(&mut State) -> T) -> T {
        speak(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// The next frame for a client, and what becomes of it.
    fn next_outgoing(&mut self, conn: ConnId) -> Option<(Frame, Passage)> {
        let frame = self.server.poll_transmit(conn)?;
        self.to_client += 1;
        Some((frame, self.passage(Direction::ToClient, self.to_client - 1)))
    }

    /// Takes a frame of a client, unless it is lost.
    fn take_incoming(&mut self, conn: ConnId, frame: Frame) -> Passage {
        let passage = match frame {
            Frame::Text(_) | Frame::Binary(_) => {
                self.to_server += 1;
                self.passage(Direction::ToServer, self.to_server - 1)
            }
            Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => Passage::Through,
        };
        if passage != Passage::Lost {
            self.server.handle(conn, frame, ServedPeer::now());
        }
        passage
    }

    fn passage(&self, direction: Direction, frame: usize) -> Passage {
        if self.plan.cut_at(direction, frame, Side::Before) {
            Passage::Lost
        } else if self.plan.cut_at(direction, frame, Side::After) {
            Passage::Last
        } else {
            Passage::Through
        }
    }
}

/// Does the server's work, one step after the other, and waits for its timers.
async fn work(shared: Arc<Shared>) {
    let mut changed = shared.changed.subscribe();
    loop {
        while shared.look(|state| state.server.tick()) {
            shared.changed.send_replace(());
            tokio::task::yield_now().await;
        }
        changed.mark_unchanged();
        let due = shared.look(|state| state.server.poll_timeout());
        let timer = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = changed.changed() => {}
            () = timer => shared.with(|state| state.server.handle_timeout(ServedPeer::now())),
        }
    }
}
