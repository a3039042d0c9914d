//! A parallel session: several sessions that share a range, made by one create and driven together over one connection.
//!
//! Each of them is a session like any other, made from a create of its own for its part of the range, with a seat, a
//! thread and numbers of its own. What they have in common is an id, a seat for the connection that drives them all, and
//! that they come to their places together or not at all.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use simulator_api::{
    BacktestError, ControlSessionId, CreateBacktestSessionRequest, CreateSessionParams, SessionId, SessionName,
};
use simulator_archive::model::Slot;
use tokio::sync::{oneshot, watch};

use crate::convert::SessionSpec;
use crate::durable::{GroupBirth, Keeping, PartBirth};
use crate::keys::Owner;
use crate::lifetime::{Admission, Creation, Made, Wanted, stopped};
use crate::places::SessionPlace;
use crate::registry::{CreateToken, Making};
use crate::seat::{Driver, Lease, Seat};
use crate::state::{State, new_control_id};

/// Several sessions that share a range.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: ControlSessionId,
    request: Box<CreateBacktestSessionRequest>,
    pub(crate) owner: Owner,
    /// The place of the connection that drives them together.
    pub(crate) seat: Arc<Seat>,
    /// How long they outlive it.
    pub(crate) disconnect: Duration,
    /// In slot order, at least one.
    pub(crate) parts: Vec<Part>,
    settled: watch::Receiver<Option<Settled>>,
}

/// Whether several sessions are there, and written down as such.
type Settled = Result<(), BacktestError>;

/// One of several sessions.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) range: RangeInclusive<Slot>,
    pub(crate) creation: Arc<Creation>,
}

/// The right to drive one of several sessions, until somebody wants it alone.
#[derive(Debug)]
pub(crate) struct Grip {
    pub(crate) driver: Arc<Driver>,
    /// Given back when it is dropped.
    pub(crate) _lease: Lease,
}

/// What a create for several sessions leads to.
#[derive(Debug)]
pub(crate) enum BegunGroup {
    /// They are being made, and their seats are the creator's.
    New(Arc<Group>, Lease, Vec<Grip>),
    /// It is what an earlier create with the same token has begun.
    Repeated(Making),
}

impl Group {
    /// Whether it came from this create.
    pub(crate) fn is_of(&self, wanted: &Wanted) -> bool {
        self.request == wanted.request
    }

    /// How its user calls it.
    pub(crate) fn name(&self) -> Option<&SessionName> {
        self.request.name.as_ref()
    }

    fn token(&self) -> Option<&String> {
        self.request.create_token.as_ref()
    }

    /// Waits until the sessions are there, and it is written down that they belong together.
    ///
    /// # Errors
    /// Why that cannot be.
    pub(crate) async fn settled(&self) -> Result<(), BacktestError> {
        let mut settled = self.settled.clone();
        match settled.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(settled)) => settled.clone(),
            _ => Err(stopped("the sessions were not made")),
        }
    }

    /// Waits until the sessions that do again what they have done before have come to where their client is.
    pub(crate) async fn caught_up(&self, cursors: &BTreeMap<SessionId, u64>) {
        for part in self.parts.iter().filter(|part| !part.creation.seat.is_over()) {
            if let Ok(session) = part.creation.made().await {
                session.events.caught_up(cursors.get(&session.id).copied()).await;
            }
        }
    }

    /// Waits until it is known what became of each session, if they were there before the server was.
    pub(crate) async fn restored(&self) {
        if self.settled.borrow().is_some() {
            self.caught_up(&BTreeMap::new()).await;
        }
    }

    /// What is written down of it.
    async fn birth(&self) -> Result<GroupBirth, BacktestError> {
        let mut parts = Vec::new();
        for part in &self.parts {
            parts.push(PartBirth {
                id: part.creation.made().await?.id,
                range: part.range.clone(),
            });
        }
        Ok(GroupBirth {
            id: self.id,
            owner: self.owner.clone(),
            request: self.request.clone(),
            parts,
        })
    }

    /// Keeps each session for whoever wants it, however long that takes.
    fn hold(&self) -> Vec<Lease> {
        let seats = self.parts.iter().map(|part| &part.creation.seat);
        seats
            .filter_map(|seat| seat.claim_vacant(&Driver::yielding()))
            .collect()
    }

    /// From now on the sessions outlive their connections.
    pub(crate) fn keep(&self) {
        self.seat.keep_for(self.disconnect);
        for part in &self.parts {
            part.creation.seat.keep_for(self.disconnect);
        }
    }
}

impl Grip {
    pub(crate) fn new(driver: Arc<Driver>, lease: Lease) -> Self {
        Self { driver, _lease: lease }
    }
}

impl State {
    /// Begins to make the sessions of a parallel create, or finds what was begun with the same token.
    ///
    /// # Errors
    /// `invalidRequest` if a slot of the range is in no archive, or none has a block.
    pub(crate) fn begin_group(
        self: &Arc<Self>,
        wanted: &Wanted,
        driver: &Arc<Driver>,
    ) -> Result<BegunGroup, BacktestError> {
        let ranges = self.parts_of(wanted)?;
        let token = wanted.spec.token.clone().map(|token| (wanted.owner.clone(), token));
        // Only who has a token can find sessions whose ids it was never told.
        let window = token.as_ref().map_or(Duration::ZERO, |_| wanted.spec.disconnect);
        let begun = ranges.into_iter().map(|range| self.prepare(wanted, range, window));
        let begun: Vec<_> = begun.collect();
        let (seat, lease) = Seat::driven(driver, window);
        let (settle, settled) = watch::channel(None);
        let group = Arc::new(Group {
            id: new_control_id(),
            request: wanted.request.clone(),
            owner: wanted.owner.clone(),
            seat,
            disconnect: wanted.spec.disconnect,
            parts: begun.iter().map(|begun| begun.part.clone()).collect(),
            settled,
        });
        let making = Making::Group(Arc::clone(&group));
        if let Some(token) = &token
            && let Some(earlier) = self.registry.reserve(token, &making)
        {
            return Ok(BegunGroup::Repeated(earlier));
        }
        self.registry.insert_group(&group);
        let life = GroupLife {
            state: Arc::clone(self),
            group: Arc::clone(&group),
            token,
        };
        let (grips, admissions) = self.begin_parts(begun);
        self.tasks
            .spawn(life.run(admissions, wanted.spec.capacity_wait, settle));
        Ok(BegunGroup::New(group, lease, grips))
    }

    /// Accompanies several sessions that were there before the server was, and are being restored.
    pub(crate) fn begin_group_again(
        self: &Arc<Self>,
        id: ControlSessionId,
        wanted: &Wanted,
        parts: Vec<Part>,
        keeping: Keeping,
    ) {
        let (_settle, settled) = watch::channel(Some(Ok(())));
        let group = Arc::new(Group {
            id,
            request: wanted.request.clone(),
            owner: wanted.owner.clone(),
            seat: Seat::vacant(wanted.spec.disconnect),
            disconnect: wanted.spec.disconnect,
            parts,
            settled,
        });
        let token = wanted.spec.token.clone().map(|token| (wanted.owner.clone(), token));
        if let Some(token) = &token {
            self.registry.reserve(token, &Making::Group(Arc::clone(&group)));
        }
        if let Some(name) = group.name()
            && let Ok(claim) = self.names.claim(&group.owner, name, group.token())
        {
            self.tasks.spawn(claim.keep());
        }
        self.registry.insert_group(&group);
        let held = group.hold();
        let state = Arc::clone(self);
        self.tasks
            .spawn(GroupLife { state, group, token }.run_again(held, keeping));
    }

    fn parts_of(&self, wanted: &Wanted) -> Result<Vec<RangeInclusive<Slot>>, BacktestError> {
        let range = &wanted.spec.range;
        let ranges = self.archives.split(range).map_err(|_| self.not_held(range))?;
        if ranges.is_empty() {
            return Err(BacktestError::InvalidRequest {
                error: format!("no block was produced in slots {} to {}", range.start(), range.end()),
            });
        }
        Ok(ranges)
    }

    /// Gets ready to make the session of one part.
    fn prepare(&self, wanted: &Wanted, range: RangeInclusive<Slot>, window: Duration) -> BegunPart {
        let wanted = part_wanted(wanted, &range);
        let driver = Driver::yielding();
        let (seat, lease) = Seat::driven(&driver, window);
        let (creation, sender) = Creation::new(&wanted, seat);
        BegunPart {
            wanted,
            part: Part { range, creation },
            grip: Grip::new(driver, lease),
            sender,
        }
    }

    /// Starts to make all sessions. Each waits for its place.
    fn begin_parts(self: &Arc<Self>, begun: Vec<BegunPart>) -> (Vec<Grip>, Vec<Admit>) {
        let begin = |part: BegunPart| {
            let (admission, admitted) = oneshot::channel();
            let creation = &part.part.creation;
            self.begin_part(part.wanted, creation, Admission::Shared(admitted), part.sender);
            (part.grip, admission)
        };
        begun.into_iter().map(begin).unzip()
    }
}

/// One of several sessions that is about to be made.
struct BegunPart {
    wanted: Wanted,
    part: Part,
    grip: Grip,
    sender: watch::Sender<Option<Made>>,
}

/// Where the session of a part learns of its place.
type Admit = oneshot::Sender<Result<SessionPlace, BacktestError>>;

/// The task of what several sessions have in common.
struct GroupLife {
    state: Arc<State>,
    group: Arc<Group>,
    token: Option<CreateToken>,
}

impl GroupLife {
    async fn run(self, admissions: Vec<Admit>, patience: Duration, settle: watch::Sender<Option<Settled>>) {
        let made = self.make(admissions, patience).await;
        settle.send_replace(Some(made.as_ref().map(|_| ()).map_err(Clone::clone)));
        self.live(made.unwrap_or_default()).await;
    }

    /// The sessions are held until all are there: nobody can come back to them together before, however early some of
    /// them are restored.
    async fn run_again(self, held: Vec<Lease>, keeping: Keeping) {
        let restored = self.group.restored();
        tokio::select! {
            biased;
            () = self.state.shutdown.cancelled() => {}
            () = restored => {}
        }
        self.group.seat.renew();
        drop(held);
        self.live(keeping).await;
    }

    /// Has the sessions made, and writes down that they belong together.
    async fn make(&self, admissions: Vec<Admit>, patience: Duration) -> Result<Keeping, BacktestError> {
        let names = &self.state.names;
        let name = self.group.name();
        let claim = name.map(|name| names.claim(&self.group.owner, name, self.group.token()));
        let claim = match claim.transpose() {
            Ok(claim) => claim,
            Err(taken) => {
                admit(admissions, Err(taken.clone()));
                return Err(taken);
            }
        };
        admit(admissions, self.places(self.group.parts.len(), patience).await);
        let keeping = self.state.keep_group(self.group.birth().await?).await?;
        if let Some(claim) = claim {
            claim.keep().await;
        }
        Ok(keeping)
    }

    async fn live(self, keeping: Keeping) {
        let end = tokio::select! {
            biased;
            () = self.state.shutdown.cancelled() => None,
            end = self.group.seat.over() => Some(end),
            never = keeping.follow(&self.group.seat) => match never {},
        };
        self.state.registry.remove_group(self.group.id);
        if let Some(token) = &self.token {
            self.state.registry.release(token, &self.group.seat);
        }
        if end.is_some() {
            keeping.remove().await;
        }
    }

    async fn places(&self, count: usize, patience: Duration) -> Result<Vec<SessionPlace>, BacktestError> {
        tokio::select! {
            biased;
            () = self.state.shutdown.cancelled() => Err(stopped("the server is stopping")),
            _ = self.group.seat.over() => Err(stopped("the sessions ended before they were there")),
            places = self.state.places(&self.group.owner, count, patience) => places,
        }
    }
}

/// Gives each session its place, or all of them the reason why there is none. One that has ended meanwhile gives its
/// place back.
fn admit(admissions: Vec<Admit>, places: Result<Vec<SessionPlace>, BacktestError>) {
    match places {
        Ok(places) => {
            for (admission, place) in admissions.into_iter().zip(places) {
                drop(admission.send(Ok(place)));
            }
        }
        Err(error) => {
            for admission in admissions {
                drop(admission.send(Err(error.clone())));
            }
        }
    }
}

/// What the session of one part would come from if it were made alone.
pub(crate) fn part_wanted(whole: &Wanted, range: &RangeInclusive<Slot>) -> Wanted {
    Wanted {
        request: Box::new(part_request(whole, range)),
        spec: part_spec(whole, range),
        owner: whole.owner.clone(),
    }
}

/// What the session of one part is. Actions at slots of other parts never come to their turn in it.
fn part_spec(wanted: &Wanted, range: &RangeInclusive<Slot>) -> SessionSpec {
    SessionSpec {
        range: range.clone(),
        capacity_wait: Duration::ZERO,
        token: None,
        name: None,
        ..wanted.spec.clone()
    }
}

/// The create that would make the session of one part alone.
fn part_request(wanted: &Wanted, range: &RangeInclusive<Slot>) -> CreateBacktestSessionRequest {
    let params = CreateSessionParams {
        start_slot: *range.start(),
        end_slot: *range.end(),
        capacity_wait_timeout_secs: None,
        // What was not said means another time for several sessions than for one.
        disconnect_timeout_secs: u16::try_from(wanted.spec.disconnect.as_secs()).ok(),
        ..wanted.request.request.clone()
    };
    params.into()
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::config::Times;
    use crate::convert::session_spec;
    use crate::seat::End;

    fn wanted() -> Wanted {
        let params = CreateSessionParams {
            start_slot: 1,
            end_slot: 4,
            ..CreateSessionParams::default()
        };
        let request = params.into();
        Wanted {
            spec: session_spec(&request, &Times::default()).unwrap(),
            request: Box::new(request),
            owner: Owner::Anyone,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_restored_early_is_kept_until_all_are_there_and_for_its_window_from_then_on() {
        let (state, wanted) = (State::empty().await, wanted());
        let window = wanted.spec.disconnect;
        let (parts, made): (Vec<_>, Vec<_>) = [1..=2, 3..=4]
            .map(|range| {
                let (creation, made) = Creation::new(&part_wanted(&wanted, &range), Seat::vacant(window));
                (Part { range, creation }, made)
            })
            .into_iter()
            .unzip();
        let [early, late] = [0, 1].map(|part: usize| Arc::clone(&parts[part].creation.seat));
        state.begin_group_again(new_control_id(), &wanted, parts, Keeping::default());
        let early = tokio::spawn(async move { early.over().await });
        made[0].send_replace(Some(Err(stopped("there is no engine in this test"))));
        sleep(window * 3).await;
        assert!(!early.is_finished(), "nobody could come back yet");
        let alone = late.claim(&Arc::default(), Duration::ZERO).await;
        assert!(alone.is_ok(), "it may be driven alone");
        let complete = Instant::now();
        made[1].send_replace(Some(Err(stopped("nor here"))));
        assert_eq!(early.await.unwrap(), End::Expired);
        assert_eq!(complete.elapsed(), window);
        assert!(!late.is_over(), "it is driven");
    }
}
