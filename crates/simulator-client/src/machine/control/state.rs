//! Where a control conversation is.

use std::time::{Duration, Instant};

use simulator_api::SessionId;

use super::handshake::Handshake;
use super::in_flight::InFlight;
use super::stream::Stream;
use crate::machine::Ending;
use crate::machine::Standing;
use crate::managed::ConnectionError;

/// Where a conversation is.
#[derive(Debug)]
pub(super) enum State {
    /// There is no connection and no session is known. One may exist, if a create was sent before.
    Start,
    /// The create was sent on the current connection.
    Creating(Creating),
    /// No session is known, and the current connection is of no use.
    Uncreated(ConnectionError),
    /// The session exists.
    Alive(Box<Session>, Link),
    /// The current connection was asked to close the session. Nothing is told any more.
    Closing(Closing),
    /// Nothing follows.
    Over(Ending),
}

/// The wait for a session.
#[derive(Debug)]
pub(super) struct Creating {
    pub(super) handshake: Handshake,
    /// The events of this connection. Another create may make another session, with numbers of its own.
    pub(super) stream: Stream,
    pub(super) then: Then,
}

/// What is done with a session that was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Run,
    /// The caller has asked to close before it was there.
    Close,
}

/// A session, whatever becomes of its connections.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) stream: Stream,
    pub(super) in_flight: InFlight,
    pub(super) goal: Goal,
}

/// What a session is kept for.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    /// To run.
    Run,
    /// The range is over, and the caller says when to close.
    Rest,
    /// It has ended by itself: to be closed, if the connection lasts.
    Conclude(Ending),
    /// The caller wants it closed, on another connection if need be.
    Close,
}

/// The connection to a session.
#[derive(Debug)]
pub(super) enum Link {
    /// There is none.
    Offline,
    /// It has asked to attach.
    Attaching(Handshake),
    /// It is attached and has asked to resume.
    Resuming(Handshake),
    /// It is established.
    Up {
        /// When a message arrived last, or silence began to count anew.
        heard: Instant,
    },
    /// It is of no use.
    Useless(ConnectionError),
}

/// The wait for the end of a session.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) handshake: Handshake,
    pub(super) if_lost: IfLost,
    /// Whether the connection was established when it was asked.
    pub(super) was_up: bool,
}

/// What follows when a connection is lost that was asked to close the session.
#[derive(Debug)]
pub(super) enum IfLost {
    /// Nothing: the server has ended the session, or will for want of a connection.
    End(Ending),
    /// The caller wants the session closed: it is asked again.
    Again(Box<Session>),
}

impl State {
    pub(super) fn standing(&self) -> Standing {
        match self {
            Self::Start
            | Self::Creating(_)
            | Self::Alive(_, Link::Offline | Link::Attaching(_) | Link::Resuming(_))
            | Self::Closing(Closing { was_up: false, .. }) => Standing::Opening,
            Self::Alive(_, Link::Up { .. }) | Self::Closing(Closing { was_up: true, .. }) => Standing::Up,
            Self::Uncreated(error) | Self::Alive(_, Link::Useless(error)) => Standing::Retry(error.clone()),
            Self::Over(ending) => Standing::Over(ending.clone()),
        }
    }

    /// The handshake that is under way.
    pub(super) fn handshake(&self) -> Option<&Handshake> {
        match self {
            Self::Creating(Creating { handshake, .. })
            | Self::Alive(_, Link::Attaching(handshake) | Link::Resuming(handshake))
            | Self::Closing(Closing { handshake, .. }) => Some(handshake),
            Self::Start | Self::Uncreated(_) | Self::Alive(..) | Self::Over(_) => None,
        }
    }

    /// Something arrived.
    pub(super) fn heard(&mut self, now: Instant) {
        match self {
            Self::Alive(_, Link::Up { heard }) => *heard = now,
            other => {
                if let Some(handshake) = other.handshake_mut() {
                    handshake.heard(now);
                }
            }
        }
    }

    /// Nobody has listened for this long.
    pub(super) fn excuse(&mut self, missed: Duration) {
        match self {
            Self::Alive(_, Link::Up { heard }) => *heard = heard.checked_add(missed).unwrap_or(*heard),
            other => {
                if let Some(handshake) = other.handshake_mut() {
                    handshake.excuse(missed);
                }
            }
        }
    }

    fn handshake_mut(&mut self) -> Option<&mut Handshake> {
        match self {
            Self::Creating(Creating { handshake, .. })
            | Self::Alive(_, Link::Attaching(handshake) | Link::Resuming(handshake))
            | Self::Closing(Closing { handshake, .. }) => Some(handshake),
            Self::Start | Self::Uncreated(_) | Self::Alive(..) | Self::Over(_) => None,
        }
    }

    /// Whether the session is being closed, and that is not done yet.
    pub(super) fn is_to_be_closed(&self) -> bool {
        match self {
            Self::Creating(creating) => creating.then == Then::Close,
            Self::Alive(session, _) => matches!(session.goal, Goal::Close | Goal::Conclude(_)),
            Self::Closing(_) => true,
            Self::Start | Self::Uncreated(_) | Self::Over(_) => false,
        }
    }
}

impl Session {
    /// Whether the caller gets to see what happens.
    pub(super) fn is_watched(&self) -> bool {
        matches!(self.goal, Goal::Run | Goal::Rest)
    }

    pub(super) fn takes_requests(&self) -> bool {
        matches!(self.goal, Goal::Run)
    }

    /// How the conversation ends when the server does not let this client near the session.
    pub(super) fn ending_without_access(&self, failure: Ending) -> Ending {
        match &self.goal {
            Goal::Run => failure,
            Goal::Rest | Goal::Close => Ending::Finished,
            Goal::Conclude(ending) => ending.clone(),
        }
    }
}

impl Goal {
    pub(super) fn ending(self) -> Ending {
        match self {
            Self::Conclude(ending) => ending,
            Self::Run | Self::Rest | Self::Close => Ending::Finished,
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
