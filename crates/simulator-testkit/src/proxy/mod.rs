//! A proxy over TCP on the loopback that does to connections what networks do.
//!
//! It forwards bytes and knows nothing of what they mean: it splits them anywhere, delays them, and ends a connection
//! after any number of them, politely, with a reset, or by falling silent.

mod link;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::seeded::Seeded;

/// A proxy. It stops when it is dropped, and every connection with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    accepted: Arc<Mutex<usize>>,
    _guard: DropGuard,
}

/// What is done to one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkPlan {
    /// What is done on the way to the server.
    pub up: Way,
    /// What is done on the way to the client.
    pub down: Way,
}

/// What is done one way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Bytes are forwarded in pieces of these sizes, again and again from the first. Empty: as they come.
    pub pieces: Vec<usize>,
    /// The time before each piece.
    pub delay: Duration,
    /// What happens after so many bytes, if anything.
    pub end: Option<(usize, LinkEnd)>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// Both sides see the end of the stream.
    Close,
    /// Both sides see a reset.
    Reset,
    /// Nothing is forwarded any more, either way, and nobody is told.
    Stall,
}

impl Proxy {
    /// Forwards connections to `server`. The first is treated by the first plan and so on; those after the last are
    /// left alone.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub async fn start(server: SocketAddr, plans: impl IntoIterator<Item = LinkPlan>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let accepted = Arc::default();
        tokio::spawn(forward(
            listener,
            server,
            plans.into_iter().collect(),
            Arc::clone(&accepted),
            stop.clone(),
        ));
        Ok(Self {
            address,
            accepted,
            _guard: stop.drop_guard(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LinkPlan {
    /// A plan in which anything may happen, within the first `bytes` bytes.
    pub fn random(numbers: &mut Seeded, bytes: u64) -> Self {
        let mut plan = Self {
            up: Way::random(numbers),
            down: Way::random(numbers),
        };
        let end = match numbers.below(4) {
            0 => LinkEnd::Close,
            1 | 2 => LinkEnd::Reset,
            _ => LinkEnd::Stall,
        };
        // The client says much less than the server.
        if numbers.below(3) == 0 {
            plan.up.end = Some((numbers.below(bytes / 8) as usize, end));
        } else {
            plan.down.end = Some((numbers.below(bytes) as usize, end));
        }
        plan
    }
}

impl Way {
    fn random(numbers: &mut Seeded) -> Self {
        let pieces = match numbers.below(3) {
            0 => Vec::new(),
            1 => vec![1 + numbers.below(40) as usize],
            _ => (0..5).map(|_| 1 + numbers.below(300) as usize).collect(),
        };
        Self {
            pieces,
            ..Self::default()
        }
    }
}

async fn forward(
    listener: TcpListener,
    server: SocketAddr,
    mut plans: VecDeque<LinkPlan>,
    accepted: Arc<Mutex<usize>>,
    stop: CancellationToken,
) {
    while let Some(Ok((client, _))) = stop.run_until_cancelled(listener.accept()).await {
        *accepted.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let plan = plans.pop_front().unwrap_or_default();
        let Ok(server) = TcpStream::connect(server).await else {
            return;
        };
        let stop = stop.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(link::run(client, server, plan)).await;
        });
    }
}
