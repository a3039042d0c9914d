//! What every connection of a server shares.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use simulator_api::{BacktestError, ControlSessionId, SessionId};
use simulator_archive::Archive;
use simulator_archive::model::Slot;
use simulator_engine::BlockTransactions;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::archives::{Archives, KeyframeError};
use crate::config::{Limits, Times};
use crate::convert::SessionSpec;
use crate::durable::{Absent, Durability};
use crate::encode::Encoders;
use crate::handle::{Message, SessionHandle};
use crate::keys::{Keys, Owner};
use crate::launch::{Launch, launch};
use crate::lifetime::{Admission, Wanted};
use crate::metrics::{Metrics, Refusal};
use crate::names::Names;
use crate::places::SessionPlace;
use crate::pubsub::{Channel, DataPool, Ended};
use crate::registry::Registry;
use crate::usage::{SessionMeter, Usage};

/// The shared state of a server.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) archives: Archives,
    pub(crate) keys: Keys,
    pub(crate) registry: Registry,
    pub(crate) names: Names,
    /// Where sessions are kept; with none they end with the server.
    pub(crate) durability: Option<Durability>,
    pub(crate) usage: Usage,
    pub(crate) metrics: Arc<Metrics>,
    /// What all sessions keep for their subscribers.
    pub(crate) data_pool: Arc<DataPool>,
    pub(crate) limits: Limits,
    pub(crate) times: Times,
    /// Whether the sessions that there were when the server started have been restored.
    pub(crate) restored: AtomicBool,
    pub(crate) encoders: Encoders,
    /// Sessions that have ended and may still be read.
    pub(crate) ended: Arc<Ended>,
    /// Cancelled when the server is to stop.
    pub(crate) shutdown: CancellationToken,
    /// Connections and sessions, which a shutdown waits for.
    pub(crate) tasks: TaskTracker,
}

impl State {
    /// Makes a session. If this future is dropped, it ends at once.
    ///
    /// # Errors
    /// No archive holds the range, there is no room, or the engine cannot be brought to the start of the range.
    pub(crate) async fn make(&self, wanted: Wanted, admission: Admission) -> Result<Arc<SessionHandle>, BacktestError> {
        let spec = wanted.spec.clone();
        let archive = self.archive(&spec)?;
        let place = admission.place(self, &wanted.owner, spec.capacity_wait).await?;
        let keyframe = self
            .archives
            .keyframe(archive, *spec.range.start(), &spec.options)
            .await
            .map_err(|error| not_loaded(&error))?;
        let id = new_id();
        let (commands, unfinished) = self.keep(id, &wanted, archive).await?;
        let session = launch(Launch {
            id,
            number: self.registry.next_number(),
            spec,
            archive,
            keyframe,
            limits: &self.limits,
            completed_hold: self.times.completed_hold,
            data_grace: self.times.data_grace,
            commands,
            past: None,
            keeping: unfinished.keeping(),
            meter: self.session_meter(&wanted.owner, place.key),
            place: place.server,
            data_pool: &self.data_pool,
        });
        let session = session.await?;
        unfinished.finish();
        Ok(session)
    }

    /// The archive that a session is to run over.
    fn archive(&self, spec: &SessionSpec) -> Result<&Archive, BacktestError> {
        let covering = self.archives.covering(&spec.range);
        let covering = covering.ok_or_else(|| self.not_held(&spec.range))?;
        match spec.options.transactions {
            BlockTransactions::Execute => Ok(covering),
            BlockTransactions::TakeRecorded => self
                .archives
                .covering_with_deltas(&spec.range)
                .ok_or_else(|| no_deltas(&spec.range)),
        }
    }

    /// Whether sessions are being restored that there were when the server started. What it takes over later, from
    /// another server, does not count.
    pub(crate) fn is_restoring(&self) -> bool {
        if !self.registry.is_expecting() {
            self.restored.store(true, Ordering::Relaxed);
        }
        !self.restored.load(Ordering::Relaxed)
    }

    /// A place for one more session of an owner, within a time.
    ///
    /// # Errors
    /// As [`State::places`].
    pub(crate) async fn place(&self, owner: &Owner, patience: Duration) -> Result<SessionPlace, BacktestError> {
        let mut places = self.places(owner, 1, patience).await?;
        Ok(places.pop().expect("as many places were taken as were wanted"))
    }

    /// Places for several sessions of an owner, all of them or none, within a time.
    ///
    /// # Errors
    /// `invalidRequest` if too few became free at the server or among those of the key, or there never are so many.
    pub(crate) async fn places(
        &self,
        owner: &Owner,
        count: usize,
        patience: Duration,
    ) -> Result<Vec<SessionPlace>, BacktestError> {
        let key = self.usage.meter(owner);
        let places = SessionPlace::take(&self.registry.places, &key.sessions, count, patience).await;
        places.map_err(|error| {
            self.metrics.refused(Refusal::Sessions);
            error.into()
        })
    }

    /// What counts the use of a session of this owner, which has a place among those of the key.
    pub(crate) fn session_meter(&self, owner: &Owner, place: OwnedSemaphorePermit) -> Arc<SessionMeter> {
        SessionMeter::new(self.usage.meter(owner), Arc::clone(&self.metrics), place)
    }

    /// Has a session execute nothing more, and waits until what it has found out has been read, or its disconnect time
    /// is over.
    pub(crate) async fn retire(&self, session: &SessionHandle) {
        tokio::select! {
            told = session.tell(Message::Close) => if told.is_err() {
                tracing::debug!(session = session.number, "the session had ended by itself");
            },
            () = session.stop.cancelled() => {}
            () = self.shutdown.cancelled() => {}
        }
        if let Some(outcomes) = &session.outcomes {
            tokio::select! {
                () = outcomes.drained() => {}
                () = tokio::time::sleep(session.disconnect) => {}
                () = session.stop.cancelled() => {}
                () = self.shutdown.cancelled() => {}
            }
        }
    }

    /// Ends a session at once, and waits for its thread within the time for closing.
    pub(crate) async fn end(&self, session: &SessionHandle) {
        self.keep_channel(session);
        self.registry.remove(session.id);
        session.stop.cancel();
        if tokio::time::timeout(self.times.close_limit, session.finished.cancelled())
            .await
            .is_err()
        {
            tracing::warn!(
                session = session.number,
                "the session's engine is still busy and was left to itself"
            );
        }
    }

    /// The data channel of a session, or of one that has ended lately.
    ///
    /// # Errors
    /// There is none, or the session is being restored.
    pub(crate) async fn channel(&self, id: SessionId) -> Result<Channel, Absent> {
        match self.session(id).await {
            Ok(session) => Ok(session.channel()),
            Err(Absent::Unknown) => self.ended.get(id).ok_or(Absent::Unknown),
            Err(coming) => Err(coming),
        }
    }

    /// Keeps what subscribers of a session that ends may still ask for, for a while.
    fn keep_channel(&self, session: &SessionHandle) {
        let id = session.id;
        self.ended.add(id, session.channel());
        let (ended, shutdown, drain) = (Arc::clone(&self.ended), self.shutdown.clone(), self.times.data_drain);
        self.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(drain) => {}
            }
            ended.remove(id);
        });
    }

    /// Clients of the older generation do not know an error of its own for this, and every error is final while a
    /// session is being created.
    pub(crate) fn not_held(&self, range: &RangeInclusive<Slot>) -> BacktestError {
        let ranges: Vec<String> = self
            .archives
            .iter()
            .map(|served| show(served.slots().into_inner()))
            .collect();
        let ranges = if ranges.is_empty() {
            "none".to_owned()
        } else {
            ranges.join(", ")
        };
        let asked = show(range.clone().into_inner());
        BacktestError::InvalidRequest {
            error: format!("no archive holds slots {asked}; available: {ranges}"),
        }
    }
}

fn show((start, end): (Slot, Slot)) -> String {
    format!("{start} to {end}")
}

fn no_deltas(range: &RangeInclusive<Slot>) -> BacktestError {
    let asked = show(range.clone().into_inner());
    BacktestError::InvalidRequest {
        error: format!(
            "replayAccountState needs an archive that records what each slot changed, and that of slots {asked} does not; \
             run `sim archive index` on it, or leave the field out to have the transactions executed"
        ),
    }
}

fn not_loaded(error: &KeyframeError) -> BacktestError {
    BacktestError::Internal {
        error: error.to_string(),
    }
}

#[cfg(test)]
impl State {
    /// The state of a server that has nothing to serve.
    pub(crate) async fn empty() -> Arc<Self> {
        let (limits, keys) = (Limits::default(), Keys::new(Vec::new()));
        let usage = Usage::open(&keys, limits.of_keys(), None, crate::clock::now());
        Arc::new(Self {
            archives: Archives::open(&[], 0).await.expect("there is nothing to open"),
            keys,
            durability: None,
            registry: Registry::new(limits.sessions),
            names: Names::default(),
            restored: AtomicBool::new(false),
            usage: usage.expect("there is nothing to read"),
            metrics: Arc::default(),
            data_pool: limits.data_pool(),
            encoders: Encoders::new(limits.encoders),
            ended: Arc::new(Ended::new(limits.data_bytes)),
            limits,
            times: Times::default(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }
}

/// The id is the only secret of a session's data channel.
#[expect(
    clippy::disallowed_methods,
    reason = "one of the two places where ids are drawn; nothing depends on their value"
)]
fn new_id() -> SessionId {
    SessionId::from(Uuid::new_v4())
}

/// The id of a parallel session is a secret, too.
#[expect(
    clippy::disallowed_methods,
    reason = "the other place where ids are drawn; nothing depends on their value"
)]
pub(crate) fn new_control_id() -> ControlSessionId {
    ControlSessionId::from(Uuid::new_v4())
}
