//! How far a connection is.

use std::pin::Pin;
use std::sync::Arc;

use simulator_api::BacktestError;
use tokio::time::{Instant, sleep_until};

use super::opening::Opened;
use super::several::{Happened, Several};
use crate::event_log::{Resumption, Sequence};
use crate::handle::SessionHandle;
use crate::seat::Lease;

/// How far a connection is.
pub(super) enum Phase {
    /// It has no session.
    New,
    /// Its session is being made or taken over.
    Opening(Opening),
    /// It has taken a session over, and is sent nothing before it resumes, asks for something, or `until`: clients of
    /// the published generations cannot tell events from answers yet.
    Silent {
        drive: Drive,
        resumption: Resumption,
        until: Instant,
    },
    /// It has resumed. If its client has seen everything that it could go by, and asks for nothing before `until`, it is
    /// told anew that the session waits: what it asked for last may have been lost.
    Settling {
        drive: Drive,
        seen: Sequence,
        until: Instant,
    },
    /// It drives a session.
    Open(Drive),
    /// It drives several, which are there or being made.
    Several(Box<Several>),
}

/// A session and the right to drive it.
pub(super) struct Drive {
    pub(super) session: Arc<SessionHandle>,
    /// Given back when the connection ends.
    pub(super) _lease: Lease,
}

/// A session in the making, or on its way to this connection; dropping it gives the session up.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Opened, BacktestError>> + Send>>;

/// What a connection has to do without being asked.
pub(super) enum Due {
    Opened(Result<Opened, BacktestError>),
    Deadline,
    Several(Happened),
}

impl Drive {
    pub(super) fn new(session: Arc<SessionHandle>, lease: Lease) -> Self {
        Self { session, _lease: lease }
    }
}

impl Phase {
    /// The session that is driven, if it is a single one.
    pub(super) fn session(&self) -> Option<&Arc<SessionHandle>> {
        match self {
            Self::New | Self::Opening(_) | Self::Several(_) => None,
            Self::Silent { drive, .. } | Self::Settling { drive, .. } | Self::Open(drive) => Some(&drive.session),
        }
    }

    /// Waits until something is to be done. May be dropped and called again.
    pub(super) async fn due(&mut self) -> Due {
        match self {
            Self::Opening(opening) => Due::Opened(opening.await),
            Self::Silent { until, .. } | Self::Settling { until, .. } => {
                sleep_until(*until).await;
                Due::Deadline
            }
            Self::Several(several) => Due::Several(several.due().await),
            Self::New | Self::Open(_) => std::future::pending().await,
        }
    }
}
