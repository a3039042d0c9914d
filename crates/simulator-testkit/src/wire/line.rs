//! A machine of the client, the one who calls it, and its connection.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use simulator_client::machine::{Ending, Machine, Message, Standing};
use simulator_client::transport::{Frame, SharedText};

use crate::peer::ConnId;

/// How long a line waits before it connects again. The client's supervisor begins with as much.
const BACKOFF: Duration = Duration::from_secs(1);

/// The one who calls a machine: a program that uses the client.
pub trait Caller<M: Machine> {
    /// An event of the machine.
    fn event(&mut self, event: M::Event, board: &mut Board);

    /// What to ask of the machine next, if anything. Only called while the machine takes requests.
    fn request(&mut self, board: &Board) -> Option<M::Request>;

    /// Whether the conversation should end now.
    fn wants_close(&mut self, board: &Board) -> bool;
}

/// What the callers of several lines tell each other.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// Where the session's data channel is, once that is known.
    pub data_path: Option<String>,
    /// Whether every line is connected now.
    pub all_up: bool,
    /// Lines that have not ended.
    pub open_lines: usize,
}

/// A machine, its caller and its connection.
#[derive(Debug)]
pub struct Line<M: Machine, C> {
    path: Path,
    machine: M,
    caller: C,
    link: Link,
    close_asked: bool,
    attempts: usize,
}

/// Where a line connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Control,
    Data,
}

#[derive(Debug)]
enum Link {
    /// Not connected; tries at that time.
    Waiting(Instant),
    Connected {
        conn: ConnId,
        outgoing: VecDeque<SharedText>,
    },
    Ended(LineEnd),
}

/// How a line ended.
#[derive(Clone, Debug)]
pub enum LineEnd {
    /// The machine said so.
    Machine(Ending),
    /// The server did not accept its connection.
    Refused,
}

/// A line, whatever its machine.
pub trait Station: fmt::Debug {
    /// Where to connect now; `None` if there is no need to.
    fn wants_connection(&self, board: &Board, now: Instant) -> Option<String>;
    /// The server has accepted the connection.
    fn connected(&mut self, conn: ConnId, board: &mut Board, now: Instant);
    /// The server has not accepted it.
    fn refused(&mut self);
    /// The connection, if there is one.
    fn conn(&self) -> Option<ConnId>;
    /// The next message on its way to the server.
    fn outgoing(&mut self) -> Option<SharedText>;
    /// A message of the server. Says whether the connection is to be given up.
    fn deliver(&mut self, frame: Frame, board: &mut Board, now: Instant) -> bool;
    /// The connection is lost.
    fn lost(&mut self, board: &mut Board, now: Instant);
    /// Lets the caller speak, and gives the machine the time. Says whether the connection is to be given up.
    fn attend(&mut self, board: &mut Board, now: Instant) -> bool;
    /// When `attend` is to be called, if nothing happens before.
    fn timeout(&self) -> Option<Instant>;
    /// Whether the machine's connection is established.
    fn is_up(&self) -> bool;
    /// How it ended, if it has.
    fn end(&self) -> Option<&LineEnd>;
}

impl<M: Machine, C: Caller<M>> Line<M, C> {
    /// A line to the control channel.
    pub fn control(machine: M, caller: C, now: Instant) -> Self {
        Self::new(Path::Control, machine, caller, now)
    }

    /// A line to the data channel of the session, once the board says where that is.
    pub fn data(machine: M, caller: C, now: Instant) -> Self {
        Self::new(Path::Data, machine, caller, now)
    }

    fn new(path: Path, machine: M, caller: C, now: Instant) -> Self {
        Self {
            path,
            machine,
            caller,
            link: Link::Waiting(now),
            close_asked: false,
            attempts: 0,
        }
    }

    /// The caller.
    pub fn caller(&self) -> &C {
        &self.caller
    }

    /// The caller, and how the line ended.
    ///
    /// # Panics
    ///
    /// If it has not.
    pub fn into_parts(self) -> (C, LineEnd) {
        match self.link {
            Link::Ended(end) => (self.caller, end),
            Link::Waiting(_) | Link::Connected { .. } => panic!("the line has not ended"),
        }
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Connections that were made.
    pub fn connections(&self) -> usize {
        self.attempts
    }

    /// Takes out what the machine has to say. Says whether the connection is to be given up.
    fn drain(&mut self, board: &mut Board) -> bool {
        while let Some(event) = self.machine.poll_event() {
            self.caller.event(event, board);
        }
        while let Some(text) = self.machine.poll_transmit() {
            // What is said without a connection is lost, as the driver would lose it.
            if let Link::Connected { outgoing, .. } = &mut self.link {
                outgoing.push_back(text);
            }
        }
        match self.machine.standing() {
            Standing::Opening | Standing::Up => false,
            Standing::Retry(_) => matches!(self.link, Link::Connected { .. }),
            Standing::Over(_) => true,
        }
    }

    fn may_connect(&self) -> bool {
        !self.close_asked || self.machine.needs_connection_to_close()
    }
}

impl<M: Machine + fmt::Debug, C: Caller<M> + fmt::Debug> Station for Line<M, C> {
    fn wants_connection(&self, board: &Board, now: Instant) -> Option<String> {
        match self.link {
            Link::Waiting(since) if since <= now && self.may_connect() => match self.path {
                Path::Control => Some("/backtest".to_owned()),
                Path::Data => board.data_path.clone(),
            },
            _ => None,
        }
    }

    fn connected(&mut self, conn: ConnId, board: &mut Board, now: Instant) {
        self.attempts += 1;
        let outgoing = VecDeque::new();
        self.link = Link::Connected { conn, outgoing };
        self.machine.handle_connected(now);
        self.drain(board);
    }

    fn refused(&mut self) {
        self.link = Link::Ended(LineEnd::Refused);
    }

    fn conn(&self) -> Option<ConnId> {
        match self.link {
            Link::Connected { conn, .. } => Some(conn),
            _ => None,
        }
    }

    fn outgoing(&mut self) -> Option<SharedText> {
        match &mut self.link {
            Link::Connected { outgoing, .. } => outgoing.pop_front(),
            _ => None,
        }
    }

    fn deliver(&mut self, frame: Frame, board: &mut Board, now: Instant) -> bool {
        match frame {
            Frame::Text(text) => self.machine.handle_message(Message::Text(text), now),
            Frame::Binary(bytes) => self.machine.handle_message(Message::Binary(bytes), now),
            Frame::Ping(_) | Frame::Pong(_) => self.machine.handle_sign_of_life(now),
            Frame::Close(_) => return true,
        }
        self.drain(board) || self.attend(board, now)
    }

    fn lost(&mut self, board: &mut Board, now: Instant) {
        if matches!(self.link, Link::Connected { .. }) {
            // What the machine has said by now is lost with the connection.
            self.drain(board);
            self.link = Link::Waiting(now + BACKOFF);
            self.machine.handle_disconnected(now);
        }
        self.drain(board);
        if let Standing::Over(ending) = self.machine.standing() {
            self.link = Link::Ended(LineEnd::Machine(ending));
        } else if !self.may_connect() {
            self.link = Link::Ended(LineEnd::Machine(Ending::Finished));
        }
    }

    fn attend(&mut self, board: &mut Board, now: Instant) -> bool {
        if matches!(self.link, Link::Ended(_)) {
            return false;
        }
        if self.machine.poll_timeout().is_some_and(|at| at <= now) {
            self.machine.handle_timeout(now);
            if self.drain(board) {
                return true;
            }
        }
        if !self.close_asked && self.caller.wants_close(board) {
            self.close_asked = true;
            self.machine.handle_close(now);
        }
        while self.machine.accepts_request() {
            let Some(request) = self.caller.request(board) else {
                break;
            };
            self.machine.handle_request(request, now);
        }
        self.drain(board) || (self.conn().is_none() && !self.may_connect())
    }

    fn timeout(&self) -> Option<Instant> {
        let reconnect = match self.link {
            Link::Waiting(until) => Some(until),
            Link::Connected { .. } => None,
            Link::Ended(_) => return None,
        };
        self.machine.poll_timeout().into_iter().chain(reconnect).min()
    }

    fn is_up(&self) -> bool {
        matches!(self.machine.standing(), Standing::Up)
    }

    fn end(&self) -> Option<&LineEnd> {
        match &self.link {
            Link::Ended(end) => Some(end),
            _ => None,
        }
    }
}
