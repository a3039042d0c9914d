//! The client's machines against a scripted server, without I/O and with a clock that jumps.
//!
//! A [`Wire`] holds a [`PeerServer`](crate::peer::PeerServer), and [`Line`]s: a machine of the client with the one who
//! calls it. Every message is delivered by itself, so that the link can be [cut](Cut) before or after any of them, in
//! either direction. What was under way on a link that is cut is lost. A line whose connection is lost connects again
//! after a pause, as the client's supervisor does.

mod clock;
mod cut;
mod line;
mod run;

pub use clock::Clock;
pub use cut::{Cut, Direction, Plan, Side};
pub use line::{Board, Caller, Line, LineEnd, Station};
pub use run::{Finished, Stuck, Wire};
