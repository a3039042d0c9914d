//! Runs lines against a server until they have ended.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use simulator_client::transport::Frame;
use thiserror::Error;

use super::{Board, Clock, Direction, Plan, Side, Station};
use crate::peer::{ConnId, PeerServer};
use crate::seeded::Seeded;

/// More steps than any run of a test needs.
const MOST_STEPS: usize = 200_000;
/// Longer than any run of a test takes.
const LONGEST: Duration = Duration::from_secs(3600);

/// A server, the links to it, and the clock.
#[derive(Debug)]
pub struct Wire {
    /// The server.
    pub server: PeerServer,
    /// The clock.
    pub clock: Clock,
    /// What the callers tell each other.
    pub board: Board,
    plan: Plan,
    order: Option<Seeded>,
    frames: BTreeMap<Direction, usize>,
    arriving: BTreeMap<ConnId, VecDeque<Frame>>,
}

/// A run that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Frames that went to the server.
    pub to_server: usize,
    /// Frames that went to the client.
    pub to_client: usize,
    /// How long it took, by its clock.
    pub elapsed: Duration,
}

/// A run that did not come to its end.
#[derive(Clone, Debug, Error)]
pub enum Stuck {
    /// Everyone waits for everyone.
    #[error("everyone waits after {after:?}: {lines}")]
    Deadlock {
        /// The time by the clock of the run.
        after: Duration,
        /// What the lines are doing.
        lines: String,
    },
    /// It goes on and on.
    #[error("no end after {after:?}: {lines}")]
    Endless {
        /// The time by the clock of the run.
        after: Duration,
        /// What the lines are doing.
        lines: String,
    },
}

impl Wire {
    /// Links to a server, on which everything goes as planned.
    pub fn new(server: PeerServer, plan: Plan) -> Self {
        Self {
            server,
            clock: Clock::new(),
            board: Board::default(),
            plan,
            order: None,
            frames: BTreeMap::new(),
            arriving: BTreeMap::new(),
        }
    }

    /// Lets a seed decide who comes next, instead of: client, then server, then the session's work.
    #[must_use]
    pub fn in_random_order(mut self, seed: u64) -> Self {
        self.order = Some(Seeded::new(seed));
        self
    }

    /// Runs until every line has ended.
    ///
    /// # Errors
    ///
    /// [`Stuck`] if that does not happen.
    pub fn run(&mut self, stations: &mut [&mut dyn Station]) -> Result<Finished, Stuck> {
        for _ in 0..MOST_STEPS {
            self.look_around(stations);
            if stations.iter().all(|station| station.end().is_some()) {
                return Ok(self.finished());
            }
            if !self.step(stations) && !self.wait(stations) {
                let (after, lines) = self.scene(stations);
                return Err(Stuck::Deadlock { after, lines });
            }
            if self.clock.elapsed() > LONGEST {
                break;
            }
        }
        let (after, lines) = self.scene(stations);
        Err(Stuck::Endless { after, lines })
    }

    fn finished(&self) -> Finished {
        let frames = |direction| self.frames.get(&direction).copied().unwrap_or(0);
        Finished {
            to_server: frames(Direction::ToServer),
            to_client: frames(Direction::ToClient),
            elapsed: self.clock.elapsed(),
        }
    }

    fn scene(&self, stations: &[&mut dyn Station]) -> (Duration, String) {
        (self.clock.elapsed(), format!("{stations:#?}"))
    }

    /// Everything that takes no time: connecting, what callers have to say, timers.
    fn look_around(&mut self, stations: &mut [&mut dyn Station]) {
        let now = self.clock.now();
        self.board.open_lines = stations.iter().filter(|station| station.end().is_none()).count();
        self.board.all_up = stations
            .iter()
            .all(|station| station.is_up() || station.end().is_some());
        for station in stations {
            if let Some(path) = station.wants_connection(&self.board, now) {
                match self.server.connect(&path, now) {
                    Ok(conn) => station.connected(conn, &mut self.board, now),
                    Err(_) => station.refused(),
                }
            }
            if station.attend(&mut self.board, now) {
                self.hang_up(*station);
            }
        }
    }

    /// Does one thing that takes a step. Says whether there was any.
    fn step(&mut self, stations: &mut [&mut dyn Station]) -> bool {
        let mut turns: Vec<Turn> = (0..stations.len())
            .flat_map(|line| [Turn::ToServer(line), Turn::ToClient(line)])
            .chain([Turn::Work])
            .collect();
        turns.sort_by_key(|turn| turn.rank());
        if let Some(order) = &mut self.order {
            shuffle(&mut turns, order);
        }
        turns.into_iter().any(|turn| match turn {
            Turn::ToServer(line) => self.send(stations[line]),
            Turn::ToClient(line) => self.receive(stations[line]),
            Turn::Work => self.server.tick(),
        })
    }

    /// Moves one message of the client. Says whether there was one.
    fn send(&mut self, station: &mut dyn Station) -> bool {
        let Some(conn) = station.conn() else {
            return false;
        };
        let Some(text) = station.outgoing() else {
            return false;
        };
        let frame = self.count(Direction::ToServer);
        if self.plan.cut_at(Direction::ToServer, frame, Side::Before) {
            self.leave(station);
            return true;
        }
        self.server.handle(conn, Frame::Text(text), self.clock.now());
        if self.plan.cut_at(Direction::ToServer, frame, Side::After) {
            self.leave(station);
        }
        true
    }

    /// Moves one frame of the server. Says whether there was one.
    fn receive(&mut self, station: &mut dyn Station) -> bool {
        let Some(conn) = station.conn() else {
            return false;
        };
        let arriving = self.arriving.entry(conn).or_default();
        while let Some(frame) = self.server.poll_transmit(conn) {
            arriving.push_back(frame);
        }
        let Some(mut content) = arriving.pop_front() else {
            return false;
        };
        let frame = self.count(Direction::ToClient);
        if self.plan.restarts.contains(&frame) {
            self.server.restart(self.clock.now());
        }
        if self.plan.damaged.contains(&frame) {
            content = damaged(content);
        }
        if self.plan.cut_at(Direction::ToClient, frame, Side::Before) {
            self.leave(station);
            return true;
        }
        let given_up = station.deliver(content, &mut self.board, self.clock.now());
        if self.plan.cut_at(Direction::ToClient, frame, Side::After) {
            self.leave(station);
        } else if given_up {
            self.hang_up(station);
        }
        true
    }

    /// The client ends a connection. What it had written before arrives.
    fn hang_up(&mut self, station: &mut dyn Station) {
        let now = self.clock.now();
        while let Some((conn, text)) = station.conn().zip(station.outgoing()) {
            self.server.handle(conn, Frame::Text(text), now);
        }
        if let Some(conn) = station.conn() {
            self.server.disconnect(conn, now);
        }
        self.leave(station);
    }

    /// A connection is lost, and with it what was under way. The server may not notice.
    fn leave(&mut self, station: &mut dyn Station) {
        let now = self.clock.now();
        if let Some(conn) = station.conn() {
            self.arriving.remove(&conn);
            if !self.plan.half_open {
                self.server.disconnect(conn, now);
            }
        }
        station.lost(&mut self.board, now);
    }

    /// Lets the time pass until something is due. Says whether anything ever will be.
    fn wait(&mut self, stations: &mut [&mut dyn Station]) -> bool {
        let waits_for_path = self.board.data_path.is_none();
        let lines = stations.iter().filter_map(|station| station.timeout());
        let lines = lines.filter(|at| !(waits_for_path && *at <= self.clock.now()));
        let next = lines.chain(self.server.poll_timeout()).min();
        let Some(next) = next else {
            return false;
        };
        let stands_still = next <= self.clock.now();
        self.clock.advance_to(next);
        if self.server.poll_timeout().is_some_and(|at| at <= self.clock.now()) {
            self.server.handle_timeout(self.clock.now());
            return true;
        }
        !stands_still
    }

    fn count(&mut self, direction: Direction) -> usize {
        let count = self.frames.entry(direction).or_default();
        *count += 1;
        *count - 1
    }
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    ToServer(usize),
    ToClient(usize),
    Work,
}

impl Turn {
    fn rank(self) -> (u8, usize) {
        match self {
            Self::ToServer(line) => (0, line),
            Self::ToClient(line) => (1, line),
            Self::Work => (2, 0),
        }
    }
}

fn shuffle(turns: &mut [Turn], order: &mut Seeded) {
    for last in (1..turns.len()).rev() {
        let other = order.below(last as u64 + 1) as usize;
        turns.swap(last, other);
    }
}

/// The second half of a binary frame is lost.
fn damaged(frame: Frame) -> Frame {
    match frame {
        Frame::Binary(bytes) => Frame::Binary(bytes.slice(..bytes.len() / 2)),
        other => other,
    }
}
