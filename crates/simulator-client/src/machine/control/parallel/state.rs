//! Where the conversation of several sessions is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use simulator_api::{ControlSessionId, SessionId};

use super::creating::Creating;
use super::part::Part;
use crate::machine::control::handshake::Handshake;
use crate::machine::{Ending, Standing};
use crate::managed::ConnectionError;

/// Where a conversation is.
#[derive(Debug)]
pub(super) enum State {
    /// There is no connection and no session is known. Some may exist, if a create was sent before.
    Start,
    /// The create was sent on the current connection.
    Creating(Box<Creating>),
    /// No session is known, and the current connection is of no use.
    Uncreated(ConnectionError),
    /// The sessions exist.
    Alive(Box<Sessions>, Link),
    /// The current connection was asked to close all sessions. Nothing is told any more.
    Closing(Closing),
    /// Nothing follows.
    Over(Ending),
}

/// The sessions, whatever becomes of their connections.
#[derive(Debug)]
pub(super) struct Sessions {
    /// `None` if they cannot be attached to.
    pub(super) id: Option<ControlSessionId>,
    pub(super) parts: BTreeMap<SessionId, Part>,
    /// Which of them may write first next time.
    pub(super) turn: usize,
    pub(super) goal: Goal,
}

/// What the sessions are kept for.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    /// To run.
    Run,
    /// All have ended, and the caller says when to close.
    Rest,
    /// They have ended by themselves: to be closed, if the connection lasts.
    Conclude(Ending),
    /// The caller wants them closed, on another connection if need be.
    Close,
}

/// The connection to the sessions.
#[derive(Debug)]
pub(super) enum Link {
    /// There is none.
    Offline,
    /// It has asked to attach.
    Attaching(Handshake),
    /// It is established.
    Up,
    /// It is of no use.
    Useless(ConnectionError),
}

/// The wait for the end of all sessions.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) handshake: Handshake,
    pub(super) if_lost: IfLost,
    /// Whether the connection was established when it was asked.
    pub(super) was_up: bool,
}

/// What follows when a connection is lost that was asked to close the sessions.
#[derive(Debug)]
pub(super) enum IfLost {
    /// Nothing: the server has ended them, or will for want of a connection.
    End(Ending),
    /// The caller wants them closed: it is asked again.
    Again(Box<Sessions>),
}

impl State {
    pub(super) fn standing(&self) -> Standing {
        match self {
            Self::Start
            | Self::Creating(_)
            | Self::Alive(_, Link::Offline | Link::Attaching(_))
            | Self::Closing(Closing { was_up: false, .. }) => Standing::Opening,
            Self::Alive(_, Link::Up) | Self::Closing(Closing { was_up: true, .. }) => Standing::Up,
            Self::Uncreated(error) | Self::Alive(_, Link::Useless(error)) => Standing::Retry(error.clone()),
            Self::Over(ending) => Standing::Over(ending.clone()),
        }
    }

    /// The handshake that is under way.
    pub(super) fn handshake(&self) -> Option<&Handshake> {
        match self {
            Self::Creating(creating) => Some(&creating.handshake),
            Self::Alive(_, Link::Attaching(handshake)) => Some(handshake),
            Self::Closing(closing) => Some(&closing.handshake),
            Self::Start | Self::Uncreated(_) | Self::Alive(..) | Self::Over(_) => None,
        }
    }

    pub(super) fn handshake_mut(&mut self) -> Option<&mut Handshake> {
        match self {
            Self::Creating(creating) => Some(&mut creating.handshake),
            Self::Alive(_, Link::Attaching(handshake)) => Some(handshake),
            Self::Closing(closing) => Some(&mut closing.handshake),
            Self::Start | Self::Uncreated(_) | Self::Alive(..) | Self::Over(_) => None,
        }
    }

    /// Nobody has listened for this long.
    pub(super) fn excuse(&mut self, missed: Duration) {
        if let Some(handshake) = self.handshake_mut() {
            handshake.excuse(missed);
        }
        if let Self::Alive(sessions, _) = self {
            sessions.parts.values_mut().for_each(|part| part.excuse(missed));
        }
    }

    /// Whether the sessions are being closed, and that is not done yet.
    pub(super) fn is_to_be_closed(&self) -> bool {
        match self {
            Self::Creating(creating) => creating.is_to_be_closed(),
            Self::Alive(sessions, _) => matches!(sessions.goal, Goal::Close | Goal::Conclude(_)),
            Self::Closing(_) => true,
            Self::Start | Self::Uncreated(_) | Self::Over(_) => false,
        }
    }
}

impl Sessions {
    /// Whether the caller gets to see what happens.
    pub(super) fn is_watched(&self) -> bool {
        matches!(self.goal, Goal::Run | Goal::Rest)
    }

    pub(super) fn takes_requests(&self) -> bool {
        matches!(self.goal, Goal::Run)
    }

    pub(super) fn have_ended(&self) -> bool {
        self.parts.values().all(Part::has_ended)
    }

    /// Requests that wait to be sent.
    pub(super) fn backlog(&self) -> usize {
        self.parts.values().map(Part::backlog).sum()
    }

    /// When the fate of a request will be clear, if nothing is heard before.
    pub(super) fn settle_at(&self, settle_time: Duration) -> Option<Instant> {
        self.parts
            .values()
            .filter_map(|part| part.settles_at(settle_time))
            .min()
    }

    /// How the conversation ends when the server does not let this client near the sessions.
    pub(super) fn ending_without_access(&self, failure: Ending) -> Ending {
        match &self.goal {
            Goal::Run => failure,
            Goal::Rest | Goal::Close => Ending::Finished,
            Goal::Conclude(ending) => ending.clone(),
        }
    }
}

impl IfLost {
    pub(super) fn ending(self) -> Ending {
        match self {
            Self::End(ending) => ending,
            Self::Again(_) => Ending::Finished,
        }
    }
}
