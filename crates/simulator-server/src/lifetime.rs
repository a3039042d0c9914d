//! The life of a session, from the create to the end: one task for each, whatever connections come and go.

use std::sync::Arc;
use std::time::Duration;

use simulator_api::{BacktestError, CreateBacktestSessionRequest, SessionId};
use tokio::sync::{oneshot, watch};

use crate::convert::SessionSpec;
use crate::handle::SessionHandle;
use crate::keys::Owner;
use crate::places::SessionPlace;
use crate::registry::{CreateToken, Making};
use crate::seat::{Driver, End, Lease, Seat};
use crate::state::State;

/// A create that was read.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) request: Box<CreateBacktestSessionRequest>,
    pub(crate) spec: SessionSpec,
    pub(crate) owner: Owner,
}

/// A session that is being made, or was.
#[derive(Debug)]
pub(crate) struct Creation {
    request: Box<CreateBacktestSessionRequest>,
    pub(crate) seat: Arc<Seat>,
    made: watch::Receiver<Option<Made>>,
}

/// How a session comes to its place.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It asks for one.
    Own,
    /// One of several sessions, which get their places together.
    Shared(oneshot::Receiver<Result<SessionPlace, BacktestError>>),
}

/// What became of a creation.
pub(crate) type Made = Result<Arc<SessionHandle>, BacktestError>;

/// What a create leads to.
#[derive(Debug)]
pub(crate) enum Begun {
    /// A session is being made, and its seat is the creator's.
    New(Arc<Creation>, Lease),
    /// It is what an earlier create with the same token has begun.
    Repeated(Making),
}

impl Admission {
    /// The place of a session of this owner, within a time.
    ///
    /// # Errors
    /// `invalidRequest` if there is none.
    pub(crate) async fn place(
        self,
        state: &State,
        owner: &Owner,
        patience: Duration,
    ) -> Result<SessionPlace, BacktestError> {
        match self {
            Self::Own => state.place(owner, patience).await,
            Self::Shared(place) => place.await.unwrap_or_else(|_| Err(stopped("the session got no place"))),
        }
    }
}

impl Creation {
    /// What will be made for a create, and where what becomes of it is told.
    pub(crate) fn new(wanted: &Wanted, seat: Arc<Seat>) -> (Arc<Self>, watch::Sender<Option<Made>>) {
        let (sender, made) = watch::channel(None);
        let request = wanted.request.clone();
        (Arc::new(Self { request, seat, made }), sender)
    }

    /// What was made for a create once, and has ended.
    pub(crate) fn over(wanted: &Wanted) -> Arc<Self> {
        let seat = Seat::vacant(Duration::ZERO);
        seat.end(End::Expired);
        let (creation, _nothing_is_told) = Self::new(wanted, seat);
        creation
    }

    /// Whether it came from this create.
    pub(crate) fn is_of(&self, wanted: &Wanted) -> bool {
        self.request == wanted.request
    }

    /// The session, if it has been made.
    pub(crate) fn ready(&self) -> Option<Arc<SessionHandle>> {
        self.made.borrow().as_ref()?.as_ref().ok().cloned()
    }

    /// Waits for the session.
    ///
    /// # Errors
    /// What the create is refused with.
    pub(crate) async fn made(&self) -> Made {
        let mut made = self.made.clone();
        match made.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(made)) => made.clone(),
            _ => Err(stopped("the session was not made")),
        }
    }
}

impl State {
    /// Begins to make a session, or finds the one that was begun with the same token. It lives until its seat is
    /// closed or has been vacant for too long.
    pub(crate) fn begin(self: &Arc<Self>, wanted: Wanted, driver: &Arc<Driver>) -> Begun {
        let token = wanted.spec.token.clone().map(|token| (wanted.owner.clone(), token));
        // Only who has a token can find a session whose id it was never told.
        let window = token.as_ref().map_or(Duration::ZERO, |_| wanted.spec.disconnect);
        let (seat, lease) = Seat::driven(driver, window);
        let (creation, sender) = Creation::new(&wanted, seat);
        let making = Making::Session(Arc::clone(&creation));
        if let Some(token) = &token
            && let Some(earlier) = self.registry.reserve(token, &making)
        {
            return Begun::Repeated(earlier);
        }
        let life = Life {
            state: Arc::clone(self),
            creation: Arc::clone(&creation),
            token,
        };
        self.tasks.spawn(life.run(wanted, Admission::Own, sender));
        Begun::New(creation, lease)
    }

    /// Accompanies a session that was there before the server was, and is being restored. Nobody drives it.
    pub(crate) fn begin_again(
        self: &Arc<Self>,
        wanted: Wanted,
        id: SessionId,
        restored: impl Future<Output = Made> + Send + 'static,
    ) -> Arc<Creation> {
        let seat = Seat::vacant(wanted.spec.disconnect);
        let (creation, sender) = Creation::new(&wanted, seat);
        let token = wanted.spec.token.clone().map(|token| (wanted.owner.clone(), token));
        if let Some(token) = &token {
            self.registry.reserve(token, &Making::Session(Arc::clone(&creation)));
        }
        if let Some(name) = &wanted.spec.name
            && let Ok(claim) = self.names.claim(&wanted.owner, name, wanted.spec.token.as_ref())
        {
            self.tasks.spawn(claim.keep());
        }
        self.registry.expect(id, wanted.owner.clone(), Arc::clone(&creation));
        let life = Life {
            state: Arc::clone(self),
            creation: Arc::clone(&creation),
            token,
        };
        self.tasks.spawn(life.run_again(wanted.owner, id, restored, sender));
        creation
    }

    /// Makes one of several sessions. Otherwise as [`State::begin`].
    pub(crate) fn begin_part(
        self: &Arc<Self>,
        wanted: Wanted,
        creation: &Arc<Creation>,
        admission: Admission,
        sender: watch::Sender<Option<Made>>,
    ) {
        let life = Life {
            state: Arc::clone(self),
            creation: Arc::clone(creation),
            token: None,
        };
        self.tasks.spawn(life.run(wanted, admission, sender));
    }
}

/// The task of one session.
struct Life {
    state: Arc<State>,
    creation: Arc<Creation>,
    token: Option<CreateToken>,
}

impl Life {
    async fn run(self, wanted: Wanted, admission: Admission, sender: watch::Sender<Option<Made>>) {
        let owner = wanted.owner.clone();
        let made = self.make_named(wanted, admission).await;
        self.accompany(owner, made, sender).await;
    }

    async fn run_again(
        self,
        owner: Owner,
        id: SessionId,
        restored: impl Future<Output = Made>,
        sender: watch::Sender<Option<Made>>,
    ) {
        let made = tokio::select! {
            biased;
            () = self.state.shutdown.cancelled() => Err(stopped("the server is stopping")),
            made = restored => made,
        };
        // Nobody could come back before.
        self.creation.seat.renew();
        if made.is_err() {
            self.state.registry.expect_no_more(id);
            self.creation.seat.end(End::Expired);
        }
        self.accompany(owner, made, sender).await;
    }

    async fn accompany(self, owner: Owner, made: Made, sender: watch::Sender<Option<Made>>) {
        if let Ok(session) = &made {
            tracing::info!(session = session.number, key = owner.name(), "a session lives");
            let seat = Arc::clone(&self.creation.seat);
            self.state.registry.insert(Arc::clone(session), seat, owner);
        }
        sender.send_replace(Some(made.clone()));
        if let Ok(session) = made {
            self.live(&session).await;
        }
    }

    /// Makes a session under the name that it is to have, if any.
    async fn make_named(&self, wanted: Wanted, admission: Admission) -> Made {
        let Some(name) = wanted.spec.name.clone() else {
            return self.make(wanted, admission).await;
        };
        let claim = self
            .state
            .names
            .claim(&wanted.owner, &name, wanted.spec.token.as_ref())?;
        let session = self.make(wanted, admission).await?;
        claim.keep().await;
        tracing::info!(session = session.number, %name, "a session was made");
        Ok(session)
    }

    async fn make(&self, wanted: Wanted, admission: Admission) -> Made {
        tokio::select! {
            biased;
            () = self.state.shutdown.cancelled() => Err(stopped("the server is stopping")),
            _ = self.creation.seat.over() => Err(stopped("the session ended before it was there")),
            made = self.state.make(wanted, admission) => made,
        }
    }

    async fn live(&self, session: &SessionHandle) {
        let end = tokio::select! {
            biased;
            () = self.state.shutdown.cancelled() => None,
            end = self.creation.seat.over() => Some(end),
            never = session.keeping.follow(&self.creation.seat) => match never {},
        };
        tracing::info!(session = session.number, ?end, "a session ends");
        if end == Some(End::Closed) {
            self.state.retire(session).await;
        }
        self.state.end(session).await;
        if end.is_some() {
            session.keeping.remove().await;
        }
    }
}

/// However a life ends, nothing of it stays: a token that stayed taken would be of no use to its client any more, and a
/// session that nobody accompanies would never end.
impl Drop for Life {
    fn drop(&mut self) {
        if let Some(Ok(session)) = self.creation.made.borrow().as_ref() {
            self.state.registry.remove(session.id);
            session.stop.cancel();
        }
        if let Some(token) = &self.token {
            self.state.registry.release(token, &self.creation.seat);
        }
    }
}

pub(crate) fn stopped(error: &str) -> BacktestError {
    BacktestError::Internal {
        error: error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use simulator_api::CreateSessionParams;

    use super::*;
    use crate::config::Times;
    use crate::convert::session_spec;

    fn wanted() -> Wanted {
        let params = CreateSessionParams {
            start_slot: 1,
            end_slot: 2,
            ..CreateSessionParams::default()
        };
        let request = CreateBacktestSessionRequest {
            create_token: Some("token".to_owned()),
            ..params.into()
        };
        Wanted {
            spec: session_spec(&request, &Times::default()).unwrap(),
            request: Box::new(request),
            owner: Owner::Anyone,
        }
    }

    /// A life may end by a panic; it is dropped then, as it is here.
    #[tokio::test(start_paused = true)]
    async fn a_life_that_is_cut_short_frees_its_token() {
        let state = State::empty().await;
        let driver = Arc::<Driver>::default();
        let Begun::New(creation, lease) = state.begin(wanted(), &driver) else {
            panic!("nothing was begun before");
        };
        assert!(matches!(state.begin(wanted(), &driver), Begun::Repeated(_)));
        let life = Life {
            state: Arc::clone(&state),
            creation,
            token: Some((Owner::Anyone, "token".to_owned())),
        };
        drop((life, lease));
        assert!(matches!(state.begin(wanted(), &driver), Begun::New(..)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_restoring_until_what_there_was_at_its_start_is_there() {
        let state = State::empty().await;
        let id = SessionId::from_random_bytes([1; 16]);
        let Begun::New(creation, _lease) = state.begin(wanted(), &Arc::default()) else {
            panic!("nothing was begun before");
        };
        state.registry.expect(id, Owner::Anyone, Arc::clone(&creation));
        assert!(state.is_restoring());
        state.registry.expect_no_more(id);
        assert!(!state.is_restoring());
        state.registry.expect(id, Owner::Anyone, creation);
        assert!(!state.is_restoring(), "it takes over what another server left");
    }
}
