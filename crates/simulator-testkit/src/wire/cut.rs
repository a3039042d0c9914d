//! Where links are cut.

use crate::seeded::Seeded;

/// The way that a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// When a link is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The frame is lost, with all behind it.
    Before,
    /// The frame arrives, and all behind it is lost.
    After,
}

/// The link that carries a frame is cut there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cut {
    /// Which way the frame goes.
    pub direction: Direction,
    /// Its number among all frames of that way, over all links and connections, from 0.
    pub frame: usize,
    /// Which side of it.
    pub side: Side,
}

/// What goes wrong in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Where links are cut, in any order.
    pub cuts: Vec<Cut>,
    /// Frames of the server that lose their second half, if they are binary, by number.
    pub damaged: Vec<usize>,
    /// Frames of the server before which the server is replaced by another process, by number.
    pub restarts: Vec<usize>,
    /// Whether the server does not notice that a connection was cut.
    pub half_open: bool,
}

impl Plan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// The link is cut at these places.
    pub fn cuts(cuts: impl Into<Vec<Cut>>) -> Self {
        Self {
            cuts: cuts.into(),
            ..Self::default()
        }
    }

    /// Every single cut of a run with so many frames to the server and to the client.
    pub fn every_cut(to_server: usize, to_client: usize) -> Vec<Cut> {
        let ways = [(Direction::ToServer, to_server), (Direction::ToClient, to_client)];
        let frames = ways
            .into_iter()
            .flat_map(|(direction, frames)| (0..frames).map(move |frame| (direction, frame)));
        let cut = |(direction, frame)| [Side::Before, Side::After].map(|side| Cut { direction, frame, side });
        frames.flat_map(cut).collect()
    }

    /// A cut after `first`, in either direction, at most `within` frames further on.
    pub fn second_cut(first: Cut, within: usize, numbers: &mut Seeded) -> Cut {
        let sides = [Side::Before, Side::After];
        let ways = [Direction::ToServer, Direction::ToClient];
        Cut {
            direction: ways[numbers.below(2) as usize],
            frame: first.frame + 1 + numbers.below(within as u64) as usize,
            side: sides[numbers.below(2) as usize],
        }
    }

    pub(crate) fn cut_at(&self, direction: Direction, frame: usize, side: Side) -> bool {
        self.cuts.contains(&Cut { direction, frame, side })
    }
}
