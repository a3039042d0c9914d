//! The sessions of a parallel session, as the connection has them that drives them together.
//!
//! ```text
//!   Making ── made ──► Driven ◄──────────────┐
//!      │                 │ taken by another   │ given up by it
//!      │                 ▼                    │
//!      │             Elsewhere ───────────────┘
//!      └──── closed, or not made ──► Over
//! ```
//!
//! Another connection that attaches one of them alone gets it at once, and from then on its events. When that connection
//! goes away, the session comes back, and its events go on here after the last that was sent here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{join_all, pending, select_all};
use simulator_api::{BacktestError, SessionId, SessionsCreatedV2};
use tokio::time::{Instant, sleep_until};

use super::streams::{Form, Progress, Source};
use crate::event_log::{Resumption, Sequence};
use crate::group::{Grip, Group, Part};
use crate::handle::SessionHandle;
use crate::lifetime::{Creation, Made};
use crate::seat::{ClaimError, Driver, End, Lease, Seat};

/// Several sessions and the right to drive them.
pub(super) struct Several {
    pub(super) group: Arc<Group>,
    /// Given back when the connection ends.
    lease: Lease,
    members: Vec<Member>,
    pub(super) stage: Stage,
    /// Whether an earlier connection may have been told of them.
    is_repeated: bool,
}

/// How far the connection is with all of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// They are being made; the client is told so again at this time.
    Making(Instant),
    /// They were attached. What waits, has been seen to wait by its client, and was not asked for anything by this time,
    /// is told to say so again.
    Settling(Instant),
    /// Nothing is to be waited for.
    Open,
}

/// One of the sessions.
struct Member {
    part: Part,
    hold: Hold,
    /// How far its events were sent over this connection.
    progress: Progress,
}

/// Who has a session.
enum Hold {
    /// It is being made, for this connection.
    Making(Grip),
    /// This connection. If its client has seen everything that it could go by, up to here, it may have to be told again
    /// that it waits.
    Driven {
        session: Arc<SessionHandle>,
        grip: Grip,
        seen: Option<Sequence>,
    },
    /// Another connection.
    Elsewhere(Arc<SessionHandle>),
    /// Nobody any more.
    Over,
}

/// What there is to do without being asked.
pub(super) enum Happened {
    /// A session is there, or cannot be made.
    Made(usize, Made),
    /// Another connection has taken one.
    Taken(usize),
    /// The connection that had one has given it up.
    Free(usize),
    /// It has closed it.
    Ended(usize),
    /// All are there, and it is written down, or cannot be, that they belong together.
    Settled(Result<(), BacktestError>),
    /// The time of the stage has come.
    Time,
}

/// What became of a session that another connection gave up.
pub(super) enum Returned {
    Here(Source),
    /// A third connection was faster.
    Gone,
}

impl Several {
    /// Sessions that are being made for this connection.
    pub(super) fn making(group: Arc<Group>, lease: Lease, grips: Vec<Grip>, sign_at: Instant) -> Self {
        let parts = group.parts.iter().cloned();
        let members = parts
            .zip(grips)
            .map(|(part, grip)| Member::new(part, Hold::Making(grip)));
        Self {
            members: members.collect(),
            group,
            lease,
            stage: Stage::Making(sign_at),
            is_repeated: false,
        }
    }

    /// Takes over the sessions of a group whose seat the connection has: those that another connection drives alone and
    /// answers for stay with that one.
    pub(super) async fn take_over(group: Arc<Group>, lease: Lease, stage: Stage, patience: Duration) -> Self {
        let members = group.parts.iter().cloned().map(|part| Member::claim(part, patience));
        Self {
            members: join_all(members).await,
            group,
            lease,
            stage,
            is_repeated: true,
        }
    }

    /// Waits until something is to be done. May be dropped and called again.
    pub(super) async fn due(&self) -> Happened {
        let time = async {
            match self.stage {
                Stage::Making(at) | Stage::Settling(at) => sleep_until(at).await,
                Stage::Open => pending().await,
            }
            Happened::Time
        };
        let settled = async {
            match self.stage {
                Stage::Making(_) if self.are_made() => Happened::Settled(self.group.settled().await),
                _ => pending().await,
            }
        };
        let members = self.members.iter().enumerate();
        let members = members.map(|(index, member)| member.due(index).boxed());
        select_all(members.chain([settled.boxed(), time.boxed()])).await.0
    }

    /// A session is there: its events can be sent.
    pub(super) fn made(&mut self, index: usize, session: Arc<SessionHandle>) -> Option<Source> {
        let member = &mut self.members[index];
        let mut resumption = session.events.resume(None).ok()?;
        if !self.is_repeated {
            resumption.replayed_to = resumption.after;
        }
        member.drive(session, resumption, None)
    }

    /// Begins to read the events of every session that this connection has got, after the last ones that its client has.
    pub(super) fn resume(&mut self, last: impl Fn(SessionId) -> Option<u64>) -> Vec<Source> {
        let resumed = self.members.iter_mut().filter_map(|member| {
            let session = match &member.hold {
                Hold::Over => None,
                Hold::Making(_) => member.creation().ready(),
                Hold::Driven { session, .. } | Hold::Elsewhere(session) => Some(Arc::clone(session)),
            };
            let Some(session) = session else {
                member.hold = Hold::Over;
                return None;
            };
            let cursor = last(session.id);
            member.progress.set(Sequence(cursor.unwrap_or_default()));
            if matches!(member.hold, Hold::Elsewhere(_)) {
                return None;
            }
            let resumption = resume_or_restart(&session, cursor)?;
            member.drive(session, resumption, Some(resumption.after))
        });
        resumed.collect()
    }

    /// Another connection has taken a session.
    pub(super) fn taken(&mut self, index: usize) -> Option<Arc<SessionHandle>> {
        let member = &mut self.members[index];
        let session = member.session()?;
        member.hold = Hold::Elsewhere(Arc::clone(&session));
        Some(session)
    }

    /// Takes a session back that another connection has given up.
    pub(super) fn take_back(&mut self, index: usize) -> Returned {
        let member = &mut self.members[index];
        let driver = Driver::yielding();
        let claimed = member.session().zip(member.seat().claim_vacant(&driver));
        let Some((session, lease)) = claimed else {
            return Returned::Gone;
        };
        let Some(resumption) = resume_or_restart(&session, Some(member.progress.get().0)) else {
            return Returned::Gone;
        };
        member.hold = Hold::Driven {
            session: Arc::clone(&session),
            grip: Grip::new(driver, lease),
            seen: None,
        };
        let source = member.drive(session, resumption, None);
        source.map_or(Returned::Gone, Returned::Here)
    }

    /// Another connection has closed a session.
    pub(super) fn ended(&mut self, index: usize) -> Option<(SessionId, Progress)> {
        let member = &mut self.members[index];
        let id = member.session().map(|session| session.id);
        member.hold = Hold::Over;
        id.map(|id| (id, member.progress.clone()))
    }

    /// A session that this connection drives. Its client asks it for something: it need not be told that it waits.
    pub(super) fn driven(&mut self, id: SessionId) -> Option<Arc<SessionHandle>> {
        self.members.iter_mut().find_map(|member| match &mut member.hold {
            Hold::Driven { session, seen, .. } if session.id == id => {
                *seen = None;
                Some(Arc::clone(session))
            }
            _ => None,
        })
    }

    /// Ends one session, which another connection may be driving.
    pub(super) fn close(&mut self, id: SessionId) -> Option<Progress> {
        let member = self.members.iter_mut().find(|member| member.is(id))?;
        member.seat().end(End::Closed);
        member.hold = Hold::Over;
        Some(member.progress.clone())
    }

    /// Ends all sessions.
    pub(super) fn close_all(&self) {
        self.members.iter().for_each(|member| member.seat().end(End::Closed));
    }

    /// Ends all sessions, of which one cannot be made, and what they have in common.
    pub(super) fn give_up(self) {
        self.members.iter().for_each(|member| member.seat().end(End::Expired));
        self.lease.keep_for(Duration::ZERO);
    }

    /// Whether none is being made any more.
    fn are_made(&self) -> bool {
        !self.members.iter().any(|member| matches!(member.hold, Hold::Making(_)))
    }

    /// The sessions that another connection drives.
    pub(super) fn elsewhere(&self) -> Vec<Arc<SessionHandle>> {
        let elsewhere = self.members.iter().filter_map(|member| match &member.hold {
            Hold::Elsewhere(session) => Some(Arc::clone(session)),
            _ => None,
        });
        elsewhere.collect()
    }

    /// The sessions that there are, in slot order.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.members.iter().filter_map(Member::id).collect()
    }

    /// What a client is told when all are there. It lists them, and as many of everything else.
    pub(super) fn created(&self) -> SessionsCreatedV2 {
        let there = || self.members.iter().filter(|member| member.id().is_some());
        SessionsCreatedV2 {
            control_session_id: self.group.id,
            session_ids: self.ids(),
            task_ids: there().map(|_| None).collect(),
            start_slots: there().map(|member| *member.part.range.start()).collect(),
            end_slots: there().map(|member| *member.part.range.end()).collect(),
            control_session_name: self.group.name().map(ToString::to_string),
            capabilities: Vec::new(),
        }
    }

    /// The sessions that wait although their client knows everything, so that what it asked for may have been lost.
    pub(super) fn forgotten(&mut self) -> Vec<Arc<SessionHandle>> {
        let forgotten = self.members.iter_mut().filter_map(|member| match &mut member.hold {
            Hold::Driven { session, seen, .. } => {
                let seen = seen.take()?;
                (session.events.last_stop() <= seen).then(|| Arc::clone(session))
            }
            _ => None,
        });
        forgotten.collect()
    }
}

impl Member {
    fn new(part: Part, hold: Hold) -> Self {
        Self {
            part,
            hold,
            progress: Progress::default(),
        }
    }

    /// Takes a session whose maker, or last connection, may be gone.
    async fn claim(part: Part, patience: Duration) -> Self {
        let driver = Driver::yielding();
        let claimed = part.creation.seat.claim(&driver, patience).await;
        let hold = match claimed {
            Ok(lease) => Some(Hold::Making(Grip::new(driver, lease))),
            Err(ClaimError::Over) => None,
            // Only what is there can have been taken.
            Err(_) => part.creation.made().await.ok().map(Hold::Elsewhere),
        };
        Self::new(part, hold.unwrap_or(Hold::Over))
    }

    async fn due(&self, index: usize) -> Happened {
        match &self.hold {
            Hold::Making(_) => Happened::Made(index, self.creation().made().await),
            Hold::Driven { grip, .. } => {
                grip.driver.evicted().await;
                Happened::Taken(index)
            }
            Hold::Elsewhere(_) => match self.seat().vacated().await {
                Ok(()) => Happened::Free(index),
                Err(_) => Happened::Ended(index),
            },
            Hold::Over => pending().await,
        }
    }

    /// From now on this connection drives the session whose seat it has, and sends its events.
    fn drive(&mut self, session: Arc<SessionHandle>, from: Resumption, seen: Option<Sequence>) -> Option<Source> {
        self.hold = match std::mem::replace(&mut self.hold, Hold::Over) {
            Hold::Making(grip) | Hold::Driven { grip, .. } => Hold::Driven {
                session: Arc::clone(&session),
                grip,
                seen,
            },
            other => {
                self.hold = other;
                return None;
            }
        };
        Some(Source {
            session,
            form: Form::Envelope,
            from,
            progress: self.progress.clone(),
        })
    }

    fn creation(&self) -> &Creation {
        &self.part.creation
    }

    fn seat(&self) -> &Arc<Seat> {
        &self.part.creation.seat
    }

    /// The session, if it is there and has not ended.
    fn session(&self) -> Option<Arc<SessionHandle>> {
        match &self.hold {
            Hold::Driven { session, .. } | Hold::Elsewhere(session) => Some(Arc::clone(session)),
            Hold::Making(_) | Hold::Over => None,
        }
    }

    fn id(&self) -> Option<SessionId> {
        self.session().map(|session| session.id)
    }

    fn is(&self, id: SessionId) -> bool {
        self.id() == Some(id)
    }
}

/// Goes on after an event. Where what follows it is not kept any more, because another connection had it, with the
/// oldest that is: the numbers show what is missing here.
fn resume_or_restart(session: &SessionHandle, cursor: Option<u64>) -> Option<Resumption> {
    let resumed = session.events.resume(cursor);
    resumed.or_else(|_| session.events.resume(None)).ok()
}
